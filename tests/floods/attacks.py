"""What a hostile or broken client does to a daemon, over and over until it is told to stop. Knows sockets and frames.

Each attack is bounded in connections and rate, reaches 127.0.0.1 alone, and treats every answer and every closed door
as nothing special. That it was really made is for `tries` to show.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from daemons import Daemon

from face_server.wire.framing import encode_frame

#: Attackers share two cores with what they attack; this many tries a second are still far more than people make.
TRIES_PER_S = 200
#: [server] max_connections of the daemon under attack, and so many more than it lets in.
MAX_CONNECTIONS, TOO_MANY = 128, 200


@dataclass
class Attack:
    """One running attack: what it needs to know, and how often it has tried."""

    daemon: Daemon
    photo: bytes
    stop: threading.Event = field(default_factory=threading.Event)
    tries: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def connect(self) -> socket.socket | None:
        """A connection, or None where the door stays shut. Counts as a try, and keeps the rate."""
        self.tries += 1
        self.stop.wait(1 / TRIES_PER_S)
        connection = socket.socket()
        connection.settimeout(5)
        try:
            connection.connect(("127.0.0.1", self.daemon.port))
        except OSError:
            connection.close()
            return None
        return connection

    def send(self, data: bytes) -> None:
        """Connect, send, take what comes, close."""
        connection = self.connect()
        if connection is None:
            return
        with connection, suppress(OSError):
            connection.sendall(data)
            connection.recv(1 << 16)

    def crowd(self, size: int, hello: bytes = b"", again: bytes = b"") -> None:
        """Keep so many connections open, greet with these bytes, go on with those; who is thrown out comes back."""
        inside: list[socket.socket] = []
        while not self.stop.is_set():
            if len(inside) < size:
                connection = self.connect()
                if connection is not None and _holds(connection, hello):
                    inside.append(connection)
            else:
                self.stop.wait(0.5)
                inside = [connection for connection in inside if _holds(connection, again)]
        for connection in inside:
            connection.close()

    def together(self, task: Callable[[], None], size: int) -> None:
        """The same in so many threads until the end."""

        def loop() -> None:
            while not self.stop.is_set():
                with suppress(OSError):
                    task()

        threads = [threading.Thread(target=loop) for _ in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _holds(connection: socket.socket, data: bytes) -> bool:
    """Whether the other side has not closed it and takes this."""
    try:
        connection.sendall(data)
        connection.setblocking(False)
        with suppress(BlockingIOError):
            while connection.recv(1 << 16):
                pass
            raise ConnectionError
        connection.settimeout(5)
    except OSError:
        connection.close()
        return False
    return True


def idle_connections(attack: Attack) -> None:
    attack.crowd(MAX_CONNECTIONS + TOO_MANY)


def slow_loris(attack: Attack) -> None:
    """A byte of a frame every half second, which never gets whole."""
    attack.crowd(MAX_CONNECTIONS, hello=(9_000_000).to_bytes(4, "big"), again=b"{")


def half_frames(attack: Attack) -> None:
    """Frames of 10 MB of which a megabyte comes."""
    attack.crowd(MAX_CONNECTIONS, hello=(10_000_000).to_bytes(4, "big") + b"{" * 1_000_000)


def lengths_of_4_gb(attack: Attack) -> None:
    while not attack.stop.is_set():
        attack.send(b"\xff\xff\xff\xff" + bytes(100_000))


def garbage(attack: Attack) -> None:
    while not attack.stop.is_set():
        attack.send(attack.random.randbytes(attack.random.randrange(1, 100_000)))


def valid_looking_frames(attack: Attack) -> None:
    """Requests of the right shape with wrong tokens, ids, counts and pictures."""
    commands = ["ping", "detect", "enrol", "identify", "verify", "remove", "subjects", "status", "rebuild", "compare"]
    any_value = [None, True, -1, 1e308, "", "x" * 300, [], {}, [[]], "\u0000", "ﷺ" * 60]
    while not attack.stop.is_set():
        keys = attack.random.sample(
            ["seq", "token", "id", "ids", "image_bytes", "images_base64", "limit", "cursor", "force", "replace"], 4
        )
        request = {"cmd": attack.random.choice(commands), **{key: attack.random.choice(any_value) for key in keys}}
        if attack.random.random() < 0.5:
            request["token"] = attack.daemon.token("web")
        image = attack.photo[: attack.random.randrange(1, 5000)]
        if attack.random.random() < 0.5:
            request["image_bytes"] = [len(image)]
        attack.send(encode_frame(json.dumps(request).encode() + b"\0" + image))


def a_flood_past_the_queue(attack: Attack) -> None:
    """A site gone mad: real searches with the right token, more at once than may wait."""
    head = {"cmd": "identify", "token": attack.daemon.token("web"), "image_bytes": [len(attack.photo)]}
    frame = encode_frame(json.dumps(head).encode() + b"\0" + attack.photo)
    attack.together(lambda: attack.send(frame), 24)


def many_enrolling_one_id(attack: Attack) -> None:
    head = {"cmd": "enrol", "id": "one for all", "token": attack.daemon.token("web")}
    frame = encode_frame(json.dumps({**head, "image_bytes": [len(attack.photo)]}).encode() + b"\0" + attack.photo)
    attack.together(lambda: attack.send(frame), 100)


ATTACKS = (
    idle_connections,
    slow_loris,
    half_frames,
    lengths_of_4_gb,
    garbage,
    valid_looking_frames,
    a_flood_past_the_queue,
    many_enrolling_one_id,
)

#: In which others' requests are real work, so that an honest one may be told to come again.
FILL_THE_QUEUE = (a_flood_past_the_queue, many_enrolling_one_id)


@contextmanager
def under(attack: Attack, kind: Callable[[Attack], None]) -> Iterator[None]:
    """While this attack runs."""
    thread = threading.Thread(target=kind, args=(attack,))
    thread.start()
    deadline = time.monotonic() + 60
    try:
        while attack.tries < MAX_CONNECTIONS and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        attack.stop.set()
        thread.join()


def photo_of(path: Path) -> bytes:
    """A photograph small enough that an attack's cost is the daemon's, not the copying."""
    from bad_pictures import smaller

    return smaller(path, 400)
