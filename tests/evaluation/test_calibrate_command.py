"""`face-server calibrate` on a gallery, and what the daemon makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from daemons import ROOT, Daemon, StartDaemon

from face_server.config import load_config
from face_server.gallery.store.template_store import TemplateStore
from face_server.types import Quality, Template

FACENET = "3caab41ee061b26baf975ab82925dd8f7001d86a4f8ef8d7f65c78d20f2a00fd"
QUALITY = Quality(100.0, 0.99, 50.0, 120.0, 0.0, 0.0, 0.0)


def calibrate(config: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "face_server", "calibrate", "--config", config, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def write_config(directory: Path) -> Path:
    path = directory / "config.ini"
    path.write_text(f"[models]\npath = {ROOT / 'models'}\n")
    return path


def fill(path: Path, people: int, images: int) -> None:
    """A store of made-up people: a direction each, and templates scattered about it."""
    random = np.random.default_rng(0)
    options = {"fingerprint": FACENET, "dimension": 512, "max_templates_per_subject": 20, "max_map_bytes": 1 << 30}
    with TemplateStore(path, **options) as store:  # type: ignore[arg-type]
        for person in range(people):
            vectors = random.normal(size=512) + 0.6 * random.normal(size=(images, 512))
            vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
            store.enrol(
                person, [Template(vector, FACENET, 0.0, f"{person}-{i}", QUALITY) for i, vector in enumerate(vectors)]
            )


def test_an_empty_gallery_cannot_be_calibrated_on(tmp_path: Path) -> None:
    done = calibrate(write_config(tmp_path))
    assert done.returncode == 2
    assert "the gallery is empty" in done.stderr


def test_curves_of_the_own_gallery_are_written_shown_and_win_over_the_shipped_ones(
    tmp_path: Path, daemon_in: StartDaemon
) -> None:
    config = write_config(tmp_path)
    # 1.3 million comparisons of single images support the shipped rates; fewer of several images might not.
    settings = "[decision]\nverify_fmr = 0.001"
    config.write_text(f"{config.read_text()}{settings}\n")
    fill(load_config(config).gallery.path, people=400, images=4)
    done = calibrate(config)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    before, after, *_ = done.stdout.splitlines()
    assert before.startswith("before: 2,717 photographs of 1,383 people")
    assert after.startswith("after:  the own gallery: 1,600 templates of 400 subjects; for other counts 2,717")
    told = json.loads((tmp_path / "var" / "calibration" / f"{FACENET[:16]}.json").read_text())
    assert {(one["enrolled"], one["probes"]) for one in told["curves"]} >= {(1, 1), (2, 2)}
    with daemon_in(tmp_path, settings).client() as client:
        decision = client.status().decision
    assert decision.calibration.startswith("the own gallery: 1,600 templates of 400 subjects; for other counts")
    assert decision.verify_threshold is not None and decision.verify_threshold < 0.4


def test_curves_that_would_keep_the_daemon_from_starting_are_not_written(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    fill(load_config(config).gallery.path, people=60, images=3)
    done = calibrate(config)
    assert done.returncode == 2
    assert "nothing was written" in done.stderr and "a higher [decision] verify_fmr" in done.stderr
    assert not (tmp_path / "var" / "calibration").exists()


def test_a_running_daemon_keeps_its_gallery_from_being_calibrated_on(web_daemon: Daemon) -> None:
    done = calibrate(web_daemon.config_path)
    assert done.returncode == 2
    assert "is held by process" in done.stderr
