"""What a gallery tells who watches: each search and change once, each build with its outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from people import gallery_options, make_template

from face_server.errors import ShuttingDown, StorageFull, UnknownSubject
from face_server.gallery import LocalGallery, RebuildResult
from face_server.gallery.index import rebuilding
from face_server.gallery.index.rebuilding import Rebuilder
from face_server.observing import Nobody, Stage


class Seen(Nobody):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: Counter[Stage] = Counter()
        self.builds: list[bool] = []

    def stage(self, stage: Stage, seconds: float) -> None:
        assert seconds >= 0
        self.stages[stage] += 1

    def rebuild(self, seconds: float, failed: bool) -> None:
        assert seconds >= 0
        self.builds.append(failed)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def gallery(tmp_path: Path, seen: Seen) -> Iterator[LocalGallery]:
    with LocalGallery(gallery_options(tmp_path, background=False), seen) as opened:
        yield opened


def test_searches_and_changes_are_told_once_each(gallery: LocalGallery, seen: Seen) -> None:
    template = make_template(1)
    gallery.enrol("anna", [template])
    gallery.identify(template.vector, 1)
    gallery.verify("anna", template.vector)
    with pytest.raises(UnknownSubject):
        gallery.verify("nobody", template.vector)
    gallery.remove(["anna"])
    assert seen.stages == {Stage.STORE: 2, Stage.SEARCH: 3}


def test_what_is_refused_before_it_begins_is_not_told(gallery: LocalGallery, seen: Seen) -> None:
    with pytest.raises(ValueError, match="shape"):
        gallery.identify(np.zeros(3, np.float32), 1)
    assert not seen.stages


def test_builds_are_told_with_their_outcome(gallery: LocalGallery, seen: Seen, tmp_path: Path) -> None:
    gallery.enrol("anna", [make_template(1)])
    gallery.rebuild()
    index = tmp_path / "index"
    index.rename(tmp_path / "away")
    index.write_text("in the way")
    with pytest.raises(StorageFull):
        gallery.rebuild()
    assert seen.builds == [False, True]


def test_a_build_that_is_told_to_stop_has_not_failed(seen: Seen) -> None:
    def abandoned() -> RebuildResult:
        raise ShuttingDown("The gallery is closing.")

    with pytest.raises(ShuttingDown):
        Rebuilder(abandoned, seen).run()
    assert seen.builds == [False]


def test_a_build_that_failed_is_not_begun_again_for_twenty_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    builds: list[float] = []
    now_s = [1000.0]

    def fails() -> RebuildResult:
        builds.append(now_s[0])
        now_s[0] += 600
        raise StorageFull("The disk is full.")

    monkeypatch.setattr(rebuilding.time, "monotonic", lambda: now_s[0])
    rebuilder = Rebuilder(fails)
    with pytest.raises(StorageFull):
        rebuilder.run()
    now_s[0] += 11_999
    rebuilder.start()
    assert len(builds) == 1
    now_s[0] += 2
    rebuilder.start()
    rebuilder.close()
    assert len(builds) == 2
