"""Makes the trimmed copy of a clip: the exact window, upright, with square pixels. Runs in a child only."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from kling_render.media.encode import Mp4Writer
from kling_render.media.window import EmptyWindowError, Window, even

_NEARLY_LOSSLESS = 18


def write_trimmed(source: Path, target: Path, start: Decimal | None, end: Decimal | None, *, keep_audio: bool) -> None:
    """Write the window of `source` to `target` (MP4, H.264, AAC).

    Raises:
        EmptyWindowError: there is nothing between the two times.
    """
    with Window(source, start, end) as window:
        if window.seconds <= 0:
            raise EmptyWindowError(f"nothing lies between {start or 0} and {end} s")
        sound = window.sound() if keep_audio else None
        size = (even(window.square[0]), even(window.square[1]))
        stored = size[::-1] if window.rotation in (90, 270) else size
        with Mp4Writer(
            target,
            size,
            window.rate,
            window.colours,
            sound_rate=sound[1] if sound else None,
            sound_channels=sound[0].shape[0] if sound else 2,
            preset="fast",
            crf=_NEARLY_LOSSLESS,
        ) as writer:
            if sound:
                writer.play(*sound)
            for shown in window.frames():
                picture = shown.frame.reformat(*stored, format="yuv420p").to_ndarray()
                writer.show(window.upright(picture), shown.start, shown.end)
