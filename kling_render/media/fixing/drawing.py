"""Makes the corrected copy of a picture, and looks at the one there is. Runs in a child only."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageFilter, ImageOps

from kling_render.media.fixing.records import BLUR
from kling_render.media.images import read_notes
from kling_render.media.sniff import HEAD_BYTES, sniff

#: Type → Pillow's name of it. Each reads one file and opens no other.
_READERS = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WEBP", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "AVIF": "AVIF"}
_LOSSLESS = frozenset({"PNG", "GIF", "BMP", "TIFF"})
_MOST_PIXELS = 200_000_000
_QUALITIES = (95, 90, 85)
_SHRINK = 0.85
_TRIES = 12
_STEPS_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


class NoPictureError(ValueError):
    """Nothing that could be made a picture."""


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, str]]:
    """The picture, not decoded yet, and its type."""
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sniff(file.read(HEAD_BYTES))
        if found not in _READERS:
            raise NoPictureError(f"not a picture that can be converted ({found or 'unknown type'})")
        Image.MAX_IMAGE_PIXELS = None  # our own limit
        file.seek(0)
        with Image.open(file, formats=[_READERS[found]]) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise NoPictureError(f"{image.width} × {image.height} are too many pixels to convert")
            yield image, found


def survey(path: Path) -> dict[str, Any]:
    """The fields of `pictures.Picture`."""
    with _opened(path) as (image, found):
        orientation, where = read_notes(image.info.get("exif"))
        deep = image.mode in _STEPS_DEEP or (found == "PNG" and _png_depth(path) == 16)
        foreign = _is_foreign(image.info.get("icc_profile"))
        # Phones add previews and maps of brightness to a JPEG; every viewer shows the photo alone.
        frames = 1 if found == "JPEG" else int(getattr(image, "n_frames", 1))
        lossless = found in _LOSSLESS
        image.load()
        width, height = (image.height, image.width) if orientation in (5, 6, 7, 8) else image.size
        return {
            "type": found,
            "width": width,
            "height": height,
            "bytes": path.stat().st_size,
            "colours": "16-bit" if deep else image.mode,
            "see_through": _see_through(image),
            "frames": frames,
            "turned": orientation in range(2, 9),
            "location": where,
            "foreign_colours": foreign,
            "lossless": lossless,
        }


def draw(source: Path, part: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """Write the copy to `part`; answers its kind, its size and how it was compressed."""
    with _opened(source) as (image, _):
        image.seek(0)
        whole = _flat(_srgb(ImageOps.exif_transpose(image)), spec["background"])
    picture, canvas = tuple(spec["picture"]), tuple(spec["canvas"])
    shown = whole if whole.size == picture else whole.resize(picture, Image.Resampling.LANCZOS)
    if picture != canvas:
        shown = _padded(shown, canvas, spec["pad"])
    data, kind, how, size = _saved(shown, spec["kind"], spec["most"])
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"kind": kind, "width": size[0], "height": size[1], "how": how}


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[-1]


def _see_through(image: Image.Image) -> bool:
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "RGBa", "La"):
        return False
    return bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < 255)


def _is_foreign(profile: object) -> bool:
    """Whether a colour profile is another than sRGB."""
    if not isinstance(profile, bytes) or not profile:
        return False
    try:
        named = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return False
    return "srgb" not in named.lower()


def _srgb(image: Image.Image) -> Image.Image:
    """The picture in 8-bit sRGB, see-through parts kept."""
    profile = image.info.get("icc_profile")
    if image.mode in _STEPS_DEEP:
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if "transparency" in image.info or image.mode in ("P", "PA", "LA", "RGBa", "La", "1"):
        image = image.convert("RGBA")
    if profile is None or not _is_foreign(profile) or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image if image.mode == "RGBA" else image.convert("RGB")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    plain = image.convert("RGB") if alpha is not None else image
    try:
        origin = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(plain, origin, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError:  # a profile that is not one
        turned = plain.convert("RGB")
    assert turned is not None
    if alpha is not None:
        turned.putalpha(alpha)
    return turned


def _eight_bits(values: Any) -> Any:
    """Grey values of more than 8 bits, scaled to 8."""
    if values.dtype.kind == "f":
        top = 1.0 if values.max(initial=0) <= 1 else 255.0
        return np.clip(values / top * 255, 0, 255).astype(np.uint8)
    return (np.clip(values, 0, 65_535).astype(np.uint16) >> 8).astype(np.uint8)


def _flat(image: Image.Image, background: str) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGB", image.size, background)
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _padded(shown: Image.Image, canvas: tuple[int, int], pad: str) -> Image.Image:
    left, top = (canvas[0] - shown.width) // 2, (canvas[1] - shown.height) // 2
    ground = _blurred(shown, canvas) if pad == BLUR else Image.new("RGB", canvas, pad)
    ground.paste(shown, (left, top))
    return ground


def _blurred(shown: Image.Image, canvas: tuple[int, int]) -> Image.Image:
    """The picture's outermost pixels, drawn out over the border and blurred: no second figure shows in it."""
    left, top = (canvas[0] - shown.width) // 2, (canvas[1] - shown.height) // 2
    around = ((top, canvas[1] - shown.height - top), (left, canvas[0] - shown.width - left), (0, 0))
    drawn_out = np.pad(np.asarray(shown), around, mode="edge")
    return Image.fromarray(drawn_out).filter(ImageFilter.GaussianBlur(max(4, max(canvas) // 30)))


def _saved(image: Image.Image, kind: str, most: int) -> tuple[bytes, str, str, tuple[int, int]]:
    """The best that fits: lossless, then JPEG, then smaller."""
    if kind == "png":
        data = _encoded(image, "PNG", optimize=True)
        if len(data) <= most:
            return data, "png", "PNG, lossless", image.size
    for _ in range(_TRIES):
        for quality in _QUALITIES:
            data = _encoded(image, "JPEG", quality=quality, subsampling=0 if quality > 90 else 2, optimize=True)
            if len(data) <= most:
                return data, "jpeg", f"JPEG, quality {quality}", image.size
        smaller = (max(1, round(image.width * _SHRINK)), max(1, round(image.height * _SHRINK)))
        image = image.resize(smaller, Image.Resampling.LANCZOS)
    raise NoPictureError("it cannot be made small enough")


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    # Pillow's own guess of the room a JPEG needs is too small for noise.
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, image.width * image.height * 4)
    image.save(buffer, kind, **options)
    return buffer.getvalue()
