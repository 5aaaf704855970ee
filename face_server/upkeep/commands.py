"""The arguments of `backup`, `restore`, `export`, `import`, `check` and `forget`, and what they print. What costs time
to import is imported when a command runs. Exit status as in `cli`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from face_server.config import Config
from face_server.errors import ConfigError

Action = Callable[[argparse.Namespace, Config], int]


class _Told(Protocol):
    def as_json(self) -> dict[str, Any]: ...
    def lines(self) -> Iterable[str]: ...


def add_upkeep(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Add the commands."""

    def command(name: str, text: str, action: Action) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[shared], help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=action)
        return added

    backup = command("backup", "copy the gallery into one file, with the daemon running or not", _backup)
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.add_argument("--force", action="store_true", help="overwrite FILE")

    restore = command("restore", "make a backup the gallery (the daemon must not run)", _restore)
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.add_argument("--force", action="store_true", help="also where somebody is enrolled; keeps that beside it")

    export = command("export", "write who is enrolled into a file that any program reads, not encrypted", _export)
    export.add_argument("file", type=Path, metavar="FILE")
    export.add_argument("--plaintext", action="store_true", help="say that it may be readable for whoever has the file")
    export.add_argument("--crops", action="store_true", help="with the photographs that were kept of faces")
    export.add_argument("--force", action="store_true", help="overwrite FILE")

    importing = command("import", "enrol everybody of an export (the daemon must not run)", _import)
    importing.add_argument("file", type=Path, metavar="FILE", help="an export; with --original that system's LMDB")
    importing.add_argument("--original", action="store_true", help="FILE is the original system's lmdb_path")
    importing.add_argument(
        "--fingerprint", default="", metavar="HEX", help="with --original: state that this model made its vectors"
    )

    check = command("check", "read every record of the gallery and its index, and say what is wrong", _check)
    check.add_argument("--repair", action="store_true", help="mend what can be made again (the daemon must not run)")
    check.add_argument(
        "--drop-damaged", type=Path, metavar="FILE", help="with --repair: move records that cannot be read to FILE"
    )
    check.add_argument("--force", action="store_true", help="overwrite FILE")

    forget = command("forget", "remove subjects down to their bytes, and say which backups still hold them", _forget)
    forget.add_argument("subject", nargs="+")
    forget.add_argument("--offline", action="store_true", help="without the daemon, which must not run")


def _tell(options: argparse.Namespace, done: _Told, ok: bool = True) -> None:
    if options.json:
        print(json.dumps({"ok": ok, **done.as_json()}, ensure_ascii=False))
    else:
        for line in done.lines():
            print(line)


def _backup(options: argparse.Namespace, config: Config) -> int:
    from face_server.upkeep.backup import backup

    _tell(options, backup(config, options.file, options.force))
    return 0


def _restore(options: argparse.Namespace, config: Config) -> int:
    from face_server.upkeep.restore import restore

    _tell(options, restore(config, options.file, options.force))
    return 0


def _export(options: argparse.Namespace, config: Config) -> int:
    from face_server.upkeep.exporting import export

    done = export(config, options.file, plaintext=options.plaintext, crops=options.crops, force=options.force)
    _tell(options, done)
    return 0


def _import(options: argparse.Namespace, config: Config) -> int:
    from face_server.upkeep.importing import import_configured

    if options.fingerprint and not options.original:
        raise ConfigError("--fingerprint states something of an --original gallery; an export says itself what it is")
    _tell(options, import_configured(config, options.file, original=options.original, fingerprint=options.fingerprint))
    return 0


def _check(options: argparse.Namespace, config: Config) -> int:
    """0 when all is sound, or has been repaired; 2 when something is wrong."""
    from face_server.upkeep.checking import check
    from face_server.upkeep.repairing import repair

    if options.drop_damaged is not None and not options.repair:
        raise ConfigError("--drop-damaged changes the gallery: give --repair too")
    done = repair(config, options.drop_damaged, options.force) if options.repair else []
    checked = check(config)
    if options.json:
        print(json.dumps({"ok": checked.sound, "repaired": done, **checked.as_json()}, ensure_ascii=False))
    else:
        print("\n".join([*(f"repaired  {line}" for line in done), *checked.lines()]))
    return 0 if checked.sound else 2


def _forget(options: argparse.Namespace, config: Config) -> int:
    """2 also when an id was unknown, as `remove` has it: it may have been misspelt."""
    from face_server.upkeep.forgetting import forget

    receipt = forget(config, options.subject, options.offline)
    _tell(options, receipt, receipt.whole)
    return 0 if receipt.whole else 2
