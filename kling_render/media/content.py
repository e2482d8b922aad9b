"""What an image or a clip shows and sounds like, whatever file it comes in. Runs in a child only.

Two files with one content differ in container or metadata only: pixels and samples are the same, bit for bit, and so is
what says how they are to be understood (colour profile, rotation, aspect).
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from kling_render.media import boxes, limits
from kling_render.media.clips import open_clip
from kling_render.media.images import MAX_MEGAPIXELS
from kling_render.media.sniff import HEAD_BYTES, IMAGES, sniff

_ADDRESS_SPACE = 4 << 30
_CPU_S = 300
_ORIENTATION = 0x0112
#: Modes that RGBA holds without loss; other pictures are compared as they are stored.
_PLAIN = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})


def content_of(path: Path) -> dict[str, Any]:
    """Digests of picture and sound, and when each frame is shown (seconds from the first one).

    Raises:
        Exception: whatever a decoder makes of a file that is damaged or hostile.
    """
    with path.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES))
        file.seek(0)
        return _image(file, found) if found in IMAGES else _clip(file)


def _image(file: BinaryIO, found: str) -> dict[str, Any]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # our own limit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=[found]) as image:
            if image.width * image.height > MAX_MEGAPIXELS * 1_000_000:
                raise ValueError("too many pixels")
            profile = hashlib.sha256(image.info.get("icc_profile") or b"").hexdigest()
            turned = image.getexif().get(_ORIENTATION, 1)
            image.load()
            shown = image.convert("RGBA") if image.mode in _PLAIN else image
            seen = [shown.mode, *shown.size, profile, turned, image.info.get("gamma")]
            return {"kind": "image", "picture": _digest(seen, shown.tobytes()), "sound": "", "times": [0.0]}


def _clip(file: BinaryIO) -> dict[str, Any]:
    turned = boxes.matrix(file, boxes.walk(file))
    with open_clip(file) as container:
        stream = container.streams.video[0]
        stream.thread_count = 2
        picture, times = hashlib.sha256(), []
        for frame in container.decode(stream):
            seen = [frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range, turned]
            picture.update(json.dumps([*seen, str(stream.sample_aspect_ratio)]).encode())
            picture.update(frame.to_ndarray().tobytes())
            times.append(_seconds(frame))
    sound, first = _sound(file)
    start = times[0] if times else Fraction(0)
    shown = [float(at - start) for at in times]
    offset = [] if first is None else [float(first - start)]
    return {"kind": "clip", "picture": picture.hexdigest(), "sound": sound, "times": shown + offset}


def _sound(file: BinaryIO) -> tuple[str, Fraction | None]:
    """The digest of every sample of the first sound track, and when it begins."""
    with open_clip(file) as container:
        if not container.streams.audio:
            return "", None
        digest, first = hashlib.sha256(), None
        for frame in container.decode(container.streams.audio[0]):
            if first is None:
                first = _seconds(frame)
                digest.update(json.dumps([frame.format.name, frame.layout.name, frame.sample_rate]).encode())
            # Samples are side by side or one channel after the other; in time order either way.
            samples = frame.to_ndarray()
            digest.update(samples.T.tobytes() if frame.format.is_planar else samples.tobytes())
        return digest.hexdigest(), first


def _seconds(frame: Any) -> Fraction:
    return Fraction((frame.pts or 0) * frame.time_base)


def _digest(seen: list[Any], pixels: bytes) -> str:
    return hashlib.sha256(json.dumps(seen, default=str).encode() + pixels).hexdigest()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """One request: `{"path"}`; `{"problem"}` when the file cannot be decoded."""
    try:
        return content_of(Path(request["path"]))
    except Exception as error:  # a hostile file can raise anything out of a decoder
        return {"problem": f"{type(error).__name__}: {error}"[:300]}


def main() -> None:
    """Serve until the parent closes the pipe."""
    limits.cap_memory(_ADDRESS_SPACE)
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not look like an answer
    for line in sys.stdin:
        limits.allow_cpu(_CPU_S)
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
