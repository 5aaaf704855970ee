"""What a site asked a person to do, and a man of a film who does it as the page shows it."""

from __future__ import annotations

import re

from e2e.actor import ABLE, Actor
from e2e.browsers import ARRIVED, Screen
from playwright.sync_api import Error, Route
from websites import Website

#: What the page shows, as [state, step that is asked, phase].
STAGE = """() => {
    const camera = document.querySelector('[data-camera]')?.dataset;
    return camera ? [camera.state, camera.asked ?? '', camera.phase ?? ''] : ['', '', ''];
}"""


class Asked:
    """What the site asked of one tab, and what the tab answered."""

    def __init__(self, tab: Screen, site: Website) -> None:
        self.challenges: list[list[str]] = []
        self.flashes: list[bool] = []
        self._site = site
        tab.page.route("**/capture", self._begin)

    def _begin(self, route: Route) -> None:
        self.flashes.append(route.request.post_data_json["flash"])
        while True:
            answer = route.fetch()
            steps = [step["step"] for step in answer.json()["challenge"]["steps"]]
            if set(steps) <= ABLE:
                break
            self._site.forgive()  # so many are asked for that the site would bid to wait
        self.challenges.append(steps)
        route.fulfill(response=answer)


def get_in(tab: Screen, man: Actor, look: str = "") -> list[str]:
    """As `play`, again where a slow machine took so long that the challenge ran out; the steps of the last try."""
    for _ in range(5):
        done = play(tab, man, look=look)
        tab.page.wait_for_function(ARRIVED, arg=f"{tab.base_url}/account")
        if "/login" not in tab.page.url:
            return done
        if not re.search("too long|用时过长", tab.result):
            break
        tab.page.locator("[data-capture]").click()
    raise AssertionError(f"he was not let in: {tab.result}")


def play(tab: Screen, man: Actor, *, follows: bool = True, look: str = "") -> list[str]:
    """Do what the page asks, until it has an answer; the steps it asked for. look: name of screenshots on the way."""
    seen: list[str] = []
    before: list[str] = []
    while "/login" in tab.page.url:
        try:
            now = tab.page.evaluate(STAGE)
        except Error:
            break  # the page is being left, which is what follows a success
        if now != before and now[0] == "following":
            if now[2] == "asked":
                seen.append(now[1])
                man.do(now[1] if follows else "")
            if look and now[2]:
                tab.look(f"{look}-{len(seen)}-{now[1]}-{now[2]}", whole=False)
        if now[0] in ("result", "locked", "done"):
            break
        before = now
        tab.page.wait_for_timeout(40)
    man.do("")
    return seen
