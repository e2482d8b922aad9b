"""The box structure of MP4 and MOV files: is the file whole, and how is its picture turned. Pure but for reading."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_TOP_BOXES = 100_000
_MAX_TRACKS = 200
_AS_STORED = (1 << 16, 0, 0, 1 << 16)


class BoxError(ValueError):
    """The boxes do not fill the file, or a necessary one is missing."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type and where its content lies (byte offsets)."""

    kind: bytes
    start: int
    end: int


def children(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two offsets.

    Raises:
        BoxError: a box is cut off or has an impossible size.
    """
    at = start
    while at < end:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or end - at < 8:
            raise BoxError(f"a box is cut off at byte {at}")
        size, kind = struct.unpack(">I4s", head[:8])
        body = at + 8
        if size == 1:
            if len(head) < 16:
                raise BoxError(f"a box is cut off at byte {at}")
            (size,) = struct.unpack(">Q", head[8:16])
            body = at + 16
        elif size == 0:
            size = end - at
        if size < body - at:
            raise BoxError(f"a box of impossible size at byte {at}")
        if at + size > end:
            name = "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in kind)
            raise BoxError(f"the box '{name}' ends {at + size - end:,} bytes beyond the file")
        yield Box(kind, body, at + size)
        at += size


def walk(file: BinaryIO) -> list[Box]:
    """The top-level boxes of a whole file.

    Raises:
        BoxError: the file is cut off, or has no `moov` box.
    """
    end = file.seek(0, os.SEEK_END)
    boxes: list[Box] = []
    for box in children(file, 0, end):
        boxes.append(box)
        if len(boxes) > _MAX_TOP_BOXES:
            raise BoxError("too many boxes")
    if not any(box.kind == b"moov" for box in boxes):
        raise BoxError("its index (the 'moov' box) is missing, so it was not written to the end")
    return boxes


def rotation(file: BinaryIO, boxes: list[Box]) -> int:
    """Degrees clockwise that the first video track asks to be turned: 0, 90, 180 or 270.

    A mirrored one is upright after that, and only its left and right are exchanged: see `is_mirrored`.
    """
    a, b, c, d = matrix(file, boxes)
    if a * d < b * c:
        a, c = -a, -c
    if abs(a) >= abs(b):
        return 180 if a < 0 else 0
    return 90 if b > 0 else 270


def is_mirrored(file: BinaryIO, boxes: list[Box]) -> bool:
    """Whether the first video track asks for left and right to be exchanged, after it was turned."""
    a, b, c, d = matrix(file, boxes)
    return a * d < b * c


def slant(file: BinaryIO, boxes: list[Box]) -> int:
    """Degrees clockwise that the first video track asks to be turned, where that is no quarter turn; else 0."""
    a, b, c, d = matrix(file, boxes)
    degrees = round(math.degrees(math.atan2(b, -a if a * d < b * c else a))) % 360
    return degrees if degrees % 90 else 0


def matrix(file: BinaryIO, boxes: list[Box]) -> tuple[int, int, int, int]:
    """How the first video track asks to be shown: (x, y) comes to (ax + cy, bx + dy); one is 65,536."""
    moov = next(box for box in boxes if box.kind == b"moov")
    tracks = (box for box in children(file, moov.start, moov.end) if box.kind == b"trak")
    for track, _ in zip(tracks, range(_MAX_TRACKS), strict=False):
        parts = {box.kind: box for box in children(file, track.start, track.end)}
        if b"tkhd" in parts and b"mdia" in parts and _handler(file, parts[b"mdia"]) == b"vide":
            return _matrix(_read(file, parts[b"tkhd"], 200))
    return _AS_STORED


def _read(file: BinaryIO, box: Box, limit: int) -> bytes:
    file.seek(box.start)
    return file.read(min(limit, box.end - box.start))


def _handler(file: BinaryIO, mdia: Box) -> bytes:
    for box in children(file, mdia.start, mdia.end):
        if box.kind == b"hdlr":
            return _read(file, box, 12)[8:12]
    return b""


def _matrix(tkhd: bytes) -> tuple[int, int, int, int]:
    # Version 1 has 64-bit times and duration, 12 bytes more in front of the matrix.
    offset = 52 if tkhd[:1] == b"\x01" else 40
    if len(tkhd) < offset + 20:
        return _AS_STORED
    a, b, _, c, d = struct.unpack(">5i", tkhd[offset : offset + 20])
    return a, b, c, d
