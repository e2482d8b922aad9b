"""How large a corrected picture is, and how large the canvas it lies on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, isqrt


@dataclass(frozen=True, slots=True)
class Bounds:
    """What edges, width:height and pixels may be."""

    short_edge: int
    long_edge: int
    aspect_min: Decimal | None = None
    aspect_max: Decimal | None = None
    pixels: int | None = None
    #: Whether both edges must be even numbers, as in 4:2:0 video.
    even: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """Pixels of the picture, and of the canvas around it; equal where nothing is padded."""

    picture: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def is_padded(self) -> bool:
        """Whether there is a border."""
        return self.picture != self.canvas


def fit(width: int, height: int, bounds: Bounds) -> Fit:
    """The size nearest to the given one that keeps to the bounds: padded first, then scaled."""
    # A strip that is too narrow for both edge limits is padded as well.
    widest = Fraction(bounds.long_edge, bounds.short_edge)
    low = Fraction(bounds.aspect_min) if bounds.aspect_min is not None else 1 / widest
    high = Fraction(bounds.aspect_max) if bounds.aspect_max is not None else widest
    wide, tall = max(Fraction(width), height * low), max(Fraction(height), width / high)
    scale = max(Fraction(1), bounds.short_edge / min(wide, tall))
    scale = min(scale, bounds.long_edge / max(wide, tall))
    if bounds.pixels is not None and wide * tall * scale * scale > bounds.pixels:
        scale = Fraction(isqrt(int(Fraction(bounds.pixels) / (wide * tall) * 10**12)), 10**6)
    step = 2 if bounds.even else 1
    picture = (_step(width * scale, step), _step(height * scale, step))
    canvas = (
        max(picture[0], ceil(picture[1] * low / step) * step, ceil(Fraction(bounds.short_edge, step)) * step),
        max(picture[1], ceil(picture[0] / high / step) * step, ceil(Fraction(bounds.short_edge, step)) * step),
    )
    return Fit(picture, (min(canvas[0], bounds.long_edge), min(canvas[1], bounds.long_edge)))


def _step(edge: Fraction, step: int) -> int:
    """The edge as a whole number of steps: the nearest, at least one."""
    return max(1, round(edge / step)) * step
