"""What tests share: real weights, real photographs, a real daemon. A missing `../shared/data` skips, visibly."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import stub_server
from certificates import Authority, openssl_is_there
from daemons import ROOT, Daemon, StartDaemon, start_daemon
from websites import Website, php_is_there, start_website

from face_server.config import load_config
from face_server.vision import runtime
from face_server.vision.runtime import Network


@pytest.fixture(scope="session", autouse=True)
def networks_are_loaded_once() -> Iterator[None]:
    """In a process, as a daemon does: it takes seconds and hundreds of megabytes, and a network does not change."""
    with pytest.MonkeyPatch.context() as patch:
        for load in (runtime.load_mtcnn, runtime.load_frozen_graph):
            patch.setattr(runtime, load.__name__, functools.cache(load))
        yield


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The verified model files."""
    return ROOT / "models"


@pytest.fixture(scope="session")
def sample_photos() -> Path:
    """Seven photographs that scripts/setup --dev fetched: three of one man, two of his partial faces, another man."""
    return ROOT / "var" / "test-photos"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """More faces, which only the developers have."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs the developers' photographs beside the repository (shared/data)")
    return path


@pytest.fixture(scope="session")
def mtcnn_networks(models_dir: Path) -> tuple[Network, Network, Network]:
    """P-, R- and O-Net."""
    from face_server.models import verified_files
    from face_server.vision.runtime import load_mtcnn

    return load_mtcnn(*verified_files(models_dir, "mtcnn"))


@pytest.fixture(scope="session")
def facenet(models_dir: Path) -> Network:
    """The loaded FaceNet graph."""
    from face_server.models import verified_files
    from face_server.vision.runtime import load_frozen_graph

    (path,) = verified_files(models_dir, "facenet-20180408-102900")
    return load_frozen_graph(path, "input", 160, "embeddings")


@pytest.fixture(scope="session")
def mobilefacenet(models_dir: Path) -> Network:
    """The loaded MobileFaceNet, which scripts/setup --dev leaves out where npm is not to be had."""
    from face_server.models import verified_files
    from face_server.vision.runtime import load_tflite

    if not (models_dir / "mobilefacenet.tflite").exists():
        pytest.skip("needs models/mobilefacenet.tflite: scripts/setup --dev fetches it by npm")
    return load_tflite(*verified_files(models_dir, "mobilefacenet"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs certificates for 127.0.0.1."""
    if not openssl_is_there():
        pytest.skip("needs the openssl command: apt-get install openssl")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["plain", "tls"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for a connection holds inside TLS too: the test runs once in the clear and once there."""
    if request.param == "tls":
        monkeypatch.setattr(stub_server, "authority", request.getfixturevalue("authority"))


@pytest.fixture(scope="session")
def pipeline():  # type: ignore[no-untyped-def]
    """The pipeline as config.ini ships it."""
    from face_server.assembly import assemble_pipeline

    return assemble_pipeline(load_config(ROOT / "config.ini"))


@pytest.fixture
def daemon_in() -> Iterator[StartDaemon]:
    """Starts daemons; what still runs at the end of the test is killed."""
    started: list[Daemon] = []

    def start(directory: Path, settings: str = "") -> Daemon:
        started.append(start_daemon(directory, settings))
        return started[-1]

    yield start
    for daemon in started:
        daemon.kill()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests that do not stop it; each test uses subject ids of its own."""
    # Tests enrol the same few people over and over.
    running = start_daemon(tmp_path_factory.mktemp("daemon"), "[decision]\nrefuse_duplicates = false")
    yield running
    running.kill()


@pytest.fixture(scope="session")
def web_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon behind the tests' sites, as it ships (one face, one account) but for the relief of living.py."""
    running = start_daemon(tmp_path_factory.mktemp("web_daemon"), "[liveness]\nleast_relief = 0.2")
    yield running
    running.kill()


@pytest.fixture(scope="module")
def site(web_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    """A site without people, and with it an empty gallery."""
    if not php_is_there():
        pytest.skip("needs PHP 8.2 with pdo_sqlite and mbstring: apt-get install php-cli php-sqlite3 php-mbstring")
    web_daemon.forget_everybody()
    running = start_website(tmp_path_factory.mktemp("site"), web_daemon)
    yield running
    running.stop()
