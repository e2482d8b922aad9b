"""Reads what a clip is, and checks downloaded results. Runs in the child only.

The demuxer is always named and gets an open file, so that a playlist in disguise can never open another file or a URL.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, BinaryIO

from kling_render.media import boxes
from kling_render.media.facts import ClipContainer, ClipFacts, ResultCheck, Unreadable
from kling_render.media.refusals import NO_PICTURE, damaged, encrypted, wrong_type
from kling_render.media.sniff import CLIPS, HEAD_BYTES, sniff
from kling_render.media.tracks import Track, says_where, tracks

#: A result may differ by this much from the expected length before it is called shorter.
TOLERANCE_S = Decimal("0.25")
_QUICK_PIXELS = 40_000_000
"""A result with no more pixels in all its frames is watched as a whole on arrival: quicker than a second time later."""
_QUICK_BYTES = 4_000_000
_MICRO = Decimal("0.000001")
_NO_MEMORY = os.strerror(errno.ENOMEM)
_ENCRYPTED = (b"encv", b"enca")
_SEE_THROUGH = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8")
_CONTAINERS: dict[str, ClipContainer] = {"MP4": "mp4", "MOV": "mov"}


def open_clip(file: BinaryIO) -> Any:
    """A PyAV input container over an open file, with the demuxer and all protocols pinned."""
    import av

    av.logging.set_level(None)
    file.seek(0)
    return av.open(file, format="mp4", options={"protocol_whitelist": "none"})


def seconds(fraction: Fraction) -> Decimal:
    """An exact fraction of seconds, rounded to 6 places."""
    return (Decimal(fraction.numerator) / Decimal(fraction.denominator)).quantize(_MICRO)


def read_clip(file: BinaryIO) -> ClipFacts | Unreadable:
    """The facts of an open, non-empty regular file."""
    found = sniff(file.read(HEAD_BYTES))
    refusal = wrong_type("clip", found)
    if refusal is not None:
        return refusal
    try:
        whole = boxes.walk(file)
        turn, parts = boxes.rotation(file, whole), tracks(file, whole)
        if any(part.coding in _ENCRYPTED for part in parts):
            return encrypted()
        where = says_where(file, whole)
        with open_clip(file) as container:
            facts = _facts(container, found, turn, file)
            return facts if isinstance(facts, Unreadable) else _with_tracks(facts, container, parts, where)
    except boxes.BoxError as error:
        return damaged("clip", str(error))
    except Exception as error:  # a hostile file can raise anything out of a demuxer
        reason = str(getattr(error, "strerror", None) or error)[:120]
        return damaged("clip", "its index asks for too much memory" if reason == _NO_MEMORY else reason)


def _facts(container: Any, found: str, turn: int, file: BinaryIO) -> ClipFacts | Unreadable:
    streams = [s for s in container.streams.video if s.codec_context is not None]
    if not streams:
        return Unreadable(NO_PICTURE, "no video stream", "a motion needs a clip with a picture")
    stream = streams[0]
    codec = stream.codec_context
    width, height = codec.width, codec.height
    if not width or not height:
        return damaged("clip", "its picture has no size")
    if turn in (90, 270):
        width, height = height, width
    rate = stream.average_rate or stream.guessed_rate
    return ClipFacts(
        container=_CONTAINERS[found],
        codec=codec.name,
        width=width,
        height=height,
        rotation=turn,
        fps=round(float(rate), 6) if rate else 0.0,
        duration_s=seconds(_duration(container, stream)),
        has_audio=bool(container.streams.audio),
        frames=stream.frames or None,
        bytes=file.seek(0, os.SEEK_END),
        mime=CLIPS[found],
    )


def _with_tracks(facts: ClipFacts, container: Any, parts: list[Track], where: bool) -> ClipFacts:
    picture = next((part for part in parts if part.handler == b"vide"), None)
    pixels = container.streams.video[0].codec_context.pix_fmt or ""
    videos, audios = len(container.streams.video), len(container.streams.audio)
    return replace(
        facts,
        pixels=pixels,
        alpha=pixels.startswith(_SEE_THROUGH),
        variable_rate=picture is not None and picture.uneven,
        edited=any(part.edited for part in parts if part.handler in (b"vide", b"soun")),
        video_streams=videos,
        audio_streams=audios,
        other_streams=max(len(parts), len(container.streams)) - videos - audios,
        location=where,
    )


def _duration(container: Any, stream: Any) -> Fraction:
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration or 0, 1_000_000)


def check_result(file: BinaryIO, expected_s: Decimal | None) -> ResultCheck:
    """Whether a downloaded file is a whole video: boxes to the end, first frame, last group of frames, length.

    A small one is watched from beginning to end: then the answer has a look at it, and says which bytes were seen.
    """
    if sniff(file.read(HEAD_BYTES)) not in CLIPS:
        return _broken("not an MP4 file")
    try:
        found = _check(file, expected_s)
    except boxes.BoxError as error:
        return _broken(f"incomplete: {error}")
    except Exception as error:  # a hostile file can raise anything out of a decoder
        found = _broken(f"cannot be decoded: {str(getattr(error, 'strerror', None) or error)[:120]}")
    return found if found.ok else replace(found, complete=is_complete(file))


def is_complete(file: BinaryIO) -> bool:
    """Whether an MP4 file is there to its last byte, whatever its pictures are worth."""
    try:
        file.seek(0)
        if sniff(file.read(HEAD_BYTES)) not in CLIPS:
            return False
        boxes.walk(file)
    except (boxes.BoxError, OSError):
        return False
    return True


def _check(file: BinaryIO, expected_s: Decimal | None) -> ResultCheck:
    """The same of what begins like a video.

    Raises:
        boxes.BoxError: it is not whole.
        Exception: whatever a decoder makes of it.
    """
    size = file.seek(0, os.SEEK_END)
    if size <= _QUICK_BYTES:  # a demuxer reads a few bytes here and there: quicker from memory
        file.seek(0)
        file = io.BytesIO(file.read())
    turn = boxes.rotation(file, boxes.walk(file))
    with open_clip(file) as container:
        if not container.streams.video:
            return _broken("no video stream")
        if isinstance(file, io.BytesIO) and _is_small(container):
            return _watched(container, file, turn, expected_s)
        return _play(container, expected_s)


def _broken(problem: str) -> ResultCheck:
    return ResultCheck(ok=False, problem=problem, duration_s=None, has_audio=False, shorter_by_s=Decimal(0))


def _is_small(container: Any) -> bool:
    stream = container.streams.video[0]
    codec = stream.codec_context
    return bool(codec.width * codec.height * (stream.frames or _QUICK_PIXELS) <= _QUICK_PIXELS)


def _watched(container: Any, file: io.BytesIO, turn: int, expected_s: Decimal | None) -> ResultCheck:
    from kling_render.media.measure import sound_of, watch  # numpy

    sounds, length = bool(container.streams.audio), seconds(_duration(container, container.streams.video[0]))
    if length <= 0:
        return _broken("it lasts 0 seconds")
    watched = watch(container, turn)
    if not watched.shown:
        return _broken("no frame can be decoded")
    if watched.end_damaged:
        return _broken("cannot be decoded to its end")
    look = watched.look(sound_of(file) if sounds else "none")
    sha256 = hashlib.sha256(file.getbuffer()).hexdigest()
    return replace(_whole(length, expected_s, has_audio=sounds), look=look, sha256=sha256)


def _play(container: Any, expected_s: Decimal | None) -> ResultCheck:
    stream = container.streams.video[0]
    stream.thread_count = 1
    length = seconds(_duration(container, stream))
    if length <= 0:
        return _broken("it lasts 0 seconds")
    frames = container.decode(stream)
    first = next(frames, None)
    if first is None:
        return _broken("no frame can be decoded")
    last, end = first.pts, int(stream.duration or 0)
    if stream.index_entries.search_timestamp(end) != 0:  # the last group begins later than the first one
        container.seek(end, stream=stream, backward=True)
        last, frames = None, container.decode(stream)
    last = max((f.pts for f in frames if f.pts is not None), default=last)
    if last is None:
        return _broken("its end cannot be decoded")
    return _whole(length, expected_s, has_audio=bool(container.streams.audio))


def _whole(length: Decimal, expected_s: Decimal | None, *, has_audio: bool) -> ResultCheck:
    missing = (expected_s or length) - length
    return ResultCheck(
        ok=True,
        problem="",
        duration_s=length,
        has_audio=has_audio,
        shorter_by_s=missing if missing > TOLERANCE_S else Decimal(0),
    )
