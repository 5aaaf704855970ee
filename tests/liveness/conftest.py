"""What the tests of liveness share: real photographs and clips, from which attacks and honest answers are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from daemons import ROOT
from liveness.attacks.footage import clips
from liveness.attacks.photographs import photographs
from liveness.attacks.species import Scene


@pytest.fixture(scope="session")
def held_scene(sample_photos: Path, pipeline: Any) -> Scene:
    """What every user has: the sample photographs, before a bare wall."""
    return Scene(photographs([sample_photos], pipeline.detector.detect, 4), (), pipeline.detector.detect)


@pytest.fixture(scope="session")
def filmed_scene(held_scene: Scene, shared_data: Path, pipeline: Any) -> Scene:
    """With the clips, which only the developers have."""
    detect = pipeline.detector.detect
    return Scene(held_scene.photographs, clips(shared_data, detect, ROOT / "var" / "cache" / "footage"), detect)
