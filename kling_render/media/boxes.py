"""The box structure of MP4 and MOV files: is the file whole, and how is its picture turned. Pure but for reading."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_TOP_BOXES = 100_000
_MAX_TRACKS = 200


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
            raise BoxError(f"the box '{kind.decode('latin-1')}' ends {at + size - end:,} bytes beyond the file")
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
    """Degrees clockwise that the first video track asks to be turned: 0, 90, 180 or 270."""
    moov = next(box for box in boxes if box.kind == b"moov")
    tracks = (box for box in children(file, moov.start, moov.end) if box.kind == b"trak")
    for track, _ in zip(tracks, range(_MAX_TRACKS), strict=False):
        parts = {box.kind: box for box in children(file, track.start, track.end)}
        if b"tkhd" in parts and b"mdia" in parts and _handler(file, parts[b"mdia"]) == b"vide":
            return _turn(_read(file, parts[b"tkhd"], 200))
    return 0


def _read(file: BinaryIO, box: Box, limit: int) -> bytes:
    file.seek(box.start)
    return file.read(min(limit, box.end - box.start))


def _handler(file: BinaryIO, mdia: Box) -> bytes:
    for box in children(file, mdia.start, mdia.end):
        if box.kind == b"hdlr":
            return _read(file, box, 12)[8:12]
    return b""


def _turn(tkhd: bytes) -> int:
    # Version 1 has 64-bit times and duration, 12 bytes more in front of the matrix.
    offset = 52 if tkhd[:1] == b"\x01" else 40
    if len(tkhd) < offset + 8:
        return 0
    a, b = struct.unpack(">2i", tkhd[offset : offset + 8])
    if abs(a) >= abs(b):
        return 180 if a < 0 else 0
    return 90 if b > 0 else 270
