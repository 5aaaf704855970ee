"""A daemon on a sealed gallery: the faces are known after a kill, and nothing of them can be read from the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from daemons import LIGHT, StartDaemon

from face_server.gallery.store.sealing import StoreKey

SEALED = LIGHT + "[gallery]\nencryption_key_file = {}\n"


def test_a_sealed_gallery_serves_its_people_and_tells_the_disk_nothing_about_their_faces(
    daemon_in: StartDaemon, tmp_path: Path, sample_photos: Path
) -> None:
    first, second = (StoreKey.make(tmp_path / name) for name in ("first.key", "second.key"))
    photo, other = ((sample_photos / name).read_bytes() for name in ("obama.jpg", "obama2.jpg"))
    running = daemon_in(tmp_path, SEALED.format("first.key"))
    with running.client() as client:
        client.enrol("obama", [photo])
        assert client.identify(other).id == "obama"
        assert client.status().index.kind == "exact"
    running.kill()
    stored = (tmp_path / "var" / "gallery" / "data.mdb").read_bytes()
    assert b"obama" in stored  # ids stay readable, as the documents say
    assert hashlib.sha256(photo).hexdigest().encode() not in stored and b"created_s" not in stored

    again = daemon_in(tmp_path, SEALED.format("first.key"))
    with again.client() as client:
        assert client.identify(other).id == "obama"
    refused = again.command("rekey", "--to", second.path)
    assert refused.returncode == 2 and "is held by process" in refused.stderr
    again.stop()
    calibrated = again.command("calibrate")
    assert calibrated.returncode == 2 and "too few to calibrate" in calibrated.stderr
    rekeyed = again.command("rekey", "--to", second.path)
    assert rekeyed.returncode == 0 and second.key_id in rekeyed.stdout

    with pytest.raises(RuntimeError, match=f"sealed with the key of id {second.key_id}"):
        daemon_in(tmp_path, SEALED.format("first.key"))
    with daemon_in(tmp_path, SEALED.format("second.key")).client() as client:
        assert client.identify(other).id == "obama"
    assert first.key_id != second.key_id
