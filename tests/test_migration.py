"""`face-server migrate`: a real gallery made anew for the other network, from real crops."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lmdb
import pytest
from daemons import ROOT, StartDaemon

from face_server.assembly import assemble_pipeline
from face_server.config import Config, load_config
from face_server.errors import ConfigError, FaceLoginError, MigrationError, ModelFileError, StoreDamaged
from face_server.gallery import TemplateStore
from face_server.migration import Migration, migrate
from face_server.types import SubjectId, Template
from face_server.vision.pipeline import FacePipeline, Purpose

PHOTOS = ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")
#: FaceNet's file as an operator names his own: a path and its sha256.
FACENET = ROOT / "models" / "facenet-20180408-102900.pb"

pytestmark = pytest.mark.usefixtures("mobilefacenet")  # skips where npm was not to be had


@pytest.fixture(scope="module")
def captured() -> dict[str, Template]:
    """FaceNet templates of the sample photographs, with their crops."""
    config = load_config(ROOT / "config.ini")
    keeping = dataclasses.replace(config, gallery=dataclasses.replace(config.gallery, keep_crops=True))
    pipeline = assemble_pipeline(keeping)
    photos = ROOT / "var" / "test-photos"
    return {name: pipeline.capture((photos / name).read_bytes(), Purpose.ENROL).template for name in PHOTOS}


@pytest.fixture(scope="module")
def mobile() -> FacePipeline:
    return assemble_pipeline(load_settings(ROOT / "config.ini", model="mobilefacenet"))


def load_settings(path: Path, model: str) -> Config:
    config = load_config(path)
    return dataclasses.replace(config, embedding=dataclasses.replace(config.embedding, model=model))


def written(directory: Path, settings: str = "") -> Config:
    path = directory / "config.ini"
    path.write_text(f"[models]\npath = {ROOT / 'models'}\n{settings}")
    return load_config(path)


def opened(path: Path, template: Template) -> TemplateStore:
    return TemplateStore(
        path,
        fingerprint=template.fingerprint,
        dimension=template.vector.size,
        max_templates_per_subject=20,
        max_map_bytes=2**28,
    )


def put(config: Config, people: dict[SubjectId, Iterable[Template]]) -> None:
    """Enrol these, in place of what these subjects had."""
    everyone = {subject: list(templates) for subject, templates in people.items()}
    with opened(config.gallery.path, next(iter(everyone.values()))[0]) as store:
        for subject, templates in everyone.items():
            store.enrol(subject, templates, replace=True)


def without_crop(template: Template) -> Template:
    return dataclasses.replace(template, crop=None)


def contents(path: Path, like: Template) -> dict[SubjectId, list[tuple[int, Template]]]:
    """All of a closed store: subject to template ids and templates."""
    with opened(path, like) as store:
        return {
            entry.subject: [
                (one.template_id, one.template) for one in store.subject(entry.subject, crops=True).templates
            ]
            for entry in store.subjects(None, 1000).subjects
        }


def ids(found: dict[SubjectId, list[tuple[int, Template]]]) -> dict[SubjectId, list[int]]:
    return {subject: [number for number, _ in templates] for subject, templates in found.items()}


@pytest.fixture
def like(mobile: FacePipeline, captured: dict[str, Template]) -> Template:
    """A template as the new gallery has them."""
    photo = (ROOT / "var" / "test-photos" / "obama.jpg").read_bytes()
    return mobile.capture(photo, Purpose.ENROL).template


def face_server(config: Config, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "face_server", *map(str, arguments), "--config", str(config.source)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


# --- from one network to the other ----------------------------------------------------------------------------------


def test_an_operator_changes_the_network_and_everyone_is_still_known(
    daemon_in: StartDaemon, tmp_path: Path, sample_photos: Path
) -> None:
    keep = "[gallery]\nkeep_crops = true\n"
    photo = {name: (sample_photos / name).read_bytes() for name in PHOTOS}
    before = daemon_in(tmp_path, keep)
    with before.client() as client:
        client.enrol(7, [photo["obama.jpg"], photo["obama2.jpg"]])
        client.enrol("Zoë", [photo["biden.jpg"]])
    shown = before.command("subjects", "7", "--json").stdout
    assert "image_sha256" in shown and "crop" not in shown and "landmarks" not in shown

    refused = face_server(before.config, "migrate", "--to", "mobilefacenet")
    assert refused.returncode == 2 and "stop that one first" in refused.stderr
    assert not (tmp_path / "var" / "gallery-mobilefacenet").exists()
    assert before.stop() == 0

    source = tmp_path / "var" / "gallery" / "data.mdb"
    untouched = hashlib.sha256(source.read_bytes()).hexdigest()
    done = face_server(before.config, "migrate", "--to", "mobilefacenet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"2 subjects, 3 templates migrated to mobilefacenet in {tmp_path / 'var' / 'gallery-mobilefacenet'}",
        "set this in config.ini and start the daemon; to go back, undo it (the former gallery is as it was):",
        "  [embedding]",
        "  model = mobilefacenet",
        "  [gallery]",
        "  path = var/gallery-mobilefacenet",
    ]

    now = daemon_in(tmp_path, "[embedding]\nmodel = mobilefacenet\n[gallery]\npath = var/gallery-mobilefacenet\n")
    with now.client() as client:
        status = client.status()
        assert (status.model, status.subjects, status.templates) == ("mobilefacenet", 2, 3)
        reply = client.identify(photo["obama3.jpg"], limit=2)
        assert reply.match and reply.id == 7 and reply.candidates is not None
        assert reply.candidates[0].score > 0.8 and reply.candidates[1].score < 0.3
        assert client.verify("Zoë", photo["biden.jpg"]).match
        assert not client.verify("Zoë", photo["obama3.jpg"]).match
    assert now.stop() == 0
    # The way back is open.
    assert hashlib.sha256(source.read_bytes()).hexdigest() == untouched


def test_the_new_templates_are_the_old_ones_but_for_the_vectors(
    captured: dict[str, Template], mobile: FacePipeline, like: Template, tmp_path: Path, sample_photos: Path
) -> None:
    config = written(tmp_path)
    put(config, {"obama": [captured["obama.jpg"], captured["obama3.jpg"]]})
    done = migrate(config, "mobilefacenet")
    assert done.whole and (len(done.migrated), done.templates, done.uncalibrated, done.fixed) == (1, 2, False, False)
    new = contents(done.config.gallery.path, like)["obama"]
    for (_, template), name in zip(new, ("obama.jpg", "obama3.jpg"), strict=True):
        old = captured[name]
        for field in ("created_s", "image_sha256", "quality", "crop"):
            assert getattr(template, field) == getattr(old, field)
        direct = mobile.capture((sample_photos / name).read_bytes(), Purpose.SEARCH).template
        assert template.fingerprint == direct.fingerprint
        assert float(template.vector @ direct.vector) > 0.998


def test_there_and_back_gives_the_first_vectors_again_also_by_the_path_of_a_graph(
    captured: dict[str, Template], tmp_path: Path
) -> None:
    config = written(tmp_path)
    put(config, {"obama": [captured["obama.jpg"]], "biden": [captured["biden.jpg"]]})
    there = migrate(config, "mobilefacenet").config
    sha256 = hashlib.sha256(FACENET.read_bytes()).hexdigest()
    back = migrate(dataclasses.replace(there, source=config.source), str(FACENET), sha256)
    path = "var/gallery-mobilefacenet-facenet-20180408-102900"
    assert back.settings == {"embedding": {"model": str(FACENET), "sha256": sha256}, "gallery": {"path": path}}
    found = contents(tmp_path / path, captured["obama.jpg"])
    for subject in ("obama", "biden"):
        ((_, template),) = found[subject]
        assert float(template.vector @ captured[f"{subject}.jpg"].vector) > 0.998


# --- who must enrol again -------------------------------------------------------------------------------------------


def test_who_has_no_crop_is_named_and_must_enrol_again(
    captured: dict[str, Template], like: Template, tmp_path: Path
) -> None:
    config = written(tmp_path)
    people: dict[SubjectId, Iterable[Template]] = {
        "whole": [captured["obama.jpg"]],
        "half": [captured["obama2.jpg"], without_crop(captured["obama3.jpg"])],
        4: [without_crop(captured["biden.jpg"])],
    }
    put(config, people)
    done = face_server(config, "migrate", "--to", "mobilefacenet", "--gallery", tmp_path / "new", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "ok": False,
        "subjects": 2,
        "templates": 2,
        "missing": [4],
        "partly": [{"id": "half", "migrated": 1, "templates": 2}],
        "settings": {"embedding": {"model": "mobilefacenet"}, "gallery": {"path": "new"}},
        "calibrate": False,
        "fixed_threshold": False,
    }
    assert ids(contents(tmp_path / "new", like)) == {"whole": [2], "half": [1]}

    # The same photograph with its crop makes it good, and the next run takes it over.
    put_more(config, 4, captured["biden.jpg"])
    told = list(migrate(config, "mobilefacenet", gallery=tmp_path / "new").lines())
    assert told[0].startswith("3 subjects, 3 templates") and not any("must enrol" in line for line in told)
    assert "  half  1 of 2" in told


def put_more(config: Config, subject: SubjectId, template: Template) -> None:
    with opened(config.gallery.path, template) as store:
        store.enrol(subject, [template])


def test_where_nobody_can_be_migrated_nothing_is_recommended(captured: dict[str, Template], tmp_path: Path) -> None:
    config = written(tmp_path)
    put(config, {"ada": [without_crop(captured["obama.jpg"])]})
    done = migrate(config, "mobilefacenet")
    assert not done.whole and list(done.lines())[1:] == [
        "1 subject must enrol again, no usable crop was kept:",
        "  ada",
    ]


def test_thresholds_that_would_mean_nothing_are_told(captured: dict[str, Template], tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for entry in (ROOT / "models").iterdir():
        if entry.name != "calibration":
            (models / entry.name).symlink_to(entry)
    config = written(tmp_path, "[decision]\ndistance_threshold = 0.9\n")
    config = dataclasses.replace(config, models=dataclasses.replace(config.models, path=models))
    put(config, {"ada": [captured["obama.jpg"]]})
    done = migrate(config, "mobilefacenet")
    assert done.uncalibrated and done.fixed
    text = "\n".join(done.lines())
    assert "distance_threshold" in text and "face-server calibrate" in text


# --- again, after an interruption -----------------------------------------------------------------------------------

#: `face-server` that is killed as soon as so many subjects are in the new gallery.
DYING = """
import os, signal, sys
from face_server.cli import run
from face_server.gallery.store.template_store import TemplateStore
enrol, left = TemplateStore.enrol, [int(sys.argv[1])]
def dying(*arguments, **options):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return enrol(*arguments, **options)
TemplateStore.enrol = dying
run(sys.argv[2:])
"""


def test_after_a_kill_the_next_run_goes_on_where_it_was(
    captured: dict[str, Template], like: Template, tmp_path: Path
) -> None:
    config = written(tmp_path)
    put(config, {f"p{number}": [captured[name]] for number, name in enumerate(PHOTOS)})
    command = [sys.executable, "-c", DYING, "2", "migrate", "--to", "mobilefacenet", "--config", str(config.source)]
    killed = subprocess.run(command, capture_output=True, timeout=240, check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    target = tmp_path / "var" / "gallery-mobilefacenet"
    assert ids(contents(target, like)) == {"p0": [1], "p1": [2]}
    assert migrate(config, "mobilefacenet").templates == 4
    # What was there has kept its ids: it was not made again.
    assert ids(contents(target, like)) == {"p0": [1], "p1": [2], "p2": [3], "p3": [4]}


def test_the_next_run_follows_what_was_enrolled_changed_and_removed(
    captured: dict[str, Template], like: Template, tmp_path: Path
) -> None:
    config = written(tmp_path)
    obama, obama2, obama3, biden = (captured[name] for name in PHOTOS)
    put(config, {"gone": [biden], "same": [obama], "more": [obama2], "other": [obama3], 5: [biden]})
    first = migrate(config, "mobilefacenet")
    before = ids(contents(first.config.gallery.path, like))
    put_more(config, "more", obama3)
    put(config, {"other": [biden], "new": [biden]})
    with opened(config.gallery.path, obama) as store:
        store.remove(["gone", 5])
        store.enrol("5", [biden])
    second = migrate(config, "mobilefacenet")
    assert second.whole and second.templates == 6
    after = contents(first.config.gallery.path, like)
    assert {subject: [one.image_sha256 for _, one in templates] for subject, templates in after.items()} == {
        "same": [obama.image_sha256],
        "more": [obama2.image_sha256, obama3.image_sha256],
        "other": [biden.image_sha256],
        "new": [biden.image_sha256],
        "5": [biden.image_sha256],
    }
    assert ids(after)["same"] == before["same"]


def test_a_gallery_that_is_in_use_by_now_is_not_overwritten(
    captured: dict[str, Template], like: Template, tmp_path: Path
) -> None:
    config = written(tmp_path)
    put(config, {"ada": [captured["obama.jpg"]]})
    target = migrate(config, "mobilefacenet").config
    put(target, {"eve": [like]})
    with pytest.raises(MigrationError, match="enrolled or removed there since"):
        migrate(config, "mobilefacenet")
    assert set(contents(target.gallery.path, like)) == {"ada", "eve"}


# --- refusals -------------------------------------------------------------------------------------------------------


def refused(config: Config, *arguments: Any, **options: Any) -> FaceLoginError:
    with pytest.raises(FaceLoginError) as caught:
        migrate(config, *arguments, **options)
    return caught.value


@pytest.fixture
def one(captured: dict[str, Template], tmp_path: Path) -> Config:
    """A gallery of one subject."""
    config = written(tmp_path)
    put(config, {"ada": [captured["obama.jpg"]]})
    return config


def test_a_model_that_is_none_is_refused_with_those_that_are(one: Config) -> None:
    for name in ("mobilfacenet", "mtcnn", ""):
        error = refused(one, name)
        assert isinstance(error, MigrationError) and "facenet-20180408-102900, mobilefacenet" in str(error)
        assert "mtcnn," not in str(error) and "liveness" not in str(error)


def test_the_network_in_use_is_refused_under_either_name(one: Config) -> None:
    assert "is the [embedding] model already" in str(refused(one, "facenet-20180408-102900"))
    sha256 = hashlib.sha256(FACENET.read_bytes()).hexdigest()
    assert "has templates of" in str(refused(one, str(FACENET), sha256))


def test_a_graph_without_its_sha256_or_with_another_is_refused(one: Config) -> None:
    assert isinstance(refused(one, str(FACENET)), ConfigError)
    assert isinstance(refused(one, str(FACENET), "0" * 64), ModelFileError)


def test_a_network_that_was_not_fetched_is_refused_with_what_to_do(one: Config, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "manifest.toml").symlink_to(ROOT / "models" / "manifest.toml")
    config = dataclasses.replace(one, models=dataclasses.replace(one.models, path=models))
    error = refused(config, "mobilefacenet")
    assert isinstance(error, ModelFileError) and "--with mobilefacenet" in str(error)


def test_where_there_is_no_gallery_none_is_made(tmp_path: Path) -> None:
    assert "There is no gallery" in str(refused(written(tmp_path), "mobilefacenet"))
    assert not (tmp_path / "var").exists()


def test_an_empty_gallery_is_refused(one: Config, captured: dict[str, Template]) -> None:
    with opened(one.gallery.path, captured["obama.jpg"]) as store:
        store.remove(["ada"])
    assert "empty" in str(refused(one, "mobilefacenet"))
    assert not one.gallery.path.with_name("gallery-mobilefacenet").exists()


@pytest.mark.parametrize("name", ["gallery", "gallery/new", ".", "../var/gallery"])
def test_a_new_gallery_in_the_old_one_or_around_it_is_refused(one: Config, name: str) -> None:
    error = refused(one, "mobilefacenet", gallery=one.gallery.path.parent / name)
    assert "must not lie one in the other" in str(error)


def test_a_directory_of_others_is_left_alone(one: Config, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir(mode=0o755)
    (folder / "dear.txt").write_text("x")
    assert isinstance(refused(one, "mobilefacenet", gallery=folder), StoreDamaged)
    assert [path.name for path in folder.iterdir()] == ["dear.txt"] and folder.stat().st_mode & 0o777 == 0o755


def test_a_gallery_of_another_network_is_left_alone(one: Config, captured: dict[str, Template], tmp_path: Path) -> None:
    other = dataclasses.replace(one, gallery=dataclasses.replace(one.gallery, path=tmp_path / "other"))
    put(other, {"eve": [captured["biden.jpg"]]})
    assert "another model" in str(refused(one, "mobilefacenet", gallery=tmp_path / "other"))
    assert set(contents(tmp_path / "other", captured["biden.jpg"])) == {"eve"}


def test_a_damaged_crop_stops_the_migration_by_name_and_what_was_done_stays(
    captured: dict[str, Template], like: Template, tmp_path: Path
) -> None:
    config = written(tmp_path)
    put(config, {"ada": [captured["obama.jpg"]], "bob": [captured["biden.jpg"]]})
    with (
        lmdb.open(str(config.gallery.path), max_dbs=3) as env,
        env.begin(write=True, db=env.open_db(b"crops")) as txn,
    ):
        key = b"bob\0" + (2).to_bytes(8, "big")
        txn.put(key, txn.get(key)[:-100])
    error = refused(config, "mobilefacenet")
    assert isinstance(error, StoreDamaged) and "template 2 of subject bob" in str(error)
    assert set(contents(config.gallery.path.with_name("gallery-mobilefacenet"), like)) == {"ada"}


def test_a_face_that_the_new_alignment_does_not_take_must_enrol_again(
    captured: dict[str, Template], tmp_path: Path
) -> None:
    """Landmarks on a line, which no enrolment has today."""
    config = written(tmp_path)
    template = captured["obama.jpg"]
    assert template.crop is not None
    line = tuple((float(place), float(place)) for place in range(5))
    face = dataclasses.replace(template.crop.face, landmarks=line)  # type: ignore[arg-type]
    odd = dataclasses.replace(template, crop=dataclasses.replace(template.crop, face=face))
    put(config, {"ada": [captured["biden.jpg"]], "odd": [odd]})
    done: Migration = migrate(config, "mobilefacenet")
    assert done.missing == ("odd",) and len(done.migrated) == 1
