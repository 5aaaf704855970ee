"""scripts/fuzz: atheris on one target for so many seconds; what breaks a promise is written down and ends the run.

Run as `python -m fuzz.run TARGET SECONDS DIRECTORY` in tests/. The corpus stays in DIRECTORY and grows from run to run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["face_server", "PIL"], enable_loader_override=False):
    from fuzz.targets import TARGETS, seeds

#: libFuzzer's own: inputs no longer than the longest seed need be; a minute on one input is a hang; 2 GB a leak.
LIMITS = ("-max_len=8192", "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1")


def main() -> None:
    """Ends the process: 0 when nothing was found."""
    target, seconds, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    corpus = directory / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    arguments = [f"-max_total_time={seconds}", f"-artifact_prefix={directory}/{target}-", *LIMITS, str(corpus)]
    atheris.Setup([sys.argv[0], *arguments], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
