"""Scripts, lock files and project file: short, by name only, with hashes, and quick when nothing is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from daemons import ROOT

SCRIPTS = sorted((ROOT / "scripts").iterdir()) + sorted((ROOT / ".ci").iterdir())
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
#: Of tools that only some want; each is locked alone.
MORE_LOCKS = [ROOT / "requirements-fuzz.lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def is_shell(script: Path) -> bool:
    return script.read_text().startswith("#!/bin/sh")


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_a_script_is_executable_and_says_on_top_what_it_is_for(script: Path) -> None:
    assert os.access(script, os.X_OK)
    first, second, *_ = script.read_text().splitlines()
    assert first in ("#!/bin/sh -eu", "#!/usr/bin/env python3")
    if is_shell(script):
        assert re.fullmatch(r"# [A-Z`].{20,}", second)
    else:
        assert re.match(r'"""[A-Z].{20,}', second)


@pytest.mark.parametrize("script", [script for script in SCRIPTS if is_shell(script)], ids=named)
def test_a_shell_script_is_valid_and_works_from_any_directory(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    assert 'cd "$(dirname "$0")' in script.read_text()


def test_a_syntax_error_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("#!/bin/sh -eu\n# A script that does not end what it begins.\nif true; then\n")
    assert subprocess.run(["sh", "-n", tmp_path / "broken"], capture_output=True, check=False).returncode


@pytest.mark.parametrize("script", [script for script in SCRIPTS if is_shell(script)], ids=named)
def test_a_shell_script_is_short(script: Path) -> None:
    assert len(script.read_text().splitlines()) <= 80


@pytest.mark.parametrize(
    "path", [*SCRIPTS, *LOCKS, *MORE_LOCKS, ROOT / "pyproject.toml", *ROOT.glob("*/*.toml")], ids=named
)
def test_packages_are_named_and_never_given_an_address_or_a_place_on_this_machine(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"https?://(?!127\.0\.0\.1|localhost)|git\+|file:/|--(extra-)?index-url|--find-links", text)
    places = re.findall(r"(?<![\w./$}\"-])/(?:\w[\w.-]*/)+[\w.-]*", text)
    assert [place for place in places if place not in ("/bin/sh", "/usr/bin/env", "/dev/null")] == []
    assert str(Path.home()) not in text and str(ROOT) not in text


def requirements(lock: Path) -> dict[str, str]:
    """Name -> the whole of its entry, hashes included."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text().strip())
    return {re.split(r"[=\[ ]", entry)[0]: entry for entry in entries if not entry.startswith("#")}


@pytest.mark.parametrize("lock", [*LOCKS, *MORE_LOCKS], ids=named)
def test_every_locked_requirement_has_one_version_and_a_hash(lock: Path) -> None:
    locked = requirements(lock)
    assert locked if lock in MORE_LOCKS else len(locked) > 20
    for entry in locked.values():
        assert re.match(r"[a-z0-9][a-z0-9._-]*==[0-9][^\s;]*( ;[^\\]*)? \\\n    --hash=sha256:[0-9a-f]{64}", entry), (
            entry
        )


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>~! \[;]", name)[0]).lower()


def test_every_dependency_of_the_project_is_locked() -> None:
    running, testing = (set(map(canonical, requirements(lock))) for lock in LOCKS)
    assert {canonical(name) for name in PROJECT["dependencies"]} <= running <= testing
    assert {canonical(name) for name in PROJECT["optional-dependencies"]["dev"]} <= testing


def test_an_exact_version_of_the_project_is_the_locked_one() -> None:
    locked = requirements(LOCKS[0])
    exact = [name for name in PROJECT["dependencies"] if "==" in name]
    assert exact
    for name in exact:
        assert locked[canonical(name)].startswith(f"{name} \\")


def test_both_locks_agree_on_every_version() -> None:
    running, testing = (requirements(lock) for lock in LOCKS)
    assert {name: running[name].split()[0] for name in running} == {name: testing[name].split()[0] for name in running}


class Copy:
    """The project's set-up in a directory of its own. pip is only written down; all else is real."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "python.log"
        (directory / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "setup", directory / "scripts")
        for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / name, directory)
        for name in ("models", "face_server"):
            (directory / name).symlink_to(ROOT / name)
        (directory / "tests").mkdir()
        (directory / "tests" / "photos.toml").symlink_to(ROOT / "tests" / "photos.toml")
        (directory / "var").symlink_to(ROOT / "var")
        self._program(".venv/bin/python", f'echo "$*" >> {self.log}\n[ "$2" = pip ] || exec {sys.executable} "$@"')
        self._program("bin/python3.11", f'exec {sys.executable} "$@"')
        # Nothing is installed on the machine by a test.
        for name in ("apt-get", "g++"):
            self._program(f"bin/{name}", "exit 1")

    def _program(self, name: str, body: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh -eu\n{body}\n")
        path.chmod(0o755)

    def lack(self, program: str) -> Path:
        """Have the machine lack a program, and apt-get write down what it is asked for and bring it."""
        asked = self.directory / "apt-get.log"
        self._program(f"bin/{program}", "exit 1")
        self._program("bin/apt-get", f'echo "$*" >> {asked}')
        self._program("bin/id", "echo 0")
        return asked

    def setup(self, *arguments: str) -> list[str]:
        """What .venv's python was asked to do."""
        self.log.write_text("")
        environment = {**os.environ, "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}"}
        subprocess.run([self.directory / "scripts" / "setup", *arguments], check=True, env=environment, cwd="/")
        return self.log.read_text().splitlines()


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


MODELS = "-m face_server.models models/manifest.toml models"
VERIFY_MODELS = f"{MODELS} --try fr-liveness"
TRY_OPTIONAL = f"{VERIFY_MODELS} --try mobilefacenet"
VERIFY_PHOTOS = "-m face_server.models tests/photos.toml var/test-photos"
VERIFY_AXE = "-m face_server.models tests/browser.toml var/browser"
VERIFY_VENDOR = "-m face_server.models face_web/vendor.toml face_web/public/vendor"


def installs(asked: list[str]) -> list[str]:
    return [line for line in asked if line.startswith("-m pip")]


def test_setup_installs_with_hashes_once_and_the_second_time_only_looks_at_the_models(copy: Copy) -> None:
    first = installs(copy.setup())
    assert len(first) == 4
    assert [line for line in first if "--require-hashes" not in line] == [
        "-m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable ."
    ]
    assert "-r requirements.lock" in first[2]
    assert copy.setup() == [VERIFY_MODELS]


def test_setup_for_tests_serves_running_too(copy: Copy) -> None:
    assert "-r requirements-dev.lock" in installs(copy.setup("--dev"))[2]
    assert copy.setup("--dev") == [TRY_OPTIONAL, VERIFY_PHOTOS, VERIFY_AXE]
    assert copy.setup() == [VERIFY_MODELS]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (
            "[detection]\nmodel = mtcnn\n[embedding]\nmodel = mobilefacenet\n[gallery]\npath = x\n",
            " --with mobilefacenet",
        ),
        ("[facedetect]\nmodel=mobilefacenet \n", " --with mobilefacenet"),
        ("[embedding]\n; model = mobilefacenet\n[detection]\nmodel = mtcnn\n", ""),
        ("[embedding]\nmodel = mine/facenet.pb\n", ""),
    ],
)
def test_setup_fetches_the_model_that_config_ini_names(copy: Copy, text: str, asked: str) -> None:
    if asked and not (ROOT / "models" / "mobilefacenet.tflite").exists():
        pytest.skip("needs models/mobilefacenet.tflite: scripts/setup --dev fetches it by npm")
    (copy.directory / "config.ini").write_text(text)
    assert copy.setup()[-1] == f"{MODELS}{asked} --try fr-liveness"


def test_setup_refuses_a_model_that_nobody_knows(copy: Copy) -> None:
    (copy.directory / "config.ini").write_text("[embedding]\nmodel = arcface\n")
    with pytest.raises(subprocess.CalledProcessError):
        copy.setup()


def test_setup_for_running_does_not_serve_tests(copy: Copy) -> None:
    copy.setup()
    assert "-r requirements-dev.lock" in installs(copy.setup("--dev"))[2]


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", "scripts/setup"])
def test_setup_installs_again_when_what_it_installs_from_has_changed(copy: Copy, name: str) -> None:
    copy.setup()
    with (copy.directory / name).open("a") as file:
        file.write("# changed\n")
    assert installs(copy.setup())
    assert copy.setup() == [VERIFY_MODELS]


def test_setup_that_failed_is_not_taken_for_done(copy: Copy) -> None:
    working = (copy.directory / ".venv" / "bin" / "python").read_text()
    (copy.directory / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        copy.setup()
    (copy.directory / ".venv" / "bin" / "python").write_text(working)
    assert installs(copy.setup())


def test_only_the_build_tools_and_annoy_are_cut_out_of_the_lock(copy: Copy) -> None:
    copy.setup()
    venv = copy.directory / ".venv"
    assert set(requirements(venv / "annoy.lock")) == {"annoy"}
    assert set(requirements(venv / "build.lock")) == {"setuptools", "wheel", "packaging"}
    assert requirements(venv / "annoy.lock")["annoy"] == requirements(LOCKS[0])["annoy"].rstrip()


def test_setup_brings_the_page_s_face_finder_and_goes_on_without_it(copy: Copy) -> None:
    (copy.directory / "face_web").mkdir()
    manifest = copy.directory / "face_web" / "vendor.toml"
    manifest.write_text("file = []\n")
    assert copy.setup()[-1] == VERIFY_VENDOR
    manifest.write_text("this is no manifest")
    assert copy.setup() == [VERIFY_MODELS, VERIFY_VENDOR]


def test_setup_installs_php_where_it_is_missing_and_there_is_a_site(copy: Copy) -> None:
    asked = copy.lack("php")
    copy.setup()
    assert not asked.exists()
    (copy.directory / "face_web").mkdir()
    copy.setup()
    assert "php8.2-cli php8.2-sqlite3 php8.2-mysql php8.2-mbstring" in asked.read_text()


def test_setup_asks_for_no_package_where_none_is_missing(copy: Copy) -> None:
    asked = copy.lack("nothing")
    copy.setup()
    copy.setup("--dev")
    assert not asked.exists()


@pytest.mark.parametrize("argument", ["--dve", "help", "-dev"])
def test_setup_refuses_an_argument_that_it_does_not_know(copy: Copy, argument: str) -> None:
    script = copy.directory / "scripts" / "setup"
    done = subprocess.run([script, argument], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: scripts/setup [--dev]\n")
    assert not copy.log.exists()
