"""Certificates: what the daemon shows and what a client trusts. Checked when they are loaded; knows no socket.

Both sides speak TLS 1.2 or later, without compression and renegotiation. A client always checks the chain and the name;
there is no way to ask for less. Whoever has a certificate that no authority signed names that certificate itself.
"""

from __future__ import annotations

import logging
import ssl
import stat
import time
from contextlib import suppress
from pathlib import Path

from face_server.config import ServerConfig
from face_server.errors import ConfigError

log = logging.getLogger(__name__)

#: What renews certificates by itself does so at a third of their 90 days; two weeks before the end nobody has.
WARN_DAYS = 14

#: X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL's x509_vfy.h.
EXPIRED, NOT_YET_VALID = 10, 9


def daemon_context(config: ServerConfig) -> ssl.SSLContext | None:
    """What the TCP port speaks: TLS with [server] tls_cert and tls_key, None where neither is set.

    Raises ConfigError when one is missing or cannot be read, they do not belong together, others can read the key, or
    a client would refuse the certificate whatever it trusts (it has expired, it is not for servers).
    """
    cert, key = config.tls_cert, config.tls_key
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ConfigError("[server] tls_cert and tls_key belong together: set both, or neither to listen without TLS")
    _require_readable("tls_cert", cert)
    _require_readable("tls_key", key)
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o037:
        raise ConfigError(
            f"[server] tls_key = {key} has mode {mode:04o}, so others can read or change it: chmod 600 {key}"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    # No client of ours resumes a session, and a ticket would be bytes that nobody asked for.
    context.num_tickets = 0
    # An end that the peer did not sign is an end all the same: frames have lengths, so half a one is seen.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_IGNORE_UNEXPECTED_EOF
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise ConfigError(_unusable(cert, key, error)) from error
    _tell_end(cert, _valid_until(context, cert))
    return context


def client_context(ca: Path | None) -> ssl.SSLContext:
    """What a client speaks: it trusts the certificates of this PEM file alone, None: the authorities of the system.

    Raises ConfigError for a file that cannot be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if ca is None:
        context.load_default_certs()
        return context
    _require_readable("tls_ca", ca)
    # The daemon's own certificate may be named, also one that an authority has signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError as error:
        raise ConfigError(f"[server] tls_ca = {ca} holds no certificate in PEM: {error}") from error
    return context


def require_name(name: str) -> None:
    """Raises ConfigError for what can be the name in no certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except ValueError as error:
        raise ConfigError(f"[server] tls_name (else host) = {name} is no name of a machine: {error}") from error


def why_refused(error: ssl.SSLError) -> str:
    """Why a client could not agree with a daemon on TLS, and who must act: ends a sentence on the daemon."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that is not accepted: {error.verify_message.rstrip('.')}. Its operator renews one "
            "that has expired; yours names it, or who signed it, in [server] tls_ca, and its name in tls_name"
        )
    if error.reason == "WRONG_VERSION_NUMBER":
        return "does not speak TLS: its operator sets [server] tls_cert and tls_key, or yours takes tls_ca away"
    return f"does not agree on TLS: {error.reason or error}; its operator and yours compare versions (1.2 or later)"


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _require_readable(name: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"[server] {name} = {path} cannot be read: {error.strerror}") from error


def _unusable(cert: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"[server] tls_key = {key} is not the key of the certificate in tls_cert = {cert}"
    return (
        f"[server] tls_cert = {cert} and tls_key = {key} cannot be used ({error.reason or error}): they must hold a "
        "certificate, first of its chain, and its key without a passphrase, both in PEM"
    )


def _valid_until(context: ssl.SSLContext, cert: Path) -> float:
    """The certificate's last moment, Unix seconds, by a handshake in memory with a client that trusts it.

    Raises ConfigError when even such a client refuses it.
    """
    client = client_context(cert)
    client.check_hostname = False  # names are the clients' to know
    to_daemon, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_daemon)
    far = context.wrap_bio(to_daemon, to_client, server_side=True)
    try:
        for side in (near, far, near):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
        shown = near.getpeercert() or {}
        return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
    except ssl.SSLCertVerificationError as error:
        remedy = {EXPIRED: "renew it", NOT_YET_VALID: "or the clock is wrong"}.get(error.verify_code, "take another")
        raise ConfigError(f"[server] tls_cert = {cert}: {error.verify_message}; {remedy}") from error
    except (ssl.SSLError, KeyError) as error:
        raise ConfigError(f"[server] tls_cert = {cert} cannot be used: {error}") from error


def _tell_end(cert: Path, until_s: float) -> None:
    days = (until_s - time.time()) / 86400
    level = logging.WARNING if days < WARN_DAYS else logging.INFO
    log.log(level, "the certificate %s is valid for %.0f more days", cert, days)
