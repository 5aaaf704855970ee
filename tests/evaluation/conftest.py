"""What the tests of evaluation share: folders of people, and `evaluate` on the session's real pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import ROOT

from face_server.cli import run

#: name -> bytes of a file, below a folder of people.
Files = dict[str, bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of people; the files are no pictures unless bytes are given."""

    def make(*names: str, **given: bytes) -> Path:
        root = tmp_path / "people"
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(given.get("content", name.encode()))
        return root

    return make


@pytest.fixture
def two_men(tmp_path: Path, sample_photos: Path) -> Path:
    """The seven sample photographs as a folder: six of one man, one of another."""
    root = tmp_path / "men"
    for name in ("obama", "obama2", "obama3", "obama_partial_face", "obama_partial_face2", "32bit", "biden"):
        (source,) = sample_photos.glob(f"{name}.*")
        person = root / ("biden" if name == "biden" else "obama")
        person.mkdir(parents=True, exist_ok=True)
        (person / source.name).symlink_to(source)
    return root


@pytest.fixture
def two_men_pairs(tmp_path: Path) -> Path:
    """Two folds of one mated and one non-mated pair; photos by their place in the order of names."""
    path = tmp_path / "pairs.txt"
    path.write_text("2\t1\nobama\t2\t3\nobama\t2\tbiden\t1\nobama\t4\t2\nbiden\t1\tobama\t3\n")
    return path


@pytest.fixture
def evaluate(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, Any, str]]:
    """Runs `face-server evaluate ... --json` in this process: status, what was told, standard error.

    The pipeline is the real one, loaded once for all tests.
    """
    monkeypatch.setattr("face_server.assembly.assemble_pipeline", lambda config: pipeline)
    (tmp_path / "config.ini").write_text(f"[models]\npath = {ROOT / 'models'}\n")

    def command(*arguments: str | Path) -> tuple[int, Any, str]:
        config = ["--config", str(tmp_path / "config.ini"), "--json"]
        status = run(["evaluate", *map(str, arguments), *config])
        out, err = capfd.readouterr()
        return status, json.loads(out) if out else None, err

    return command
