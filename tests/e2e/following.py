"""What a site asked a person to do, and a man of a film who does it as the page shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from e2e.actor import ABLE, Actor
from e2e.browsers import ARRIVED, Screen
from playwright.sync_api import Error, Route
from websites import Website

#: What the page shows, as [state, step that is asked, phase, colour of the whole screen], once it is not what it was.
#: The page itself looks so often: being asked from here each time would slow it.
POLLED_MS = 20
STAGE = """before => {
    const camera = document.querySelector('[data-camera]')?.dataset;
    const flash = document.querySelector('[data-flash]:not([hidden])')?.style.backgroundColor ?? '';
    const now = camera ? [camera.state, camera.asked ?? '', camera.phase ?? '', flash] : ['', '', '', ''];
    return String(now) === String(before) ? null : now;
}"""


def able(steps: Sequence[str]) -> bool:
    """Whether the man of the film can do them."""
    return set(steps) <= ABLE


def as_asked(step: str) -> str:
    """Does what is asked."""
    return step


class Asked:
    """What the site asked of one tab, and what the tab answered. fits: which challenges are drawn until one comes."""

    def __init__(self, tab: Screen, site: Website, fits: Callable[[Sequence[str]], bool] = able) -> None:
        self.challenges: list[list[str]] = []
        self.flashes: list[bool] = []
        self._site, self._fits = site, fits
        tab.page.route("**/capture", self._begin)

    def _begin(self, route: Route) -> None:
        self.flashes.append(route.request.post_data_json["flash"])
        while True:
            answer = route.fetch()
            steps = [step["step"] for step in answer.json()["challenge"]["steps"]]
            if self._fits(steps):
                break
            self._site.forgive()  # so many are asked for that the site would bid to wait
        self.challenges.append(steps)
        route.fulfill(response=answer)


def get_in(tab: Screen, man: Actor, look: str = "", again: str = "too long|用时过长") -> list[str]:
    """As `play`, again after an answer like `again`: slow machines let challenges run out. The last try's steps."""
    for _ in range(5):
        done = play(tab, man, look=look)
        tab.page.wait_for_function(ARRIVED, arg=f"{tab.base_url}/account")
        if "/login" not in tab.page.url:
            return done
        if not re.search(again, tab.result):
            break
        tab.page.locator("[data-capture]").click()
    raise AssertionError(f"he was not let in: {tab.result}")


def play(
    tab: Screen,
    man: Actor,
    *,
    does: Callable[[str], str] = as_asked,
    lit: Callable[[str], str] = as_asked,
    ends: Sequence[str] = ("result", "locked", "done"),
    look: str = "",
) -> list[str]:
    """Do what the page asks until it is left or its camera is in one of the states `ends`; the steps that were asked.

    does: what he makes of a step. lit: what the screen's colour ("rgb(r, g, b)") becomes. look: name of screenshots.
    """
    seen: list[str] = []
    before = ["", "", "", ""]
    while before[0] not in ends:
        try:
            now = tab.page.wait_for_function(STAGE, arg=before, polling=POLLED_MS).json_value()
        except Error:
            break  # the page is being left, which is what follows a success
        if "/login" not in tab.page.url:
            break
        if now[3] != before[3]:
            man.light(_hex(lit(now[3])))
        if now[:3] != before[:3] and now[0] == "following" and now[2] == "asked":
            seen.append(now[1])
            man.do(does(now[1]))
        if now[0] != "following" == before[0]:
            man.do("")  # before another try he looks ahead again
        if look and now[2]:
            tab.look(f"{look}-{len(seen)}-{now[1]}-{(_hex(now[3]) or now[2]).strip('#')}", whole=False)
        before = now
    man.sit()
    return seen


def _hex(colour: str) -> str | None:
    """ "#rrggbb" of a style's colour; None of none."""
    levels = [int(level) for level in re.findall(r"\d+", colour)]
    return "#{:02x}{:02x}{:02x}".format(*levels) if levels else None
