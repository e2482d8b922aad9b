"""A pen for cartoon shapes: every shape is a closed polygon with a dark outline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

INK: Colour = (27, 24, 38)


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws in body heights: x to the right, y up, the ground at 0; `scale` pixels are one body height."""

    draw: ImageDraw.ImageDraw
    scale: float
    origin: Point
    line: float = 0.011

    def pixel(self, point: Point) -> Point:
        """Where a point lies on the picture."""
        return self.origin[0] + point[0] * self.scale, self.origin[1] - point[1] * self.scale

    def shape(self, points: Sequence[Point], fill: Colour, *, outline: bool = True, smooth: bool = False) -> None:
        """A filled polygon, its corners rounded off when `smooth`."""
        dots = [self.pixel(p) for p in (spline(points) if smooth else points)]
        if outline:
            width = max(2, round(self.line * self.scale))
            self.draw.line([*dots, dots[0], dots[1]], fill=INK, width=width, joint="curve")
        self.draw.polygon(dots, fill=fill)
        if outline:
            width = max(1, round(self.line * self.scale * 0.9))
            self.draw.line([*dots, dots[0], dots[1]], fill=INK, width=width, joint="curve")

    def oval(self, centre: Point, rx: float, ry: float, fill: Colour, *, turn: float = 0, outline: bool = True) -> None:
        """An ellipse, turned by `turn` radians."""
        circle = [(rx * math.cos(a), ry * math.sin(a)) for a in (i * math.tau / 40 for i in range(40))]
        self.shape([add(centre, rotate(p, turn)) for p in circle], fill, outline=outline)

    def limb(self, joints: Sequence[Point], radii: Sequence[float], fill: Colour) -> None:
        """A jointed limb: capsules from joint to joint, one outline around all of them."""
        for grow, colour in ((self.line * 0.95, INK), (0.0, fill)):
            for a, b, wide, narrow in zip(joints, joints[1:], radii, radii[1:], strict=False):
                self.shape(_capsule(a, b, wide + grow, narrow + grow), colour, outline=False)

    def stroke(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """An open line."""
        dots = [self.pixel(p) for p in points]
        self.draw.line(dots, fill=colour, width=max(1, round(width * self.scale)), joint="curve")


def _capsule(a: Point, b: Point, wide: float, narrow: float) -> list[Point]:
    angle = math.atan2(b[1] - a[1], b[0] - a[0])
    start = [_on(a, wide, angle + math.pi / 2 + i * math.pi / 12) for i in range(13)]
    end = [_on(b, narrow, angle - math.pi / 2 + i * math.pi / 12) for i in range(13)]
    return [*start, *end]


def _on(centre: Point, radius: float, angle: float) -> Point:
    return centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)


def add(a: Point, b: Point) -> Point:
    """a + b."""
    return a[0] + b[0], a[1] + b[1]


def rotate(p: Point, angle: float) -> Point:
    """p turned about the origin, counter-clockwise."""
    c, s = math.cos(angle), math.sin(angle)
    return p[0] * c - p[1] * s, p[0] * s + p[1] * c


def reach(start: Point, length: float, angle: float) -> Point:
    """The end of a limb that hangs down at angle 0 and swings to the right for positive angles."""
    return start[0] + length * math.sin(angle), start[1] - length * math.cos(angle)


def spline(points: Sequence[Point], steps: int = 8) -> list[Point]:
    """A closed Catmull-Rom curve through the points."""
    out: list[Point] = []
    n = len(points)
    for i in range(n):
        p0, p1, p2, p3 = (points[(i + k) % n] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            out.append((_cubic(p0[0], p1[0], p2[0], p3[0], t), _cubic(p0[1], p1[1], p2[1], p3[1], t)))
    return out


def open_spline(points: Sequence[Point], steps: int = 8) -> list[Point]:
    """An open Catmull-Rom curve through the points."""
    padded = [points[0], *points, points[-1]]
    out: list[Point] = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            t = step / steps
            out.append((_cubic(p0[0], p1[0], p2[0], p3[0], t), _cubic(p0[1], p1[1], p2[1], p3[1], t)))
    return [*out, points[-1]]


def _cubic(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)
