"""The two people of the tests' photographs, whom every machine has after scripts/setup --dev."""

from __future__ import annotations

from daemons import ROOT
from e2e.browsers import Account
from e2e.clips import Portrait

_PHOTOS = ROOT / "var" / "test-photos"

#: Two photographs of one man, years apart, and one of another; the boxes are the daemon's `detect`.
BARACK = Portrait(_PHOTOS / "obama.jpg", (386, 90, 609, 413))
BARACK_LATER = Portrait(_PHOTOS / "obama3.jpg", (648, 266, 907, 608))
JOE = Portrait(_PHOTOS / "biden.jpg", (438, 173, 708, 556))

BARACKS = Account("Barack Ölçü", "barack@example.org", "a long sentence of barack")
JOES = Account("Joe", "joe@example.org", "quite another sentence of joe")
