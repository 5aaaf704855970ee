"""Prints the table of attacks of docs/operations.md: python -m floods.table, in tests/, on an idle machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from daemons import ROOT, start_daemon
from floods.attacks import ATTACKS
from floods.measuring import MIB, SETTINGS, Outcome, measure, p95
from tqdm import tqdm

PHOTOS = ROOT / "var" / "test-photos"


def main() -> None:
    """Attack one daemon in every way, one after the other."""
    with tempfile.TemporaryDirectory() as directory:
        daemon = start_daemon(Path(directory), SETTINGS)
        try:
            with daemon.client() as client:
                client.enrol("obama", [(PHOTOS / name).read_bytes() for name in ("obama.jpg", "obama2.jpg")])
            outcomes = [measure(daemon, kind, PHOTOS, requests=100) for kind in tqdm(ATTACKS, unit="attack")]
        finally:
            daemon.stop()
    print("| attack | tries | right / busy / cut off | p95 quiet | attacked | ratio | busy after | memory | outcome |")
    print("|---|---|---|---|---|---|---|---|---|")
    for outcome in outcomes:
        print(row(outcome))


def row(outcome: Outcome) -> str:
    """One line of the table."""
    honest, quiet = outcome.honest, outcome.quiet
    calm, attacked, busy = p95(quiet.right_ms), p95(honest.right_ms), p95(honest.busy_ms)
    lost = outcome.stored_after < outcome.stored_before or honest.wrong or outcome.descriptors_left > 0
    cells = (
        outcome.name,
        f"{outcome.tries:,}",
        f"{len(honest.right_ms)} / {len(honest.busy_ms)} / {honest.cut_off}",
        *("" if time is None else f"{time:.0f} ms" for time in (calm, attacked)),
        f"{attacked / calm:.1f}" if attacked and calm else "",
        "" if busy is None else f"{busy:.0f} ms",
        f"{outcome.grown_bytes / MIB:+.0f} MiB",
        "HARM" if lost else "nothing lost, nothing left open",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
