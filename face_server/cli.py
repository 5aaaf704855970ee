"""The command line. Owns arguments, what is printed and the exit status; everything it knows comes through the socket.

Exit status: 0 match or success, 1 no match, 2 usage or any refusal, 3 daemon unreachable or busy, 4 an uncaught error.
Exceptions to "through the socket": `serve` is the daemon, `rebuild --offline`, `calibrate` and `migrate` open the store
themselves, and so do `backup`, `restore` and what else looks after it (a room of its own); `evaluate` (its own module)
runs the pipeline itself, `doctor` (its own too) looks at everything.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from face_server import __version__
from face_server.assembly import assemble_client
from face_server.config import ENVIRONMENT_VARIABLE, Config, LogConfig, load_config
from face_server.enrolment import enrol_folder, enrol_images
from face_server.errors import (
    Busy,
    ConfigError,
    FaceLoginError,
    ShuttingDown,
    Unreachable,
    WireError,
)
from face_server.evaluation.commands import add_evaluate
from face_server.logs import held_back, set_up
from face_server.types import DetectedFace
from face_server.upkeep.commands import add_upkeep
from face_server.upkeep.keys import add_keys
from face_server.wire.records import dump_record
from face_server.wire.replies import Reply

EXIT_OK, EXIT_NO_MATCH, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_FAILED = 0, 1, 2, 3, 4
#: As a shell reports the signals SIGINT and SIGPIPE; never 0, since a match may have been what could not be told.
EXIT_INTERRUPTED, EXIT_CUT_OFF = 130, 141

#: An index of a million templates takes minutes; the connection waits for it.
REBUILD_TIMEOUT_S = 3600.0

#: `ping` waits for no queue; who asks whether the daemon is ready asks again soon.
READY_TIMEOUT_S = 5.0


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        options = _parsed(arguments)
    except SystemExit as stop:  # argparse has printed why; its own status 2 is ours too
        return int(stop.code or 0)
    try:
        if options.command == "doctor":  # reads the configuration itself, since that may be what is wrong
            return _doctor(options)
        with held_back():
            config = load_config(_config_path(options.config))
            set_up(config.log if options.command == "serve" else LogConfig(level="warning"))
        status = int(options.run(options, config))
        # What cannot be written shows here and not after the exit status is settled.
        print(end="", flush=True)
        return status
    except (Unreachable, Busy, ShuttingDown) as error:
        return _fail(options, error, EXIT_UNREACHABLE)
    except FaceLoginError as error:
        return _fail(options, error, EXIT_REFUSED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away
        _drop_unwritten()
        return EXIT_CUT_OFF
    except Exception:  # noqa: BLE001 - the last resort; a status of its own tells scripts that this is a bug
        traceback.print_exc()
        _drop_unwritten()
        return EXIT_FAILED


def _drop_unwritten() -> None:
    """What could not be written would be tried again at exit, fail again, and change the exit status."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(arguments: list[str]) -> argparse.Namespace:
    """The arguments; photographs may also follow an option (`enrol ID --force PHOTO`), which argparse gives up on."""
    parser = _parser()
    options, left = parser.parse_known_args(arguments)
    if left and (options.command != "enrol" or any(word.startswith("-") for word in left)):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if left:
        options.photos = [*options.photos, *map(Path, left)]
    return options


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config", type=Path, help=f"the config.ini to use (else ${ENVIRONMENT_VARIABLE}, else ./config.ini)"
    )
    shared.add_argument("--json", action="store_true", help="print the reply as one JSON object")
    parser = argparse.ArgumentParser(
        prog="face-server",
        description="Face login: the daemon and its commands.",
        epilog="exit status: 0 match or success, 1 no match, 2 usage or refusal, 3 daemon unreachable or busy, 4 bug",
    )
    parser.add_argument("--version", action="version", version=f"face-server {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, text: str, action: Callable[[argparse.Namespace, Config], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[shared], help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=action)
        return added

    command("serve", "run the daemon in the foreground until Ctrl-C or SIGTERM", _serve)

    enrol = command("enrol", "enrol photographs of one subject, or a folder laid out as person/photo.jpg", _enrol)
    enrol.add_argument("subject", type=_utf8, help="the subject's id; with --folder the folder")
    enrol.add_argument("photos", nargs="*", type=Path, help="photographs of the subject")
    enrol.add_argument("--folder", action="store_true", help="enrol every person/photo below a folder")
    enrol.add_argument("--force", action="store_true", help="also what does not look like the subject's own templates")
    enrol.add_argument("--replace", action="store_true", help="swap all templates of a subject for these")

    identify = command("identify", "who is this? (1:N)", _identify)
    identify.add_argument("photo", type=Path, nargs="+", help="one or several photographs of the one person")
    identify.add_argument("--limit", type=int, default=5, help="how many candidates to show (default 5)")

    verify = command("verify", "is this the subject? (1:1)", _verify)
    verify.add_argument("subject", type=_utf8)
    verify.add_argument("photo", type=Path, nargs="+", help="one or several photographs of the one person")

    compare = command("compare", "do two photographs show one person?", _compare)
    compare.add_argument("photo", type=Path)
    compare.add_argument("other", type=Path)

    remove = command("remove", "remove subjects and all their templates", _remove)
    remove.add_argument("subject", type=_utf8, nargs="+")

    subjects = command("subjects", "list the enrolled subjects, or the templates of one", _subjects)
    subjects.add_argument("subject", type=_utf8, nargs="?", help="show this subject's templates")

    status = command("status", "how the daemon is, what needs attention first", _status)
    status.add_argument(
        "--watch", type=_seconds, nargs="?", const=2.0, metavar="S", help="show it anew every S seconds (default 2)"
    )
    command("ready", "does the daemon answer and take requests? 0, else 3", _ready)

    command("doctor", "check config, weights, gallery, limits, permissions and ports, and say what to do", _doctor)

    calibrate = command("calibrate", "measure thresholds on the own gallery (the daemon must not run)", _calibrate)
    calibrate.add_argument("--images", type=Path, metavar="DIR", help="on photographs laid out as person/photo instead")
    calibrate.add_argument("--out", type=Path, metavar="DIR", help="write here instead of [decision] calibration_path")
    calibrate.add_argument("--source", help="how the data is described in the file")

    migrate = command("migrate", "make the gallery anew for another network (the daemon must not run)", _migrate)
    migrate.add_argument("--to", required=True, metavar="MODEL", help="its name, or the path of a FaceNet .pb")
    migrate.add_argument("--sha256", default="", metavar="HEX", help="of the .pb")
    migrate.add_argument("--gallery", type=Path, metavar="DIR", help="the new gallery (default: GALLERY-MODEL)")

    rebuild = command("rebuild", "build the index from the store", _rebuild)
    rebuild.add_argument("--offline", action="store_true", help="without the daemon, which must not run")

    detect = command("detect", "find the faces of a photograph", _detect)
    detect.add_argument("photo", type=Path)
    detect.add_argument("--draw", type=Path, metavar="OUT.png", help="draw boxes, landmarks and names into this PNG")

    add_upkeep(commands, shared)
    add_keys(commands, shared)
    add_evaluate(commands, shared)
    return parser


def _utf8(argument: str) -> str:
    """The argument, if the wire can carry it; the daemon decides whether it is a subject's id."""
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{argument!a} is no UTF-8 text") from None
    return argument


def _seconds(argument: str) -> float:
    with suppress(ValueError):
        if 0.1 <= (seconds := float(argument)) <= 3600:
            return seconds
    raise argparse.ArgumentTypeError(f"{argument!a} is no number of seconds from 0.1 to 3600")


def _config_path(given: Path | None) -> Path:
    return given or Path(os.environ.get(ENVIRONMENT_VARIABLE) or "config.ini")


def _fail(options: argparse.Namespace, error: FaceLoginError, status: int) -> int:
    if options.json:
        if isinstance(error, WireError):
            told = {"code": error.code, "act": error.act, "message": error.message, "detail": error.detail}
        else:  # it never was on the wire and has no code there
            told = {"code": type(error).__name__, "act": "operator", "message": str(error), "detail": {}}
        print(json.dumps({"ok": False, "error": told}, ensure_ascii=False))
    else:
        code = f"{error.code}: " if isinstance(error, WireError) else ""
        print(f"face-server: {code}{error}", file=sys.stderr)
    return status


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _tell(options: argparse.Namespace, reply: Reply, lines: Iterable[str], ok: bool = True) -> None:
    if options.json:
        print(json.dumps({"ok": ok, **dump_record(reply)}, ensure_ascii=False))
    else:
        for line in lines:
            print(line)


def _serve(options: argparse.Namespace, config: Config) -> int:
    from face_server.daemon import serve

    serve(config, lambda line: print(line, flush=True))
    return EXIT_OK


def _enrol(options: argparse.Namespace, config: Config) -> int:
    with assemble_client(config) as client:
        if options.folder:
            if options.photos:
                raise ConfigError("--folder takes one folder and no photographs")
            report = enrol_folder(
                client, Path(options.subject), config.server, force=options.force, replace=options.replace
            )
        else:
            if not options.photos:
                raise ConfigError("name at least one photograph, or give a folder with --folder")
            report = enrol_images(
                client, options.subject, options.photos, config.server, force=options.force, replace=options.replace
            )
    if options.json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        for line in report.lines():
            print(line)
    if report.aborted is not None:
        raise report.aborted
    return EXIT_OK if (report.enrolled or report.duplicates) and not report.refused else EXIT_REFUSED


def _identify(options: argparse.Namespace, config: Config) -> int:
    with assemble_client(config) as client:
        reply = client.identify(*map(_read, options.photo), limit=options.limit)
    lines = [f"{reply.id}" if reply.match else "no match"]
    for candidate in reply.candidates or ():
        lines.append(f"  {candidate.score:7.4f}  {candidate.subject} ({candidate.templates} enrolled)")
    if reply.threshold is not None:
        lines.append(f"  {reply.threshold:7.4f}  (threshold for the first)")
    _tell(options, reply, lines)
    return EXIT_OK if reply.match else EXIT_NO_MATCH


def _verify(options: argparse.Namespace, config: Config) -> int:
    with assemble_client(config) as client:
        reply = client.verify(options.subject, *map(_read, options.photo))
    verdict = "match" if reply.match else "no match"
    _tell(options, reply, [f"{verdict}: score {reply.score:.4f}, threshold {reply.threshold:.4f}"])
    return EXIT_OK if reply.match else EXIT_NO_MATCH


def _compare(options: argparse.Namespace, config: Config) -> int:
    with assemble_client(config) as client:
        reply = client.compare(_read(options.photo), _read(options.other))
    verdict = "one person" if reply.match else "not shown to be one person"
    numbers = f"score {reply.score:.4f}, distance {reply.distance:.4f}, threshold {reply.threshold:.4f}"
    _tell(options, reply, [f"{verdict}: {numbers}"])
    return EXIT_OK if reply.match else EXIT_NO_MATCH


def _remove(options: argparse.Namespace, config: Config) -> int:
    with assemble_client(config) as client:
        reply = client.remove_all(options.subject)
    lines = [f"removed {subject}" for subject in reply.removed] + [f"unknown {subject}" for subject in reply.unknown]
    _tell(options, reply, [*lines, f"{reply.templates} templates removed"], ok=not reply.unknown)
    return EXIT_REFUSED if reply.unknown else EXIT_OK


def _subjects(options: argparse.Namespace, config: Config) -> int:
    with assemble_client(config) as client:
        if options.subject is not None:
            reply = client.subject(options.subject)
            lines = [
                f"{one.template:8d}  {_date(one.created_s)}  {one.quality.face_px:6.0f} px  {one.image_sha256[:16]}"
                for one in reply.templates
            ]
            _tell(options, reply, lines)
            return EXIT_OK
        rows = list(client.all_subjects())
    if options.json:
        print(json.dumps({"ok": True, "subjects": [dump_record(row) for row in rows]}, ensure_ascii=False))
    else:
        for row in rows:
            print(f"{row.templates:4d}  {row.id}")
    return EXIT_OK


def _status(options: argparse.Namespace, config: Config) -> int:
    from face_server.status_view import status_lines
    from face_server.terminal import standard_output

    # To the top left, and clear what is below: only where somebody looks.
    clear = "\033[H\033[2J" if options.watch and sys.stdout.isatty() and not options.json else ""
    while True:
        try:
            with assemble_client(config) as client:
                reply = client.status()
        except (Unreachable, Busy, ShuttingDown) as error:
            if not options.watch:
                raise
            print(end=clear, flush=True)
            _fail(options, error, EXIT_UNREACHABLE)
        else:
            print(end=clear)
            _tell(options, reply, status_lines(reply, time.time(), standard_output()))
        if not options.watch:
            return EXIT_OK
        print(end="", flush=True)
        time.sleep(options.watch)


def _ready(options: argparse.Namespace, config: Config) -> int:
    with assemble_client(config, READY_TIMEOUT_S) as client:
        reply = client.ping()
    _tell(options, reply, ["ready" if reply.ready else "not ready"], ok=reply.ready)
    return EXIT_OK if reply.ready else EXIT_UNREACHABLE


def _doctor(options: argparse.Namespace, config: Config | None = None) -> int:
    """EXIT_OK also with warnings."""
    from face_server.doctor import healthy

    return EXIT_OK if healthy(_config_path(options.config), options.json) else EXIT_REFUSED


def _calibrate(options: argparse.Namespace, config: Config) -> int:
    from face_server.evaluation.calibrating import run

    return run(options, config)


def _migrate(options: argparse.Namespace, config: Config) -> int:
    """EXIT_REFUSED also when the rest was migrated and somebody must enrol again."""
    from face_server.migration import migrate

    done = migrate(config, options.to, options.sha256, options.gallery)
    if options.json:
        print(json.dumps(done.as_json(), ensure_ascii=False))
    else:
        for line in done.lines():
            print(line)
    return EXIT_OK if done.whole else EXIT_REFUSED


def _rebuild(options: argparse.Namespace, config: Config) -> int:
    from face_server.build_bar import build_bar

    if options.offline:
        from face_server.assembly import rebuild_offline

        reply = rebuild_offline(config, build_bar)
    else:
        with assemble_client(config, REBUILD_TIMEOUT_S) as client, build_bar(lambda: _build_of(config)):
            reply = client.rebuild()
    _tell(options, reply, [f"{reply.subjects} subjects indexed in {reply.seconds:.2f} s"])
    return EXIT_OK


def _build_of(config: Config) -> tuple[str, float] | None:
    """How far the daemon's build of the index is; on a connection of its own, since that of `rebuild` waits."""
    with assemble_client(config, READY_TIMEOUT_S) as client:
        index = client.status().index
    return None if index.phase is None or index.done is None else (index.phase, index.done)


def _detect(options: argparse.Namespace, config: Config) -> int:
    image = _read(options.photo)
    if options.draw and options.draw.suffix.lower() != ".png":
        raise ConfigError(f"--draw writes a PNG, so {options.draw} must end in .png")
    with assemble_client(config) as client:
        reply = client.detect(image)
        if options.draw:
            from face_server.naming import draw_named

            draw_named(client, image, reply.faces, options.draw, config.imaging.max_image_pixels)
    lines = [_face_line(face) for face in reply.faces]
    _tell(options, reply, lines or ["no face"])
    return EXIT_OK if reply.faces else EXIT_NO_MATCH


def _face_line(face: DetectedFace) -> str:
    box = face.box
    return f"{box.x1:7.0f} {box.y1:7.0f} {box.x2:7.0f} {box.y2:7.0f}   confidence {face.confidence:.4f}"


def _date(unix_s: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(unix_s).astimezone().isoformat(sep=" ", timespec="seconds")
