"""Untrusted bytes to pixels, and pixels to PNG or JPEG. Owns the image codecs; knows no faces, no files and no sockets.

What a stranger sends is decoded from memory only, by four allow-listed formats. A picture's size is read from its
header and compared with the cap before a pixel is decoded, so that a decompression bomb costs nothing. Whatever Pillow
raises on broken input leaves as one of two named errors.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import Image

from face_server.errors import ImageTooLarge, ImageUnreadable
from face_server.types import RgbImage

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")

# Pillow's own guard against bombs is a warning at one fixed size and an error at its double. Ours is configured, comes
# as early and never is a mere warning; this module is the only user of Pillow, so the global may be switched off here.
Image.MAX_IMAGE_PIXELS = None

#: What Pillow raises on hostile bytes, each for a reason; anything else is a bug and must stay visible.
_HOSTILE = (
    OSError,  # no such format, truncated data, a codec's own error code
    SyntaxError,  # a broken chunk or marker; the plugins' word for "not mine"
    ValueError,  # text that inflates too far, sides and modes that contradict; UnicodeDecodeError too
    TypeError,  # a PNG text chunk named like one of Pillow's own fields ("transparency")
    EOFError,  # a WebP that has a header but no first frame
    LookupError,  # offsets and tags that point nowhere
    struct.error,  # a binary field that ends too early
    zlib.error,  # compressed text or profile
    OverflowError,  # numbers past a C integer
    MemoryError,  # a canvas that the machine will not even promise
    Warning,  # only where Python itself runs with -W error
)

#: A progressive JPEG of 10 MiB can hold 200,000 empty scans, each of which visits every pixel: 13 ms at 36 megapixels,
#: most of an hour in all. Encoders write about ten; thumbnails and gain maps in the same file add a few.
MAX_JPEG_SCANS = 100
_START_OF_SCAN = b"\xff\xda"

#: EXIF 2.32, tag Orientation: what must be done to the stored pixels to see them upright. 1 and nonsense: nothing.
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: White is what every viewer shows behind a cut-out portrait. The colours under transparent pixels, which nobody
#: sees, must not show through: a face could hide in them.
_BACKGROUND = (255, 255, 255)


def decode(data: bytes, max_pixels: int) -> RgbImage:
    """The upright picture (height, width, 3) uint8 RGB that these JPEG, PNG, WebP or BMP bytes hold.

    Of an animation, the first frame. Transparency is composited onto white; 16 bits per channel are scaled to 8.
    Raises ImageTooLarge when the header states more than max_pixels, ImageUnreadable when the bytes are no such
    picture or a broken one.
    """
    with _named_errors():
        picture = Image.open(BytesIO(data), formats=FORMATS)
    _check_cost(picture, data, max_pixels)
    with _named_errors():
        picture.load()
        return _to_rgb(_upright(picture))


def encode_png(image: RgbImage) -> bytes:
    """The PNG file of a picture (height, width, 3) uint8 RGB."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def encode_jpeg(image: RgbImage, quality: int) -> bytes:
    """The JPEG file of a picture (height, width, 3) uint8 RGB, colours at full resolution; quality 1..95."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except _HOSTILE as error:
        raise ImageUnreadable(
            "The picture cannot be read: it is damaged, or no JPEG, PNG, WebP or BMP. Please take or send it again.",
            formats=list(FORMATS),
        ) from error


def _check_cost(picture: Image.Image, data: bytes, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"The picture has {width} x {height} = {width * height} pixels, at most {max_pixels} are taken.",
            width=width,
            height=height,
            max_image_pixels=max_pixels,
        )
    # Compressed data never holds these two bytes: there FF is followed by 00 or a restart marker.
    if picture.format in ("JPEG", "MPO") and (scans := data.count(_START_OF_SCAN)) > MAX_JPEG_SCANS:
        raise ImageTooLarge(
            f"The JPEG is stored in {scans} scans, at most {MAX_JPEG_SCANS} are taken. Please send it re-encoded.",
            scans=scans,
            max_scans=MAX_JPEG_SCANS,
        )


def _upright(picture: Image.Image) -> Image.Image:
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG)
    except _HOSTILE:
        # The pixels are whole; browsers show such a picture as it is stored, and so do we.
        return picture
    transpose = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if transpose is None else picture.transpose(transpose)


def _to_rgb(picture: Image.Image) -> RgbImage:
    if picture.mode.startswith("I;16"):
        return _from_grey16(np.asarray(picture))
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.new("RGB", rgba.size, _BACKGROUND)
        picture.paste(rgba, mask=rgba)
    return np.array(picture.convert("RGB"))


def _from_grey16(grey: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> RgbImage:
    # Pillow's own conversion clips at 255. 65535 = 255 * 257: rounding the quotient maps both ends exactly.
    scaled = ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(scaled[:, :, np.newaxis], 3, axis=2)
