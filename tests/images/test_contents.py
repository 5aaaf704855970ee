"""What lies in the images, and what must not."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from daemons import ROOT
from images.containers import DAEMON, HARDENED, MEASURED, WEB, in_image, inspected, podman

IMAGES = pytest.mark.parametrize("image", [DAEMON, WEB])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILDERS = ["cc", "gcc", "g++", "c++", "cpp", "clang", "tcc", "as", "ld", "make", "cmake", "pip", "pip3", "npm", "git"]


@IMAGES
def test_no_compiler_no_package_builder_and_no_headers_are_in_it(image: str) -> None:
    there = in_image(
        image, "sh", "-c", "command -v sh; for name in " + " ".join(BUILDERS) + "; do command -v $name; done; true"
    )
    assert there.splitlines() == ["/usr/bin/sh"]
    headers = in_image(image, "find", "/usr/include", "/opt", "-name", "Python.h", "-o", "-name", "libclang*")
    assert headers == ""
    assert "No module named pip" in in_image(DAEMON, "sh", "-c", "python -m pip 2>&1")


@IMAGES
def test_it_runs_as_a_user_that_is_not_root_and_may_write_nothing_of_its_own(image: str) -> None:
    assert in_image(image, "id", "-u").strip() == {DAEMON: "10001", WEB: "10002"}[image]
    assert inspected(image)["Config"]["User"] in ("face-server", "face-web")
    others = in_image(
        image,
        "find",
        "/opt/face-login",
        "/etc/face-login",
        "(",
        "!",
        "-user",
        "root",
        "-o",
        "-perm",
        "/022",
        ")",
        "!",
        "-type",
        "l",
    )
    assert others == ""
    unreadable = in_image(image, "find", "/opt/face-login", "!", "-readable")
    assert unreadable == ""


@IMAGES
def test_no_secret_no_gallery_and_no_history_is_in_it(image: str) -> None:
    as_root = ["--user=0"]
    files = in_image(image, "find", "/", "-xdev", "-type", "f", options=as_root).splitlines()
    assert len(files) > 1000
    ours = re.compile(r"/token\.(web|operator)$|/audit\.(key|head)$|/users\.sqlite|/data\.mdb$|/\.git/|/id_[a-z0-9]+$")
    debian_s = re.compile("/(usr|proc|sys)/|/etc/pam.d/|/var/lib/pam/")
    telling = [one for one in files if ours.search(one) or re.search("/(root-)?password$|/test-photos/", one)]
    assert [one for one in telling if not debian_s.match(one) and "/site-packages/" not in one] == []
    look = "grep -rlE 'BEGIN [A-Z ]*PRIVATE KEY' /etc /var /run /opt/face-login --exclude-dir=site-packages"
    assert in_image(image, "sh", "-c", look, options=as_root) == ""
    environment = inspected(image)["Config"]["Env"]
    assert environment and not [one for one in environment if re.search(r"(?i)secret|password|token", one)]
    history = podman("history", "--no-trunc", "--format={{.CreatedBy}}", image).stdout.decode()
    assert "COPY" in history and not re.search(r"(?i)(password|token|secret)=", history)


@IMAGES
def test_it_is_labelled_has_a_health_check_and_its_size_is_known(image: str) -> None:
    described = inspected(image)
    assert described["Config"]["Labels"]["org.opencontainers.image.version"] == PROJECT["version"]
    assert described["Config"]["Labels"]["org.opencontainers.image.title"].startswith("face-login ")
    assert described["Healthcheck"]["Test"]
    base = inspected("localhost/face-login-base")["Size"]
    MEASURED[f"{image.rsplit('-', 1)[1]}: size of the image, base of {base / 1e6:.0f} MB included"] = (
        f"{described['Size'] / 1e6:,.0f} MB"
    )


def test_annoy_needs_no_processor_of_this_year(tmp_path: Path) -> None:
    """-march=native would use what the builder has: 256-bit registers or more."""
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump: apt-get install binutils")
    library = in_image(DAEMON, "sh", "-c", "ls .venv/lib/python3.11/site-packages/annoy/annoylib*.so").strip()
    target = tmp_path / "annoylib.so"
    target.write_bytes(podman("run", "--rm", "--network=none", *HARDENED, DAEMON, "cat", library).stdout)
    code = subprocess.run(["objdump", "-d", target], capture_output=True, text=True, check=True).stdout
    assert "%xmm" in code
    assert not re.search(r"%[yz]mm", code)


def test_the_weights_are_those_of_the_manifest() -> None:
    manifest = tomllib.loads((ROOT / "models" / "manifest.toml").read_text())["file"]
    wanted = [file for file in manifest if file["model"] == "fr-liveness" or not file.get("optional")]
    stated = {file["path"]: file["sha256"] for file in wanted}
    names = " ".join(stated)
    summed = in_image(DAEMON, "sh", "-c", f"cd models && sha256sum {names}")
    assert {name: sha for sha, name in (line.split() for line in summed.splitlines())} == stated


def test_the_page_s_face_finder_is_in_the_web_image() -> None:
    files = tomllib.loads((ROOT / "face_web" / "vendor.toml").read_text())["file"]
    stated = {file["path"]: file["sha256"] for file in files}
    summed = in_image(WEB, "sh", "-c", "cd face_web/public/vendor && sha256sum " + " ".join(stated))
    assert {name: sha for sha, name in (line.split() for line in summed.splitlines())} == stated


def test_packages_of_python_are_the_locked_ones() -> None:
    code = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
    listed = in_image(DAEMON, "python", "-c", code)
    there = {canonical(name): version for name, version in (line.split() for line in listed.splitlines())}
    locked = re.findall(r"(?m)^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text())
    # libclang and pip are taken out: nothing of the daemon uses them.
    wanted = {canonical(name): version for name, version in locked if name not in ("libclang", "pip")}
    assert there.pop("face-login") == PROJECT["version"]
    assert there == wanted


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
