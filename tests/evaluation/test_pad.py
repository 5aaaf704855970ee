"""`face-server evaluate pad`: kits of presentations, hostile files among them, and what is told of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from daemons import ROOT

from face_server.errors import EvaluationError
from face_server.evaluation import films
from face_server.evaluation.pad import Group, Outcome
from face_server.evaluation.presentations import Form, Presentation, read_answer, read_kit
from face_server.evaluation.rates import Proportion
from face_server.liveness.challenge import Kind, Step
from face_server.liveness.evidence import Finding

Evaluate = Callable[..., tuple[int, Any, str]]
MIB, PIXELS = 2**20, 36_000_000


@pytest.fixture
def network() -> None:
    """The passive network, without which pictures cannot be judged."""
    if not (ROOT / "models" / "fr-liveness.onnx").exists():
        pytest.skip("needs models/fr-liveness.onnx: scripts/setup --dev fetches it by npm")


@pytest.fixture
def kit(tmp_path: Path, sample_photos: Path) -> Path:
    """Two honest pictures; the same picture once more, and a burst of two photographs, as attacks."""
    root = tmp_path / "kit"
    for place, names in {
        "bona_fide": ("obama.jpg", "biden.jpg"),
        "attacks/again": ("obama.jpg",),
        "attacks/burst/one": ("obama.jpg", "obama2.jpg"),
    }.items():
        (root / place).mkdir(parents=True)
        for name in names:
            shutil.copy(sample_photos / name, root / place / name)
    steps = {"steps": [{"step": "turn_left"}], "frame_steps": [0, 1]}
    (root / "attacks" / "burst" / "one" / "steps.json").write_text(json.dumps(steps))
    return root


def burst(folder: Path, steps: object, frames: int = 2) -> Presentation:
    folder.mkdir()
    for number in range(frames):
        (folder / f"{number}.jpg").write_bytes(b"frame %d" % number)
    (folder / "steps.json").write_text(steps if isinstance(steps, str) else json.dumps(steps))
    return Presentation("print", folder, Form.BURST)


def film(path: Path, frames: int = 20) -> Path:
    """Motion JPEG as a webcam stores it: one JPEG after the other."""
    images = [np.full((48, 64, 3), 10 * number, np.uint8) for number in range(frames)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", image)[1].tobytes() for image in images))
    return path


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "errors, trials, low, high",
    [(0, 10, 0.0, 0.3085), (1, 10, 0.0025, 0.4450), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (0, 50, 0, 0.0711)],
)
def test_intervals_are_clopper_and_pearsons(errors: int, trials: int, low: float, high: float) -> None:
    assert Proportion(errors, trials).exact_interval() == pytest.approx((low, high), abs=1e-4)


def test_the_kits_page_says_what_so_many_tries_prove() -> None:
    page = (ROOT / "docs" / "spoof-kit.md").read_text(encoding="utf-8")
    tables = re.findall(r"\| tries, .*?\| ([\d |]+) \|\n\|[-|]+\|\n\| the rate is at most \| (.+?) \|\n", page)
    assert len(tables) == 2
    for errors, (trials, bounds) in enumerate(tables):
        said = dict(zip(map(int, trials.split(" | ")), bounds.split(" | "), strict=True))
        assert said == {n: f"{100 * Proportion(errors, n).upper_bound():.1f} %" for n in said}


def outcome(species: str, *failed: str, response: str = "") -> Outcome:
    checks = ("steps", "relief", "passive")
    findings = () if response else tuple(Finding(check, check not in failed, 0.0, 1.0) for check in checks)
    return Outcome(Presentation(species, Path("x"), Form.BURST), findings, response)


def test_what_was_not_judged_is_in_no_rate_and_a_check_is_counted_alone() -> None:
    tries = [
        outcome("print", "steps", "relief"),
        outcome("print", "steps"),
        outcome("print"),
        outcome("print", response="no_face"),
    ]
    group = Group("print", tuple(tries))
    assert (group.rate, dict(group.responses)) == (Proportion(1, 3), {"no_face": 1})
    assert [group.refused_by(check) for check in ("steps", "relief", "flash")] == [
        Proportion(2, 3),
        Proportion(1, 3),
        None,
    ]
    assert Group("print", tuple(tries[3:])).rate is None


# --- files ----------------------------------------------------------------------------------------------------------


def test_steps_are_read_in_the_words_of_the_wire(tmp_path: Path) -> None:
    told = {"steps": [{"step": "turn_left"}, {"step": "flash", "colour": "#ff2020"}], "frame_steps": [0, 2]}
    answer = read_answer(burst(tmp_path / "one", told), MIB, PIXELS)
    assert answer.steps == (Step(Kind.TURN_LEFT), Step(Kind.FLASH, "#ff2020"))
    assert (answer.images, answer.frame_steps) == ((b"frame 0", b"frame 1"), (0, 2))


@pytest.mark.parametrize(
    "told",
    [
        "", "[]", "[" * 100_000, '{"steps": 1}', " " * 70_000,
        {"steps": [], "frame_steps": [0, 0]},
        {"steps": [{"step": "jump"}], "frame_steps": [0, 1]},
        {"steps": [{"step": "flash"}], "frame_steps": [0, 1]},
        {"steps": [{"step": "turn_left", "colour": "#ff2020"}], "frame_steps": [0, 1]},
        {"steps": [{"step": "turn_left"}], "frame_steps": [0]},
        {"steps": [{"step": "turn_left"}], "frame_steps": [0, 2]},
        {"steps": [{"step": "turn_left"}], "frame_steps": [0, True]},
        {"steps": [{"step": "turn_left"}] * 17, "frame_steps": [0, 1]},
    ],
)  # fmt: skip
def test_steps_that_are_none_are_refused_by_name(told: object, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"steps\.json"):
        read_answer(burst(tmp_path / "one", told), MIB, PIXELS)


@pytest.mark.parametrize("frames", [0, 65])
def test_a_burst_has_one_to_64_frames(frames: int, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=f"has {frames} frames"):
        read_answer(burst(tmp_path / "one", {}, frames), MIB, PIXELS)


def test_a_film_gives_frames_that_are_spread_over_it(tmp_path: Path) -> None:
    images = [
        cv2.imdecode(np.frombuffer(one, np.uint8), 1) for one in films.frames(film(tmp_path / "a.mjpeg"), 5, PIXELS)
    ]
    assert [round(float(image.mean()) / 10) for image in images] == [0, 5, 10, 14, 19]


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.mp4", b"#EXTM3U\nhttp://127.0.0.1:1/film.ts\n"),
        ("a.mkv", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("a.mp4", b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 40),
        ("a.avi", b"RIFF" + b"\xff" * 5000),
        ("a.webm", b""),
    ],
    ids=["playlist", "list of files", "broken mp4", "broken avi", "empty"],
)
def test_a_hostile_film_is_refused_and_ends_nothing(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=name):
        films.frames(path, 5, PIXELS)


def test_frames_larger_than_allowed_are_not_decoded_for_long(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="is no film"):
        films.frames(film(tmp_path / "a.mjpeg"), 5, 64 * 48 - 1)


def test_a_kit_without_presentations_says_how_one_lies(tmp_path: Path) -> None:
    (tmp_path / "attacks" / "print").mkdir(parents=True)
    (tmp_path / "attacks" / "print" / "notes.txt").write_text("none")
    with pytest.raises(EvaluationError, match="bona_fide/ITEM"):
        read_kit(tmp_path)


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("network")
def test_every_species_stands_alone_and_broken_files_are_counted_apart(
    evaluate: Evaluate, kit: Path, tmp_path: Path
) -> None:
    broken = kit / "attacks" / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (broken / "b.mp4").write_bytes(b"no film")
    burst(broken / "c", "no steps")
    status, told, err = evaluate("pad", kit, "--report", tmp_path / "out")
    assert (status, err) == (0, "")
    assert sorted(one["species"] for one in told["attacks"]) == ["again", "broken", "burst"]
    by_name = {one["species"]: one for one in told["attacks"]}
    assert told["bona_fide"]["presentations"] == 2 and told["bona_fide"]["rate"]["trials"] == 2
    assert by_name["again"]["refused_by"]["seen"] == [1, 1] and by_name["again"]["rate"]["errors"] == 0
    assert by_name["burst"]["rate"]["errors"] == 0 and by_name["burst"]["refused_by"]["steps"][1] == 1
    assert by_name["broken"]["rate"] is None and sum(by_name["broken"]["non_responses"].values()) == 3
    # No figure over all species, whatever else is told.
    assert set(told) == {"ok", "kit", "model", "passive", "bona_fide", "attacks", "methods"}
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "again" in report and "://" not in report
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["det.png", "report.html", "result.json"]


def test_pictures_without_the_network_are_not_judged_by_nothing(
    evaluate: Evaluate, kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_server.assembly.assemble_passive", lambda config: None)
    status, told, _ = evaluate("pad", kit)
    assert status == 2
    assert "only the passive network can judge it" in told["error"]["message"]
