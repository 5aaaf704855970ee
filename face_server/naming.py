"""Names the faces of a photograph by asking the daemon about each, and draws them. Knows no command line."""

from __future__ import annotations

from pathlib import Path

from face_server.client import Client
from face_server.errors import ClientError, ConfigError, PersonError
from face_server.types import DetectedFace, RgbImage
from face_server.vision.drawing import annotate
from face_server.vision.imaging import decode, encode_png


def draw_named(client: Client, image: bytes, faces: tuple[DetectedFace, ...], target: Path, max_pixels: int) -> None:
    """A PNG of the photograph with boxes, landmarks and names. Raises ConfigError when it cannot be written."""
    picture = decode(image, max_pixels)
    names = [_name(client, encode_png(_surroundings(picture, face))) for face in faces]
    try:
        target.write_bytes(encode_png(annotate(picture, faces, names)))
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error


def _surroundings(picture: RgbImage, face: DetectedFace) -> RgbImage:
    """The face with a third of its size around it, which leaves most neighbours out."""
    box = face.box
    margin = max(box.width, box.height) / 3
    left, top = (int(max(0.0, edge - margin)) for edge in (box.x1, box.y1))
    return picture[top : int(box.y2 + margin), left : int(box.x2 + margin)]


def _name(client: Client, image: bytes) -> str:
    """Who the face is: the subject, "?" for nobody enrolled, no word where it cannot be searched (too small, say)."""
    try:
        reply = client.identify(image)
        return str(reply.id) if reply.match else "?"
    except (PersonError, ClientError):
        return ""
