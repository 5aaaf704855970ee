"""`keygen` and `rekey`, from an unsealed gallery to a sealed one, to another key, and back."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from upkeep.galleries import configured, enrol, opened_gallery, opened_store, people_in

from face_server.assembly import assemble_key
from face_server.cli import run
from face_server.config import Config, load_config
from face_server.errors import ConfigError, KeyMismatch, StoreLocked, UpkeepError
from face_server.gallery.directory import DirectoryLock
from face_server.gallery.inspecting import look
from face_server.gallery.store.reading import StoreReader
from face_server.gallery.store.sealing import StoreKey
from face_server.upkeep.keys import rekey

PEOPLE = {"ada": [1, 2], 7: [3], "数字": [4, 5]}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = configured(tmp_path / "house")
    enrol(made, PEOPLE, crop_bytes=5000)
    return made


@pytest.fixture
def key(tmp_path: Path) -> StoreKey:
    return StoreKey.make(tmp_path / "keys" / "one")


@pytest.fixture
def other(tmp_path: Path) -> StoreKey:
    return StoreKey.make(tmp_path / "keys" / "two")


def with_key(config: Config, key: StoreKey | None) -> Config:
    file = None if key is None else key.path
    return dataclasses.replace(config, gallery=dataclasses.replace(config.gallery, encryption_key_file=file))


def key_id_of(config: Config) -> str | None:
    with StoreReader(config.gallery.path) as reader:
        return reader.key_id


def test_a_gallery_is_sealed_rekeyed_and_made_plain_again_with_everybody_in_it(
    config: Config, key: StoreKey, other: StoreKey, capsys: pytest.CaptureFixture[str]
) -> None:
    people = people_in(config)
    arguments = ["rekey", "--config", str(config.source)]
    assert run([*arguments, "--to", str(key.path)]) == 0
    told = capsys.readouterr().out
    assert f"set [gallery] encryption_key_file = {key.path}" in told and "keep a copy" in told and key.key_id in told
    assert people_in(with_key(config, key)) == people
    with pytest.raises(KeyMismatch):
        people_in(config)

    assert run([*arguments, "--to", str(other.path)]) == 2  # its present key is not configured
    assert "--from FILE" in capsys.readouterr().err
    assert run([*arguments, "--to", str(other.path), "--from", str(key.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "gallery": str(config.gallery.path),
        "rekeyed": True,
        "templates": 5,
        "key_id": other.key_id,
        "key_file": str(other.path),
    }
    assert people_in(with_key(config, other)) == people

    assert run([*arguments, "--to-plain", "--from", str(key.path)]) == 2
    assert f"sealed with the key of id {other.key_id}" in capsys.readouterr().err
    assert run([*arguments, "--to-plain", "--from", str(other.path)]) == 0
    assert "not sealed any more" in capsys.readouterr().out
    assert people_in(config) == people


def test_given_again_it_says_that_it_is_done(config: Config, key: StoreKey, capsys: pytest.CaptureFixture[str]) -> None:
    assert rekey(config, None).done is False
    assert rekey(config, key.path).done is True
    assert rekey(config, key.path).done is False
    assert run(["rekey", "--config", str(config.source), "--to", str(key.path)]) == 0
    assert "already" in capsys.readouterr().out


def test_it_is_refused_while_somebody_holds_the_gallery_and_where_there_is_none(
    config: Config, key: StoreKey, tmp_path: Path
) -> None:
    lock = DirectoryLock(config.gallery.path)
    with pytest.raises(StoreLocked):
        rekey(config, key.path)
    lock.close()
    assert key_id_of(config) is None
    with pytest.raises(UpkeepError, match="no gallery"):
        rekey(configured(tmp_path / "empty"), key.path)
    with pytest.raises(ConfigError):
        rekey(config, tmp_path / "no key")


def test_an_index_of_before_goes_with_the_seal_since_it_holds_vectors(config: Config, key: StoreKey) -> None:
    with opened_gallery(config) as gallery:
        gallery.rebuild()
    assert list(config.index.path.glob("g-*"))
    rekey(config, key.path)
    assert not list(config.index.path.glob("g-*")) and not list(config.index.path.glob("*.json"))


REKEY_SLOWLY = """
import sys, os
from pathlib import Path
from face_server.config import load_config
from face_server.gallery.store import environment
from face_server.upkeep.keys import rekey
config, key, point = load_config(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
def stop(*_):
    print("there", flush=True)
    sys.stdin.read()
if point == "writing":
    from face_server.gallery.store.sealing import Seal
    Seal.close = stop
elif point == "before the rename":
    Path.rename = stop
else:
    from face_server.upkeep import keys
    keys._drop_index = stop
rekey(config, key)
"""


@pytest.mark.parametrize("point", ["writing", "before the rename", "after the rename"])
def test_killed_at_any_point_it_is_finished_when_given_again(config: Config, key: StoreKey, point: str) -> None:
    people = people_in(config)
    with opened_gallery(config) as gallery:
        gallery.rebuild()
    command = [sys.executable, "-c", REKEY_SLOWLY, str(config.source), str(key.path), point]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == "there\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    sealed = point == "after the rename"
    assert key_id_of(config) == (key.key_id if sealed else None)
    assert people_in(with_key(config, key) if sealed else config) == people
    assert rekey(config, key.path).done is not sealed
    assert people_in(with_key(config, key)) == people and not (config.gallery.path / "draft.mdb").exists()
    assert not list(config.index.path.glob("g-*"))


def test_keygen_makes_a_private_key_once(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "made" / "key"
    arguments = ["keygen", "--config", str(config.source)]
    assert run([*arguments, str(file)]) == 0
    told = capsys.readouterr().out
    assert "keep a copy" in told and f"face-server rekey --to {file}" in told
    content = file.read_bytes()
    assert len(content) == 32 and file.stat().st_mode & 0o777 == 0o600 and content.hex() not in told
    assert run([*arguments, str(file)]) == 2
    assert "never overwritten" in capsys.readouterr().err and file.read_bytes() == content
    assert run(arguments) == 2
    assert "name the file" in capsys.readouterr().err
    config.source.write_text(config.source.read_text() + f"[gallery]\nencryption_key_file = {tmp_path / 'named'}\n")
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key_id"] == StoreKey.read(tmp_path / "named").key_id
    assert assemble_key(load_config(config.source)).key_id == StoreKey.read(tmp_path / "named").key_id


def test_a_look_from_outside_needs_the_key_and_says_so(config: Config, key: StoreKey, other: StoreKey) -> None:
    rekey(config, key.path)
    where = config.gallery.path, config.index.path
    assert look(*where, key.path).templates == 5
    with pytest.raises(KeyMismatch, match="encryption_key_file"):
        look(*where)
    with pytest.raises(KeyMismatch, match=other.key_id):
        look(*where, other.path)
    other.path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        look(*where, other.path)


def test_an_empty_gallery_takes_the_key_from_the_configuration(tmp_path: Path, key: StoreKey) -> None:
    config = with_key(configured(tmp_path / "house"), key)
    with opened_store(config) as store:
        assert store.template_count() == 0
    assert key_id_of(config) == key.key_id
