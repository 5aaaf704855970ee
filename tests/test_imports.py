"""Who may import whom: pyproject.toml's contracts hold, and each would see a violation."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from daemons import ROOT

LINT = Path(sys.executable).with_name("lint-imports")


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT, "--no-cache"], cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts, to be spoilt."""
    shutil.copytree(ROOT / "face_server", tmp_path / "face_server", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Contracts: \d+ kept, 0 broken", done.stdout)


#: What a module must not import, and how the name of the contract that says so begins.
FORBIDDEN = [
    ("wire.framing", "face_server.server", "nobody imports upstairs"),
    ("errors", "face_server.types", "nobody imports upstairs"),
    ("config", "face_server.wire.framing", "nobody imports upstairs"),
    ("wire.framing", "face_server.vision.imaging", "nobody imports upstairs"),
    ("vision.quality", "face_server.gallery.store.template_store", "nobody imports upstairs"),
    ("gallery.store.template_store", "face_server.wire.framing", "nobody imports upstairs"),
    ("server", "face_server.service", "the server moves bytes"),
    ("client", "face_server.vision.imaging", "the server moves bytes"),
    ("vision.detection", "tensorflow", "TensorFlow stays in"),
    ("gallery.index.annoy_index", "lmdb", "lmdb stays in"),
    ("gallery.store.template_store", "cryptography", "cryptography stays in"),
    ("gallery.store.template_store", "annoy", "annoy stays in"),
    ("gallery.milvus.milvus_gallery", "pymilvus", "pymilvus stays in"),
    ("cli", "PIL", "image codecs and drawing stay in"),
    ("service", "asyncio", "asyncio stays in"),
    ("probes", "prometheus_client", "prometheus_client stays in"),
    ("vision.pipeline", "face_server.metrics", "nobody imports upstairs"),
    ("gallery.gallery", "face_server.metrics", "nobody imports upstairs"),
]


def test_every_contract_is_tried_below() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    tried = tuple(contract for _, _, contract in FORBIDDEN)
    assert [contract["name"] for contract in contracts if not contract["name"].startswith(tried)] == []


def test_a_forbidden_import_breaks_its_contract(copy: Path) -> None:
    """All at once: one run of the linter costs seconds."""
    for module, target, _ in FORBIDDEN:
        with (copy / "face_server" / f"{module.replace('.', '/')}.py").open("a") as file:
            file.write(f"\nimport {target}\n")
    done = lint(copy)
    assert done.returncode == 1
    for module, target, contract in FORBIDDEN:
        assert re.search(rf"^{contract}.* BROKEN", done.stdout, re.MULTILINE), contract
        assert re.search(rf"face_server\.{module} -> {target} \(l\.\d+\)", done.stdout), (module, target)


#: What must not be loaded before a command needs it; each costs tenths of a second or more.
HEAVY = (
    "pymilvus",
    "tensorflow",
    "keras",
    "mtcnn",
    "cv2",
    "PIL",
    "annoy",
    "lmdb",
    "cryptography",
    "joblib",
    "asyncio",
    "prometheus_client",
)


@pytest.mark.parametrize(
    "code",
    [
        "import face_server",
        "import face_server.client",
        "import face_server.assembly",
        "from face_server.cli import run; run(['--help'])",
        "from face_server.cli import run; run(['identify', '--help'])",
        "from face_server.cli import run; run(['--version'])",
    ],
)
def test_help_and_clients_load_no_network_and_no_codec(code: str) -> None:
    program = f"{code}\nimport sys\nprint('loaded', [n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_the_list_of_heavy_modules_would_show_one() -> None:
    program = f"import face_server.vision.imaging, sys; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "PIL" in done.stdout
