"""The length of an MP4 or MOV clip, from its boxes alone.

The sandbox measures for itself: a stand-in must not share the tool's own reader and its mistakes.
Source of the layout: ISO/IEC 14496-12 (boxes `moov`, `mvhd`, `trak`, `mdia`, `mdhd`, `hdlr`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

_MOOV_LIMIT = 64 << 20


def clip_seconds(path: Path) -> Fraction | None:
    """Seconds of the clip's video track, else of the whole clip; None when it is no readable MP4 or is empty."""
    try:
        with path.open("rb") as file:
            moov = _moov(file)
        return _seconds(moov) if moov is not None else None
    except (OSError, struct.error, ValueError):
        return None


def _moov(file: IO[bytes]) -> bytes | None:
    position, seen_type = 0, False
    while True:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return None
        size, kind = struct.unpack(">I4s", header[:8])
        skip = 8
        if size == 1:
            size, skip = struct.unpack(">Q", header[8:16])[0], 16
        if not seen_type and kind not in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip"):
            return None
        seen_type = True
        if kind == b"moov":
            file.seek(position + skip)
            return file.read(min(size - skip, _MOOV_LIMIT)) if size else file.read(_MOOV_LIMIT)
        if size < skip:
            return None
        position += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        skip = 8
        if size == 1:
            size, skip = struct.unpack_from(">Q", data, position + 8)[0], 16
        if size == 0:
            size = len(data) - position
        if size < skip:
            return
        yield kind, data[position + skip : position + size]
        position += size


def _seconds(moov: bytes) -> Fraction | None:
    whole = None
    for kind, content in _boxes(moov):
        if kind == b"mvhd":
            whole = _duration(content)
        if kind == b"trak":
            media = dict(_boxes(dict(_boxes(content)).get(b"mdia", b"")))
            if media.get(b"hdlr", b"")[8:12] == b"vide" and b"mdhd" in media:
                own = _frames(media) or _duration(media[b"mdhd"])
                if own:
                    return own
    return whole or None


def _frames(media: dict[bytes, bytes]) -> Fraction | None:
    """The sum of all frames' durations: `mdhd` may count a delay that an edit list takes away again."""
    table = dict(_boxes(dict(_boxes(media.get(b"minf", b""))).get(b"stbl", b""))).get(b"stts", b"")
    entries = struct.unpack_from(">I", table, 4)[0] if len(table) >= 8 else 0
    ticks = sum(count * delta for count, delta in struct.iter_unpack(">II", table[8 : 8 + 8 * entries]))
    header = media[b"mdhd"]
    scale = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0]
    return Fraction(ticks, scale) if ticks and scale else None


def _duration(header: bytes) -> Fraction:
    """Of an `mvhd` or `mdhd` box: both keep timescale and duration in the same place."""
    if header[0] == 1:
        scale, length = struct.unpack_from(">IQ", header, 20)
        unknown = 0xFFFFFFFFFFFFFFFF
    else:
        scale, length = struct.unpack_from(">II", header, 12)
        unknown = 0xFFFFFFFF  # fragmented files are written before their length is known
    return Fraction(length, scale) if scale and length != unknown else Fraction(0)
