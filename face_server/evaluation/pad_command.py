"""`face-server evaluate pad`: its arguments, and the parts that it brings together.

Exit status as in `commands`: 0 whatever was measured, or 2 by an error that the command line tells.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from face_server.config import Config

if TYPE_CHECKING:
    from face_server.evaluation.pad import Judge

Action = Callable[[argparse.Namespace, Config], int]

HELP = "attack presentations that pass (APCER by species) and honest ones refused (BPCER), with a report"


def add_pad(command: Callable[[str, str, Action], argparse.ArgumentParser]) -> None:
    """Add the command; `command` makes its parser of name, help and action."""
    pad = command("pad", HELP, _pad)
    pad.add_argument("kit", type=Path, metavar="DIR", help="presentations as bona_fide/ITEM and attacks/SPECIES/ITEM")
    pad.add_argument("--report", type=Path, metavar="DIR", help="write report.html, det.png, result.json")


def _pad(options: argparse.Namespace, config: Config) -> int:
    from tqdm import tqdm

    from face_server.evaluation import pad_report
    from face_server.evaluation.commands import tell
    from face_server.evaluation.folders import printable
    from face_server.evaluation.pad import evaluate
    from face_server.evaluation.presentations import read_answer, read_kit
    from face_server.evaluation.report import prepare

    kit = read_kit(options.kit)
    if options.report:
        prepare(options.report)
    judges = assemble_judge(config)
    caps = config.server.max_image_bytes, config.imaging.max_image_pixels
    # disable=None: no bar where standard error is no terminal.
    with tqdm(total=len(kit), unit="presentation", disable=None) as bar:
        result = evaluate(kit, lambda item: read_answer(item, *caps), judges, bar.update)
    about = {"kit": printable(options.kit), "model": config.embedding.model, "passive": judges.passive is not None}
    lines = pad_report.lines(result)
    if options.report:
        written = pad_report.write_report(options.report, result, about, lambda item: read_answer(item, *caps), caps[1])
        lines.append(f"report       {printable(written)}")
    tell(options, pad_report.as_json(result, about), lines)
    return 0


def assemble_judge(config: Config) -> Judge:
    """The configured pipeline and checks, as the daemon has them. Raises ConfigError, ModelFileError."""
    from face_server.assembly import assemble_calibration, assemble_passive, assemble_pipeline, same_person
    from face_server.decision import make_decision
    from face_server.evaluation.pad import Judge

    pipeline = assemble_pipeline(config)
    decision = make_decision(config.decision, assemble_calibration(config, pipeline.fingerprint))
    return Judge(pipeline.sight, config.liveness, assemble_passive(config), same_person(decision))
