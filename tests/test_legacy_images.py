"""What a `pic` of an old client may open, and that all it may not open is answered alike."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from face_server.errors import ImageTooLarge, ImageUnreadable
from face_server.legacy_images import read_below

MAX_BYTES = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "photo.jpg").write_bytes(b"photo")
    (root / "a" / "b" / "deep.jpg").write_bytes(b"deep")
    (root / "empty").touch()
    (root / "limit").write_bytes(bytes(MAX_BYTES))
    (root / "large").write_bytes(bytes(MAX_BYTES + 1))
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-of-another").mkdir()
    (tmp_path / "root-of-another" / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "inner-link").symlink_to("photo.jpg")
    (root / "directory-link").symlink_to(tmp_path)
    (root / "a" / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.jpg", b"photo"),
        ("./photo.jpg", b"photo"),
        ("a/b/deep.jpg", b"deep"),
        ("a//b/./deep.jpg", b"deep"),
        ("empty", b""),
        ("limit", bytes(MAX_BYTES)),
    ],
)
def test_a_regular_file_below_the_root_is_read(root: Path, name: str, content: bytes) -> None:
    assert read_below(root, name, MAX_BYTES) == content
    assert read_below(root, f"{root}/{name}", MAX_BYTES) == content


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


FORBIDDEN = [
    "absent",
    "absent/photo.jpg",
    "photo.jpg/x",
    "",
    ".",
    "/",
    "a",
    "a/b/",
    "..",
    "../secret",
    "a/../../secret",
    "a/../photo.jpg",
    "/etc/passwd",
    "{root}",
    "{root}/",
    "{root}/../secret",
    "{root}-of-another/secret",
    "{root}/a/../../secret",
    "//etc/passwd",
    "link",
    "inner-link",
    "directory-link/secret",
    "directory-link",
    "a/up/photo.jpg",
    "loop",
    "loop/photo.jpg",
    "pipe",
    "socket",
    "photo.jpg\0",
    "x" * 256,
    "a/" * 3000,
    "\udcff",
    "/dev/zero",
    "/proc/self/environ",
]


@pytest.mark.parametrize("name", FORBIDDEN)
def test_everything_else_is_refused_in_the_same_words_and_leaves_nothing_open(root: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        before = open_descriptors()
        with pytest.raises(ImageUnreadable) as caught:
            read_below(root, name.format(root=root), MAX_BYTES)
        assert caught.value.message == "there is no picture of this name below [server] legacy_image_root"
        assert caught.value.detail == {}
        assert open_descriptors() == before


def test_without_a_root_every_path_is_refused_in_the_same_words(root: Path) -> None:
    for name in ("photo.jpg", str(root / "photo.jpg"), "absent"):
        with pytest.raises(ImageUnreadable, match="there is no picture of this name"):
            read_below(None, name, MAX_BYTES)


def test_a_root_that_is_gone_refuses_every_path(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="there is no picture of this name"):
        read_below(tmp_path / "gone", "photo.jpg", MAX_BYTES)


def test_a_file_above_the_cap_is_too_large_and_not_read_whole(root: Path) -> None:
    with pytest.raises(ImageTooLarge) as caught:
        read_below(root, "large", MAX_BYTES)
    assert caught.value.detail == {"max_image_bytes": MAX_BYTES}


def test_a_directory_that_becomes_a_link_between_two_requests_is_not_followed(root: Path, tmp_path: Path) -> None:
    assert read_below(root, "a/b/deep.jpg", MAX_BYTES) == b"deep"
    (root / "a").rename(tmp_path / "moved")
    (root / "a").symlink_to(tmp_path / "moved")
    with pytest.raises(ImageUnreadable):
        read_below(root, "a/b/deep.jpg", MAX_BYTES)
