"""The two containers as compose.yaml has them run: somebody registers and logs in by face, over a restart and a
restored backup; what a container may and may not; how it ends. In the order of a deployment's life."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
from pathlib import Path

import living
import pytest
from daemons import ROOT
from e2e.clips import Portrait, burst
from e2e.people import BARACK, BARACK_LATER, BARACKS, JOE
from images.conftest import Site
from images.containers import (
    DAEMON,
    GALLERY,
    HARDENED,
    MEASURED,
    WEB,
    WEB_SOCKET,
    Container,
    podman,
    remove,
    remove_volumes,
    run_daemon,
    wait_until,
    web_options,
)
from websites import PATIENCE_S, free_port

FORGED = "203.0.113.77"


def logs_in_by_face(site: Site, person: Portrait) -> bool:
    visitor = site.visitor()
    answer = living.log_in(visitor, person, living.STRONGER, tries=4)
    assert answer.json["ok"] == visitor.is_in()
    return visitor.is_in()


# --- what a visitor gets --------------------------------------------------------------------------------------------


def test_somebody_registers_by_face_and_is_known_by_a_photograph_of_years_later(web: Site) -> None:
    answer = web.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4))
    assert answer.json == {"ok": True, "location": "/registered"}
    assert logs_in_by_face(web, BARACK_LATER)
    assert not logs_in_by_face(web, JOE)


def test_the_operator_asks_the_daemon_in_its_container(daemon: Container, web: Site) -> None:
    told = json.loads(daemon.execute("face-server", "status", "--json"))
    assert (told["subjects"], told["templates"]) == (1, 4)
    photo = (ROOT / "var" / "test-photos" / "obama2.jpg").read_bytes()
    assert daemon.status_of("face-server", "ready") == 0
    subject = daemon.execute("face-server", "identify", "/dev/stdin", stdin=photo).splitlines()[0]
    assert [[subject]] == web.rows("SELECT subject FROM face")


def test_every_answer_has_the_headers_of_the_site_and_static_files_are_checked_anew(web: Site) -> None:
    finder = "/vendor/face-api/face-api.js", "/vendor/face-api/tfjs-backend-wasm-simd.wasm"
    page, style, script, code = (web.visitor().get(path) for path in ("/login", "/style.css", *finder))
    assert code.headers["content-type"] == "application/wasm", "a browser compiles nothing else"
    for answer in (page, style, script, code):
        assert answer.status == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["server"] == "nginx" and "x-powered-by" not in answer.headers
    assert page.headers["cache-control"] == "no-store"
    for answer, kind in ((style, "text/css; charset=utf-8"), (script, "text/javascript; charset=utf-8")):
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == (kind, "no-cache")
    again = web.visitor().get("/style.css", If_None_Match=style.headers["etag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/index.php/login",
        "/../src/App.php",
        "/..%2fsrc/App.php",
        "/%2e%2e/config.ini",
        "/.htaccess",
        "/vendor/.hidden.js",
        "/vendor/face-api/LICENSE",
        "/style.css/x.php",
        "/router.php",
    ],
)
def test_nothing_but_the_site_s_files_and_pages_is_served(web: Site, path: str) -> None:
    answer = web.visitor().get(path)
    assert answer.status in (400, 404)
    assert b"<?php" not in answer.body


def test_a_body_over_the_limit_is_refused_before_it_reaches_php(web: Site) -> None:
    answer = web.visitor().request("POST", "/register", b"x" * (16 * 1024 * 1024 + 1))
    assert answer.status == 413


def test_a_visitor_cannot_say_where_it_comes_from(web: Site) -> None:
    """All that come by the published port look like the container network's gateway; none looks like what it says."""
    visitor = web.visitor(X_Forwarded_For=FORGED, Forwarded=f"for={FORGED}", X_Real_IP=FORGED)
    visitor.request("GET", "/login", headers={"X_Forwarded_For": FORGED})
    visitor.password("nobody@example.org", "not the right one")
    sources = {source for (source,) in web.rows("SELECT DISTINCT source FROM audit WHERE event LIKE '%login%'")}
    assert sources
    assert FORGED not in sources and "unknown" not in sources
    ((gateway,),) = [
        line.split()
        for line in podman("network", "inspect", "podman", "--format={{range .Subnets}}{{.Gateway}}{{end}}")
        .stdout.decode()
        .splitlines()
    ]
    assert sources == {gateway}


def test_tls_is_spoken_by_the_same_image_and_knows_its_visitors_by_their_own_address(web: Site, tmp_path: Path) -> None:
    certificate = certificate_in(tmp_path)
    port = free_port()
    tls = ["nginx", "-e", "stderr", "-c", "/opt/face-login/deploy/docker/tls.conf", "-g", "daemon off;"]
    mounts = [f"--volume={tmp_path}:/etc/face-login/tls:ro", f"--volume={WEB_SOCKET}:/run/face-web:ro"]
    Container.run(
        "face-login-test-tls",
        WEB,
        f"--publish=127.0.0.1:{port}:443",
        "--sysctl=net.ipv4.ip_unprivileged_port_start=0",
        "--no-healthcheck",
        *mounts,
        command=tls,
    )
    context = ssl.create_default_context(cafile=str(certificate))

    def asked(path: str, **headers: str) -> tuple[int, str | None, bytes]:
        """Status, Cache-Control and body."""
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["Cache-Control"], answer.read()
        finally:
            connection.close()

    def answers() -> bool:
        try:
            return asked("/healthz")[0] == 200
        except OSError:
            return False

    wait_until(answers, "the site by TLS")
    assert asked("/healthz") == (200, "no-store", b'{"ok":true}')
    assert asked("/style.css")[:2] == (200, "no-cache")
    # Its log holds the address it saw, which is what PHP is given, and no query.
    asked("/register?invite=secret-code", **{"X-Forwarded-For": FORGED})
    log = Container("face-login-test-tls").log
    assert '"GET /register" ' in log
    assert FORGED not in log and "secret-code" not in log
    podman("kill", "--signal=QUIT", "face-login-test-tls")
    ended = Container("face-login-test-tls")
    wait_until(lambda: not ended.is_running, "nginx ends")
    assert ended.exit_code == 0


def certificate_in(directory: Path) -> Path:
    """A certificate of our own for localhost, as an operator lays it down: readable by the container's user."""
    key, certificate = directory / "privkey.pem", directory / "fullchain.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    for path in (directory, key, certificate):
        shutil.chown(path, 10002, 10002)
    directory.chmod(0o700)
    key.chmod(0o400)
    return certificate


# --- what a container may -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["daemon", "web"])
def test_it_runs_without_root_without_rights_and_on_a_root_that_cannot_be_written(
    daemon: Container, web: Site, which: str
) -> None:
    container = {"daemon": daemon, "web": web.container}[which]
    status = dict(
        line.split(":\t", 1) for line in container.execute("cat", "/proc/1/status").splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split()) == {"10001" if which == "daemon" else "10002"}
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    for place in ("/", "/opt/face-login", "/etc/face-login", "/usr/bin", "/var/tmp"):
        assert container.status_of("sh", "-c", f"echo x > {place}/x") != 0
    assert podman("inspect", "--format={{.HostConfig.ReadonlyRootfs}}", container.name).stdout.strip() == b"true"


def test_the_daemon_has_no_network_and_its_socket_is_for_the_site_alone(daemon: Container) -> None:
    assert daemon.execute("ls", "/sys/class/net").split() == ["lo"]
    assert daemon.execute("stat", "-c", "%a %u %g", "/run/face-login/face.sock").strip() == "660 10001 10001"
    for name in ("token.web", "token.operator"):
        assert daemon.execute("stat", "-c", "%a", f"/var/lib/face-server/{name}").strip() == "600"


def test_the_site_cannot_read_the_operator_s_token(web: Site) -> None:
    assert web.container.status_of("ls", "/var/lib/face-server") != 0


def test_what_is_half_made_is_cleared_and_the_audit_log_is_in_order(web: Site) -> None:
    console = ("php", "-c", "face_web/php.ini", "face_web/bin/console")
    assert web.container.status_of(*console, "reconcile") == 0
    assert web.container.status_of(*console, "audit:verify") == 0


# --- how it ends, and comes back ------------------------------------------------------------------------------------


def test_after_a_restart_of_the_daemon_the_face_is_found_again(daemon: Container, web: Site) -> None:
    MEASURED["daemon: peak memory of its process"] = f"{daemon.peak_mib():,} MiB"
    MEASURED["daemon: memory of its container after these requests"] = f"{daemon.used_mib():,} MiB"
    MEASURED["web: memory of its container"] = f"{web.container.used_mib():,} MiB"
    MEASURED["daemon: from SIGTERM to its end"] = f"{daemon.stop():.1f} s"
    assert daemon.exit_code == 0
    assert "SIGTERM: finishing what is in hand" in daemon.log
    assert not web.container.is_healthy()
    assert web.visitor().capture({"purpose": "login"}).code == "unavailable"
    daemon.start()
    MEASURED["daemon: from `start` to healthy again"] = f"{daemon.await_healthy():.1f} s"
    web.container.await_healthy()
    assert logs_in_by_face(web, BARACK_LATER)


def test_the_web_container_ends_on_sigterm_and_comes_back_with_its_users(daemon: Container, web: Site) -> None:
    MEASURED["web: from SIGTERM to its end"] = f"{web.container.stop():.1f} s"
    assert web.container.exit_code == 0
    web.container.start()
    web.container.await_healthy()
    visitor = web.visitor()
    visitor.password(BARACKS.email, BARACKS.password)
    assert visitor.is_in()


@pytest.mark.parametrize("victim", ["php-fpm8.2", "nginx"])
def test_the_web_container_ends_with_a_failure_when_one_of_its_two_dies(
    daemon: Container, web: Site, victim: str
) -> None:
    """The master process, which has the lowest number of those with the name."""
    find = 'for p in $(ls /proc | grep -E "^[0-9]+$" | sort -n); do [ "$(cat /proc/$p/comm)" = "$0" ] && break; done'
    find += "; kill -9 $p"
    web.container.execute("sh", "-c", find, victim)
    wait_until(lambda: not web.container.is_running, "the container ends")
    assert web.container.exit_code == 1
    assert "has ended; stopping" in web.container.log
    web.container.start()
    web.container.await_healthy()


def test_a_backup_of_the_gallery_s_volume_is_a_gallery(daemon: Container, web: Site) -> None:
    """As docs/operations.md has it: stopped, packed by the image itself, unpacked into a new volume."""
    restored = "face-login-test-restored"
    photo = (ROOT / "var" / "test-photos" / "obama2.jpg").read_bytes()
    subject = daemon.execute("face-server", "identify", "/dev/stdin", stdin=photo).splitlines()[0]
    daemon.stop()
    here = ["--rm", "--interactive", "--network=none", "--no-healthcheck", *HARDENED]
    packed = podman(
        "run",
        *here,
        f"--volume={GALLERY}:/var/lib/face-server:ro",
        DAEMON,
        "tar",
        "-C",
        "/var/lib/face-server",
        "-cf",
        "-",
        ".",
    ).stdout
    remove_volumes(restored)
    into = f"--volume={restored}:/var/lib/face-server"
    podman("run", *here, into, DAEMON, "tar", "-C", "/var/lib/face-server", "-xf", "-", stdin=packed)
    again = run_daemon("face-login-test-restored", gallery=restored)
    again.await_healthy()
    assert again.execute("face-server", "identify", "/dev/stdin", stdin=photo).splitlines()[0] == subject
    remove(again.name)
    remove_volumes(restored)
    daemon.start()
    daemon.await_healthy()


def test_a_stop_during_the_start_is_heeded(clean: None) -> None:
    """Before the daemon serves it takes no work, so it just ends; nobody has to kill it."""
    trial = Container.run("face-login-test-trial", DAEMON, "--network=none", "--no-healthcheck")
    wait_until(lambda: "loading" in trial.log, "the networks are being loaded", pause_s=0.05)
    trial.stop()
    assert trial.exit_code == 130


def test_a_wrong_configuration_is_told_and_nothing_is_served(clean: None, tmp_path: Path) -> None:
    config = tmp_path / "config.ini"
    config.write_text("[web]\nlogin_mode = smile\n")
    trial = Container.run("face-login-test-trial", WEB, "--network=none", "--no-healthcheck", *web_options(config))
    wait_until(lambda: not trial.is_running, "it ends")
    assert trial.exit_code == 2
    assert "login_mode" in trial.log
