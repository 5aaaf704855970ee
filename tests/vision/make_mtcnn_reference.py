"""Writes mtcnn_reference.json: what PyPI `mtcnn` finds in the test photographs. Run by hand, with it installed:

    python tests/vision/make_mtcnn_reference.py var/test-photos ../shared/data

Boxes and landmarks are numbers only, in pixels of the upright picture shrunk to a longest side of 1600, neither rounded
nor clipped to the picture (`output_type="numpy"`, `fit_to_image=False`), else as `MTCNN().detect_faces` does it.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

from face_server.types import RgbImage

LONGEST_SIDE = 1600
REFERENCE = Path(__file__).with_name("mtcnn_reference.json")


def upright(path: Path, longest_side: int = LONGEST_SIDE) -> RgbImage:
    """The picture with its EXIF orientation applied, at most longest_side long."""
    image = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    ratio = longest_side / max(image.shape[:2])
    if ratio >= 1:
        return image
    width, height = (round(side * ratio) for side in image.shape[1::-1])
    shrunk: RgbImage = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return shrunk


def photographs(sample_photos: Path, shared_data: Path) -> dict[str, Path]:
    """Those of `sample_photos` by their name, those of `shared_data` by their path in it."""
    shared = [path for pattern in ("groups/*.*g", "portraits/*/*", "probes/*") for path in shared_data.glob(pattern)]
    named = {path.name: path for path in sample_photos.iterdir()}
    return named | {path.relative_to(shared_data).as_posix(): path for path in sorted(shared)}


def package_faces(detector: Any, image: RgbImage, min_face_px: int = 20) -> list[dict[str, Any]]:
    """What the package finds: box (x1, y1, x2, y2), landmarks (5, 2), confidence."""
    rows = detector.detect_faces(
        image, min_face_size=min_face_px, output_type="numpy", box_format="xyxy", fit_to_image=False
    )
    return [
        {
            "box": np.round(row[1:5], 2).tolist(),
            "landmarks": np.round(row[6:].reshape(2, 5).T, 2).tolist(),
            "confidence": round(float(row[5]), 4),
        }
        for row in rows
    ]


def main() -> None:
    from mtcnn import MTCNN

    detector = MTCNN()
    pictures = {
        name: package_faces(detector, upright(path)) for name, path in photographs(*map(Path, sys.argv[1:3])).items()
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(faces)}" for name, faces in sorted(pictures.items()))
    made = f"make_mtcnn_reference.py, min_face_size=20, longest side {LONGEST_SIDE}"
    REFERENCE.write_text(
        f'{{"mtcnn": "{version("mtcnn")}", "made_by": "{made}", "pictures": {{\n{lines}\n}}}}\n', encoding="utf-8"
    )


if __name__ == "__main__":
    main()
