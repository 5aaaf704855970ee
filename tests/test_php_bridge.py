"""PHP's bridge to the daemon: a real daemon, real photographs, TCP, TLS and a Unix socket; and what is no match."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stub_server
from certificates import Authority, Certificate, imposter
from daemons import LIGHT, ROOT, Daemon, StartDaemon
from stub_server import WEB, serving, wait_until

from face_server.wire.requests import Level

pytestmark = pytest.mark.skipif(shutil.which("php") is None, reason="needs php: scripts/setup installs it")

#: Asks one thing of the daemon and prints what came of it. Arguments: how to reach it, the method, its arguments.
CALLER = f"""
require {str(ROOT / "face_web" / "src" / "autoload.php")!r};
use FaceWeb\\Config;
use FaceWeb\\FaceServer\\{{Refused, SocketFaceServer, Tls, Unreachable}};
[$at, $method, $arguments] = json_decode(stream_get_contents(STDIN), true);
foreach ($arguments as $name => $value) {{
    $arguments[$name] = match ($name) {{
        'image' => base64_decode($value),
        'images' => array_map(base64_decode(...), $value),
        default => $value,
    }};
}}
try {{
    if (isset($at['tls'])) {{
        $at['tls'] = new Tls(...$at['tls']);
    }}
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
    def at(
        cls,
        port: int,
        token: str | None,
        timeout_s: float = 60.0,
        unix_socket: Path | None = None,
        trusted: Path | None = None,
        name: str = "127.0.0.1",
    ) -> Site:
        """With `trusted` inside TLS."""
        path = str(unix_socket) if unix_socket else None
        tls = {"tls": {"name": name, "caFile": str(trusted)}} if trusted else {}
        return cls(host="127.0.0.1", port=port, unixSocket=path, token=token, timeoutS=timeout_s, **tls)

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


def test_php_enrols_finds_and_forgets_a_real_face_over_tcp(web_daemon: Daemon, photos: dict[str, bytes]) -> None:
    web_daemon.forget_everybody()
    config = web_daemon.config_path.with_name("site.ini")
    config.write_text(web_daemon.config_path.read_text().replace("port = 0", f"port = {web_daemon.port}"))
    prove_every_call(Site.configured(config), "cafe" * 8, photos)


@pytest.fixture
def config_of_unix_daemon(tmp_path: Path) -> Iterator[Path]:
    """The config.ini of a daemon that listens on a Unix socket."""
    config = tmp_path / "config.ini"
    config.write_text(f"{LIGHT}[server]\nunix_socket = sock\n[models]\npath = {ROOT / 'models'}\n")
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


def test_php_enrols_finds_and_forgets_a_real_face_inside_tls_also_after_the_certificate_was_renewed(
    authority: Authority, daemon_in: StartDaemon, tmp_path: Path, photos: dict[str, bytes]
) -> None:
    place = Certificate(tmp_path / "cert.pem", tmp_path / "cert.key")

    def put(new: Certificate) -> None:
        place.cert.write_bytes(new.cert.read_bytes())
        place.key.write_bytes(new.key.read_bytes())
        place.key.chmod(0o600)

    put(authority.here)
    daemon = daemon_in(tmp_path, f"{place.lines}tls_ca = {authority.cert}\n{LIGHT}")
    config = tmp_path / "site.ini"
    config.write_text(daemon.config_path.read_text().replace("port = 0", f"port = {daemon.port}"))
    prove_every_call(Site.configured(config), "cafe" * 8, photos)
    assert "tls_required" in Site.at(daemon.port, daemon.token("web")).ask("ping")["refused"]

    own = authority.self_signed("own", "DNS:faces.example.org")
    put(own)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.log_path.read_text().count("the certificate ") == 2)
    assert "not trusted" in Site.configured(config).ask("ping")["unreachable"]
    trusted = f"tls_ca = {own.cert}\ntls_name = faces.example.org"
    renewed = config.read_text().replace(f"tls_ca = {authority.cert}", trusted)
    daemon.config_path.write_text(renewed)
    config.write_text(renewed)
    prove_every_call(Site.configured(config), "cafe" * 8, photos)

    # The command line reads the same options.
    mine = tmp_path / "mine.jpg"
    mine.write_bytes(photos["obama"])
    assert daemon.command("enrol", "obama", mine).returncode == 0
    assert daemon.command("identify", mine).stdout.startswith("obama")
    assert daemon.stop() == 0
    assert "cannot be reached" in Site.configured(config).ask("identify", images=[photos["obama"]])["unreachable"]


@pytest.fixture
def tls(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The stub speaks TLS."""
    monkeypatch.setattr(stub_server, "authority", authority)
    return authority


@pytest.mark.parametrize("constraints", ["critical,CA:TRUE", "critical,CA:FALSE"])
def test_php_trusts_a_self_signed_certificate_that_it_is_given_and_no_other(tls: Authority, constraints: str) -> None:
    own = tls.self_signed("own", constraints=constraints)
    with serving(**own.settings) as server:
        assert Site.at(server.port, WEB, trusted=own.cert).ask("detect", image=b"image")["answer"]["width"] == 5
        other = tls.self_signed("other", constraints=constraints)
        told = Site.at(server.port, WEB, trusted=other.cert).ask("detect", image=b"image")
        assert "is not trusted: its certificate has expired, or is not of those" in told["unreachable"]
        assert len(server.handler.seen) == 1


def test_php_believes_no_certificate_for_another_name(tls: Authority) -> None:
    with serving() as server:
        for name in ("localhost", "127.0.0.1"):
            assert Site.at(server.port, WEB, trusted=tls.cert, name=name).ask("ping") == {"answer": True}
        for name in ("127.0.0.2", "example.org", "here", ""):
            told = Site.at(server.port, WEB, trusted=tls.cert, name=name).ask("ping")
            assert "is not trusted: its certificate is for another name" in told["unreachable"], name


def test_php_believes_no_certificate_that_has_expired(tls: Authority) -> None:
    with imposter(tls.issue("expired", days=-1)) as port:
        assert "has expired" in Site.at(port, WEB, trusted=tls.cert).ask("ping")["unreachable"]


def test_php_speaks_no_tls_before_1_2(tls: Authority) -> None:
    with imposter(tls.here, ssl.TLSVersion.TLSv1_1) as port:
        told = Site.at(port, WEB, trusted=tls.cert).ask("ping")
    assert "does not agree on a version of TLS (1.2 or later)" in told["unreachable"]


def test_php_without_the_file_to_trust_asks_nobody(tls: Authority, tmp_path: Path) -> None:
    told = Site.at(1, WEB, trusted=tmp_path / "absent.pem").ask("ping")
    assert "[server] tls_ca" in told["unreachable"] and "cannot be read" in told["unreachable"]


def test_php_tells_tls_from_the_clear_both_ways(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        told = Site.at(server.port, WEB, trusted=authority.cert).ask("ping")
        assert "it does not speak TLS" in told["unreachable"]
    monkeypatch.setattr(stub_server, "authority", authority)
    with serving() as server:
        assert Site.at(server.port, WEB).ask("ping") == {"refused": "tls_required", "act": "client", "images": []}


def test_php_s_one_deadline_covers_the_handshake(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        told = Site.at(port, WEB, timeout_s=0.5, trusted=authority.cert).ask("ping")
    assert "did not answer within 0.5 s" in told["unreachable"]


def test_php_sends_a_large_frame_and_hears_a_refusal_in_the_middle_of_one_inside_tls(tls: Authority) -> None:
    image = b"x" * (24 << 20)
    with serving(max_image_bytes=24 << 20) as server:
        server.handler.faces = 3000  # a reply of 240 kB
        answer = Site.at(server.port, WEB, trusted=tls.cert).ask("detect", image=image)["answer"]
        assert (answer["width"], len(answer["faces"])) == (24 << 20, 3000)
    with serving(max_frame_bytes=1 << 20) as server:
        told = Site.at(server.port, WEB, trusted=tls.cert).ask("detect", image=image)
    assert told == {"refused": "frame_too_large", "act": "client", "images": []}
