"""Cuts a character out of its picture: by its transparency, or from a plain background. Runs in a child only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

CARD = "whole picture shown: its background is not plain"
"""Said in the rehearsal when the character could not be cut out."""

_SOFT = ImageFilter.GaussianBlur(0.8)
_SCAN_EDGE = 448
_PLAIN_SPREAD, _PLAIN_SHARE = 14, 0.7
_SAME_COLOUR, _EQUAL_COLOUR = 34, 7

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cutout:
    """A character to lay over a clip."""

    #: RGBA, cropped to its content.
    picture: Image.Image
    #: What to tell whoever watches, when it is not the character alone.
    note: str | None = None


def cut_out(path: Path, max_height: int) -> Cutout:
    """The character alone, at most `max_height` pixels tall; where that cannot be had, its picture as a card."""
    with path.open("rb") as file, Image.open(file, formats=["PNG", "JPEG", "WEBP"]) as opened:
        opened.draft("RGB", (max_height * 2, max_height * 2))  # JPEG can be decoded at a fraction of its size
        picture = ImageOps.exif_transpose(opened).convert("RGBA")
    picture.thumbnail((max_height * 3, max_height * 2), Image.Resampling.LANCZOS, reducing_gap=2.0)
    note = None
    if int(np.asarray(picture.getchannel("A")).min()) > 250:
        alpha = _plain_background(picture)
        note = None if alpha else CARD
        picture.putalpha(alpha or _rounded(picture.size))
    box = picture.getchannel("A").point(lambda a: 255 if a > 16 else 0).getbbox()
    character = picture.crop(box) if box else picture
    scale = max_height / character.height
    if scale < 1:
        size = (max(1, round(character.width * scale)), max_height)
        character = character.resize(size, Image.Resampling.LANCZOS)
    return Cutout(character, note)


def _plain_background(picture: Image.Image) -> Image.Image | None:
    """An alpha channel without the background, or None when the border is not plain: one colour, or a run of it."""
    small = picture.convert("RGB")
    small.thumbnail((_SCAN_EDGE, _SCAN_EDGE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64)
    edge = np.ones(pixels.shape[:2], bool)
    # The figure may touch the lower edge, so the other three edges tell the background.
    edge[1:, 1:-1] = False
    apart = np.abs(pixels - _ground(pixels, edge)).max(axis=2)
    if np.median(apart[edge]) > _PLAIN_SPREAD or (apart[edge] < _SAME_COLOUR).mean() < _PLAIN_SHARE:
        return None
    outside = _reachable_from_border(apart < _SAME_COLOUR)
    # Between legs and under arms the background is enclosed; higher up such a spot rather belongs to the face.
    legs = len(pixels) * 35 // 100
    equal = Image.fromarray((apart < _EQUAL_COLOUR).astype(np.uint8) * 255)
    patches = np.asarray(equal.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.MaxFilter(7))) > 0
    outside[legs:] |= patches[legs:] & (apart[legs:] < _SAME_COLOUR)
    if not 0.1 < outside.mean() < 0.97:
        return None
    alpha = Image.fromarray(np.where(outside, 0, 255).astype(np.uint8))
    return alpha.resize(picture.size, Image.Resampling.BICUBIC).filter(ImageFilter.MinFilter(5)).filter(_SOFT)


def _ground(pixels: Floats, edge: Mask) -> Floats:
    """What the background would be everywhere: a plane of colour through the edge, without what sticks out of it."""
    rows, columns = np.indices(edge.shape) / max(edge.shape)
    terms = np.stack([np.ones_like(rows), rows, columns], axis=-1)
    known, colours = terms[edge], pixels[edge]
    close = np.abs(colours - np.median(colours, axis=0)).max(axis=1) < 3 * _SAME_COLOUR
    factors = np.zeros((3, pixels.shape[2]))
    for _ in range(4):
        if close.sum() < 16:
            break
        factors = np.linalg.lstsq(known[close], colours[close], rcond=None)[0]
        close = np.abs(colours - known @ factors).max(axis=1) < _SAME_COLOUR
    return np.asarray(terms @ factors)


def _reachable_from_border(alike: Mask) -> Mask:
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


def _rounded(size: tuple[int, int]) -> Image.Image:
    """A card with round corners, for pictures whose background cannot be told."""
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius=min(size) // 10, fill=255)
    return mask
