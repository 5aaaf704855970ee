"""What the page's own face finder runs on, and that it then finds a face where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from e2e.finder_speed import looked, without_webassembly
from playwright.sync_api import Browser, Route
from websites import Website


def tampered(route: Route) -> None:
    """WebAssembly's code is not that of vendor.toml."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.body() + b"\0")


@pytest.mark.parametrize("change", [("**/", without_webassembly), ("**/*.wasm", tampered)])
def test_webassembly_first_and_webgl_where_it_is_forbidden_or_not_the_one_stated(
    site: Website, browser: Browser, sample_photos: Path, change: tuple[str, Any]
) -> None:
    first, second = (looked(browser, site, sample_photos / "obama2.jpg", one) for one in (None, change))
    assert (first["backend"], second["backend"]) == ("wasm", "webgl")
    (face,), (same,) = first["faces"], second["faces"]
    assert face["box"] == pytest.approx(same["box"], abs=1)
    for point, other in zip(face["landmarks"], same["landmarks"], strict=True):
        assert point == pytest.approx(other, abs=1)
