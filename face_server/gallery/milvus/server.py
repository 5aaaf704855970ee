"""What is asked of Milvus, and how: connection, two collections, their indexes, strong reads. Owns pymilvus, its errors
and Milvus Lite; may not know what an enrolment is. The only module that imports pymilvus and milvus_lite.

    <name>_templates   one row for each template and for each change under way, see rows.py: the truth
    <name>_subjects    one row for each subject: its centroid, made from the former at every change; it proposes

Every read is strongly consistent: it sees whatever was acknowledged before, to any daemon. Every write is an upsert of
rows with keys of their own, so that one that is sent twice, because its answer was lost, is one.

Milvus Lite keeps a database in a directory of this machine. pymilvus alone would serve it on a loopback port, without a
password, to everybody on the machine; here it listens on a Unix socket in a directory that only this user may enter,
and with one thread, since its writers do not wait for each other (milvus_lite/engine/collection.py, `_apply`).
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from face_server.errors import ConfigError, GalleryUnavailable, StoreDamaged, StoreLocked
from face_server.gallery.directory import make_private
from face_server.types import FloatArray

try:
    import grpc
    from pymilvus import DataType, MilvusClient, MilvusException
except ImportError as missing:
    raise ConfigError(
        f"[gallery] backend = milvus needs the package pymilvus ({missing}). Install it with the locked versions: "
        "`.venv/bin/pip install --require-hashes -r requirements-milvus.lock`."
    ) from None

#: Most rows that Milvus answers a search with; a filtered query may have more, but is asked for fewer.
MOST_ROWS = 16_384
#: Of merr in Milvus: the collection is not in memory. A server that was started anew may have forgotten that it was.
_NOT_LOADED = 101
#: Deleted by key at a time, walked at a time.
_BATCH = 1000
#: Milvus Lite looks through rows it has not yet filed one by one, in Python: at 10,000 of them a query took 75 ms, and
#: 12 ms once they were filed. A server does this on its own.
_FLUSH_ROWS = 500

#: HNSW as measured by nobody here (no cluster was at hand): the largest graph that its manual recommends, and a search
#: that looks at 16 times what is wanted. Scores are exact whatever it proposes; whom it misses is not found.
_HNSW = {"M": 32, "efConstruction": 400}
_HNSW_EF = 512

_Result = TypeVar("_Result")
Row = dict[str, Any]


class Table(StrEnum):
    """The two collections, by the ends of their names."""

    TEMPLATES = "templates"
    SUBJECTS = "subjects"


@dataclass(frozen=True, slots=True)
class MilvusOptions:
    """Which gallery, on which Milvus.

    uri: http(s)://host:port of a server, or the path of Milvus Lite's directory, which ends in .db. token: as
    `user:password`, or an API key. ca: certificate that alone is trusted. collection: what both names begin with.
    index: `flat` looks at every subject, `hnsw` at some. timeout_s: of one question. refresh_s: how old a count may be.
    """

    uri: str
    fingerprint: str
    dimension: int
    max_templates_per_subject: int
    token: str = ""
    ca: Path | None = None
    collection: str = "face_login"
    index: Literal["flat", "hnsw"] = "flat"
    timeout_s: float = 5.0
    refresh_s: float = 5.0


class MilvusServer:
    """A connection, and both collections, made where they are missing.

    Raises GalleryUnavailable, here and in every method, when Milvus does not answer in time or refuses; StoreLocked and
    StoreDamaged for the directory of a Milvus Lite.
    """

    def __init__(self, options: MilvusOptions) -> None:
        self._options = options
        self._timeout_s = options.timeout_s
        self._lite: _Lite | None = None
        self._client: MilvusClient | None = None
        self._unfiled = dict.fromkeys(Table, 0)
        # It tells the log of every error with a page of traces, in a form that holds what was sent.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        try:
            if not options.uri.startswith(("http://", "https://")):
                self._lite = _Lite(Path(options.uri))
            self._client = self._guarded(self._connected)
            self.is_lite = "lite" in str(self._ask(self._client.get_server_version))
            for table in Table:
                self._guarded(lambda table=table: self._settle(table))  # type: ignore[misc]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back; harmless when repeated."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(MilvusException, grpc.RpcError, ValueError):
                client.close()
        if self._lite is not None:
            self._lite.close()
            self._lite = None

    # Rows

    def put(self, table: Table, rows: Sequence[Row]) -> None:
        """Store rows, or put them in the place of those with the same keys: all of them or none."""
        self._ask(self._open.upsert, self._name(table), list(rows))
        self._file(table, len(rows))

    def drop(self, table: Table, keys: Sequence[str]) -> None:
        """Delete the rows with these keys, as far as there are any."""
        for start in range(0, len(keys), _BATCH):
            self._ask(self._open.delete, self._name(table), ids=list(keys[start : start + _BATCH]))
        self._file(table, len(keys))

    def find(self, table: Table, condition: str, fields: Sequence[str], most: int | None = None) -> list[Row]:
        """The rows that fulfil an expression of Milvus. Whoever writes one puts nothing foreign into it as it came."""
        limit = {} if most is None else {"limit": most}
        found = self._ask(
            self._open.query, self._name(table), filter=condition, output_fields=list(fields), **limit, **_STRONG
        )
        return [dict(row) for row in found]

    def walk(self, table: Table, condition: str, fields: Sequence[str], page: int = _BATCH) -> Iterator[Row]:
        """All rows that fulfil an expression, in the order of their keys, `page` (>= 1) at a time."""
        pages = self._ask(
            self._open.query_iterator,
            self._name(table),
            batch_size=min(page, MOST_ROWS),
            filter=condition,
            output_fields=list(fields),
            **_STRONG,
        )
        try:
            while rows := self._guarded(pages.next):
                yield from map(dict, rows)
        finally:
            pages.close()

    def count(self, table: Table) -> int:
        """How many rows there are."""
        told = self._ask(self._open.query, self._name(table), filter="", output_fields=["count(*)"], **_STRONG)
        return int(told[0]["count(*)"])

    def nearest(self, probe: FloatArray, count: int) -> list[tuple[str, FloatArray]]:
        """Key and centroid (D,) float32 of the `count` subjects nearest to a probe, as far as the index finds them."""
        (hits,) = self._ask(
            self._open.search,
            self._name(Table.SUBJECTS),
            data=[probe.tolist()],
            limit=min(count, MOST_ROWS),
            anns_field="vector",
            output_fields=["vector"],
            search_params={"metric_type": "IP", "params": self._search_params(count)},
            **_STRONG,
        )
        return [(hit["pk"], np.asarray(hit["entity"]["vector"], np.float32)) for hit in hits]

    def _search_params(self, count: int) -> dict[str, int]:
        return {"ef": max(_HNSW_EF, 2 * count)} if self._options.index == "hnsw" else {}

    # Connection

    @property
    def _open(self) -> MilvusClient:
        if self._client is None:
            raise RuntimeError("the gallery is closed")
        return self._client

    def _connected(self) -> MilvusClient:
        options = self._options
        tls: dict[str, Any] = {"secure": True} if options.uri.startswith("https://") else {}
        if options.ca is not None:
            tls["server_pem_path"] = str(options.ca)
        uri = self._lite.uri if self._lite is not None else options.uri
        # A connection of its own: a shared one would be closed under another gallery of this process.
        return MilvusClient(
            uri, token=options.token, timeout=self._timeout_s, dedicated=True, grpc_options=_RECONNECT, **tls
        )

    def _name(self, table: Table) -> str:
        return f"{self._options.collection}_{table}"

    def _ask(self, ask: Callable[..., _Result], *arguments: Any, **options: Any) -> _Result:
        """Ask in time; once more where the server was started anew and has not loaded the collections."""

        def asked() -> _Result:
            return ask(*arguments, timeout=self._timeout_s, **options)

        try:
            return asked()
        except MilvusException as error:
            if error.code != _NOT_LOADED:
                raise self._unavailable(error) from error
        except grpc.RpcError as error:
            raise self._unavailable(error) from error
        self._guarded(self._load)
        return self._guarded(asked)

    def _guarded(self, ask: Callable[[], _Result]) -> _Result:
        try:
            return ask()
        except (MilvusException, grpc.RpcError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> GalleryUnavailable:
        reason = str(getattr(error, "message", None) or error).split("\n")[0][:300].rstrip(". ")
        return GalleryUnavailable(
            f"The gallery in Milvus ({self._options.uri}) does not answer, or refuses: {reason}. What was asked may or "
            "may not have been done; asked again it is done once. See that Milvus runs and is reached."
        )

    def _load(self) -> None:
        for table in Table:
            self._open.load_collection(self._name(table), timeout=self._timeout_s)

    def _file(self, table: Table, rows: int) -> None:
        self._unfiled[table] += rows
        if self.is_lite and self._unfiled[table] >= _FLUSH_ROWS:
            self._unfiled[table] = 0
            self._ask(self._open.flush, self._name(table))

    # Collections

    def _settle(self, table: Table) -> None:
        client, name = self._open, self._name(table)
        if not client.has_collection(name, timeout=self._timeout_s):
            try:
                client.create_collection(
                    name, schema=self._schema(table), consistency_level="Strong", timeout=self._timeout_s
                )
            except MilvusException:
                if not client.has_collection(name, timeout=self._timeout_s):  # another daemon was quicker
                    raise
        self._settle_indexes(table)
        client.load_collection(name, timeout=self._timeout_s)

    def dimension(self) -> int:
        """Of the vectors that the collection of subjects takes."""
        told = self._ask(self._open.describe_collection, self._name(Table.SUBJECTS))
        return next(int(field["params"]["dim"]) for field in told["fields"] if field["name"] == "vector")

    def start_anew(self) -> None:
        """Throw the collection of subjects away, which can be made again, and make an empty one."""
        self._ask(self._open.drop_collection, self._name(Table.SUBJECTS))
        self._guarded(lambda: self._settle(Table.SUBJECTS))

    def _schema(self, table: Table) -> Any:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=_KEY_BYTES)
        if table is Table.SUBJECTS:
            schema.add_field("is_integer", DataType.BOOL)
            schema.add_field("templates", DataType.INT64)
            schema.add_field("made_of", DataType.VARCHAR, max_length=64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._options.dimension)
            return schema
        schema.add_field("subject", DataType.VARCHAR, max_length=_KEY_BYTES)
        schema.add_field("kind", DataType.VARCHAR, max_length=16)
        schema.add_field("number", DataType.INT64)
        schema.add_field("change", DataType.INT64)
        schema.add_field("record", DataType.VARCHAR, max_length=TEXT_BYTES)
        # Read only when asked for, so it need not lie in memory.
        schema.add_field(
            "crop",
            DataType.ARRAY,
            element_type=DataType.VARCHAR,
            max_length=TEXT_BYTES,
            max_capacity=MOST_TEXTS,
            mmap_enabled=True,
        )
        schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # every collection must have a vector
        return schema

    def _settle_indexes(self, table: Table) -> None:
        client, name = self._open, self._name(table)
        there = {field: client.describe_index(name, field) for field in client.list_indexes(name)}
        wanted = client.prepare_index_params()
        if table is Table.SUBJECTS:
            kind = self._options.index.upper()
            if "vector" in there and there["vector"]["index_type"] != kind:
                client.release_collection(name, timeout=self._timeout_s)
                client.drop_index(name, "vector", timeout=self._timeout_s)
                del there["vector"]
            if "vector" not in there:
                params = _HNSW if kind == "HNSW" else {}
                wanted.add_index("vector", index_type=kind, metric_type="IP", index_name="vector", params=params)
        else:
            if "nothing" not in there:
                wanted.add_index("nothing", index_type="FLAT", metric_type="IP", index_name="nothing")
            for field in ("subject", "kind"):
                if field not in there:
                    wanted.add_index(field, index_type="INVERTED", index_name=field)
        if len(wanted):
            # Not waited for here, which is done by looking twice a second: loading waits for it.
            client.create_index(name, wanted, timeout=self._timeout_s, sync=False)


#: A key is a subject's in hexadecimal digits, twice MAX_SUBJECT_ID_BYTES, or shorter.
_KEY_BYTES = 256
#: Most bytes of a text in Milvus, and most texts of a row's crop: 4 MB, where a crop has some 0.1 MB.
TEXT_BYTES = 65_535
MOST_TEXTS = 64

_STRONG = {"consistency_level": "Strong"}
#: gRPC waits longer after each failure to connect, up to two minutes, and pymilvus' new channels would share that wait:
#: a daemon would stay out for minutes after its Milvus is back.
_RECONNECT = {"grpc.use_local_subchannel_pool": 1, "grpc.max_reconnect_backoff_ms": 1000}


class _Lite:
    """A Milvus Lite of this process, on a Unix socket that only this user reaches."""

    def __init__(self, path: Path) -> None:
        try:
            from milvus_lite.adapter.grpc.server import start_server_in_thread
            from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError
        except ImportError as missing:
            raise ConfigError(
                f"[gallery] milvus_uri = {path} is a Milvus Lite, which needs the package milvus-lite ({missing}): "
                "`.venv/bin/pip install --require-hashes -r requirements-milvus.lock`."
            ) from None
        # Short, since a socket's path may have 107 bytes; mkdtemp makes it 0700.
        self._directory = Path(tempfile.mkdtemp(prefix="face-login-"))
        try:
            make_private(path, "LOCK", "collections")
            self._server, self._database, bound = start_server_in_thread(
                str(path), host="unix", port=f"{self._directory}/s", max_workers=1
            )
            if not bound:
                raise OSError(f"{self._directory}/s cannot be listened on")
        except DataDirLockedError:
            self._clear()
            raise StoreLocked(
                f"The gallery in {path} is held by another process. Stop that one first; several daemons share a "
                "gallery through a server ([gallery] milvus_uri = http://host:port)."
            ) from None
        except (MilvusLiteError, OSError, ValueError) as error:
            self._clear()
            raise StoreDamaged(f"The gallery in {path} cannot be opened: {error}.") from error
        self.uri = f"unix:{self._directory}/s"

    def close(self) -> None:
        self._server.stop(grace=1).wait()
        self._database.close()
        self._clear()

    def _clear(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
