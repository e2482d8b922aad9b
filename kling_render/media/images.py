"""Reads an image's header and checks that its structure is whole. Runs in the child only; never decodes pixels."""

from __future__ import annotations

import os
import struct
import warnings
from dataclasses import replace
from typing import BinaryIO

from kling_render.media.facts import FIX, ImageFacts, ImageKind, Unreadable
from kling_render.media.refusals import TOO_MANY_PIXELS, damaged, wrong_type
from kling_render.media.sniff import HEAD_BYTES, IMAGES, sniff

MAX_MEGAPIXELS = 50
FIXED_MEGAPIXELS = 200
"""A larger picture is not decoded for a corrected copy either."""
_EXIF_ORIENTATION = 0x0112
_EXIF_GPS = 0x8825
_EXIF_OTHER = (2, 3, 4, 5, 6, 7, 8)
_EXIF_SIDEWAYS = (5, 6, 7, 8)
_DEEP = "16-bit"
_KINDS: dict[str, ImageKind] = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp"}


_CUT = "the file ends before the picture does"


class TruncatedError(ValueError):
    """The file ends before the picture does."""


def read_image(file: BinaryIO) -> ImageFacts | Unreadable:
    """The facts of an open, non-empty regular file."""
    found = sniff(file.read(HEAD_BYTES))
    refusal = wrong_type("image", found)
    if refusal is not None:
        return refusal
    try:
        if found == "WEBP":  # says its length in front: Pillow's words for one that is cut off mean nothing
            _check_whole(file, found)
        facts, sideways = _header(file, found)
        width, height = facts.width, facts.height
        megapixels = width * height / 1_000_000
        if megapixels > MAX_MEGAPIXELS:
            return _bomb(width, height, megapixels)
        _check_whole(file, found)
    except Exception as error:  # a hostile file can raise anything out of a decoder
        return damaged("image", _reason(error))
    if sideways:
        facts = replace(facts, width=height, height=width)
    return replace(facts, bytes=file.seek(0, os.SEEK_END))


def _bomb(width: int, height: int, megapixels: float) -> Unreadable:
    message = f"{width} × {height} are {megapixels:,.0f} Mpx, limit {MAX_MEGAPIXELS}"
    by_fix = f"scale the image down, for instance with {FIX}; 2048 px on the long edge is plenty"
    help_ = "scale the image down; 2048 px on the long edge is plenty"
    return Unreadable(TOO_MANY_PIXELS, message, help_, by_fix if megapixels <= FIXED_MEGAPIXELS else "")


def _header(file: BinaryIO, found: str) -> tuple[ImageFacts, bool]:
    """The facts as they are stored, and whether the picture lies on its side."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked by the caller, with the figure in the message
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=[found]) as image:
            orientation, where = read_notes(image.info.get("exif"))
            facts = ImageFacts(
                kind=_KINDS[found],
                width=image.width,
                height=image.height,
                bytes=0,
                mime=IMAGES[found],
                colours=_DEEP if found == "PNG" and _is_deep(file) else image.mode,
                alpha=image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info,
                frames=int(getattr(image, "n_frames", 1)),
                turned=orientation in _EXIF_OTHER,
                location=where,
            )
    return facts, orientation in _EXIF_SIDEWAYS


def _is_deep(file: BinaryIO) -> bool:
    """Whether a PNG has 16 bits a colour; Pillow tells 8 of them."""
    file.seek(24)
    return file.read(1) == b"\x10"


def read_notes(exif_bytes: object) -> tuple[int, bool]:
    """EXIF orientation, and whether there is a place."""
    # Not image.getexif(): for a PNG without EXIF it decodes all pixels to look behind them.
    if not isinstance(exif_bytes, bytes):
        return 1, False
    from PIL import Image

    exif = Image.Exif()
    exif.load(exif_bytes)
    return int(exif.get(_EXIF_ORIENTATION, 1)), bool(exif.get_ifd(_EXIF_GPS))


def _reason(error: Exception) -> str:
    if isinstance(error, TruncatedError):
        return str(error)
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    known = {
        "cannot identify": "its header cannot be read",
        "Truncated File Read": _CUT,
        "Decompressed data too large": "a note or colour profile in it unpacks to far too much",
        "decoder object": "its header cannot be read",
    }
    return next((ours for theirs, ours in known.items() if theirs in first), first[:120])


def _check_whole(file: BinaryIO, found: str) -> None:
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    {"PNG": _check_png, "JPEG": _check_jpeg, "WEBP": _check_webp}[found](file, end)


def _check_png(file: BinaryIO, end: int) -> None:
    from PIL import Image

    # verify() checks the checksum of every chunk up to IEND, without decoding a pixel.
    with Image.open(file, formats=["PNG"]) as image:
        image.verify()
    file.seek(max(0, end - 65_536))
    if b"IEND" not in file.read():
        raise TruncatedError(_CUT)


def _check_jpeg(file: BinaryIO, end: int) -> None:
    """Steps over the segments to the first scan, then looks for the end marker after it."""
    at = 2
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            raise TruncatedError("the file ends before the picture begins")
        if head[0] != 0xFF:
            raise TruncatedError(f"no segment where one must be (byte {at})")
        if head[1] == 0xFF:  # fill byte
            at += 1
            continue
        at += 2 + struct.unpack(">H", head[2:])[0]
        if head[1] == 0xDA:
            break
    if at > end or not _has_end_marker(file, at):
        raise TruncatedError(_CUT)


def _has_end_marker(file: BinaryIO, at: int) -> bool:
    file.seek(at)
    last = b""
    while block := file.read(1 << 20):
        if b"\xff\xd9" in last + block:
            return True
        last = block[-1:]
    return False


def _check_webp(file: BinaryIO, end: int) -> None:
    (size,) = struct.unpack("<I", file.read(8)[4:])
    if size + 8 > end:
        raise TruncatedError(f"{size + 8 - end:,} bytes are missing at the end")
