"""Makes certificates for the tests by the `openssl` command, at test time: none lies in the repository to expire."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

#: The names by which tests reach a daemon.
HERE = "IP:127.0.0.1,DNS:localhost"

EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """Two PEM files, the key with mode 0600."""

    cert: Path
    key: Path

    @property
    def settings(self) -> dict[str, Path]:
        """As options of [server]."""
        return {"tls_cert": self.cert, "tls_key": self.key}

    @property
    def lines(self) -> str:
        """As lines of [server]."""
        return f"tls_cert = {self.cert}\ntls_key = {self.key}\n"


class Authority:
    """Signs certificates in a directory; `cert` is what a client must trust."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own = self.self_signed("ca", "DNS:the tests' authority", "critical,CA:TRUE")

    @property
    def cert(self) -> Path:
        return self._own.cert

    @cached_property
    def here(self) -> Certificate:
        """For a daemon on this machine."""
        return self.issue("here")

    def issue(self, name: str, names: str = HERE, days: int = 2, purpose: str = "serverAuth") -> Certificate:
        """A signed certificate; days below 0: it ended before today."""
        made = self._files(name)
        request = self._directory / f"{name}.csr"
        extensions = ["-addext", f"subjectAltName={names}", "-addext", f"extendedKeyUsage={purpose}"]
        openssl("req", "-new", *EC_KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={name}", *extensions)
        signer = ["-CA", self._own.cert, "-CAkey", self._own.key, "-CAcreateserial", "-copy_extensions", "copy"]
        openssl("x509", "-req", "-in", request, "-days", str(days), *signer, "-out", made.cert)
        made.key.chmod(0o600)
        return made

    def self_signed(self, name: str, names: str = HERE, constraints: str = "critical,CA:FALSE") -> Certificate:
        """What an operator makes by the README's command; no authority stands behind it."""
        made = self._files(name)
        extensions = ["-addext", f"subjectAltName={names}", "-addext", f"basicConstraints={constraints}"]
        files = ["-keyout", made.key, "-out", made.cert]
        openssl("req", "-x509", *EC_KEY, *files, "-days", "2", "-subj", f"/CN={name}", *extensions)
        made.key.chmod(0o600)
        return made

    def _files(self, name: str) -> Certificate:
        return Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")


def openssl(*arguments: str | Path) -> None:
    """Run `openssl`; what it says is told when it fails."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")


def openssl_is_there() -> bool:
    return shutil.which("openssl") is not None


def trusting(ca: Path) -> ssl.SSLContext:
    """A client's context by the standard library's own defaults, as a program of somebody else has it."""
    return ssl.create_default_context(cafile=ca)


def limited_to(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """The same context, which speaks this version alone, however old, with any cipher."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@contextmanager
def imposter(certificate: Certificate, version: ssl.TLSVersion | None = None) -> Iterator[int]:
    """A port where somebody else shakes hands once, whatever certificate and version are worth."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    if version is not None:
        limited_to(context, version)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def serve() -> None:
            connection, _ = listener.accept()
            with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()
