"""What a monitor does: asks over HTTP and reads Prometheus' text."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from face_server.config import MetricsConfig
from face_server.health import Health
from face_server.metrics import CONTENT_TYPE, Metrics
from face_server.probes import Probes

PATIENCE_S = 60.0


def ask(address: str, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE_S)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def raw(address: str, sent: bytes) -> bytes:
    """Everything that comes back until the end, for a few bytes sent; nothing where the connection is cut off."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        return received


Samples = dict[str, float]


def samples(text: str) -> Samples:
    """Value of each sample, by its name as the text has it: `name` or `name{label="value",...}`, labels in order."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def scraped(address: str) -> Samples:
    status, text = ask(address, "/metrics")
    if status != 200:
        raise AssertionError(f"{status}: {text}")
    return samples(text)


@contextmanager
def probing(health: Health | None = None, metrics: Metrics | None = None) -> Iterator[str]:
    """The address of the HTTP side, without a daemon behind it."""
    metrics = metrics or Metrics()
    with Probes(MetricsConfig("127.0.0.1:0"), health or Health(), metrics.text, CONTENT_TYPE) as probes:
        yield probes.address
