"""What is Milvus' own: daemons that share a gallery, one that dies between two steps, a server that goes away."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from agreement import enrol_many, expected, found, told
from backends import WITHOUT_MILVUS, LiteServer, milvus_options, open_backend, shared_server
from people import DIMENSION, FINGERPRINT, make_template, unit

from face_server.errors import (
    GalleryUnavailable,
    ModelMismatch,
    StoreDamaged,
    StoreLocked,
    UnknownCommand,
    UnknownSubject,
)
from face_server.types import BoundingBox, DetectedFace, FaceCrop

pytestmark = WITHOUT_MILVUS


class Killed(BaseException):
    """The process is no more: what it had in memory is gone, what Milvus took is there."""


class DiesAfter:
    """A connection that is cut by the death of its process, after so many writes."""

    def __init__(self, server, writes):
        self._server, self.left = server, writes

    def __getattr__(self, name):
        method = getattr(self._server, name)
        if name not in ("put", "drop"):
            return method

        def write(*arguments):
            if not self.left:
                raise Killed
            self.left -= 1
            return method(*arguments)

        return write


@pytest.fixture
def another(request):
    """Opens galleries that share the one of this test, as daemons on several machines do."""
    opened = []
    name = f"of_{abs(hash(request.node.name))}"

    def open_one(**changes):
        from face_server.gallery.milvus.milvus_gallery import MilvusGallery

        opened.append(MilvusGallery(milvus_options(shared_server().uri, name, **changes)))
        return opened[-1]

    yield open_one
    for gallery in opened:
        gallery.close()


def truth(gallery, *subjects):
    """What the rows say, past everything that is in memory."""
    held = {}
    for subject in subjects:
        try:
            held[subject] = [one.template.image_sha256 for one in gallery.subject(subject).templates]
        except UnknownSubject:
            held[subject] = []
    return held


def leftovers(gallery):
    """How many marks of changes there are."""
    from face_server.gallery.milvus.server import Table

    return len(gallery._server.find(Table.TEMPLATES, 'kind in ["add", "replace"]', ("pk",)))


# Several daemons


def test_what_one_does_the_other_sees_with_its_next_question(another):
    one, other = another(), another()
    for turn in range(5):
        one.enrol("ada", [make_template(turn)], replace=True)
        assert found(other, turn, "ada") and other.verify("ada", unit(turn)).score == pytest.approx(1)
        other.enrol("ada", [make_template(100 + turn)])
        assert told(one.identify(unit(7), 3)) == expected({"ada": [unit(turn), unit(100 + turn)]}, unit(7), 3)
        one.remove(["ada"])
        assert other.identify(unit(turn), 3) == () and other.subjects(None, 5).subjects == ()


def test_two_that_enrol_one_subject_at_once_lose_nothing_and_agree(another):
    galleries = [another(max_templates_per_subject=100) for _ in range(3)]
    failures = []

    def enrol(place):
        try:
            for seed in range(12):
                galleries[place].enrol("ada", [make_template(1000 * place + seed)])
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=enrol, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    held = galleries[0].subject("ada").templates
    assert {one.template.image_sha256 for one in held} == {
        make_template(1000 * place + seed).image_sha256 for place in range(3) for seed in range(12)
    }
    assert len({one.template_id for one in held}) == 36
    enrolled = {"ada": [one.template.vector for one in held]}
    for gallery in galleries:
        assert told(gallery.identify(unit(5), 1)) == expected(enrolled, unit(5), 1)
    row_says(galleries[0], "ada", enrolled["ada"])
    assert leftovers(galleries[0]) == 0


def row_says(gallery, subject, vectors):
    """The subject's row, which proposes it, is the centroid of these."""
    from face_server.gallery.rows import centroid

    nearest = dict(gallery._server.nearest(unit(1), 1000))
    assert np.allclose(nearest[str(subject).encode().hex()], centroid(vectors), atol=1e-6)


class Meanwhile:
    """A connection on which something happens before the first write of a subject's row, or its deletion."""

    def __init__(self, server, happens):
        self._server, self._happens = server, [happens]

    def __getattr__(self, name):
        method = getattr(self._server, name)
        if name not in ("put", "drop"):
            return method

        def write(table, rows):
            if table == "subjects" and self._happens:
                self._happens.pop()()
            return method(table, rows)

        return write


MEANWHILE = {
    "enrolled": (lambda gallery: gallery.enrol("ada", [make_template(7)]), [1, 2, 7]),
    "replaced": (lambda gallery: gallery.enrol("ada", [make_template(7)], replace=True), [7]),
    "removed": (lambda gallery: gallery.remove(["ada"]), []),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_row_that_is_written_late_is_written_again_as_it_must_be(another, meanwhile):
    one, other = another(), another()
    one.enrol("ada", [make_template(1)])
    happens, left = MEANWHILE[meanwhile]
    one._server = Meanwhile(one._server, lambda: happens(other))
    one.enrol("ada", [make_template(2)])
    assert truth(one, "ada")["ada"] == [make_template(seed).image_sha256 for seed in left] and leftovers(one) == 0
    assert [entry.templates for entry in one.subjects(None, 9).subjects] == ([len(left)] if left else [])
    if left:
        row_says(one, "ada", [unit(seed) for seed in left])


def test_a_row_that_is_deleted_late_is_written_again(another):
    one, other = another(), another()
    one.enrol("ada", [make_template(1)])
    one._server = Meanwhile(one._server, lambda: other.enrol("ada", [make_template(7)]))
    one.remove(["ada"])
    assert found(one, 7, "ada") and not found(one, 1, "ada") and leftovers(one) == 0


def test_one_removes_and_replaces_what_another_enrols_at_once_and_all_agree(another):
    galleries, failures = [another() for _ in range(3)], []

    def change(place):
        try:
            for seed in range(15):
                if place == 0:
                    galleries[0].remove(["ada"])
                else:
                    galleries[place].enrol("ada", [make_template(1000 * place + seed)], replace=seed % 2 == 0)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=change, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and leftovers(galleries[0]) == 0
    (held,) = truth(galleries[0], "ada").values()
    for gallery in galleries:
        assert [one.subject for one in gallery.identify(unit(5), 3)] == (["ada"] if held else [])
        assert [one.templates for one in gallery.subjects(None, 9).subjects] == ([len(held)] if held else [])


def test_counts_of_another_follow_by_themselves(another):
    one, other = another(), another(refresh_s=0.05)
    changed = threading.Event()
    count = other._count

    def counted():
        count()
        if other.subject_count() == 2:
            changed.set()

    other._count = counted
    one.enrol("ada", [make_template(1), make_template(2)])
    one.enrol("bob", [make_template(3)])
    assert changed.wait(20) and other.template_count() == 3


# Death between two steps


DEEDS = {
    "enrol somebody new": lambda gallery: gallery.enrol("new", [make_template(50), make_template(51)]),
    "enrol more": lambda gallery: gallery.enrol("ada", [make_template(50)]),
    "replace": lambda gallery: gallery.enrol("ada", [make_template(50), make_template(51)], replace=True),
    "remove two": lambda gallery: gallery.remove(["ada", "bob"]),
}


@pytest.mark.parametrize("mended_by", ["a start", "the next change"])
@pytest.mark.parametrize("deed", DEEDS)
def test_killed_between_any_two_steps_a_change_is_whole_or_not_there(another, deed, mended_by):
    subjects, writes, done = ("ada", "bob", "new"), 0, False
    images = {seed: make_template(seed).image_sha256 for seed in (1, 2, 3, 50, 51)}
    witness = another()
    while not done:
        witness.remove(list(subjects))
        witness.enrol("ada", [make_template(1), make_template(2)])
        witness.enrol("bob", [make_template(3)])
        before = truth(witness, *subjects)
        dying = another()
        dying._server = DiesAfter(dying._server, writes)
        try:
            DEEDS[deed](dying)
            done = True
        except Killed:
            pass
        after = truth(witness, *subjects)
        wanted = {
            "enrol somebody new": before | {"new": [images[50], images[51]]},
            "enrol more": before | {"ada": [images[1], images[2], images[50]]},
            "replace": before | {"ada": [images[50], images[51]]},
            "remove two": before | {"ada": [], "bob": []},
        }[deed]
        assert after == (wanted if done else after) and after in (before, wanted)
        # Nobody who is not there is found, whatever is left; and after mending everybody who is.
        for seed in images:
            assert all(after[one.subject] for one in witness.identify(unit(seed), 5))
        if mended_by == "a start":
            another()
        else:
            for subject, held in after.items():
                if held:
                    witness.enrol(subject, [make_template(next(s for s in images if images[s] in held))])
                else:
                    witness.remove([subject])
        assert truth(witness, *subjects) == after and leftovers(witness) == 0
        for subject, held in after.items():
            if held:
                row_says(witness, subject, [unit(seed) for image in held for seed in images if images[seed] == image])
        assert {one.subject for one in witness.identify(unit(9), 5)} == {name for name, held in after.items() if held}
        writes += 1
    assert writes > 3


def test_a_retry_of_what_was_cut_off_is_one_template(another):
    one = another()
    one._server = DiesAfter(one._server, 2)  # the block of numbers, and the rows
    with pytest.raises(Killed):
        one.enrol("ada", [make_template(1)])
    other = another()
    assert other.enrol("ada", [make_template(1)]).added[0].duplicate and found(other, 1, "ada")


def test_a_lost_row_of_a_subject_is_made_anew_by_a_rebuild_and_a_wrong_one_lets_nobody_in(another):
    from face_server.gallery.milvus.server import Table

    gallery = another()
    enrolled = enrol_many(gallery, 12)
    gallery._server.drop(Table.SUBJECTS, [b"3".hex()])
    row = {"pk": b"ghost".hex(), "is_integer": False, "templates": 1, "made_of": "", "vector": unit(99).tolist()}
    gallery.enrol("none", [make_template(77), make_template(-77)])
    gallery._server.put(Table.SUBJECTS, [row, {**row, "pk": b"none".hex()}])
    assert not found(gallery, 3) and not found(gallery, 99, "ghost")
    assert told(gallery.identify(unit(99), 2)) == expected({k: v for k, v in enrolled.items() if k != 3}, unit(99), 2)
    assert "none" not in {one.subject for one in gallery.identify(unit(99), 50)}
    gallery.remove(["none"])
    assert gallery.rebuild().subjects == 12 and gallery.index_status().built_s > 0
    assert found(gallery, 3) and len(gallery.subjects(None, 99).subjects) == 12 == gallery.subject_count()


# A server that goes away


def test_a_server_that_is_gone_is_told_and_lets_nobody_in_and_back_again_has_lost_nothing(tmp_path):
    from face_server.gallery.milvus.milvus_gallery import MilvusGallery

    server = LiteServer(tmp_path)
    try:
        with MilvusGallery(milvus_options(server.uri, "away", timeout_s=2.0, refresh_s=0.05)) as gallery:
            enrolled = enrol_many(gallery, 30)
            server.kill()
            for ask in (
                lambda: gallery.identify(unit(3), 1),
                lambda: gallery.verify(3, unit(3)),
                lambda: gallery.enrol("new", [make_template(500)]),
                lambda: gallery.remove([3]),
                lambda: gallery.subjects(None, 3),
                lambda: gallery.subject(3),
                gallery.rebuild,
            ):
                with pytest.raises(GalleryUnavailable, match=r"See that Milvus runs"):
                    ask()
            with pytest.raises(GalleryUnavailable):
                gallery._count()
            assert gallery.index_status().state == "absent" and "Milvus" in gallery.index_status().error
            assert gallery.subject_count() == 30
            with pytest.raises(GalleryUnavailable):
                MilvusGallery(milvus_options(server.uri, "away", timeout_s=1.0))
            server.start()  # it has forgotten that its collections were loaded
            assert told(gallery.identify(unit(3), 2)) == expected(enrolled, unit(3), 2)
            gallery.enrol("new", [make_template(500)])
            gallery.rebuild()
            assert found(gallery, 500, "new") and gallery.index_status().error is None
    finally:
        server.kill()


# Milvus Lite


def test_a_lite_gallery_is_private_and_held_by_one_process(tmp_path):
    previous = os.umask(0)
    try:
        with open_backend("milvus lite", tmp_path) as gallery:
            gallery.enrol("ada", [make_template(1)])
            socket_directory = gallery._server._lite._directory
            assert stat.S_IMODE(socket_directory.stat().st_mode) == 0o700
            assert stat.S_IMODE((tmp_path / "milvus.db").stat().st_mode) == 0o700
            with pytest.raises(StoreLocked, match="held by another process"):
                open_backend("milvus lite", tmp_path)
    finally:
        os.umask(previous)
    assert not socket_directory.exists()
    with open_backend("milvus lite", tmp_path) as gallery:
        assert found(gallery, 1, "ada")


def test_a_lite_directory_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "milvus.db").mkdir()
    (tmp_path / "milvus.db" / "notes.txt").write_text("not ours")
    with pytest.raises(StoreDamaged, match="files of others"):
        open_backend("milvus lite", tmp_path)


def test_no_port_is_opened_for_a_lite_gallery(tmp_path):
    def listening():
        lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
        inodes = {line.split()[9] for line in lines if line.split()[3] == "0A"}
        held = {str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()}
        return {inode for inode in inodes if f"socket:[{inode}]" in held}

    before = listening()
    with open_backend("milvus lite", tmp_path):
        assert listening() == before


# Whose rows


def test_rows_of_another_model_written_meanwhile_are_refused_and_never_scored(another):
    old = another()
    new = another(fingerprint="model-b")  # it was empty
    old.enrol("ada", [make_template(1)])
    for ask in (lambda: new.identify(unit(1), 1), lambda: new.verify("ada", unit(1)), lambda: new.subject("ada")):
        with pytest.raises(ModelMismatch, match=r"milvus_collection"):
            ask()


def test_a_garbled_record_is_denied_names_the_template_and_goes_with_its_subject(another):
    from face_server.gallery.milvus.server import Table

    gallery = another()
    gallery.enrol("ada", [make_template(1)])
    gallery.enrol("bob", [make_template(2)])
    rows = {row["subject"]: row for row in gallery._server.find(Table.TEMPLATES, 'kind == "template"', ["*"])}
    ada, bob = rows[b"ada".hex()], rows[b"bob".hex()]
    gallery._server.put(Table.TEMPLATES, [{**bob, "record": ada["record"]}])
    with pytest.raises(GalleryUnavailable, match=f"template {bob['number']} "):
        gallery.verify("bob", unit(1))
    gallery._server.put(Table.TEMPLATES, [{**bob, "record": "no base64"}])
    with pytest.raises(GalleryUnavailable, match=f"template {bob['number']} "):
        gallery.identify(unit(2), 1)
    assert gallery.remove(["bob"]).removed == ("bob",) and found(gallery, 1, "ada")
    gallery.enrol("bob", [make_template(2)])
    assert found(gallery, 2, "bob")


@pytest.mark.parametrize("subject", ['" or pk > "', "a' or 1 == 1", 'x"] or kind in ["template', "%", "_%", "\\"])
def test_an_id_is_no_part_of_an_expression(another, subject):
    gallery = another()
    gallery.enrol("ada", [make_template(1)])
    with pytest.raises(UnknownSubject):
        gallery.verify(subject, unit(1))
    assert gallery.remove([subject]).removed == () and gallery.subjects("Jw==", 9).subjects != ()
    gallery.enrol(subject, [make_template(2)])
    assert found(gallery, 2, subject) and gallery.remove([subject]).removed == (subject,) and found(gallery, 1, "ada")


def test_calibrate_reads_every_template(another, monkeypatch):
    from face_server.evaluation import calibrating

    gallery = another()
    gallery.enrol("ada", [make_template(1), make_template(2)])
    gallery.enrol(7, [make_template(3)])
    monkeypatch.setattr(calibrating, "_PAGE", 1)
    read = [(whose, vector.tobytes()) for whose, vector in calibrating._vectors_in(gallery)]
    assert read == [("7", unit(3).tobytes()), ("ada", unit(1).tobytes()), ("ada", unit(2).tobytes())]


def test_forgetting_is_refused_since_bytes_are_not_gone(another):
    gallery = another()
    gallery.enrol("ada", [make_template(1)])
    with pytest.raises(UnknownCommand, match="compact"):
        gallery.forget(["ada"])
    assert found(gallery, 1, "ada")


def test_hnsw_finds_whom_flat_finds_and_a_gallery_may_change_between_them(another):
    gallery = another()
    enrolled = enrol_many(gallery, 60)
    for index in ("hnsw", "flat"):
        gallery = another(index=index)
        for seed in range(60):
            assert told(gallery.identify(unit(seed), 2)) == expected(enrolled, unit(seed), 2)


def test_numbers_of_many_processes_are_never_given_twice(another):
    galleries = [another() for _ in range(6)]
    taken, lock = [], threading.Lock()

    def take(gallery):
        for _ in range(3):
            gallery._numbering._end = 0  # as after a start
            numbers = gallery._numbering.take(2, 0)
            with lock:
                taken.extend(numbers)

    threads = [threading.Thread(target=take, args=(gallery,)) for gallery in galleries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 36


WITHOUT = """
import sys, json
sys.modules["pymilvus"] = None
from face_server.errors import ConfigError
try:
    import face_server.gallery.milvus.milvus_gallery
except ConfigError as error:
    print(json.dumps(str(error)))
"""


def test_without_pymilvus_it_is_told_how_to_install_it(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert "pip install --require-hashes -r requirements-milvus.lock" in json.loads(done.stdout)


def test_a_server_is_reached_by_tls_and_only_by_who_trusts_its_certificate(authority, tmp_path):
    import grpc
    from milvus_lite.adapter.grpc.server import _build_server
    from milvus_lite.db import MilvusLite

    from face_server.gallery.milvus.milvus_gallery import MilvusGallery

    database = MilvusLite(str(tmp_path / "milvus.db"))
    server = _build_server(database, 1)
    credentials = grpc.ssl_server_credentials([(authority.here.key.read_bytes(), authority.here.cert.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        uri = f"https://127.0.0.1:{port}"
        with MilvusGallery(milvus_options(uri, "tls", ca=authority.cert, token="root:secret")) as gallery:
            gallery.enrol("ada", [make_template(1)])
            assert found(gallery, 1, "ada")
        for foreign in (uri, f"http://127.0.0.1:{port}"):
            with pytest.raises(GalleryUnavailable):
                MilvusGallery(milvus_options(foreign, "tls", timeout_s=1.0))
    finally:
        server.stop(0).wait()
        database.close()


def test_a_gallery_moves_from_lmdb_to_milvus_and_back_whole(another, tmp_path):
    from face_server.upkeep.exporting import everybody
    from face_server.upkeep.importing import Into, import_file
    from face_server.upkeep.portable import ExportWriter, Header

    def moved(source, target):
        with (tmp_path / "file").open("wb") as file:
            writer = ExportWriter(file, Header(FINGERPRINT, DIMENSION, 1.0, "0"))
            for detail in everybody(source):
                writer.write(detail, crops=True)
            writer.finish()
        import_file(tmp_path / "file", target, Into(FINGERPRINT, DIMENSION, 5, True))

    def held(gallery):
        return [
            (detail.subject, [(one.template.vector.tobytes(), one.template.crop) for one in detail.templates])
            for detail in everybody(gallery)
        ]

    face = DetectedFace(BoundingBox(1, 2, 30, 40), ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10)), 0.9)
    milvus = another()
    with open_backend("lmdb", tmp_path / "from") as source, open_backend("lmdb", tmp_path / "back") as back:
        source.enrol("Zoë", [make_template(1, crop=FaceCrop(b"picture" * 20000, face)), make_template(2)])
        source.enrol(7, [make_template(3), make_template(-3)])
        moved(source, milvus)
        moved(milvus, back)
        assert held(source) == held(milvus) == held(back)
        for probe in (unit(1), unit(2), unit(5)):
            assert milvus.identify(probe, 5) == source.identify(probe, 5) == back.identify(probe, 5)
