"""Pictures that are made to be refused, and a few that are not. All from seven photographs and arithmetic."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

from PIL import Image


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def flat_jpeg(width: int, height: int) -> bytes:
    return jpeg(Image.new("RGB", (width, height), (120, 130, 140)))


def side_by_side(photos: list[Path], height: int = 300) -> bytes:
    """The photographs next to each other, each scaled to one height."""
    opened = [Image.open(photo).convert("RGB") for photo in photos]
    scaled = [picture.resize((picture.width * height // picture.height, height)) for picture in opened]
    canvas = Image.new("RGB", (sum(picture.width for picture in scaled), height))
    left = 0
    for picture in scaled:
        canvas.paste(picture, (left, 0))
        left += picture.width
    return jpeg(canvas)


def smaller(photo: Path, width: int) -> bytes:
    picture = Image.open(photo)
    return jpeg(picture.resize((width, picture.height * width // picture.width)))


def again(photo: Path, quality: int) -> bytes:
    """The same picture in other bytes."""
    return jpeg(Image.open(photo), quality)


def png_bomb(side: int) -> bytes:
    """A PNG of side x side black pixels: a gigabyte in a megabyte, written by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    row = b"\0" + bytes(3 * side)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def two_faces(photos: Path) -> bytes:
    """Two men, whose faces are equally wide, side by side."""
    left = Image.open(photos / "obama.jpg").crop((235, 0, 755, 600))
    right = Image.open(photos / "biden.jpg").crop((260, 20, 885, 720))
    canvas = Image.new("RGB", (1040, 600))
    canvas.paste(left, (0, 0))
    canvas.paste(right.resize((520, 582)), (520, 0))
    return jpeg(canvas)


def crowd(photos: Path, people: int) -> bytes:
    """One man's face, many times over, each 90 pixels wide or so."""
    face = Image.open(photos / "obama.jpg").crop((285, 0, 705, 500)).resize((126, 150))
    columns = 10
    canvas = Image.new("RGB", (126 * columns, 150 * (people // columns)))
    for n in range(people):
        canvas.paste(face, (126 * (n % columns), 150 * (n // columns)))
    return jpeg(canvas)
