"""PHP's bridge to the daemon: a real daemon, real photographs, TCP and a Unix socket; and what is no match."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import ROOT, Daemon, StartDaemon
from stub_server import WEB, serving

from face_server.wire.requests import Level

pytestmark = pytest.mark.skipif(shutil.which("php") is None, reason="needs php: scripts/setup installs it")

#: Asks one thing of the daemon and prints what came of it. Arguments: how to reach it, the method, its arguments.
CALLER = f"""
require {str(ROOT / "face_web" / "src" / "autoload.php")!r};
use FaceWeb\\Config;
use FaceWeb\\FaceServer\\{{Refused, SocketFaceServer, Unreachable}};
[$at, $method, $arguments] = json_decode(stream_get_contents(STDIN), true);
foreach ($arguments as $name => $value) {{
    $arguments[$name] = match ($name) {{
        'image' => base64_decode($value),
        'images' => array_map(base64_decode(...), $value),
        default => $value,
    }};
}}
try {{
    $daemon = isset($at['config'])
        ? SocketFaceServer::forSite(Config::load($at['config'])) : new SocketFaceServer(...$at);
    $told = ['answer' => $daemon->$method(...$arguments)];
}} catch (Refused $refused) {{
    $codes = $refused->imageCodes(count($arguments['images'] ?? []));
    $told = ['refused' => $refused->errorCode, 'act' => $refused->act, 'images' => $codes];
}} catch (Unreachable $unreachable) {{
    $told = ['unreachable' => $unreachable->getMessage()];
}}
echo json_encode($told, JSON_THROW_ON_ERROR);
"""


class Site:
    """What the site would be told by a daemon."""

    def __init__(self, **at: Any) -> None:
        self._at = at

    @classmethod
    def configured(cls, config: Path) -> Site:
        """As the site itself would ask: by config.ini, with the token in its file."""
        return cls(config=str(config))

    @classmethod
    def at(cls, port: int, token: str | None, timeout_s: float = 60.0, unix_socket: Path | None = None) -> Site:
        path = str(unix_socket) if unix_socket else None
        return cls(host="127.0.0.1", port=port, unixSocket=path, token=token, timeoutS=timeout_s)

    def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        for name, value in arguments.items():
            if name == "image":
                arguments[name] = base64.b64encode(value).decode()
            if name == "images":
                arguments[name] = [base64.b64encode(image).decode() for image in value]
        told = subprocess.run(
            ["php", "-d", "memory_limit=512M", "-r", CALLER],
            input=json.dumps([self._at, method, arguments]),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert told.stderr == ""
        outcome: dict[str, Any] = json.loads(told.stdout)
        return outcome


@pytest.fixture
def photos(sample_photos: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sample_photos.iterdir()}


def prove_every_call(site: Site, subject: str, photos: dict[str, bytes]) -> None:
    """Enrol a man, find him and nobody else, and forget him."""
    mine, again, stranger = photos["obama"], photos["obama2"], photos["biden"]
    assert site.ask("ping") == {"answer": True}
    (face,) = site.ask("detect", image=mine)["answer"]["faces"]
    assert len(face["landmarks"]) == 5 and face["confidence"] > 0.8

    assert site.ask("identify", images=[again]) == {"answer": None}
    assert site.ask("verify", subject=subject, images=[again])["refused"] == "unknown_subject"
    enrolled = site.ask("enrol", subject=subject, images=[mine])["answer"]
    assert enrolled["templates"] == 1 and enrolled["images"][0]["accepted"]
    assert site.ask("enrol", subject=subject, images=[mine])["answer"]["images"][0]["duplicate"]

    assert site.ask("identify", images=[again, photos["obama3"]]) == {"answer": subject}
    assert site.ask("identify", images=[stranger]) == {"answer": None}
    assert site.ask("verify", subject=subject, images=[again]) == {"answer": True}
    assert site.ask("verify", subject=subject, images=[stranger]) == {"answer": False}

    assert site.ask("remove", subject=subject) == {"answer": True}
    assert site.ask("remove", subject=subject) == {"answer": False}
    assert site.ask("identify", images=[again]) == {"answer": None}


def test_php_enrols_finds_and_forgets_a_real_face_over_tcp_until_the_daemon_stops(
    daemon_in: StartDaemon, tmp_path: Path, photos: dict[str, bytes]
) -> None:
    daemon = daemon_in(tmp_path)
    config = tmp_path / "site.ini"
    config.write_text(daemon.config_path.read_text().replace("port = 0", f"port = {daemon.port}"))
    site = Site.configured(config)
    prove_every_call(site, "cafe" * 8, photos)
    assert daemon.stop() == 0
    assert "cannot be reached" in site.ask("identify", images=[photos["obama"]])["unreachable"]


@pytest.fixture
def config_of_unix_daemon(tmp_path: Path) -> Iterator[Path]:
    """The config.ini of a daemon that listens on a Unix socket."""
    config = tmp_path / "config.ini"
    config.write_text(f"[server]\nunix_socket = sock\n[models]\npath = {ROOT / 'models'}\n")
    command = [sys.executable, "-m", "face_server", "serve", "--config", str(config)]
    with (
        (tmp_path / "daemon.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        assert "ready on" in process.stdout.readline(), (tmp_path / "daemon.log").read_text()
        yield config
        process.kill()


def test_php_enrols_finds_and_forgets_a_real_face_over_a_unix_socket(
    config_of_unix_daemon: Path, photos: dict[str, bytes]
) -> None:
    # Here the socket's file mode is the guard: the site needs no token.
    (config_of_unix_daemon.parent / "var" / "token.web").unlink()
    prove_every_call(Site.configured(config_of_unix_daemon), "cafe" * 8, photos)


def test_php_is_told_what_is_wrong_with_each_image(daemon: Daemon, photos: dict[str, bytes]) -> None:
    site = Site.at(daemon.port, daemon.token("web"))
    told = site.ask("enrol", subject="beef" * 8, images=[b"no picture", photos["obama_partial_face"][:5000]])
    assert told == {"refused": "image_unreadable", "act": "person", "images": ["image_unreadable", "image_unreadable"]}
    assert site.ask("identify", images=[b"no picture"])["images"] == ["image_unreadable"]


def test_a_wrong_token_or_none_is_refused_and_the_web_s_own_reaches_no_status(daemon: Daemon) -> None:
    unauthorised = {"refused": "unauthorised", "act": "web", "images": []}
    for token in ("0" * 64, None):
        assert Site.at(daemon.port, token).ask("ping") == unauthorised
    assert Site.at(daemon.port, daemon.token("web")).ask("status") == unauthorised
    assert Site.at(daemon.port, daemon.token("operator")).ask("status")["answer"]["dimension"] > 0


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port where nobody listens, kept from others."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


def test_nobody_listening_is_unreachable(nobody: int) -> None:
    assert "cannot be reached" in Site.at(nobody, WEB).ask("ping")["unreachable"]


def test_a_daemon_that_works_too_long_is_a_time_out() -> None:
    with serving() as server:
        server.handler.gate.clear()
        told = Site.at(server.port, WEB, timeout_s=0.5).ask("detect", image=b"image")
    assert "did not answer within 0.5 s" in told["unreachable"]


def test_a_frame_beyond_the_daemon_s_cap_is_refused_in_the_daemon_s_words() -> None:
    with serving(max_frame_bytes=1 << 20) as server:
        told = Site.at(server.port, WEB).ask("detect", image=b"x" * (24 << 20))
    assert told == {"refused": "frame_too_large", "act": "client", "images": []}


def test_a_daemon_without_a_connection_to_spare_is_busy_and_is_asked_again() -> None:
    with serving(max_connections=1) as server, server.connect() as held:
        held.ask(cmd="ping")
        assert Site.at(server.port, WEB).ask("ping")["refused"] == "busy"


def test_the_stub_behind_a_unix_socket_needs_no_token(tmp_path: Path) -> None:
    with serving(unix_socket=tmp_path / "sock", without_token=Level.WEB):
        assert Site.at(1, None, unix_socket=tmp_path / "sock").ask("detect", image=b"image")["answer"]["width"] == 5
