"""Cuts a character out of its picture: by its transparency, or from a plain background. Runs in a child only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

_SOFT = ImageFilter.GaussianBlur(1)
_SCAN_EDGE = 256
_PLAIN_SPREAD = 14
_SAME_COLOUR, _EQUAL_COLOUR = 34, 7


def cut_out(path: Path, max_height: int) -> Image.Image:
    """The character alone as RGBA, cropped to its content and at most `max_height` pixels tall."""
    with path.open("rb") as file, Image.open(file, formats=["PNG", "JPEG", "WEBP"]) as opened:
        opened.draft("RGB", (max_height * 2, max_height * 2))  # JPEG can be decoded at a fraction of its size
        picture = ImageOps.exif_transpose(opened).convert("RGBA")
    picture.thumbnail((max_height * 3, max_height * 2), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if int(np.asarray(picture.getchannel("A")).min()) > 250:
        picture.putalpha(_plain_background(picture) or _rounded(picture.size))
    box = picture.getchannel("A").point(lambda a: 255 if a > 16 else 0).getbbox()
    character = picture.crop(box) if box else picture
    scale = max_height / character.height
    if scale < 1:
        size = (max(1, round(character.width * scale)), max_height)
        character = character.resize(size, Image.Resampling.LANCZOS)
    return character


def _plain_background(picture: Image.Image) -> Image.Image | None:
    """An alpha channel without the background, or None when the border is not of one colour."""
    small = picture.convert("RGB")
    small.thumbnail((_SCAN_EDGE, _SCAN_EDGE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.int16)
    # The figure may touch the lower edge, so the other three edges tell the background.
    border = np.concatenate([pixels[0], pixels[:, 0], pixels[:, -1]])
    colour = np.median(border, axis=0)
    if np.median(np.abs(border - colour).max(axis=1)) > _PLAIN_SPREAD:
        return None
    alike = np.abs(pixels - colour).max(axis=2) < _SAME_COLOUR
    outside = _reachable_from_border(alike)
    # Between legs and under arms the background is enclosed; higher up such a spot rather belongs to the face.
    legs = len(pixels) * 35 // 100
    equal = Image.fromarray((np.abs(pixels - colour).max(axis=2) < _EQUAL_COLOUR).astype(np.uint8) * 255)
    patches = np.asarray(equal.filter(ImageFilter.MinFilter(7)).filter(ImageFilter.MaxFilter(7))) > 0
    outside[legs:] |= patches[legs:]
    if not 0.1 < outside.mean() < 0.97:
        return None
    alpha = Image.fromarray(np.where(outside, 0, 255).astype(np.uint8))
    return alpha.resize(picture.size, Image.Resampling.BICUBIC).filter(ImageFilter.MinFilter(5)).filter(_SOFT)


def _reachable_from_border(alike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the background's colour that are connected with the border: the figure may wear that colour too."""
    reached = np.zeros_like(alike)
    reached[0], reached[-1], reached[:, 0], reached[:, -1] = alike[0], alike[-1], alike[:, 0], alike[:, -1]
    before = -1
    while (count := int(reached.sum())) != before:
        before = count
        for _ in range(8):
            reached[1:] |= reached[:-1] & alike[1:]
            reached[:-1] |= reached[1:] & alike[:-1]
            reached[:, 1:] |= reached[:, :-1] & alike[:, 1:]
            reached[:, :-1] |= reached[:, 1:] & alike[:, :-1]
    return reached


def _rounded(size: tuple[int, int]) -> Any:
    """A card with round corners, for pictures whose background cannot be told."""
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius=min(size) // 10, fill=255)
    return mask
