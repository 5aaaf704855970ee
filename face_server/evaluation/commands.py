"""`face-server evaluate ...`: arguments, progress and what is printed. They run the pipeline themselves.

Nothing here opens the gallery, so a daemon may run meanwhile. All that costs time to import is imported when a command
runs. Exit status as in `cli`: 0, or 2 by an error that the command line tells.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_server.config import Config
from face_server.errors import EvaluationError
from face_server.evaluation.pad_command import add_pad

if TYPE_CHECKING:
    from face_server.evaluation.folders import Photo
    from face_server.evaluation.verification import Photos
    from face_server.vision.pipeline import FacePipeline

Action = Callable[[argparse.Namespace, Config], int]

CACHE = Path("var/cache/embeddings")


def add_evaluate(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser
) -> None:
    """Add `evaluate` and its commands."""
    text = "error rates of the pipeline on labelled photographs; needs no daemon"
    evaluate = commands.add_parser("evaluate", help=text, description=f"{text.capitalize()}.")
    kinds = evaluate.add_subparsers(dest="evaluation", required=True, metavar="evaluation")

    def command(name: str, text: str, action: Action) -> argparse.ArgumentParser:
        added = kinds.add_parser(name, parents=[shared], help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=action)
        return added

    pairs = command("pairs", "1:1 error rates: LFW's 10-fold accuracy, FNMR at FMR, with a report", _pairs)
    pairs.add_argument("--images", type=Path, required=True, metavar="DIR", help="photographs as person/photo")
    pairs.add_argument("--pairs", type=Path, required=True, metavar="FILE", help="pairs file in LFW's format")
    add_face(pairs, "centre")
    pairs.add_argument("--report", type=Path, metavar="DIR", help="write report.html, det.png, scores.png, result.json")
    add_cache(pairs)

    identification = command(
        "identification",
        "1:N error rates: rank 1, FNIR at FPIR, probes of people outside the gallery being strangers",
        _identification,
    )
    identification.add_argument("--gallery", type=Path, required=True, metavar="DIR", help="enrolled, person/photo")
    identification.add_argument("--probes", type=Path, required=True, metavar="DIR", help="searched, person/photo")
    add_face(identification, "largest")
    add_cache(identification)

    add_pad(command)

    compare = command("compare", "score and distance of two photographs, and how they were aligned", _compare)
    compare.add_argument("photo", type=Path)
    compare.add_argument("other", type=Path)
    compare.add_argument("--out", type=Path, metavar="OUT.png", help="boxes and aligned crops side by side")
    add_face(compare, "largest")

    make = command("make-pairs", "draw a pairs file from a folder of people", _make_pairs)
    make.add_argument("folder", type=Path, metavar="DIR", help="photographs as person/photo")
    make.add_argument("--folds", type=positive, default=10, help="folds, no person in two of them (default 10)")
    make.add_argument("--per-fold", type=positive, help="mated and as many non-mated pairs of a fold (default: <= 300)")
    make.add_argument("--seed", type=int, default=0, help="another seed draws other pairs (default 0)")
    make.add_argument("--out", type=Path, metavar="FILE", help="write the pairs here (default: standard output)")


def add_face(parser: argparse.ArgumentParser, default: str) -> None:
    """The option that `acquire_groups` reads."""
    text = f"whose face counts where there are several: nearest the centre (LFW) or largest (default {default})"
    parser.add_argument("--face", choices=("centre", "largest"), default=default, help=text)


def add_cache(parser: argparse.ArgumentParser) -> None:
    """The option that `acquire_groups` reads."""
    parser.add_argument("--cache", type=Path, metavar="DIR", help=f"embeddings (default {CACHE} beside config.ini)")


def positive(argument: str) -> int:
    """The type of an option that is a whole number from 1 on."""
    if not argument.isascii() or not argument.isdigit() or not 1 <= int(argument[:10]) < 10**9:
        raise argparse.ArgumentTypeError(f"{argument!a} is no whole number from 1 on")
    return int(argument)


def _pairs(options: argparse.Namespace, config: Config) -> int:
    from face_server.evaluation import report
    from face_server.evaluation.folders import all_photos, printable, read_people
    from face_server.evaluation.pairs import read_pairs
    from face_server.evaluation.verification import check_people, verification

    people = read_people(options.images)
    check_people(people)
    folds = read_pairs(options.pairs, people)
    if options.report:
        report.prepare(options.report)
    (photos,), fingerprint = acquire_groups([all_photos(people)], options, config)
    result = verification(photos, folds)
    about = {
        "images": printable(options.images),
        "pairs": printable(options.pairs),
        "face": options.face,
        "model": config.embedding.model,
        "fingerprint": fingerprint,
    }
    lines = report.lines(result)
    if options.report:
        written = report.write_report(options.report, result, about, config.imaging.max_image_pixels)
        lines.append(f"report       {printable(written)}")
    tell(options, report.as_json(result, about), lines)
    return 0


def _identification(options: argparse.Namespace, config: Config) -> int:
    from face_server.evaluation import identification_report
    from face_server.evaluation.folders import all_photos, read_people
    from face_server.evaluation.identification import identification

    gallery, probes = read_people(options.gallery), read_people(options.probes)
    (enrolled, searched), fingerprint = acquire_groups([all_photos(gallery), all_photos(probes)], options, config)
    result = identification(enrolled, searched)
    about = {"face": options.face, "model": config.embedding.model, "fingerprint": fingerprint}
    tell(options, about | identification_report.as_json(result), identification_report.lines(result))
    return 0


def _compare(options: argparse.Namespace, config: Config) -> int:
    from face_server.assembly import assemble_calibration, assemble_pipeline
    from face_server.evaluation import comparison
    from face_server.evaluation.embeddings import FaceChoice, read_image

    first, second = read_image(options.photo), read_image(options.other)
    pipeline = assemble_pipeline(config)
    calibration = assemble_calibration(config, pipeline.fingerprint)
    curve = calibration.curve(1, 1) if calibration else None
    compared = comparison.compare(pipeline, first, second, FaceChoice(options.face), curve)
    if options.out:
        write(options.out, comparison.picture(pipeline, first, second, compared))
    lines = [compared.caption]
    for name, chosen in zip("AB", compared.faces, strict=True):
        box, refusal = chosen.face.box, f", the daemon would answer {chosen.refusal}" if chosen.refusal else ""
        lines.append(
            f"{name}  box {box.x1:.0f} {box.y1:.0f} {box.x2:.0f} {box.y2:.0f}, {chosen.faces} found in all{refusal}"
        )
    tell(options, compared.as_json(), lines)
    return 0


def _make_pairs(options: argparse.Namespace, config: Config) -> int:
    from face_server.evaluation.folders import read_people
    from face_server.evaluation.pair_making import make_pairs
    from face_server.evaluation.pairs import write_pairs

    folds = make_pairs(read_people(options.folder), options.folds, options.per_fold, options.seed)
    text = write_pairs(folds)
    told = {"folds": len(folds), "per_fold": len(folds[0]) // 2, "seed": options.seed}
    if options.out:
        write(options.out, text.encode())
        tell(options, told, [f"{told['folds']} folds of {told['per_fold']} mated and as many non-mated pairs"])
    else:
        tell(options, told | {"text": text}, text.splitlines())
    return 0


def acquire_groups(
    groups: list[list[Photo]], options: argparse.Namespace, config: Config, pipeline: FacePipeline | None = None
) -> tuple[list[Photos], str]:
    """What became of the photos of each group, and the fingerprint of the pipeline, by default the configured one.

    Takes `face` and `cache` from the options. Raises EvaluationError, ConfigError, ModelFileError.
    """
    from tqdm import tqdm

    from face_server.assembly import assemble_pipeline
    from face_server.evaluation.cache import EmbeddingCache, recipe
    from face_server.evaluation.embeddings import FaceChoice, acquire_all
    from face_server.evaluation.verification import Photos

    choice = FaceChoice(options.face)
    pipeline = pipeline or assemble_pipeline(config)
    root = config.source.parent if config.source else Path()
    cache = EmbeddingCache(options.cache or root / CACHE, recipe(config, pipeline, choice), pipeline.dimension)
    # disable=None: no bar where standard error is no terminal.
    with tqdm(total=sum(map(len, groups)), unit="photo", disable=None) as bar:
        acquired = [Photos(group, acquire_all(group, pipeline, choice, cache, bar.update)) for group in groups]
    return acquired, pipeline.fingerprint


def write(path: Path, data: bytes) -> None:
    """Write a file. Raises EvaluationError."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise EvaluationError(f"{str(path)!a} cannot be written: {error.strerror}") from error


def tell(options: argparse.Namespace, told: dict[str, Any], lines: Iterable[str]) -> None:
    """Print the lines, or with --json what was told."""
    if options.json:
        print(json.dumps({"ok": True, **told}, ensure_ascii=False))
    else:
        for line in lines:
            print(line)
