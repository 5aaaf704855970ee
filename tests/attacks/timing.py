"""Prints whether a known email answers slower than an unknown one: python -m attacks.timing [ROUNDS].

Run in tests/ with the project's Python, on an otherwise idle machine; it starts a daemon and a site. Nothing is
asserted: what an attacker can measure is a matter of how often they may ask, and that is what the throttle limits.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from daemons import start_daemon
from e2e.clips import burst
from e2e.people import BARACK, BARACKS, JOE
from websites import Website, start_website

STRANGER = "nobody@example.org"


def password(site: Website, email: str) -> float:
    """Milliseconds of a wrong password."""
    visitor = site.visitor()
    csrf = visitor.csrf()
    begun = time.perf_counter()
    visitor.post("/login/password", {"email": email, "password": "not the right one"}, csrf=csrf)
    return 1000 * (time.perf_counter() - begun)


def face(site: Website, email: str) -> float:
    """Milliseconds of a wrong face for a claimed email."""
    from websites import jpegs

    visitor = site.visitor()
    csrf = visitor.csrf()
    form = {"nonce": visitor.nonce("login", csrf), "email": email}
    frames = jpegs(burst(JOE))
    begun = time.perf_counter()
    visitor.post("/login/face", form, frames, csrf)
    return 1000 * (time.perf_counter() - begun)


def compared(name: str, site: Website, ask: Callable[[Website, str], float], rounds: int) -> None:
    """Ask for both emails in changing order; print medians, their difference and its 95 % interval."""
    times: dict[str, list[float]] = {BARACKS.email: [], STRANGER: []}
    for _ in range(rounds):
        for email in random.sample(list(times), 2):
            site.forgive()
            times[email].append(ask(site, email))
    known, unknown = (np.array(times[email]) for email in (BARACKS.email, STRANGER))
    dice = np.random.default_rng(1)
    drawn = [
        np.median(dice.choice(known, known.size)) - np.median(dice.choice(unknown, unknown.size)) for _ in range(4000)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    larger = float(np.mean(known[:, None] > unknown[None, :]))
    sys.stdout.write(
        f"{name}: known {np.median(known):.1f} ms, unknown {np.median(unknown):.1f} ms; "
        f"difference {np.median(known) - np.median(unknown):+.1f} ms (95 %: {low:+.1f} to {high:+.1f}); "
        f"a known one takes longer than an unknown one in {100 * larger:.0f} % of pairs; {rounds} rounds\n"
    )


def main() -> None:
    """Set up, measure both ways in."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    directory = Path(tempfile.mkdtemp())
    daemon = start_daemon(directory / "daemon")
    site = start_website(directory / "site", daemon, "login_mode = email_face")
    try:
        site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4))
        compared("password", site, password, rounds)
        compared("face", site, face, rounds)
    finally:
        site.stop()
        daemon.kill()


if __name__ == "__main__":
    main()
