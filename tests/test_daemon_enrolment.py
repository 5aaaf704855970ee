"""What a real daemon stores and tells: duplicates, strangers, replacement, ids, levels, and what survives its end."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import bad_pictures
import pytest
from daemons import LIGHT, ROOT, Daemon, StartDaemon
from stub_server import wait_until

from face_server.errors import (
    DifferentPeople,
    DuplicatePerson,
    NoFace,
    NotTheSubject,
    PersonError,
    Unauthorised,
    UnknownSubject,
)
from face_server.wire.replies import AcceptedImage, RefusedImage


def photo(photos: Path, name: str) -> bytes:
    return (photos / f"{name}.jpg").read_bytes()


def test_the_same_image_twice_is_one_template(daemon: Daemon, sample_photos: Path) -> None:
    image = photo(sample_photos, "obama")
    with daemon.client("web") as web:
        first, second = web.enrol("again", [image]), web.enrol("again", [image])
        both = web.enrol("again", [image, image])
        web.remove("again")
    assert [reply.templates for reply in (first, second, both)] == [1, 1, 1]
    assert [[one.duplicate for one in reply.images] for reply in (first, second, both)] == [
        [False],
        [True],
        [True, True],
    ]
    assert {one.template for reply in (first, second, both) for one in reply.images} == {first.images[0].template}


def test_a_strangers_face_is_added_to_a_subject_only_when_the_operator_forces_it(
    daemon: Daemon, sample_photos: Path
) -> None:
    own, other = photo(sample_photos, "obama"), photo(sample_photos, "biden")
    with daemon.client("web") as web, daemon.client() as operator:
        web.enrol("owned", [own])
        for client in (web, operator):
            with pytest.raises(NotTheSubject):
                client.enrol("owned", [other])
        with pytest.raises(Unauthorised):
            web.enrol("owned", [other], force=True)
        assert not web.verify("owned", other).match
        assert len(operator.subject("owned").templates) == 1
        assert operator.enrol("owned", [other], force=True).templates == 2
        assert web.verify("owned", other).match
        web.remove("owned")


@pytest.mark.parametrize("order", [("obama", "biden", "obama2"), ("biden", "obama", "obama2")])
def test_of_two_peoples_images_those_of_the_majority_are_enrolled(
    daemon: Daemon, sample_photos: Path, order: tuple[str, ...]
) -> None:
    with daemon.client("web") as web:
        images = [photo(sample_photos, name) for name in order]
        reply = web.enrol("mixed", [*images, bad_pictures.flat_jpeg(100, 100)])
        web.remove("mixed")
    assert reply.templates == 2
    taken = [RefusedImage if name == "biden" else AcceptedImage for name in order]
    assert [type(one) for one in reply.images] == [*taken, RefusedImage]
    errors = [one.error for one in reply.images if isinstance(one, RefusedImage)]
    assert [(error.code, error.act) for error in errors] == [("different_people", "person"), ("no_face", "person")]
    assert isinstance(errors[0], DifferentPeople)


def test_images_of_two_people_without_a_majority_enrol_nobody(daemon: Daemon, sample_photos: Path) -> None:
    images = [photo(sample_photos, name) for name in ("obama", "biden")]
    with daemon.client() as client:
        with pytest.raises(DifferentPeople) as refusal:
            client.enrol("nobody", images)
        assert [one["code"] for one in refusal.value.detail["images"]] == ["different_people"] * 2
        with pytest.raises(UnknownSubject):
            client.subject("nobody")


def test_the_operator_may_replace_every_template_by_another_face(daemon: Daemon, sample_photos: Path) -> None:
    old = [photo(sample_photos, name) for name in ("obama", "obama2")]
    new = photo(sample_photos, "biden")
    with daemon.client() as operator:
        assert operator.enrol("swapped", old).templates == 2
        assert operator.enrol("swapped", [new], replace=True).templates == 1
        assert operator.verify("swapped", new).match
        assert not operator.verify("swapped", old[0]).match
        operator.remove("swapped")


def test_the_web_may_replace_templates_only_by_the_same_face(daemon: Daemon, sample_photos: Path) -> None:
    with daemon.client("web") as web:
        web.enrol("renewed", [photo(sample_photos, "obama")])
        with pytest.raises(NotTheSubject):
            web.enrol("renewed", [photo(sample_photos, "biden")], replace=True)
        assert web.enrol("renewed", [photo(sample_photos, "obama2")], replace=True).templates == 1
        assert web.verify("renewed", photo(sample_photos, "obama3")).match
        web.remove("renewed")


def test_a_replacement_with_one_bad_image_changes_nothing(daemon: Daemon, sample_photos: Path) -> None:
    with daemon.client() as operator:
        operator.enrol("kept", [photo(sample_photos, name) for name in ("obama", "obama2")])
        for bad in (bad_pictures.flat_jpeg(100, 100), photo(sample_photos, "biden")):
            with pytest.raises(PersonError) as refusal:
                operator.enrol("kept", [bad, photo(sample_photos, "obama3")], replace=True)
            assert len(refusal.value.detail["images"]) == 2
        assert len(operator.subject("kept").templates) == 2
        operator.remove("kept")


def test_a_face_enrolled_under_another_id_is_refused_unless_the_operator_forces_it(
    web_daemon: Daemon, sample_photos: Path
) -> None:
    web_daemon.forget_everybody()
    with web_daemon.client("web") as web, web_daemon.client() as operator:
        web.enrol("first", [photo(sample_photos, "obama")])
        with pytest.raises(DuplicatePerson) as refusal:
            web.enrol("second", [photo(sample_photos, "obama2")])
        assert "first" not in refusal.value.message and refusal.value.detail == {}
        assert operator.status().subjects == 1
        assert web.enrol("first", [photo(sample_photos, "obama2")]).templates == 2
        assert web.enrol("other", [photo(sample_photos, "biden")]).templates == 1
        assert operator.enrol("second", [photo(sample_photos, "obama3")], force=True).templates == 1


def test_several_images_of_one_probe_are_fused_and_a_bad_one_is_passed_over(
    daemon: Daemon, sample_photos: Path
) -> None:
    names = ("obama2", "obama3", "obama_partial_face")
    burst = [photo(sample_photos, name) for name in names]
    with daemon.client() as client:
        client.enrol("bursting", [photo(sample_photos, "obama")])
        single = [client.verify("bursting", image) for image in burst]
        fused = client.verify("bursting", *burst, bad_pictures.flat_jpeg(100, 100))
        assert fused.match and fused.probes == 3
        assert fused.score is not None and fused.threshold is not None and single[0].threshold is not None
        # Three images agree better than one does, and must: the threshold for three is higher.
        assert fused.score > sorted(one.score or 0.0 for one in single)[1]
        assert fused.threshold > single[0].threshold + 0.01
        assert client.identify(*burst).probes == 3
        assert client.verify("bursting", burst[0], burst[0]).probes == 1
        with pytest.raises(NoFace):
            client.identify(bad_pictures.flat_jpeg(100, 100), bad_pictures.flat_jpeg(90, 90))
        client.remove("bursting")


def test_a_number_and_its_text_are_one_subject_in_the_type_that_came_first(daemon: Daemon, sample_photos: Path) -> None:
    with daemon.client("web") as web:
        assert web.enrol(471, [photo(sample_photos, "obama")]).id == 471
        again = web.enrol("471", [photo(sample_photos, "obama2")])
        assert (again.id, type(again.id), again.templates) == (471, int, 2)
        assert web.verify("471", photo(sample_photos, "obama3")).match
        assert web.remove("471").removed == (471,)
        with pytest.raises(UnknownSubject):
            web.remove(471)


def test_who_is_not_enrolled_cannot_be_verified_or_removed(daemon: Daemon, sample_photos: Path) -> None:
    with daemon.client("web") as web:
        with pytest.raises(UnknownSubject):
            web.verify("nobody", photo(sample_photos, "obama"))
        with pytest.raises(UnknownSubject):
            web.remove("nobody")


def test_the_web_learns_match_and_id_and_no_score(daemon: Daemon, sample_photos: Path) -> None:
    """Of the bytes on the wire, since a client that knows fewer keys would not see one too many."""
    from test_daemon_bad_input import peer_of, request

    enrolled, stranger = photo(sample_photos, "obama"), bad_pictures.smaller(sample_photos / "biden.jpg", 600)
    with daemon.client("web") as web, peer_of(daemon) as peer:
        web.enrol("seen", [enrolled])
        common = {"ok", "seq", "match"}
        for level, image, command, keys in (
            ("web", enrolled, "identify", common | {"id"}),
            ("web", stranger, "identify", common),
            ("web", enrolled, "verify", common | {"id"}),
            ("web", stranger, "verify", common | {"id"}),
            ("operator", enrolled, "identify", common | {"id", "score", "threshold", "probes", "candidates"}),
            ("operator", enrolled, "verify", common | {"id", "score", "threshold", "probes"}),
        ):
            subject: dict[str, Any] = {"id": "seen"} if command == "verify" else {}
            web_limit = {"limit": 100} if command == "identify" else {}
            peer.send(request(daemon, image, level, cmd=command, image_bytes=[len(image)], **subject, **web_limit))
            answer = peer.reply()
            if level == "web" and image is stranger and command == "identify":
                answer.pop("id", None)  # another test's subject may be this man
            assert answer.keys() == keys, (level, command)
            assert "score" not in answer or level == "operator"
        web.remove("seen")


def test_what_was_acknowledged_is_found_after_a_restart_and_after_a_kill(
    daemon_in: StartDaemon, tmp_path: Path, sample_photos: Path
) -> None:
    first = daemon_in(tmp_path, LIGHT)
    with first.client("web") as web:
        web.enrol(7, [photo(sample_photos, "biden")])
    assert first.stop() == 0
    second = daemon_in(tmp_path, LIGHT)
    with second.client("web") as web:
        web.enrol("killed", [photo(sample_photos, "obama")])
        second.kill()
    third = daemon_in(tmp_path, LIGHT)
    with third.client() as operator:
        assert operator.identify(photo(sample_photos, "biden")).id == 7
        assert operator.identify(photo(sample_photos, "obama2")).id == "killed"
        assert operator.status().templates == 2


def test_a_second_daemon_on_one_gallery_is_refused_with_the_reason(daemon: Daemon, tmp_path: Path) -> None:
    """Of the same files, at another port."""
    config = daemon.config_path.with_name("second.ini")
    config.write_text(daemon.config_path.read_text())
    command = [sys.executable, "-m", "face_server", "serve", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert f"held by process {daemon.process.pid}" in done.stderr
    assert "Traceback" not in done.stderr
    with daemon.client() as client:
        assert client.ping().ready


def test_a_signal_lets_the_request_in_hand_be_answered_and_the_daemon_ends_with_0(
    daemon_in: StartDaemon, tmp_path: Path, sample_photos: Path
) -> None:
    daemon = daemon_in(tmp_path, LIGHT)
    image = bad_pictures.flat_jpeg(8000, 5000)  # a second of work
    outcome: list[object] = []

    def ask() -> None:
        with daemon.client("web") as web:
            outcome.append(web.detect(image).faces)

    thread = threading.Thread(target=ask)
    with daemon.client() as operator:
        before = operator.status().requests
        thread.start()
        # Ours is the next status request, the other one is the detection.
        asked = iter(range(1, 10_000))
        wait_until(lambda: operator.status().requests > before + next(asked))
    assert daemon.stop() == 0
    thread.join()
    assert outcome == [()]
    assert "Traceback" not in daemon.log_path.read_text()


def test_a_signal_during_the_start_ends_it_without_a_traceback(tmp_path: Path) -> None:
    config = tmp_path / "config.ini"
    config.write_text(f"[server]\nport = 0\n[models]\npath = {ROOT / 'models'}\n")
    command = [sys.executable, "-m", "face_server", "serve", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stderr is None:
            raise RuntimeError("no pipe")
        seen = process.stderr.readline()
        assert "loading" in seen
        process.terminate()
        _, rest = process.communicate(timeout=60)
    assert "Traceback" not in rest
    assert process.returncode not in (0, -11)
