"""`face-server evaluate` as an operator runs it: real photographs, real networks, exit statuses and what is told."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import ROOT
from PIL import Image

from face_server.calibration import Curve
from face_server.errors import NoFace
from face_server.evaluation.comparison import compare, picture
from face_server.evaluation.embeddings import FaceChoice

Evaluate = Callable[..., tuple[int, Any, str]]

#: What no command needs before it runs.
HEAVY = ("tensorflow", "cv2", "PIL", "matplotlib", "jinja2")


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_the_sample_photographs_are_told_apart(
    evaluate: Evaluate, two_men: Path, two_men_pairs: Path, tmp_path: Path
) -> None:
    status, told, err = evaluate(
        "pairs", "--images", two_men, "--pairs", two_men_pairs, "--face", "largest", "--report", tmp_path / "out"
    )
    assert (status, err) == (0, "")
    assert told["ok"] is True and told["people"] == 2
    assert told["accuracy"]["mean"] == 1.0 and told["accuracy"]["pairs"] == 4
    assert told["comparisons"] == {"mated": 15, "nonmated": 6}
    assert told["photos"]["failures_to_acquire"]["errors"] == 0
    assert [rate["missed"]["share"] for rate in told["rates"]] == [0, 0, 0, 0]
    assert not any(rate["supported"] for rate in told["rates"])
    assert told["worst_false_matches"][0]["score"] < 0.3 < 0.6 < told["worst_false_non_matches"][0]["score"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "det.png", "report.html", "result.json", "scores.png",
    ]  # fmt: skip
    assert len(list((tmp_path / "var/cache/embeddings").glob("*/*.npy"))) == 7


def test_three_hundred_photographs_of_lfw_dev_reach_the_accuracy_of_the_whole(
    evaluate: Evaluate, shared_data: Path, tmp_path: Path
) -> None:
    """Of 0.985 with a standard error of some 0.01; a BGR/RGB swap or per-image whitening costs more than that."""
    images = tmp_path / "images"
    for person in sorted((shared_data / "lfw-dev" / "images").iterdir()):
        photos = sorted(person.iterdir())[:4]
        if len(photos) > 1 and sum(1 for _ in images.glob("*/*")) < 300:
            (images / person.name).mkdir(parents=True)
            for photo in photos:
                (images / person.name / photo.name).symlink_to(photo)
    status, told, _ = evaluate("make-pairs", images, "--folds", 5, "--out", tmp_path / "pairs.txt")
    assert status == 0 and told["folds"] == 5 and told["per_fold"] >= 20
    status, told, _ = evaluate("pairs", "--images", images, "--pairs", tmp_path / "pairs.txt")
    assert status == 0 and told["face"] == "centre"
    assert told["photos"]["total"] >= 300 and told["photos"]["failures_to_acquire"]["errors"] == 0
    assert told["accuracy"]["mean"] >= 0.96
    first, second, third, fourth = told["rates"]
    assert first["supported"] or "missed" in first["doubt"]
    assert (second["missed"]["share"], third["supported"], fourth["supported"]) == (
        pytest.approx(0.08, abs=0.07),
        False,
        False,
    )


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda men, pairs: pairs.write_text("2\t1\nobama\t1\t9\nobama\t1\tbiden\t1\n"), "are 5 lines"),
        (lambda men, pairs: pairs.write_text(pairs.read_text().replace("biden\t1", "biden\t2")), "names 1 photos that"),
        (lambda men, pairs: pairs.unlink(), "pairs.txt cannot be read"),
        (lambda men, pairs: [path.unlink() for path in (men / "biden").iterdir()], "one person only"),
        (lambda men, pairs: [path.unlink() for path in sorted((men / "obama").iterdir())[1:]], "nobody has two photos"),
        (lambda men, pairs: [path.unlink() for path in men.glob("*/*")], "holds no person/photo"),
    ],
    ids=["malformed", "missing image", "no pairs file", "one person", "no mated pair", "empty folder"],
)
def test_bad_input_is_refused_by_name_before_anything_is_computed_and_leaves_no_report(
    evaluate: Evaluate,
    two_men: Path,
    two_men_pairs: Path,
    tmp_path: Path,
    change: Callable[[Path, Path], object],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(two_men, two_men_pairs)
    monkeypatch.setattr("face_server.assembly.assemble_pipeline", lambda config: pytest.fail("the pipeline was loaded"))
    status, told, err = evaluate("pairs", "--images", two_men, "--pairs", two_men_pairs, "--report", tmp_path / "out")
    assert (status, told["ok"], err) == (2, False, "")
    assert complaint in told["error"]["message"]
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_corrupt_cache_changes_no_figure_and_is_named(
    evaluate: Evaluate, two_men: Path, two_men_pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ("pairs", "--images", two_men, "--pairs", two_men_pairs, "--cache", tmp_path / "kept")
    _, first, _ = evaluate(*arguments)
    damaged = min((tmp_path / "kept").glob("*/*.npy"))
    content = bytearray(damaged.read_bytes())
    content[700] ^= 0x40
    damaged.write_bytes(content)
    status, second, _ = evaluate(*arguments)
    assert status == 0 and second == first
    assert damaged.name in caplog.text


def test_ctrl_c_ends_with_its_status_and_what_was_computed_stays(
    evaluate: Evaluate, two_men: Path, two_men_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_server.evaluation import embeddings

    acquire, done = embeddings.acquire, []

    def interrupted(*arguments: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(acquire(*arguments))
        return done[-1]

    monkeypatch.setattr(embeddings, "acquire", interrupted)
    status, told, _ = evaluate("pairs", "--images", two_men, "--pairs", two_men_pairs, "--report", tmp_path / "out")
    assert (status, told) == (130, None)
    assert len(list((tmp_path / "var/cache/embeddings").glob("*/*.npy"))) == 3
    assert not list((tmp_path / "out").iterdir())


# --- identification, make-pairs, compare ----------------------------------------------------------------------------


def test_identification_finds_the_enrolled_man_and_counts_the_other_as_a_stranger(
    evaluate: Evaluate, two_men: Path, tmp_path: Path
) -> None:
    gallery = tmp_path / "gallery" / "obama"
    gallery.mkdir(parents=True)
    for name in ("obama.jpg", "obama2.jpg"):
        (two_men / "obama" / name).rename(gallery / name)
    (two_men / "obama" / "again.jpg").symlink_to((gallery / "obama.jpg").resolve())
    status, told, _ = evaluate("identification", "--gallery", gallery.parent, "--probes", two_men)
    assert status == 0 and told["face"] == "largest"
    assert told["gallery"]["people"] == 1 and told["probes"]["left_out"] == 1
    assert (told["rank1"]["errors"], told["rank1"]["trials"]) == (0, 4)
    assert [rate["accepted"]["trials"] for rate in told["rates"]] == [1, 1]
    assert [rate["missed"]["share"] for rate in told["rates"]] == [0, 0]
    assert not any(rate["supported"] for rate in told["rates"])


def test_an_empty_gallery_or_one_without_probes_of_its_people_is_refused(
    evaluate: Evaluate, two_men: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert evaluate("identification", "--gallery", tmp_path / "empty", "--probes", two_men)[0] == 2
    status, told, _ = evaluate("identification", "--gallery", two_men, "--probes", two_men)
    assert status == 2 and "no probe is of a person of the gallery" in told["error"]["message"]


def test_make_pairs_writes_the_same_file_for_the_same_seed(evaluate: Evaluate, folder: Any, tmp_path: Path) -> None:
    root = folder(*(f"{person}/{photo}.jpg" for person in "abcdefgh" for photo in "xyz"))
    texts = []
    for seed in (1, 1, 2):
        status, told, _ = evaluate("make-pairs", root, "--folds", 2, "--seed", seed, "--per-fold", 5)
        assert (status, told["folds"], told["per_fold"]) == (0, 2, 5)
        texts.append(told["text"])
    assert texts[0] == texts[1] != texts[2]
    evaluate("make-pairs", root, "--folds", 2, "--seed", 1, "--per-fold", 5, "--out", tmp_path / "made.txt")
    assert (tmp_path / "made.txt").read_text() == texts[0]


@pytest.mark.parametrize("arguments", [["--folds", "0"], ["--folds", "²"], ["--per-fold", "-1"], ["--per-fold", "x"]])
def test_numbers_that_are_none_are_refused_by_the_command_line(
    evaluate: Evaluate, folder: Any, arguments: list[str]
) -> None:
    assert evaluate("make-pairs", folder("a/x.jpg"), *arguments)[0] == 2


def test_compare_shows_both_faces_their_crops_and_numbers(
    evaluate: Evaluate, sample_photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both.png"
    status, told, _ = evaluate("compare", sample_photos / "obama.jpg", sample_photos / "obama2.jpg", "--out", out)
    assert status == 0 and told["score"] > 0.7 and 1e-7 < told["fmr"] < 1e-4
    assert told["distance"] == pytest.approx((2 - 2 * told["score"]) ** 0.5, abs=1e-4)
    assert told["faces"][0]["box"] == pytest.approx([386, 90, 609, 413], abs=3)
    with Image.open(out) as drawn:
        assert drawn.format == "PNG" and min(drawn.size) > 600
        pixels = np.array(drawn.convert("RGB"))
    assert (pixels == (0, 230, 90)).all(axis=2).sum() > 100  # the boxes


def test_compare_tells_the_error_rate_where_a_calibration_does(pipeline: Any, sample_photos: Path) -> None:
    images = [(sample_photos / name).read_bytes() for name in ("obama.jpg", "biden.jpg")]
    curve = Curve(1, 1, 1000, 100, 0.03, ((-1.0, 0.25, 0.0), (1.0, 0.2499, 0.5)))
    compared = compare(pipeline, images[0], images[1], FaceChoice.LARGEST, curve)
    assert compared.fmr == pytest.approx(0.25, abs=1e-3) and "FMR at this score 2.5e-01" in compared.caption
    beyond = dataclasses.replace(curve, points=((0.9, 0.1, 0.0), (1.0, 0.01, 0.5)))
    compared = compare(pipeline, images[0], images[1], FaceChoice.LARGEST, beyond)
    assert "FMR at this score above 1.0e-01" in compared.caption
    assert picture(pipeline, images[0], images[1], compared).startswith(b"\x89PNG")


def test_compare_without_a_face_is_refused_as_the_daemon_would(
    evaluate: Evaluate, sample_photos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (200, 200)).save(tmp_path / "black.png")
    status, told, _ = evaluate("compare", sample_photos / "obama.jpg", tmp_path / "black.png")
    assert (status, told["error"]["code"]) == (2, NoFace.code)
    assert evaluate("compare", sample_photos / "obama.jpg", tmp_path / "absent.png")[0] == 2


# --- as a process ---------------------------------------------------------------------------------------------------


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from face_server.cli import run; "
    code += "run(['--help']); run(['evaluate', '--help']); run(['evaluate', 'pairs', '--help']); "
    code += f"print('loaded', [n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []" and "--pairs FILE" in done.stdout


def test_a_process_of_its_own_prints_rows_for_people(two_men: Path, two_men_pairs: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "face_server", "evaluate", "pairs", "--images", two_men, "--pairs", two_men_pairs]
    (tmp_path / "config.ini").write_text(f"[models]\npath = {ROOT / 'models'}\n")
    done = subprocess.run(
        [*command, "--config", tmp_path / "config.ini"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["accuracy"].startswith("1.0000 +- 0.0000 (4 pairs in 2 folds")
    assert told["FTA"].startswith("0.0000 (0 of 7")
    assert "NOT SUPPORTED: 6 impostors allow 0 errors" in told["1e-04"]
