"""Every keeper of a gallery there is, opened alike; and a server of Milvus that a whole test run shares."""

import atexit
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from people import DIMENSION, FINGERPRINT, gallery_options

from face_server.gallery import Gallery, LocalGallery

WITHOUT_MILVUS = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("pymilvus", "milvus_lite"))),
    reason="pymilvus and milvus-lite are not installed (requirements-milvus.lock)",
)
BACKENDS = [
    "lmdb",
    pytest.param("milvus lite", marks=WITHOUT_MILVUS),
    pytest.param("milvus server", marks=WITHOUT_MILVUS),
]


class LiteServer:
    """`milvus-lite server` over a directory, on a loopback port. One thread: its writers do not wait for each other."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Raises RuntimeError when it does not say that it listens."""
        options = ["--data-dir", self._directory, "--host", "127.0.0.1", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("milvus-lite"), "server", *options, "--max-workers", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
        )
        if "listening" not in self._process.stdout.readline():
            raise RuntimeError("milvus-lite server did not start")

    def kill(self) -> None:
        """SIGKILL; what it acknowledged must be there when it starts again."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


_shared: list[LiteServer] = []


def shared_server() -> LiteServer:
    """One for all tests that do not kill it; each has collections of its own there."""
    if not _shared:
        directory = Path(tempfile.mkdtemp(prefix="milvus-"))
        _shared.append(LiteServer(directory))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        atexit.register(_shared[0].kill)
    return _shared[0]


def milvus_options(uri: str, name: str, **changes: Any):
    """Of a gallery of made-up people."""
    from face_server.gallery.milvus.server import MilvusOptions

    options = {"fingerprint": FINGERPRINT, "dimension": DIMENSION, "max_templates_per_subject": 5, "collection": name}
    return MilvusOptions(uri, **(options | changes))


def open_backend(backend: str, root: Path, **changes: Any) -> Gallery:
    """The gallery of this directory, again if there is one."""
    if backend == "lmdb":
        return LocalGallery(gallery_options(root, **changes))
    from face_server.gallery.milvus.milvus_gallery import MilvusGallery

    uri = str(root / "milvus.db") if backend == "milvus lite" else shared_server().uri
    return MilvusGallery(milvus_options(uri, f"at_{root.as_posix().encode().hex()[-60:]}", **changes))
