"""Reads every record of a store as it lies on the disk, and names those that are damaged. Changes nothing.

A program of its own, `python -m face_server.upkeep.examining`: a damaged file may end it by a signal, and that is an
answer too. May not know config.ini, the index or what is done about what it finds.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from face_server.errors import ConfigError, FaceLoginError, KeyMismatch, StoreDamaged
from face_server.gallery.store.contents import Contents, require_key
from face_server.gallery.store.crop_record import open_crop_record
from face_server.gallery.store.data_file import SharedEnvironment
from face_server.gallery.store.record import open_record, split_key
from face_server.gallery.store.sealing import StoreKey
from face_server.types import SubjectId, subject_key


@dataclass(frozen=True, slots=True)
class DamagedRecord:
    """`kind` is "template" or "crop"; key: the record's, in hex; why: in a sentence."""

    kind: str
    subject: str
    template: int
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What a store holds. sequence: the highest template id given out, as it says; highest: of the records' own.

    damaged: the records that cannot be read. orphans: keys, in hex, of crops without a template.
    """

    store_id: str
    schema: str
    fingerprint: str
    dimension: int
    key_id: str | None
    sequence: int
    highest: int
    subjects: int
    templates: int
    crops: int
    orphans: tuple[str, ...]
    damaged: tuple[DamagedRecord, ...]


def examine(store: Path, key_file: Path | None = None) -> Examination:
    """Every record, read in a process of its own; of a sealed store with the key in this file.

    Raises StoreDamaged where the whole cannot be read, KeyMismatch, ConfigError.
    """
    told = _asked(store, "records", key_file=key_file)
    damaged = tuple(DamagedRecord(**one) for one in told.pop("damaged"))
    return Examination(**told | {"damaged": damaged, "orphans": tuple(told["orphans"])})


def _asked(store: Path, what: str, subjects: Sequence[SubjectId] = (), key_file: Path | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, str(store), what, str(key_file or "")]
    asked = json.dumps([str(subject_key(subject), "utf-8") for subject in subjects])
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise StoreDamaged(f"Reading the gallery in {store} ended in {name}: its data file is damaged.")
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise StoreDamaged(f"The gallery in {store} cannot be read: {done.stderr.strip()[-500:]}") from None
    for kind in (StoreDamaged, KeyMismatch, ConfigError):
        if kind.__name__ in told:
            raise kind(told[kind.__name__])
    return told


def whom_holds(store: Path, subjects: Sequence[SubjectId]) -> tuple[str, ...]:
    """Which of these subjects are in a store; only its keys are read, in a process of its own. Raises StoreDamaged."""
    return tuple(_asked(store, "keys", subjects)["held"])


class _Walk:
    """Goes over records and remembers the damaged ones."""

    def __init__(self) -> None:
        self.damaged: list[DamagedRecord] = []

    def _note(self, kind: str, key: bytes, why: str) -> None:
        name, template = split_key(key)
        self.damaged.append(DamagedRecord(kind, name.decode("utf-8", "replace"), template, key.hex(), why))

    def check(
        self, kind: str, records: Iterable[tuple[bytes, bytes]], open_: Callable[[bytes, bytes], Any]
    ) -> Iterator[bytes]:
        """The keys of all records; those that cannot be opened are noted."""
        for key, record in records:
            try:
                open_(key, record)
            except StoreDamaged as error:
                self._note(kind, key, str(error))
            except (ValueError, LookupError, TypeError, ArithmeticError) as error:
                self._note(kind, key, f"It cannot be read: {error}.")
            yield key


def holders(store: Path, subjects: Iterable[str]) -> list[str]:
    """As `whom_holds`, in this process, which a damaged file may end."""
    wanted = {subject.encode("utf-8"): subject for subject in subjects}
    with closing(SharedEnvironment(store)) as environment, environment.read() as access:
        found = {split_key(key)[0] for key in access.txn.cursor(access.templates).iternext(values=False)}
    return [wanted[name] for name in sorted(found & wanted.keys())]


def examination(store: Path, key_file: Path | None = None) -> Examination:
    """As `examine`, in this process, which a damaged file may end."""
    walk = _Walk()
    with closing(SharedEnvironment(store)) as environment, environment.read() as access:
        contents = Contents(access, store)
        contents.require_schema()
        opening = _Opening(store, contents, None if key_file is None else StoreKey.read(key_file))
        keys = set(walk.check("template", access.txn.cursor(access.templates), opening.template))
        crops = access.txn.cursor(access.crops) if access.crops is not None else ()
        crop_keys = list(walk.check("crop", crops, opening.crop))
        return Examination(
            contents.meta("store_id"),
            contents.meta("schema"),
            contents.meta("fingerprint"),
            contents.dimension,
            contents.find_meta("key_id"),
            int(contents.meta("last_id")),
            max((split_key(key)[1] for key in keys), default=0),
            len({split_key(key)[0] for key in keys}),
            len(keys),
            len(crop_keys),
            tuple(key.hex() for key in crop_keys if key not in keys),
            tuple(walk.damaged),
        )


class _Opening:
    """Opens the records of one store. Raises KeyMismatch unless this is its key."""

    def __init__(self, store: Path, contents: Contents, key: StoreKey | None) -> None:
        require_key(store, contents.find_meta("key_id"), key)
        self._dimension = contents.dimension
        self._seal = None if key is None else key.seal(contents.meta("schema"), contents.meta("fingerprint"))

    def template(self, key: bytes, stored: bytes) -> None:
        open_record(key, self._unsealed("templates", key, stored), self._dimension)

    def crop(self, key: bytes, stored: bytes) -> None:
        open_crop_record(key, self._unsealed("crops", key, stored))

    def _unsealed(self, database: str, key: bytes, stored: bytes) -> bytes:
        return stored if self._seal is None else self._seal.open(database, key, stored)


def main(arguments: list[str]) -> None:
    """Print what `examination` finds, or `holders` of the subjects that standard input names, as one JSON object."""
    store, what, key_file = arguments
    try:
        asked = json.load(sys.stdin)
        if what == "records":
            told = asdict(examination(Path(store), Path(key_file) if key_file else None))
        else:
            told = {"held": holders(Path(store), asked)}
    except (KeyMismatch, ConfigError) as error:
        told = {type(error).__name__: str(error)}
    except FaceLoginError as error:
        told = {"StoreDamaged": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a damaged file brings is an answer
        told = {"StoreDamaged": f"The gallery in {store} cannot be read: {error!r}."}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
