"""`python -m face_server` and the `face-server` command."""

from __future__ import annotations

import io
import sys

from face_server.cli import run


def main() -> None:
    """Run the command line and leave with its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may be what the terminal cannot show; it is told all the same.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
