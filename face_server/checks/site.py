"""Checks of the web site's side, where PHP is here: that it reads the same configuration and takes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from face_server.checks.findings import Examined, Finding, ok, problem, warning
from face_server.config import ENVIRONMENT_VARIABLE

SITE = Path(__file__).parents[2] / "face_web"
PATIENCE_S = 30.0


def site(seen: Examined) -> Iterator[Finding]:
    """What `console config:show` says of it."""
    if shutil.which("php") is None or not (SITE / "bin" / "console").exists():
        yield ok("not looked at: PHP or face_web is not here")
        return
    command = ["php", "-c", str(SITE / "php.ini"), str(SITE / "bin" / "console"), "config:show"]
    environment = {**os.environ, ENVIRONMENT_VARIABLE: str(seen.config.source)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield problem(f"PHP cannot be run: {error}")
        return
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).removeprefix("face_web: ")
        yield problem(f"the site does not take the configuration: {said}")
        return
    lines = [line.partition("=") for line in done.stdout.splitlines()]
    warnings = [value for name, _, value in lines if name == "warning"]
    yield from map(warning, warnings)
    if not warnings:
        told = {name: value for name, _, value in lines}
        yield ok(f"{told.get('baseUrl')}, login by {told.get('loginMode')}, registration {told.get('registration')}")
