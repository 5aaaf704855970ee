"""Searches, enrolments and removals while the index is built twenty times: no error and no wrong answer."""

from __future__ import annotations

import argparse
from pathlib import Path

from face_server.evaluation.rebuild_load import enrol, gallery_options, made_up, measure
from face_server.gallery import LocalGallery


def test_nobody_notices_twenty_rebuilds(tmp_path: Path) -> None:
    people = made_up(400, 512)
    options = argparse.Namespace(dimension=512, trees=5, recall=0.9)
    with LocalGallery(gallery_options(tmp_path, options)) as gallery:
        enrol(gallery, people)
        gallery.rebuild()
        seen = measure(gallery, people, rebuilds=20, quiet_s=0.05)
        status = gallery.index_status()
    assert seen.defects == []
    assert len(seen.rebuilds) == 20 and len(seen.busy) > 100 and seen.changes >= 30
    assert (status.state, status.kind, status.error) == ("ready", "annoy", None)
