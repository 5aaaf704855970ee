"""Real stores and galleries in temporary directories."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from people import gallery_options, open_store

from face_server.gallery import LocalGallery, TemplateStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TemplateStore]:
    with open_store(tmp_path / "gallery") as opened:
        yield opened


@pytest.fixture
def open_gallery(tmp_path: Path) -> Iterator[Callable[..., LocalGallery]]:
    """Opens the gallery of this test, after closing the one opened before: a restart."""
    opened: list[LocalGallery] = []

    def reopen(**changes: Any) -> LocalGallery:
        for former in opened:
            former.close()
        opened.append(LocalGallery(gallery_options(tmp_path, **changes)))
        return opened[-1]

    yield reopen
    for gallery in opened:
        gallery.close()
