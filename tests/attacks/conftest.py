"""A site with one person who has an account and a face, and an attacker who is somebody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK, BARACKS
from websites import Website


@pytest.fixture(autouse=True)
def no_failures_yet(site: Website) -> Iterator[None]:
    """Each attack begins with a clean slate."""
    site.forgive()
    yield


@pytest.fixture(scope="module")
def victim(site: Website) -> Account:
    """Who has an account and a face."""
    answer = site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4))
    if answer.json != {"ok": True, "location": "/registered"} or not site.rows("SELECT 1 FROM face"):
        raise RuntimeError(f"no account was made: {answer.text}\n{site.log[-2000:]}")
    return BARACKS
