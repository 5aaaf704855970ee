"""`forget`: nothing of who is forgotten stays in a file of the gallery, and whatever else holds them is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from random import randrange

import pytest
from daemons import LIGHT, StartDaemon
from people import unit
from upkeep.galleries import configured, enrol, files_below, opened_gallery, people_in, template
from upkeep.killing import killed_at

from face_server.cli import run
from face_server.config import Config
from face_server.errors import StoreLocked, UpkeepError
from face_server.gallery.directory import DirectoryLock
from face_server.upkeep.backup import backup
from face_server.upkeep.forgetting import NOT_COVERED, forget
from face_server.upkeep.restore import restore

PEOPLE = {"somebody-else": [1, 2], "forgotten-one": [3], "数字": [4, 5]}
CROP_BYTES = 6000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A gallery with crops and an index, in which somebody was enrolled anew."""
    made = configured(tmp_path / "house")
    enrol(made, PEOPLE, crop_bytes=CROP_BYTES)
    with opened_gallery(made) as gallery:
        gallery.enrol("forgotten-one", [template(made, 6, CROP_BYTES)], replace=True)
        gallery.rebuild()
    return made


def traces(config: Config, seed: int, subject: str) -> dict[str, bytes]:
    """Bytes that tell of somebody."""
    crop = template(config, seed, CROP_BYTES).crop
    assert crop is not None
    return {
        "vector": unit(seed).tobytes(),
        "start of the vector": unit(seed).tobytes()[:16],
        "crop": crop.picture[100:200],
        "end of the crop": crop.picture[-100:],
        "image": template(config, seed).image_sha256.encode(),
        "id": subject.encode(),
    }


def found_in(root: Path, wanted: dict[str, bytes]) -> dict[str, list[str]]:
    files = {path: path.read_bytes() for path in files_below(root)}
    return {name: [path.name for path, data in files.items() if trace in data] for name, trace in wanted.items()}


def nowhere(wanted: dict[str, bytes]) -> dict[str, list[str]]:
    return {name: [] for name in wanted}


def test_no_byte_of_who_is_forgotten_is_left_in_any_file(config: Config) -> None:
    var = config.gallery.path.parent
    now, before = traces(config, 6, "forgotten-one"), traces(config, 3, "forgotten-one")
    assert all(found_in(var, now).values()) and found_in(var, before)["vector"]  # there is something to be looked for
    receipt = forget(config, ["forgotten-one"], offline=True)
    assert found_in(var, now) == nowhere(now) and found_in(var, before) == nowhere(before)
    assert all(found_in(var, {"vector": unit(1).tobytes(), "id": b"somebody-else"}).values())
    told = receipt.as_json()
    assert (told["removed"], told["unknown"], told["templates"], told["crops"]) == (["forgotten-one"], [], 1, 1)
    assert people_in(config).keys() == {"somebody-else", "数字"}
    with opened_gallery(config) as gallery:
        assert gallery.index_status().state == "ready" and gallery.identify(unit(6), 1)[0].score < 0.9


def test_what_remove_left_of_somebody_goes_when_the_id_is_forgotten_later(config: Config) -> None:
    var, wanted = config.gallery.path.parent, traces(config, 6, "forgotten-one")
    with opened_gallery(config) as gallery:
        gallery.remove(["forgotten-one"])
    assert any(found_in(var, wanted).values())
    receipt = forget(config, ["forgotten-one"], offline=True)
    assert receipt.done.unknown == ("forgotten-one",) and not receipt.whole
    assert found_in(var, wanted) == nowhere(wanted)


def test_the_last_one_too(tmp_path: Path) -> None:
    config = configured(tmp_path)
    enrol(config, {"forgotten-one": [6]}, crop_bytes=CROP_BYTES)
    with opened_gallery(config) as gallery:
        gallery.rebuild()
    forget(config, ["forgotten-one"], offline=True)
    wanted = traces(config, 6, "forgotten-one")
    assert found_in(tmp_path / "var", wanted) == nowhere(wanted)


def test_killed_at_any_step_it_is_finished_by_asking_again(config: Config, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(config.gallery.path.parent, kept)
    var, wanted, step = config.gallery.path.parent, traces(config, 6, "forgotten-one"), randrange(4)
    others = {subject: told for subject, told in people_in(config).items() if subject != "forgotten-one"}
    while killed_at(step, lambda: forget(config, ["forgotten-one"], offline=True)):
        there = people_in(config)
        assert {subject: told for subject, told in there.items() if subject != "forgotten-one"} == others
        forget(config, ["forgotten-one"], offline=True)
        assert people_in(config) == others and found_in(var, wanted) == nowhere(wanted)
        shutil.rmtree(var)
        shutil.copytree(kept, var)
        step += 4  # each builds an index twice; every step has its turn in four runs
    assert step > 8


def test_every_file_that_was_written_afresh_is_in_the_receipt(config: Config) -> None:
    before = {path: path.stat().st_ino for path in files_below(config.gallery.path.parent)}
    files = {Path(one.path): one for one in forget(config, ["forgotten-one"], offline=True).done.files}
    data = config.gallery.path / "data.mdb"
    assert files[data].bytes and files[data].former_bytes
    assert {path for path in files if path.parent == config.index.path and path.exists()} == set(
        config.index.path.iterdir()
    )
    assert all(path.stat().st_ino != before.get(path) for path, one in files.items() if one.bytes is not None)


def test_backups_are_looked_into_and_those_that_hold_somebody_are_named(config: Config, tmp_path: Path) -> None:
    with_both, gone, damaged, moved = (tmp_path / f"{name}.tar" for name in ("both", "gone", "damaged", "moved"))
    for path in (with_both, gone, damaged, moved):
        backup(config, path)
    gone.unlink()
    moved.rename(tmp_path / "elsewhere.tar")
    damaged.write_bytes(damaged.read_bytes()[:-5000])
    forget(config, ["数字"], offline=True)
    later = tmp_path / "later.tar"
    backup(config, later)
    copies = {Path(one.path): one for one in forget(config, ["forgotten-one", "数字"], offline=True).copies}
    assert copies.keys() == {with_both, gone, damaged, moved, later}
    assert set(copies[with_both].holds or ()) == {"forgotten-one", "数字"}
    assert copies[later].holds == ("forgotten-one",)
    assert "not there any more" in str(copies[gone].why) and "not there any more" in str(copies[moved].why)
    assert copies[damaged].holds is None and "cut short" in str(copies[damaged].why)
    assert list(config.gallery.path.glob("looking*")) == []


def test_the_gallery_that_restore_put_aside_is_named_too(config: Config, tmp_path: Path) -> None:
    forget(config, ["nobody"], offline=True)
    backup(config, tmp_path / "file.tar")
    former = restore(config, tmp_path / "file.tar", force=True).former
    copies = {Path(one.path): one.holds for one in forget(config, ["forgotten-one"], offline=True).copies}
    assert copies == {former: ("forgotten-one",), tmp_path / "file.tar": ("forgotten-one",)}


def test_a_receipt_has_a_digest_of_all_it_says(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["forget", "forgotten-one", "--offline", "--json", "--config", str(config.source)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("ok") is True
    digest = told.pop("digest")
    text = json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(text.encode()).hexdigest()
    assert told["not_covered"] == NOT_COVERED
    assert run(["forget", "forgotten-one", "--offline", "--config", str(config.source)]) == 2
    out = capsys.readouterr().out
    assert "unknown forgotten-one" in out and NOT_COVERED in out and "in none of the backups" in out


def test_without_a_daemon_it_must_be_said_and_with_one_it_must_not(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["forget", "forgotten-one", "--config", str(config.source)]) in (2, 3)
    lock = DirectoryLock(config.gallery.path)
    with pytest.raises(StoreLocked):
        forget(config, ["forgotten-one"], offline=True)
    lock.close()
    assert "forgotten-one" in people_in(config)
    with pytest.raises(UpkeepError, match="no id of a subject"):
        forget(config, [""], offline=True)


def test_a_store_of_another_model_forgets_as_well(config: Config) -> None:
    other = configured(config.gallery.path.parents[1], weights=b"the network of another year")
    assert forget(other, ["forgotten-one"], offline=True).whole


def test_a_daemon_forgets_while_it_is_asked_who_somebody_is(
    daemon_in: StartDaemon, tmp_path: Path, sample_photos: Path
) -> None:
    daemon = daemon_in(tmp_path / "daemon", f"{LIGHT}[gallery]\nkeep_crops = true\n")
    obama, biden = ((sample_photos / f"{name}.jpg").read_bytes() for name in ("obama", "biden"))
    var = tmp_path / "daemon" / "var"
    with daemon.client() as client:
        client.enrol("barack-the-first", [obama])
        client.enrol("joe-the-second", [biden])
        client.rebuild()
    assert daemon.command("backup", tmp_path / "file.tar").returncode == 0
    asking = subprocess.Popen(
        [sys.executable, "-c", _ASKING, str(daemon.port), str(sample_photos / "obama3.jpg")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert asking.stdin and asking.stdout
    asking.stdin.write(daemon.token("operator") + "\n")
    asking.stdin.flush()
    assert asking.stdout.readline() == "asking\n"
    done = daemon.command("forget", "joe-the-second", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["removed"], told["templates"], told["crops"]) == (["joe-the-second"], 1, 1)
    assert [(one["path"], one["holds"]) for one in told["copies"]] == [(str(tmp_path / "file.tar"), ["joe-the-second"])]
    answers = asking.communicate("stop\n", timeout=60)[0].splitlines()
    assert answers and set(answers) == {"barack-the-first"}
    assert [path for path in files_below(var) if b"joe-the-second" in path.read_bytes()] == []
    assert [path for path in files_below(var) if b"barack-the-first" in path.read_bytes()]
    with daemon.client() as client:
        assert [one.id for one in client.all_subjects()] == ["barack-the-first"]
        assert client.enrol("joe-the-second", [biden]).templates == 1  # the store goes on
        assert client.identify(biden).id == "joe-the-second"


_ASKING = """
import select, sys
from face_server.client import Client
with Client("127.0.0.1", int(sys.argv[1]), token=sys.stdin.readline().strip()) as client:
    image = open(sys.argv[2], "rb").read()
    print("asking", flush=True)
    while True:
        print(client.identify(image).id, flush=True)
        if select.select([sys.stdin], [], [], 0)[0]:
            break
"""
