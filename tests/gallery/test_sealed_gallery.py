"""A gallery with a key: found as ever, and nothing of its index in the clear on a disk."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from people import gallery_options, make_template, unit

from face_server.errors import ConfigError, IndexFailed
from face_server.gallery import LocalGallery
from face_server.gallery.directory import is_memory_backed
from face_server.gallery.store.sealing import StoreKey

PEOPLE = range(200)


@pytest.fixture
def key(tmp_path: Path) -> StoreKey:
    return StoreKey.make(tmp_path / "keys" / "one")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    if is_memory_backed(tmp_path):
        pytest.skip("temporary files are in memory here")
    return tmp_path / "house"


@pytest.fixture
def memory() -> Iterator[Path]:
    shared = Path("/dev/shm")
    if not shared.is_dir() or not is_memory_backed(shared):
        pytest.skip("there is no /dev/shm in memory here")
    with tempfile.TemporaryDirectory(dir=shared) as path:
        yield Path(path)


def sealed(root: Path, key: StoreKey, **changes: Any) -> LocalGallery:
    return LocalGallery(gallery_options(root, key=key, **({"memory_only_index": True} | changes)))


def enrol_all(gallery: LocalGallery) -> None:
    for seed in PEOPLE:
        gallery.enrol(seed, [make_template(seed)])


def everybody_is_found(gallery: LocalGallery) -> bool:
    return all(gallery.identify(unit(seed), 1)[0].subject == seed for seed in PEOPLE)


def in_the_clear(root: Path) -> list[str]:
    vectors = [unit(seed).tobytes()[:16] for seed in PEOPLE]
    contents = {file.name: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    return [name for name, content in contents.items() if any(vector in content for vector in vectors)]


def test_on_a_disk_search_is_exact_and_no_vector_lies_there(disk: Path, key: StoreKey) -> None:
    with sealed(disk, key, kind="auto") as gallery:
        enrol_all(gallery)
        gallery.rebuild()
        assert everybody_is_found(gallery) and gallery.index_status().kind == "exact"
    with sealed(disk, key, kind="exact") as gallery:
        gallery.rebuild()
        assert everybody_is_found(gallery)
    assert not in_the_clear(disk)


def test_annoy_on_a_disk_is_refused_and_what_lay_there_goes(disk: Path, key: StoreKey) -> None:
    with sealed(disk, key, memory_only_index=False) as gallery:  # as a careless release might have left it
        enrol_all(gallery)
        gallery.rebuild()
    assert in_the_clear(disk)
    with pytest.raises(ConfigError, match=r"tmpfs.*kind = exact"):
        sealed(disk, key, kind="annoy")
    assert not in_the_clear(disk)
    with sealed(disk, key, kind="auto") as gallery:
        assert everybody_is_found(gallery)


def test_in_memory_the_builder_takes_the_key_from_its_file_and_the_index_serves_a_restart(
    tmp_path: Path, memory: Path, key: StoreKey
) -> None:
    options = {"index_path": memory / "index", "kind": "annoy"}
    with sealed(tmp_path / "house", key, **options) as gallery:
        enrol_all(gallery)
        gallery.rebuild()
        assert gallery.index_status().state == "ready" and everybody_is_found(gallery)
    assert in_the_clear(memory) and not in_the_clear(tmp_path)
    with sealed(tmp_path / "house", key, **options) as gallery:
        assert (gallery.index_status().state, gallery.index_status().overlay) == ("ready", 0)
        assert everybody_is_found(gallery)


def test_a_builder_without_the_right_key_is_told_and_searches_go_on(
    tmp_path: Path, memory: Path, key: StoreKey
) -> None:
    with sealed(tmp_path / "house", key, index_path=memory / "index", kind="annoy") as gallery:
        enrol_all(gallery)
        key.path.write_bytes(bytes(32))
        with pytest.raises(IndexFailed, match=key.key_id):
            gallery.rebuild()
        assert everybody_is_found(gallery) and not in_the_clear(memory)
