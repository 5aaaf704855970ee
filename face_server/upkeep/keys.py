"""`face-server keygen` and `rekey`: the key that a gallery is sealed with. Owns their arguments and what the operator
is told to do next; may not know how a record is sealed.

A rekeyed store is written beside the former one and takes its place by one rename: interrupted at any moment it is
whole under the one key or the other, and the command, given again, finishes or says that it is done.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from face_server.assembly import require_lmdb
from face_server.config import Config
from face_server.errors import ConfigError, KeyMismatch, UpkeepError

if TYPE_CHECKING:
    from face_server.gallery.store.reading import StoreReader
    from face_server.gallery.store.sealing import StoreKey

_OPTION = "[gallery] encryption_key_file"


@dataclass(frozen=True, slots=True)
class Rekeying:
    """A store of so many templates and the key it is sealed with now, None for none; done: it was not before."""

    store: Path
    templates: int
    key: StoreKey | None
    done: bool

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        key_id, key_file = (self.key.key_id, str(self.key.path)) if self.key else (None, None)
        told = {"templates": self.templates, "key_id": key_id, "key_file": key_file}
        return {"ok": True, "gallery": str(self.store), "rekeyed": self.done, **told}

    def lines(self, config: Config) -> Iterator[str]:
        """The whole in words, and what to do next."""
        how = f"sealed with the key of id {self.key.key_id}" if self.key else "not sealed any more"
        if not self.done:
            how = f"{how} already" if self.key else "not sealed"
        yield f"{self.store}: {self.templates:,} templates, {how}"
        file = self.key.path.resolve() if self.key else None
        configured = config.gallery.encryption_key_file
        if file != (configured.resolve() if configured else None):
            wanted = f"set {_OPTION} = {file}" if file else f"remove {_OPTION}"
            yield f"{wanted} in config.ini before the daemon starts"
        if self.key:
            yield f"keep a copy of {self.key.path} apart from backups of the gallery: without it nobody can read either"
        if self.done:
            yield "former backups are as they were, and need the key of their time, or none"


def add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    text = "make a key to seal the gallery with"
    keygen = commands.add_parser("keygen", parents=[shared], help=text, description=f"{text.capitalize()}.")
    keygen.add_argument("file", nargs="?", type=Path, metavar="FILE", help=f"a new file (default: {_OPTION})")
    keygen.set_defaults(run=_keygen)

    text = "seal the gallery, with another key, or not any more (the daemon must not run)"
    rekey = commands.add_parser("rekey", parents=[shared], help=text, description=f"{text.capitalize()}.")
    to = rekey.add_mutually_exclusive_group(required=True)
    to.add_argument("--to", type=Path, metavar="FILE", help="the key to seal it with, by face-server keygen")
    to.add_argument("--to-plain", action="store_true", help="store templates and crops readable for everybody")
    rekey.add_argument("--from", dest="former", type=Path, metavar="FILE", help=f"its present key (default: {_OPTION})")
    rekey.set_defaults(run=_rekey)


def _keygen(options: argparse.Namespace, config: Config) -> int:
    from face_server.gallery.store.sealing import StoreKey

    path = options.file or config.gallery.encryption_key_file
    if path is None:
        raise ConfigError(f"name the file to make, since {_OPTION} is not set")
    key = StoreKey.make(path)
    if options.json:
        print(json.dumps({"ok": True, "key_file": str(key.path), "key_id": key.key_id}))
        return 0
    print(f"{key.path}: a new key, id {key.key_id}")
    print("keep a copy of it apart from backups of the gallery: without it nobody can read what is sealed with it")
    print(f"to seal a gallery that holds somebody: face-server rekey --to {key.path}")
    print(f"for an empty one it is enough to set {_OPTION}")
    return 0


def _rekey(options: argparse.Namespace, config: Config) -> int:
    done = rekey(config, options.to, options.former)
    if options.json:
        print(json.dumps(done.as_json(), ensure_ascii=False))
    else:
        print("\n".join(done.lines(config)))
    return 0


def rekey(config: Config, to: Path | None, former: Path | None = None) -> Rekeying:
    """Seal the configured gallery with the key in file `to`, or with None make it readable for everybody.

    former: file of the key that it is sealed with, by default the configured one. Shows progress on a terminal. Raises
    UpkeepError where there is no gallery, StoreLocked while a daemon runs, KeyMismatch, ConfigError, StoreDamaged, and
    StorageFull, since it takes room for both. The gallery is as it was then.
    """
    from face_server.gallery.store.reading import StoreReader
    from face_server.gallery.store.sealing import StoreKey
    from face_server.gallery.store.template_store import TemplateStore

    require_lmdb(config, "rekey")
    path, key = config.gallery.path, None if to is None else StoreKey.read(to)
    if not (path / "data.mdb").is_file():
        raise UpkeepError(f"There is no gallery in {path} yet: set {_OPTION} and start the daemon, which makes it.")
    with StoreReader(path) as reader:
        stored = reader
    must = stored.key_id != (key.key_id if key else None)
    with TemplateStore(
        path,
        fingerprint=stored.fingerprint,
        dimension=stored.dimension,
        max_templates_per_subject=config.gallery.max_templates_per_subject,
        max_map_bytes=config.gallery.max_map_bytes,
        key=_present(config, stored, former) if must else key,
    ) as store:
        templates = store.template_count()
        if must:
            with tqdm(total=templates, unit="template", disable=None) as bar:
                store.rekey(key, bar.update)
        if key is not None:
            _drop_index(config)
    return Rekeying(path, templates, key, must)


def _present(config: Config, stored: StoreReader, former: Path | None) -> StoreKey | None:
    """The key that the store is sealed with. Raises KeyMismatch, ConfigError."""
    from face_server.gallery.store.contents import require_key
    from face_server.gallery.store.sealing import StoreKey

    path = former or config.gallery.encryption_key_file
    if stored.key_id is None:
        return None
    if path is None:
        raise KeyMismatch(f"The gallery in {config.gallery.path} is sealed: name its present key with --from FILE.")
    key = StoreKey.read(path)
    require_key(config.gallery.path, stored.key_id, key)
    return key


def _drop_index(config: Config) -> None:
    """It holds vectors that are not sealed. The daemon builds it anew, where it may."""
    from face_server.gallery.index.manifest import drop_index

    try:
        drop_index(config.index.path)
    except OSError as error:
        raise UpkeepError(
            f"The gallery is sealed, and its former index in {config.index.path}, which holds vectors, could not be "
            f"deleted: {error.strerror}. Delete that directory."
        ) from error
