"""What the index of an MP4 or MOV says about its tracks, by its boxes alone: nothing is decoded."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

from kling_render.media.boxes import Box, BoxError, children

_MAX_TRACKS = 200
_MAX_BYTES = 1 << 20
"""Of a table that is read: enough for an hour of frames of different lengths."""
_UNEVEN = 0.02
"""Frames whose length differs by less from the usual one are even: clocks of cameras jitter."""
_FEW = 0.01
_SLIVER_S = 0.25
"""An edit that leaves out less at the beginning only hides the delay of an encoder."""
_LOCATIONS = (b"\xa9xyz", b"loci", b"location.ISO6709")


@dataclass(frozen=True, slots=True)
class Track:
    """One track, as the index describes it."""

    #: `vide`, `soun`, or anything else.
    handler: bytes
    #: Four letters that name the coding; `encv` and `enca` are encrypted ones.
    coding: bytes
    #: Whether frames are shown for different lengths of time.
    uneven: bool
    #: Whether an edit list leaves something out, repeats it, or shows nothing for a while.
    edited: bool


def tracks(file: BinaryIO, boxes: list[Box]) -> list[Track]:
    """Every track.

    Raises:
        BoxError: the index is damaged.
    """
    moov = next(box for box in boxes if box.kind == b"moov")
    inner = list(children(file, moov.start, moov.end))
    timescale = next((_timescale(_read(file, box, 32)) for box in inner if box.kind == b"mvhd"), 0)
    found = [box for box in inner if box.kind == b"trak"][:_MAX_TRACKS]
    return [_track(file, box, timescale) for box in found]


def says_where(file: BinaryIO, boxes: list[Box]) -> bool:
    """Whether the file says where it was taken (GPS)."""
    moov = next(box for box in boxes if box.kind == b"moov")
    notes = [box for box in boxes if box.kind in (b"meta", b"udta")]
    notes += [box for box in children(file, moov.start, moov.end) if box.kind in (b"meta", b"udta")]
    return any(mark in _read(file, box, _MAX_BYTES) for box in notes for mark in _LOCATIONS)


def _track(file: BinaryIO, trak: Box, movie_scale: int) -> Track:
    parts = {box.kind: box for box in children(file, trak.start, trak.end)}
    handler, scale, length, tables = _media(file, parts.get(b"mdia"))
    coding = _read(file, tables[b"stsd"], 16)[12:16] if b"stsd" in tables else b""
    uneven = b"stts" in tables and _uneven(_read(file, tables[b"stts"], _MAX_BYTES))
    seconds = length / scale if scale else 0.0
    edited = b"edts" in parts and _edited(file, parts[b"edts"], movie_scale, scale, seconds)
    return Track(handler, coding, uneven, edited)


def _media(file: BinaryIO, mdia: Box | None) -> tuple[bytes, int, int, dict[bytes, Box]]:
    """Handler, ticks a second, length in ticks, and the tables of samples."""
    if mdia is None:
        return b"", 0, 0, {}
    parts = {box.kind: box for box in children(file, mdia.start, mdia.end)}
    handler = _read(file, parts[b"hdlr"], 12)[8:12] if b"hdlr" in parts else b""
    scale, length = _length(_read(file, parts[b"mdhd"], 36)) if b"mdhd" in parts else (0, 0)
    tables: dict[bytes, Box] = {}
    if b"minf" in parts:
        inner = {box.kind: box for box in children(file, parts[b"minf"].start, parts[b"minf"].end)}
        if b"stbl" in inner:
            tables = {box.kind: box for box in children(file, inner[b"stbl"].start, inner[b"stbl"].end)}
    return handler, scale, length, tables


def _read(file: BinaryIO, box: Box, limit: int) -> bytes:
    file.seek(box.start)
    return file.read(min(limit, box.end - box.start))


def _timescale(header: bytes) -> int:
    return _length(header)[0]


def _length(header: bytes) -> tuple[int, int]:
    """Ticks a second and ticks of a `mvhd` or `mdhd`; version 1 has 64-bit times."""
    try:
        if header[:1] == b"\x01":
            scale, length = struct.unpack(">IQ", header[20:32])
        else:
            scale, length = struct.unpack(">II", header[12:20])
    except struct.error as error:
        raise BoxError("a header of its index is cut off") from error
    return int(scale), int(length)


def _uneven(stts: bytes) -> bool:
    """Whether more than a few frames, the last one aside, are shown for other than the usual time."""
    pairs = [struct.unpack(">II", stts[at : at + 8]) for at in range(8, len(stts) - 7, 8)]
    counts = Counter[int]()
    for count, ticks in pairs:
        counts[ticks] += count
    if pairs:
        counts[pairs[-1][1]] -= 1
    total = sum(counts.values())
    if total < 2:
        return False
    usual = counts.most_common(1)[0][0]
    odd = sum(count for ticks, count in counts.items() if abs(ticks - usual) > max(1.0, usual * _UNEVEN))
    return odd > total * _FEW


def _edited(file: BinaryIO, edts: Box, movie_scale: int, scale: int, seconds: float) -> bool:
    elst = next((box for box in children(file, edts.start, edts.end) if box.kind == b"elst"), None)
    if elst is None or not movie_scale or not scale:
        return False
    edits = _edits(_read(file, elst, _MAX_BYTES))
    shown = [edit for edit in edits if edit[1] >= 0]
    if len(shown) != 1:
        return bool(edits)
    ticks, first = shown[0]
    waits = sum(length for length, at in edits if at < 0) / movie_scale
    left_out = seconds - first / scale - ticks / movie_scale
    return first / scale > _SLIVER_S or waits > _SLIVER_S or (ticks > 0 and left_out > _SLIVER_S)


def _edits(elst: bytes) -> list[tuple[int, int]]:
    """Length (ticks of the movie) and first tick (of the track) of each edit; -1: nothing is shown."""
    long = elst[:1] == b"\x01"
    size, form = (20, ">Qq") if long else (12, ">Ii")
    width = struct.calcsize(form)
    return [struct.unpack(form, elst[at : at + width]) for at in range(8, len(elst) - size + 1, size)]
