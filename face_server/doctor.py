"""`face-server doctor`: is everything as it must be, and if not, what to do? Owns the order of the checks and how they
are told; what is looked at is the checks' own. Works with the daemon running or not, and changes nothing.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from face_server.checks.addresses import daemon, ports, tls
from face_server.checks.findings import Examined, Finding, Level, Logged, examine, ok, problem, warning
from face_server.checks.machine import limits, permissions
from face_server.checks.site import site
from face_server.checks.stored import calibration, clock, index, store, weights
from face_server.config import Config, load_config
from face_server.errors import ConfigError
from face_server.terminal import Terminal, Tone, standard_output

Check = Callable[[Examined], Iterator[Finding]]

TONES = {Level.OK: Tone.GOOD, Level.WARNING: Tone.WARNING, Level.PROBLEM: Tone.BAD}


CHECKS: dict[str, Check] = {
    "weights": weights,
    "store": store,
    "index": index,
    "clock": clock,
    "calibration": calibration,
    "limits": limits,
    "permissions": permissions,
    "ports": ports,
    "tls": tls,
    "daemon": daemon,
    "site": site,
}


def diagnose(path: Path) -> Iterator[tuple[str, Finding]]:
    """Every check's name with each of its findings; without a configuration there is only that one."""
    with Logged("face_server.config") as logged:
        try:
            config = load_config(path)
        except ConfigError as error:
            yield "config", problem(str(error))
            return
    yield from (("config", warning(line)) for line in logged)
    if not logged:
        yield "config", ok(f"{path} is understood")
    yield from _of_config(config)


def _of_config(config: Config) -> Iterator[tuple[str, Finding]]:
    seen = examine(config)
    for name, check in CHECKS.items():
        try:
            for finding in check(seen):
                yield name, finding
        except Exception as error:  # noqa: BLE001 - one check that fails must not hide what the others find
            last = traceback.extract_tb(error.__traceback__)[-1]
            yield name, problem(f"could not be checked: {error!r} ({Path(last.filename).name}, line {last.lineno})")


def healthy(path: Path, as_json: bool) -> bool:
    """Print what is found; whether nothing is a problem."""
    found: list[tuple[str, Finding]] = []
    terminal = standard_output()
    for name, finding in diagnose(path):
        if not as_json:
            print("\n".join(_lines(name if name not in dict(found) else "", finding, terminal)), flush=True)
        found.append((name, finding))
    fine = all(finding.level is not Level.PROBLEM for _, finding in found)
    if as_json:
        checks = [
            {"check": name, "level": one.level.value, "text": one.text, "remedy": one.remedy} for name, one in found
        ]
        print(json.dumps({"ok": fine, "checks": checks}, ensure_ascii=False))
    else:
        print(f"\n{_verdict(found, terminal)}")
    return fine


def _lines(name: str, finding: Finding, terminal: Terminal) -> Iterator[str]:
    """One finding: `level  check  text`, and what to do below the text."""
    first, *rest = terminal.row("", finding.text, 24)
    level = terminal.paint(f"{finding.level.value:9}", TONES[finding.level])
    yield f"{level} {name:13} {first.strip()}"
    yield from rest
    if finding.remedy:
        yield from terminal.row(f"{'':24}->", finding.remedy, 27)


def _verdict(found: list[tuple[str, Finding]], terminal: Terminal) -> str:
    counts = {level: sum(one.level is level for _, one in found) for level in Level}
    problems, warnings = counts[Level.PROBLEM], counts[Level.WARNING]
    if problems:
        return terminal.paint(f"{problems} to mend" + (f", {warnings} to look at" if warnings else ""), Tone.BAD)
    return (
        terminal.paint(f"{warnings} to look at", Tone.WARNING) if warnings else terminal.paint("all is well", Tone.GOOD)
    )
