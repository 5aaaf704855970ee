"""Two daemons over one Milvus: who is enrolled at one is known to the other, and when one dies nothing is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import LIGHT, Daemon, start_daemon

sys.path.insert(0, str(Path(__file__).with_name("gallery")))
from backends import WITHOUT_MILVUS, LiteServer

from face_server.config import load_config
from face_server.errors import GalleryUnavailable, UnknownCommand, UnknownSubject

pytestmark = WITHOUT_MILVUS

MAN, AGAIN, OTHER = "obama.jpg", "obama2.jpg", "biden.jpg"


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteServer]:
    server = LiteServer(tmp_path_factory.mktemp("milvus"))
    yield server
    server.kill()


def start(milvus: LiteServer, directory: Path) -> Daemon:
    return start_daemon(
        directory, f"{LIGHT}[gallery]\nbackend = milvus\nmilvus_uri = {milvus.uri}\n[decision]\nthreshold = 0.6\n"
    )


@pytest.fixture(scope="module")
def daemons(milvus: LiteServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    started = [start(milvus, tmp_path_factory.mktemp("one")), start(milvus, tmp_path_factory.mktemp("two"))]
    yield started
    for daemon in started:
        daemon.kill()


def test_two_daemons_share_one_gallery_and_the_death_of_one_loses_nothing(
    daemons: list[Daemon], milvus: LiteServer, sample_photos: Path, tmp_path: Path
) -> None:
    man, again, other = ((sample_photos / name).read_bytes() for name in (MAN, AGAIN, OTHER))
    with daemons[0].client() as one, daemons[1].client() as two:
        one.enrol("ada", [man])
        assert two.identify(again).id == "ada"
        two.enrol("bob", [other])
        assert one.identify(other).id == "bob" and one.verify("ada", again).match
        two.remove("ada")
        assert not one.identify(again).match
        with pytest.raises(UnknownSubject):
            one.verify("ada", again)
        one.enrol("ada", [man])
        with pytest.raises(UnknownCommand, match="Milvus"):
            one.forget(["ada"])
        assert one.status().store is None and one.status().index.state == "ready"
    daemons[0].kill()
    with daemons[1].client() as two:
        assert two.identify(again).id == "ada" and two.identify(other).id == "bob"
        assert two.rebuild().subjects == 2
    assert "2 subjects, 2 templates" in daemons[1].command("status").stdout
    told = " ".join(daemons[1].command("doctor").stdout.split())
    assert f"in Milvus, {milvus.uri}: 2 subjects, 2 templates" in told
    daemons[0] = start(milvus, daemons[0].config_path.parent)
    with daemons[0].client() as one:
        assert one.status().subjects == 2 and one.identify(again).id == "ada"
        # The server itself dies: nobody is let in, and afterwards all is as it was.
        milvus.kill()
        try:
            with pytest.raises(GalleryUnavailable, match="See that Milvus runs"):
                one.identify(again)
            told = daemons[0].command("identify", sample_photos / AGAIN)
            assert told.returncode == 2 and "gallery_unavailable" in told.stderr
        finally:
            milvus.start()
        assert one.identify(again).id == "ada"


@pytest.mark.parametrize(
    "command", [["backup", "file"], ["check"], ["migrate", "--to", "mobilefacenet"], ["rekey", "--to-plain"]]
)
def test_commands_on_the_files_of_a_gallery_are_refused_with_the_reason(
    daemons: list[Daemon], command: list[str]
) -> None:
    done = daemons[1].command(*command)
    assert done.returncode == 2 and "in Milvus" in done.stderr and "docs/scale.md" in done.stderr


REFUSED = {
    "encryption_key_file = key": "Encrypt the disks below Milvus",
    "milvus_uri = http://milvus.example.org:19530": "in the clear",
    "milvus_uri = https://root:secret@milvus.example.org:19530": "milvus_token_file",
    "milvus_uri = localhost:19530": "https://host:port",
    "milvus_collection = a-b": "milvus_collection",
    "milvus_token_file = nowhere": "nowhere",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_milvus_cannot_or_must_not_do_is_refused_at_the_start(tmp_path: Path, line: str) -> None:
    from face_server.assembly import assemble_gallery
    from face_server.errors import ConfigError

    (tmp_path / "config.ini").write_text(f"[gallery]\nbackend = milvus\n{line}\n")
    with pytest.raises(ConfigError, match=REFUSED[line]):
        assemble_gallery(load_config(tmp_path / "config.ini"), "model", 8)
    assert list(tmp_path.iterdir()) == [tmp_path / "config.ini"]
