"""Untrusted bytes to pixels: colours, orientation, caps, and nothing but named errors on broken input."""

from __future__ import annotations

import contextlib
import resource
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from face_server.errors import ImageTooLarge, ImageUnreadable, WireError
from face_server.types import RgbImage
from face_server.vision.imaging import FORMATS, MAX_JPEG_SCANS, decode, encode_png

CAP = 40_000_000


def saved(picture: Image.Image, codec: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, codec, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG written by hand, by the specification."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + data + chunk(b"IEND", b"")


def gradient() -> RgbImage:
    """12 x 8, every pixel another colour, no symmetry."""
    y, x = np.mgrid[0:8, 0:12]
    return np.stack([x * 20, y * 30, x * 8 + y * 15], axis=2).astype(np.uint8)


def smooth() -> RgbImage:
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([x * 2, y * 3, 255 - x - y], axis=2).astype(np.uint8)


@pytest.mark.parametrize("codec", ["PNG", "BMP"])
def test_lossless_formats_come_back_exactly(codec: str) -> None:
    assert np.array_equal(decode(saved(Image.fromarray(gradient()), codec), CAP), gradient())


@pytest.mark.parametrize(("codec", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_lossy_formats_come_back_in_their_colours(codec: str, options: dict[str, object]) -> None:
    image = decode(saved(Image.fromarray(smooth()), codec, **options), CAP)
    assert np.abs(image.astype(int) - smooth()).mean() < 4


def test_what_encode_png_writes_decode_reads() -> None:
    assert np.array_equal(decode(encode_png(gradient()), CAP), gradient())


def test_one_pixel_is_a_picture() -> None:
    image = decode(encode_png(np.full((1, 1, 3), 7, np.uint8)), 1)
    assert image.shape == (1, 1, 3)
    assert image.dtype == np.uint8


def test_the_array_is_writable_and_contiguous() -> None:
    image = decode(encode_png(gradient()), CAP)
    assert image.flags.writeable
    assert image.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("codec", ["PNG", "WEBP"])
def test_every_exif_orientation_gives_the_same_upright_pixels(orientation: int, codec: str) -> None:
    upright = gradient()
    # EXIF 2.32: what row 0 and column 0 of the stored picture show of the upright one.
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: upright[:, ::-1].transpose(1, 0, 2),  # right, top
        7: upright[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: upright[::-1].transpose(1, 0, 2),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if codec == "WEBP" else {}
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), codec, exif=exif.tobytes(), **options)
    assert np.array_equal(decode(data, CAP), upright)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_nonsense_orientation_leaves_the_picture_as_it_is_stored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(decode(saved(Image.fromarray(gradient()), "PNG", exif=exif), CAP), gradient())


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encode_png(gradient())
    broken = data[:33] + chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff") + data[33:]
    assert np.array_equal(decode(broken, CAP), gradient())
    nonsense = data[:33] + chunk(b"eXIf", b"what is this") + data[33:]
    assert np.array_equal(decode(nonsense, CAP), gradient())


def test_grey_and_bilevel_become_equal_channels() -> None:
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    assert np.array_equal(decode(saved(Image.fromarray(grey), "PNG"), CAP), np.stack([grey] * 3, axis=2))
    bilevel = decode(png(8, 1, 1, 0, b"\0\xaa"), CAP)
    assert bilevel[0, :, 0].tolist() == [255, 0] * 4


def test_a_palette_is_looked_up() -> None:
    data = png(2, 1, 8, 3, b"\0\x01\x00", chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50])))
    assert decode(data, CAP).tolist() == [[[200, 100, 50], [10, 20, 30]]]


def test_what_is_transparent_shows_white_and_not_the_colours_hidden_under_it() -> None:
    rgba = np.array([[(200, 10, 10, 0), (200, 10, 10, 255), (0, 0, 0, 128)]], np.uint8)
    row = decode(saved(Image.fromarray(rgba), "PNG"), CAP)[0].tolist()
    assert row[0] == [255, 255, 255]
    assert row[1] == [200, 10, 10]
    assert row[2] == pytest.approx([127] * 3, abs=1)


def test_transparency_by_palette_and_by_colour_key_shows_white_too() -> None:
    palette = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    by_palette = png(2, 1, 8, 3, b"\0\x01\x00", palette, chunk(b"tRNS", b"\0"))
    assert decode(by_palette, CAP).tolist() == [[[200, 100, 50], [255, 255, 255]]]
    by_key = png(2, 1, 8, 2, b"\0\1\2\3\4\5\6", chunk(b"tRNS", b"\0\4\0\5\0\6"))
    assert decode(by_key, CAP).tolist() == [[[1, 2, 3], [255, 255, 255]]]


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    levels = (0, 128, 129, 257, 32768, 65406, 65407, 65535)
    image = decode(png(8, 1, 16, 0, b"\0" + struct.pack(">8H", *levels)), CAP)
    assert image[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]
    assert (image[..., 0] == image[..., 2]).all()


def test_sixteen_bit_colour_is_scaled_and_not_clipped() -> None:
    image = decode(png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0, 32768, 65535, 257, 51400, 2570)), CAP)
    assert image[0].tolist() == [[0, 128, 255], [1, 200, 10]]


def test_sixteen_bit_grey_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.array([[0, 65535, 257]], np.uint16)
    assert decode(saved(Image.fromarray(grey), "PNG", exif=exif), CAP)[:, 0, 0].tolist() == [0, 255, 1]


def test_a_cmyk_jpeg_has_its_colours() -> None:
    # Pillow writes CMYK as Adobe does, inverted; a reader that forgets to turn it back gives the negative.
    image = decode(saved(Image.fromarray(smooth()).convert("CMYK"), "JPEG", quality=95), CAP)
    assert np.abs(image.astype(int) - smooth()).mean() < 4


def test_of_an_animation_the_first_frame_is_taken() -> None:
    red, blue = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
    for codec, options in (("WEBP", {"lossless": True}), ("PNG", {})):
        data = saved(red, codec, save_all=True, append_images=[blue], **options)
        assert decode(data, CAP)[8, 8].tolist() == [250, 0, 0]


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello, this is holiday.jpg\n" * 50, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_refused_with_advice(data: bytes) -> None:
    with pytest.raises(ImageUnreadable, match="again") as refusal:
        decode(data, CAP)
    assert refusal.value.detail["formats"] == list(FORMATS)


@pytest.mark.parametrize("codec", ["GIF", "TIFF", "PPM", "ICO", "TGA", "DIB", "JPEG2000"])
def test_formats_that_are_not_on_the_list_are_refused(codec: str) -> None:
    with pytest.raises(ImageUnreadable):
        decode(saved(Image.fromarray(smooth()), codec), CAP)


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_picture_is_refused_and_never_filled_up_with_grey(codec: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)  # so that the end is pixels too
    data = saved(Image.fromarray(noise), codec)
    with pytest.raises(ImageUnreadable):
        decode(data[: int(len(data) * share)], CAP)


def test_a_picture_of_exactly_the_cap_is_taken_and_one_more_column_is_not() -> None:
    assert decode(encode_png(np.zeros((10, 10, 3), np.uint8)), 100).shape == (10, 10, 3)
    with pytest.raises(ImageTooLarge, match="11 x 10 = 110 pixels, at most 100") as refusal:
        decode(encode_png(np.zeros((10, 11, 3), np.uint8)), 100)
    assert refusal.value.detail == {"width": 11, "height": 10, "max_image_pixels": 100}


def bombs() -> dict[str, bytes]:
    """Small files whose headers claim 20000 x 20000 pixels, with data to match where that is cheap."""
    squeezer = zlib.compressobj(9)
    rows = b"".join(squeezer.compress(bytes(60_001)) for _ in range(20_000)) + squeezer.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    frames = [Image.new("RGB", (32, 32), (0, 0, shade)) for shade in (9, 99)]
    webp = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    webp[24:30] = (19_999).to_bytes(3, "little") * 2
    jpeg = bytearray(saved(frames[0], "JPEG"))
    frame_header = jpeg.index(b"\xff\xc0")
    jpeg[frame_header + 5 : frame_header + 9] = struct.pack(">HH", 20_000, 20_000)
    bmp = bytearray(saved(frames[0], "BMP"))
    bmp[18:26] = struct.pack("<ii", 20_000, 20_000)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return {"PNG": bomb, "WEBP": bytes(webp), "JPEG": bytes(jpeg), "BMP": bytes(bmp)}


def test_a_decompression_bomb_costs_no_memory_and_says_its_size() -> None:
    files = bombs()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in files.values():
        with pytest.raises(ImageTooLarge, match="20000 x 20000 = 400000000 pixels"):
            decode(data, CAP)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 20_000  # one channel of it would take 390,625


def test_pillows_own_bomb_guard_neither_warns_nor_refuses_below_our_cap() -> None:
    data = saved(Image.new("L", (10_000, 9_500)), "PNG")  # Pillow warns from 89 megapixels on
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data, 100_000_000).shape == (9_500, 10_000, 3)


def test_a_jpeg_of_endless_empty_scans_is_refused() -> None:
    data = saved(Image.fromarray(smooth()), "JPEG", progressive=True)
    decode(data, CAP)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageTooLarge, match="scans"):
        decode(data[:-2] + last_scan * MAX_JPEG_SCANS + data[-2:], CAP)


@pytest.mark.parametrize(
    "keyword", [b"transparency", b"exif", b"xmp", b"Raw profile type exif", b"bbox", b"background"]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16"])
def test_png_texts_named_like_pillows_own_fields_do_no_harm(keyword: bytes, mode: str) -> None:
    data = saved(Image.new(mode, (8, 8)), "PNG")
    for name, text in ((b"tEXt", b"\0abc"), (b"iTXt", b"\0\0\0\0\0abc"), (b"zTXt", b"\0\0" + zlib.compress(b"abc"))):
        with contextlib.suppress(ImageUnreadable):
            decode(data[:33] + chunk(name, keyword + text) + data[33:], CAP)


def fuzz_seeds(directory: Path) -> list[bytes]:
    with Image.open(directory / "obama.jpg") as photo:
        face = photo.crop((380, 90, 620, 410)).resize((48, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    animation = {"save_all": True, "append_images": [face.rotate(90)]}
    return [
        saved(face, "JPEG", exif=exif),
        saved(face, "JPEG", progressive=True),
        saved(face.convert("CMYK"), "JPEG"),
        saved(face, "MPO", **animation),
        saved(face, "PNG", exif=exif),
        saved(face.convert("P"), "PNG", transparency=3),
        saved(face.convert("I;16"), "PNG"),
        saved(face, "PNG", **animation),
        saved(face, "WEBP", exif=exif),
        saved(face.convert("RGBA"), "WEBP", lossless=True),
        saved(face, "WEBP", **animation),
        saved(face, "BMP"),
        saved(face.convert("P"), "BMP"),
    ]


MUTATIONS = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "drop", "double"]), st.floats(0, 1), st.integers(1, 255)),
    min_size=1,
    max_size=8,
)


def mutated(data: bytes, mutations: list[tuple[str, float, int]]) -> bytes:
    for kind, where, value in mutations:
        # Squared: headers, where mistakes do most, are at the front.
        at = int(where * where * max(len(data) - 1, 0))
        if kind == "flip" and data:
            data = data[:at] + bytes([data[at] ^ value]) + data[at + 1 :]
        elif kind == "cut":
            data = data[: at + 1]
        elif kind == "drop":
            data = data[:at] + data[at + value :]
        elif kind == "double":
            data = data[: at + value] + data[at:]
    return data


def test_mutated_pictures_give_a_picture_or_a_named_error(sample_photos: Path) -> None:
    seeds = fuzz_seeds(sample_photos)

    @settings(max_examples=1500, deadline=None, database=None)
    @given(st.sampled_from(seeds), MUTATIONS)
    def check(seed: bytes, mutations: list[tuple[str, float, int]]) -> None:
        try:
            image = decode(mutated(seed, mutations), 1_000_000)
        except WireError:
            return
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.size <= 3_000_000

    check()


def test_the_sample_photographs_decode(sample_photos: Path) -> None:
    sizes = {path.name: decode(path.read_bytes(), CAP).shape[:2] for path in sorted(sample_photos.glob("*.*"))}
    assert sizes["obama.jpg"] == (1137, 910)
    assert sizes["32bit.png"] == (1200, 626)
