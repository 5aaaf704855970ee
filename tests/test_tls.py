"""TLS on the TCP port: who is believed, what is refused by name, and what a handshake may cost.

That every rule of a connection holds inside TLS as well is shown by the tests of the server themselves, which run both
ways (`transport` in conftest.py).
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import stub_server
from certificates import Authority, Certificate, imposter, limited_to, openssl, trusting
from daemons import ROOT
from stub_server import OPERATOR, PATIENCE_S, WEB, Peer, Running, detect, error_of, request, serving, wait_until

import face_server.connection
from face_server.certificates import daemon_context
from face_server.client import Client
from face_server.config import ServerConfig, load_config
from face_server.errors import Busy, ConfigError, TlsRequired, Unreachable
from face_server.wire.requests import Level

SHORT_S = 0.2
MIB = 1 << 20


@pytest.fixture(autouse=True)
def tls(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every server here speaks TLS unless the test says otherwise."""
    monkeypatch.setattr(stub_server, "authority", authority)


def client_of(running: Running, ca: Path | None, **more: object) -> Client:
    return Client(port=running.port, token=WEB, timeout_s=PATIENCE_S, tls=True, tls_ca=ca, **more)  # type: ignore[arg-type]


def raw(running: Running) -> socket.socket:
    """A connection on which nothing has been said."""
    return socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_S)


def client_hello() -> bytes:
    """The first bytes of a client that speaks TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        near.do_handshake()
    return outgoing.read()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# Who is believed


def test_a_client_that_trusts_the_authority_is_served_on_one_kept_connection(authority: Authority) -> None:
    with serving() as running, client_of(running, authority.cert) as client:
        for size in (1, 3, MIB):
            assert client.detect(bytes(size)).width == size
        assert running.connections() == 1


@pytest.mark.parametrize("constraints", ["critical,CA:TRUE", "critical,CA:FALSE"])
def test_a_self_signed_certificate_is_trusted_by_naming_it(authority: Authority, constraints: str) -> None:
    own = authority.self_signed("own", constraints=constraints)
    with serving(**own.settings) as running, client_of(running, own.cert) as client:
        assert client.ping().ready


def test_a_signed_certificate_is_trusted_by_naming_it_without_its_authority(authority: Authority) -> None:
    with serving() as running, client_of(running, authority.here.cert) as client:
        assert client.ping().ready


def test_the_system_s_authorities_are_asked_where_none_is_named(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as running:
        with client_of(running, None) as client, pytest.raises(Unreachable, match=r"not accepted.*issuer"):
            client.ping()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))  # OpenSSL's own way to name the system's store
        with client_of(running, None) as client:
            assert client.ping().ready


def test_another_authority_s_certificate_is_not_believed_and_no_token_leaves(
    authority: Authority, tmp_path: Path
) -> None:
    with serving() as running, client_of(running, Authority(tmp_path).cert) as client:
        for _ in range(2):
            with pytest.raises(Unreachable, match=r"not accepted: .*tls_ca"):
                client.detect(b"x")
        assert running.handler.seen == []


def test_the_name_must_be_in_the_certificate(authority: Authority) -> None:
    other = authority.issue("other", names="DNS:faces.example.org")
    with serving(**other.settings) as running:
        with client_of(running, authority.cert) as client, pytest.raises(Unreachable, match=r"127.0.0.1.*tls_name"):
            client.ping()
        wrong = client_of(running, authority.cert, tls_name="faces.example.net")
        with wrong as client, pytest.raises(Unreachable, match="Hostname mismatch"):
            client.ping()
        with client_of(running, authority.cert, tls_name="faces.example.org") as client:
            assert client.ping().ready


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [("expired", {"days": -1}, "expired"), ("for_clients", {"purpose": "clientAuth"}, "purpose")],
)
def test_a_certificate_that_is_worth_nothing_is_refused_by_the_client_and_at_the_start(
    authority: Authority, name: str, wrong: dict[str, object], said: str
) -> None:
    bad = authority.issue(name, **wrong)  # type: ignore[arg-type]
    refusal = pytest.raises(Unreachable, match=f"not accepted: .*{said}")
    with imposter(bad) as port, Client(port=port, tls_ca=authority.cert) as client, refusal:
        client.ping()
    with pytest.raises(ConfigError, match=rf"\[server\] tls_cert.*{said}"), serving(**bad.settings):
        pass


def test_there_is_no_way_to_the_clear_for_another_machine() -> None:
    with Client("192.0.2.1", 9, timeout_s=1) as client:
        assert client._tls is not None
        assert client._tls.verify_mode is ssl.CERT_REQUIRED and client._tls.check_hostname
    assert Client("127.0.0.1")._tls is None
    assert Client("192.0.2.1", unix_socket=Path("/s"))._tls is None


@pytest.mark.parametrize("name", [".", ".example.org", "a..b", "x" * 64 + ".org"])
def test_a_name_that_is_none_is_told_before_anybody_is_asked(name: str) -> None:
    with pytest.raises(ConfigError, match="tls_name"):
        Client(tls=True, tls_name=name)


def test_a_file_to_trust_that_is_none_is_told(tmp_path: Path, authority: Authority) -> None:
    for path in (tmp_path / "absent", tmp_path, authority.here.key):
        with pytest.raises(ConfigError, match=r"\[server\] tls_ca"):
            Client(tls_ca=path)


# What the start refuses


def refused(settings: dict[str, Path], *said: str) -> None:
    for part in said:
        with pytest.raises(ConfigError, match=part):
            daemon_context(ServerConfig(**settings))  # type: ignore[arg-type]


def test_certificate_and_key_go_together(authority: Authority, tmp_path: Path) -> None:
    here = authority.here
    for one in ("tls_cert", "tls_key"):
        refused({one: here.settings[one]}, "set both")
    refused({"tls_cert": here.cert, "tls_key": authority.issue("stranger").key}, "not the key of the certificate")


@pytest.mark.parametrize("option", ["tls_cert", "tls_key"])
def test_a_file_that_cannot_be_used_is_told_by_its_option(authority: Authority, tmp_path: Path, option: str) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    garbage.chmod(0o600)
    for path, said in ((tmp_path / "absent", "No such file"), (tmp_path, "directory"), (garbage, "cannot be used")):
        refused(authority.here.settings | {option: path}, rf"\[server\] .*{option} = {path}", said)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o620, 0o601])
def test_a_key_that_others_can_read_or_change_is_refused(authority: Authority, mode: int) -> None:
    open_to_others = authority.issue("open")
    open_to_others.key.chmod(mode)
    refused(open_to_others.settings, f"mode {mode:04o}", "chmod 600")
    open_to_others.key.chmod(0o640)
    assert daemon_context(ServerConfig(**open_to_others.settings)) is not None


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(authority: Authority, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", authority.here.key, "-aes128", "-passout", "pass:secret", "-out", locked)
    locked.chmod(0o600)
    refused({"tls_cert": authority.here.cert, "tls_key": locked}, "without a passphrase")


def test_a_certificate_that_soon_ends_is_warned_of(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        daemon_context(ServerConfig(**authority.issue("long", days=30).settings))
        daemon_context(ServerConfig(**authority.issue("short", days=13).settings))
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert "valid for 13 more days" in caplog.text


def test_with_tls_an_address_that_others_reach_is_listened_on(authority: Authority) -> None:
    with serving(host="0.0.0.0") as running, client_of(running, authority.cert) as client:
        assert client.ping().ready


def test_the_old_dialect_is_for_no_address_that_others_reach(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="legacy"), serving(host="0.0.0.0", legacy=True):
        pass
    with serving(legacy=True) as running, running.connect() as peer:
        peer.send(b"0028" + b'{"cmd":"search","pic":"x"}  ')
        assert peer.socket.recv(4).isdigit()


def test_a_unix_socket_speaks_no_tls(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "face.sock"
    with (
        serving(unix_socket=path, without_token=Level.WEB, **authority.here.settings),
        Client(unix_socket=path, tls=True, tls_ca=authority.cert) as client,
    ):
        assert client.detect(b"abc").width == 3


# What a handshake may be


def speaking(version: ssl.TLSVersion, authority: Authority) -> ssl.SSLContext:
    return limited_to(trusting(authority.cert), version)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_either_version_is_spoken_without_tickets_and_compression(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    with (
        serving() as running,
        speaking(version, authority).wrap_socket(raw(running), server_hostname="127.0.0.1") as connection,
    ):
        assert Peer(connection).ask(cmd="ping")["ok"]
        assert connection.compression() is None
        assert connection.session is None or not connection.session.has_ticket


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_an_older_version_is_refused_by_an_alert_that_names_it(authority: Authority, version: ssl.TLSVersion) -> None:
    with serving() as running:
        with raw(running) as plain, pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            speaking(version, authority).wrap_socket(plain, server_hostname="127.0.0.1")
        wait_until(lambda: running.connections() == 0)
        with running.connect() as honest:
            assert honest.ask(cmd="ping")["ok"]


def test_a_client_cannot_have_the_handshake_again(authority: Authority) -> None:
    with serving() as running:
        command = ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{running.port}", "-CAfile", authority.cert]
        done = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert "RENEGOTIATING" in done.stdout + done.stderr
        assert "no renegotiation" in done.stdout + done.stderr
        wait_until(lambda: running.connections() == 0)


def test_who_speaks_in_the_clear_is_told_so_and_not_heard(authority: Authority) -> None:
    with serving() as running, raw(running) as plain, Peer(plain) as peer:
        answer = peer.ask(b"x", OPERATOR, cmd="detect", image_bytes=[1], seq=1)
        assert error_of(answer) == ("tls_required", "client")
        assert answer["seq"] is None
        assert peer.is_closed()
        with Client(port=running.port, token=WEB) as client, pytest.raises(TlsRequired, match="TLS is spoken here"):
            client.ping()
        assert running.handler.seen == []


def test_who_speaks_tls_where_none_is_spoken_is_told_so(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stub_server, "authority", None)
    refusal = pytest.raises(Unreachable, match="does not speak TLS: its operator sets")
    with serving() as running, client_of(running, authority.cert) as client, refusal:
        client.ping()


def test_a_client_waits_no_longer_for_a_handshake_than_for_an_answer(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        late = pytest.raises(Unreachable, match="did not answer within")
        with Client(port=port, tls_ca=authority.cert, timeout_s=SHORT_S) as client, late:
            client.ping()


# What a handshake may cost


@pytest.mark.parametrize("sent", [0, 1, 5, 100, -1, None], ids=str)
def test_silence_in_a_handshake_is_cut_off_while_others_are_served(sent: int | None) -> None:
    with serving(first_byte_timeout_s=2.0) as running, raw(running) as silent:
        silent.sendall(client_hello()[:sent])
        with running.connect() as honest:
            assert honest.ask(cmd="ping")["ok"]
        with suppress(ConnectionError):
            while silent.recv(1 << 16):  # an answer to the whole hello, then the end
                pass
        wait_until(lambda: running.connections() == 0)


def test_a_handshake_that_trickles_has_no_more_time_than_one_that_is_silent() -> None:
    with serving(first_byte_timeout_s=SHORT_S) as running, raw(running) as slow:
        hello = client_hello() * 20
        with pytest.raises(OSError):  # closed under our hands
            for byte in hello:
                slow.sendall(bytes([byte]))
                time.sleep(0.01)


def test_a_client_that_has_shaken_hands_and_says_nothing_is_cut_off_at_the_same_deadline(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_server.connection, "LINGER_S", PATIENCE_S)
    with serving(first_byte_timeout_s=2.0) as running, running.connect() as peer:
        assert error_of(peer.reply())[0] == "timed_out"


def test_a_flood_of_half_handshakes_holds_no_more_than_its_places_and_leaves_nothing() -> None:
    limit = 5
    with serving(max_connections=limit, first_byte_timeout_s=2.0) as running, ExitStack() as stack:
        before = descriptors()
        flood = [stack.enter_context(raw(running)) for _ in range(60)]
        hello = client_hello()
        for silent in flood:
            try:
                silent.sendall(hello[:50])
            except ConnectionError:
                continue
        with raw(running) as last, suppress(ConnectionError):  # when it has an answer, all before it have been met
            last.sendall(b"\0")
            while last.recv(1 << 16):
                pass
        # Those that are served and those that are being refused; the flood's own ends are ours too.
        wait_until(lambda: running.connections() <= limit)
        wait_until(lambda: descriptors() <= before + len(flood) + 2 * limit)
        wait_until(lambda: running.connections() == 0 and not running.server._refusing)
        wait_until(lambda: descriptors() <= before + len(flood))
        with running.connect() as honest:
            assert honest.ask(cmd="ping")["ok"]


def test_one_too_many_is_told_busy_inside_tls_and_may_come_again(authority: Authority) -> None:
    with serving(max_connections=1) as running, client_of(running, authority.cert) as late:
        with client_of(running, authority.cert) as first:
            first.ping()
            with pytest.raises(Busy):
                late.ping()
        wait_until(lambda: running.connections() == 0)
        assert late.ping().ready


def test_garbage_in_a_handshake_or_after_it_ends_that_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    hello = client_hello()
    broken = [b"\x16" + os.urandom(200), b"\x16\x03\x01\xff\xff" + bytes(65535), hello[:20] + os.urandom(len(hello))]
    with caplog.at_level(logging.INFO), serving() as running:
        for data in broken:
            with raw(running) as plain:
                plain.sendall(data)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(1 << 16):
                    pass
        with running.connect() as peer:
            assert peer.ask(cmd="ping")["ok"]
            socket.socket.sendall(peer.socket, b"\x17\x03\x03\x00\x20" + os.urandom(32))  # no record of this session
            with pytest.raises(OSError):
                peer.reply()
        wait_until(lambda: running.connections() == 0 and running.server.held_bytes == 0)
        assert "TLS failed: " in caplog.text
        with running.connect() as honest:
            assert honest.ask(cmd="ping")["ok"]


@pytest.mark.parametrize("piece", [1, 1000, 16384, 100_000])
def test_requests_may_be_cut_into_records_in_any_way(piece: int) -> None:
    frames = b"".join(detect(bytes(size), seq=size) for size in (1, 700, 3000)) + request(cmd="ping", seq="p")
    with serving() as running, running.connect() as peer:
        for start in range(0, len(frames), piece):
            peer.send(frames[start : start + piece])
        assert [peer.reply()["seq"] for _ in range(4)] == [1, 700, 3000, "p"]


def test_a_frame_of_30_mb_and_a_reply_of_4_mb_pass() -> None:
    with serving(max_image_bytes=31 * MIB) as running, running.connect() as peer:
        running.handler.faces = 50_000
        answer = peer.ask(bytes(30 * MIB), cmd="detect", image_bytes=[30 * MIB])
        assert (answer["width"], len(answer["faces"])) == (30 * MIB, 50_000)
        wait_until(lambda: running.server.held_bytes == 0)


def test_an_end_that_the_client_signs_is_answered_and_signed_too() -> None:
    with serving() as running, running.connect() as peer:
        assert peer.ask(cmd="ping")["ok"]
        assert isinstance(peer.socket, ssl.SSLSocket)
        peer.socket.unwrap()  # raises unless the other side signs off as well
        wait_until(lambda: running.connections() == 0)


# Renewal


def test_a_renewed_certificate_is_shown_to_new_connections_and_a_bad_one_changes_nothing(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = authority.issue("first"), authority.self_signed("second")
    place = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")

    def put(new: Certificate) -> None:
        place.cert.write_bytes(new.cert.read_bytes())
        place.key.write_bytes(new.key.read_bytes())
        place.key.chmod(0o600)

    put(first)
    with serving(**place.settings) as running, client_of(running, first.cert) as kept:
        kept.ping()
        put(second)
        running.loop.call_soon_threadsafe(running.server.renew_certificate)
        with client_of(running, second.cert) as new:
            assert new.ping().ready
        place.key.write_text("garbage")
        running.loop.call_soon_threadsafe(running.server.renew_certificate)
        with client_of(running, second.cert) as new:
            assert new.ping().ready
        assert "the certificate stays as it was" in caplog.text
        assert kept.ping().ready and running.connections() == 1


def test_the_readme_s_certificate_serves_and_is_trusted_as_it_says(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text().split("## TLS\n")[1]
    (tmp_path / "var").mkdir()
    script = text.split("```sh\n")[1].split("```")[0]
    subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, check=True, capture_output=True)
    path = tmp_path / "config.ini"
    path.write_text(text.split("```ini\n")[1].split("```")[0])
    config = load_config(path).server
    with (
        serving(host=config.host, tls_cert=config.tls_cert, tls_key=config.tls_key) as running,
        client_of(running, config.tls_ca, tls_name=config.tls_name) as client,
    ):
        assert client.ping().ready
