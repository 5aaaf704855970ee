"""Kills a gallery of made-up people so many times, and prints what came of it: `scripts/crash-test ROUNDS [SEED]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from random import Random

from crashes.deeds import PLAIN, SEALED
from crashes.rounds import Harness, Round, make_killer, table
from tqdm import tqdm


def main(count: int, seed: int) -> int:
    """Half of the kills are of a sealed gallery."""
    done: list[Round] = []
    with tqdm(total=count, unit="kill", disable=None) as bar:
        for kinds, share in ((PLAIN, count - count // 2), (SEALED, count // 2)):
            with tempfile.TemporaryDirectory(prefix="crash-test-") as directory:
                place = Path(directory)
                for one in Harness(place, make_killer(place), Random(seed), kinds).rounds(share):
                    done.append(one)
                    bar.update()
    print(*table(done), sep="\n")
    harmed = [one for one in done if one.harm]
    print(f"\n{len(done)} kills with seed {seed}: {len(harmed)} did harm")
    return 1 if harmed or len(done) < count else 0


if __name__ == "__main__":
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, seed))
