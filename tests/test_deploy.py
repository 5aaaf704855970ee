"""What an operator deploys with: compose.yaml, the Dockerfiles, nginx and systemd say what they must, and say the same
as the code. Whether the containers really run is tests/images, run by scripts/test-image."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemons import ROOT
from websites import php_is_there

from face_server.config import ServerConfig, WebConfig, load_config

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = [ROOT / "Dockerfile", ROOT / "face_web" / "Dockerfile"]
SITE_CONF = (DEPLOY / "site.conf").read_text()
UNITS = sorted(DEPLOY.glob("*.service")) + sorted(DEPLOY.glob("*.timer"))
OURS = ("daemon", "web", "tls", "secrets")


# --- compose.yaml ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_bounded_and_may_change_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "pid" not in service and "devices" not in service
    assert service["mem_limit"] and service["pids_limit"]
    assert all("noexec" in one and "size=" in one for one in service["tmpfs"])


def test_only_the_site_on_loopback_and_tls_are_published() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:9988:9988"], "tls": ["${FACE_LOGIN_HTTPS:-443}:443"]}
    assert all(service.get("network_mode", "none") == "none" for service in SERVICES.values())


def test_the_daemon_and_what_makes_secrets_have_no_network_and_the_database_s_leads_nowhere() -> None:
    assert SERVICES["daemon"]["network_mode"] == SERVICES["secrets"]["network_mode"] == "none"
    assert COMPOSE["networks"]["database"] == {"internal": True}
    assert SERVICES["mariadb"]["networks"] == ["database"]


def test_without_a_profile_there_are_the_daemon_and_the_site_and_the_site_waits() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["daemon", "web"]
    assert SERVICES["web"]["depends_on"] == {"daemon": {"condition": "service_healthy"}}


def test_no_secret_and_no_password_stands_in_it() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY", name) or name.endswith("_FILE"), (name, value)


def test_what_must_be_kept_and_what_is_shared_are_named_volumes_or_files_that_are_read_only() -> None:
    for name, service in SERVICES.items():
        for volume in service["volumes"]:
            source, target, *mode = re.sub(r"\$\{[^}]*\}", "given", volume).split(":")
            assert source in COMPOSE["volumes"] or mode == ["ro"], (name, volume)
            assert target.startswith(("/var/lib/", "/run/face-", "/etc/face-login/"))
    assert "daemon-socket:/run/face-login:ro" in SERVICES["web"]["volumes"]
    assert not any("gallery" in volume for volume in SERVICES["web"]["volumes"])


def test_a_stop_is_given_longer_than_what_is_in_hand_may_take() -> None:
    for name in ("daemon", "web", "tls"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 2 * ServerConfig().shutdown_timeout_s


# --- Dockerfiles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_ends_without_root_with_a_health_check_and_this_version(path: Path) -> None:
    text = path.read_text()
    last = text.split("\nFROM ")[-1]
    assert text.count("\nFROM $BASE") == text.count("\nFROM ") == 2 and "ARG BASE=debian:bookworm-slim" in text
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}\n" in last
    assert re.search(r"^USER face-(server|web)$", last, re.M)
    assert "HEALTHCHECK " in last and "STOPSIGNAL SIGTERM" in last
    assert not re.search(r"(?i)\bADD\b|curl|wget|https?://", text)


def test_nothing_goes_into_an_image_but_what_is_named() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert not [line for line in lines if re.match(r"!(var|tests|\.git|\*|deploy$|face_web$|models$)", line)]


def test_the_port_of_the_site_is_the_same_everywhere() -> None:
    port = WebConfig().port
    config = load_config(DEPLOY / "config.ini")
    assert (config.web.port, config.web.base_url) == (port, f"http://127.0.0.1:{port}")
    assert f"EXPOSE {port}\n" in DOCKERFILES[1].read_text()
    assert f"listen {port} " in (DEPLOY / "docker" / "web.conf").read_text()


# --- config.ini -----------------------------------------------------------------------------------------------------


def test_the_configuration_writes_below_the_volumes_alone_and_listens_on_the_shared_socket() -> None:
    config = load_config(DEPLOY / "config.ini")
    assert str(config.server.unix_socket) == "/run/face-login/face.sock"
    written = {
        "/var/lib/face-server": [
            config.access.web_token_file,
            config.access.operator_token_file,
            config.gallery.path,
            config.index.path,
            config.decision.calibration_path,
        ],
        "/var/lib/face-web": [
            config.web.session_path,
            config.web.audit_key_file,
            config.web.audit_head_file,
            config.database.path,
        ],
    }
    for place, paths in written.items():
        assert [path for path in paths if not path.is_relative_to(place)] == []


def test_the_site_reads_it_too() -> None:
    if not php_is_there():
        pytest.skip("needs PHP 8.2 with pdo_sqlite and mbstring")
    command = ["php", "-c", "face_web/php.ini", "face_web/bin/console", "config:show"]
    environment = {"FACE_LOGIN_CONFIG": str(DEPLOY / "config.ini"), "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert "warning" not in shown


# --- nginx and php-fpm ----------------------------------------------------------------------------------------------


def php(code: str) -> Any:
    """What a PHP expression over the site's classes is."""
    if not php_is_there():
        pytest.skip("needs PHP 8.2 with pdo_sqlite and mbstring")
    program = f"require 'face_web/src/autoload.php'; echo json_encode({code});"
    return json.loads(subprocess.run(["php", "-r", program], cwd=ROOT, capture_output=True, check=True).stdout)


def test_static_files_have_the_headers_that_the_site_gives_them() -> None:
    answered = (
        "(FaceWeb\\Http\\SecurityHeaders::plain())->on((new FaceWeb\\Http\\StaticFiles('face_web/public'))"
        "->answer('GET', '/style.css', ''))->headers"
    )
    given = {name: value for name, value in php(answered).items() if name not in ("Content-Type", "ETag")}
    assert dict(re.findall(r'add_header (\S+) "([^"]+)" always;', SITE_CONF)) == given


def test_static_files_are_of_the_same_kinds() -> None:
    kinds = php("(new ReflectionClassConstant('FaceWeb\\Http\\StaticFiles', 'TYPES'))->getValue()")
    (shape,) = re.findall(r"\\\.\(\?:([a-z0-9|]+)\)\$", SITE_CONF)
    assert shape.split("|") == list(kinds)
    (block,) = re.findall(r"types \{(.*?)\}", SITE_CONF, re.S)
    stated = {
        name: kind
        for kind, *names in (line.rstrip(";").split() for line in block.split("\n") if line.strip())
        for name in names
    }
    (charset,) = re.findall(r"charset_types ([^;]+);", SITE_CONF)
    for name, kind in kinds.items():
        bare, *parameters = kind.split("; ")
        assert stated.get(name, "application/octet-stream") == bare
        assert (bare in charset.split()) == (parameters == ["charset=utf-8"])


def test_a_request_may_be_as_large_as_the_site_takes_and_last_as_long_as_it_waits() -> None:
    assert php("FaceWeb\\Http\\Request::MAX_POST_BYTES") == 16 << 20
    assert "client_max_body_size 16m;" in SITE_CONF
    assert "post_max_size = 16M" in (ROOT / "face_web" / "php.ini").read_text()
    (longest,) = [one.metadata["high"] for one in fields(WebConfig) if one.name == "daemon_timeout_s"]
    (read,) = re.findall(r"fastcgi_read_timeout (\d+)s;", SITE_CONF)
    assert int(read) > longest


def test_php_is_given_one_file_whatever_is_asked_for() -> None:
    assert re.findall(r"fastcgi_param SCRIPT_FILENAME (\S+);", SITE_CONF) == ["$document_root/index.php"]
    assert "root /opt/face-login/face_web/public;" in SITE_CONF
    assert SITE_CONF.count("fastcgi_pass unix:/run/face-web/php-fpm.sock;") == SITE_CONF.count("fastcgi_pass")
    assert "listen = /run/face-web/php-fpm.sock" in (DEPLOY / "php-fpm.conf").read_text()


def test_both_servers_include_the_one_description_of_the_site() -> None:
    assert "include /opt/face-login/deploy/site.conf;" in (DEPLOY / "nginx.conf").read_text()
    assert "include ../site.conf;" in (DEPLOY / "docker" / "web.conf").read_text()
    assert "include ../nginx.conf;" in (DEPLOY / "docker" / "tls.conf").read_text()


@pytest.mark.parametrize("name", ["serve-web", "make-secrets"])
def test_a_script_of_the_containers_is_valid_shell_that_may_be_run(name: str) -> None:
    script = DEPLOY / "docker" / name
    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/bin/sh -eu\n# ")
    subprocess.run(["sh", "-n", script], check=True)


# --- systemd --------------------------------------------------------------------------------------------------------


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    """With programs that every machine has in place of those that are installed later."""
    for unit in UNITS:
        text = re.sub(r"(?m)^(ExecStart(?:Pre)?)=\S+", r"\1=/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    done = analyze("verify", *(tmp_path / unit.name for unit in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_say_what_is_wrong(tmp_path: Path) -> None:
    unit = tmp_path / "face-server.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectSytem=strict\n")
    assert "ProtectSytem" in analyze("verify", unit).stderr


@pytest.mark.parametrize(("name", "most"), [("face-server", 10), ("face-web", 20), ("face-web-reconcile", 20)])
def test_systemd_calls_the_services_little_exposed(name: str, most: int) -> None:
    """Tenths of its scale of 0 to 10; an unhardened service has over 90."""
    done = analyze("security", "--offline=true", "--no-pager", f"--threshold={most}", DEPLOY / f"{name}.service")
    assert done.returncode == 0, done.stdout[-400:]


def test_the_units_state_the_places_of_the_configuration() -> None:
    unit = (DEPLOY / "face-server.service").read_text()
    for line in ("Type=notify", "StateDirectory=face-server", "RuntimeDirectory=face-login", "Restart=on-failure"):
        assert line in unit.splitlines()
    web = (DEPLOY / "face-web.service").read_text()
    assert {"StateDirectory=face-web", "RuntimeDirectory=face-web", "SupplementaryGroups=face-login"} <= set(
        web.splitlines()
    )
    (stop,) = re.findall(r"TimeoutStopSec=(\d+)", unit)
    assert int(stop) > ServerConfig().shutdown_timeout_s
