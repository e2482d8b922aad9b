"""The cast: heads, tails and outfits of the four characters, and of the dancer in the clips."""

from __future__ import annotations

import math

from studio.body import HEAD, Look
from studio.pen import INK, Colour, Pen, Point, add, open_spline, rotate

WHITE: Colour = (250, 248, 242)


class _Head:
    """A head's own coordinates: 1 is its radius, tilted, its face moved sideways as it turns."""

    def __init__(self, pen: Pen, centre: Point, tilt: float, yaw: float, size: float = HEAD) -> None:
        self.pen, self.centre, self.tilt, self.size = pen, centre, tilt, size
        self.shift = math.sin(yaw) * 0.55
        self.squash = max(0.25, abs(math.cos(yaw)))
        self.front = math.cos(yaw) > -0.15

    def at(self, x: float, y: float) -> Point:
        """A point of the skull, which looks the same from everywhere."""
        return add(self.centre, rotate((x * self.size, y * self.size), self.tilt))

    def face(self, x: float, y: float) -> Point:
        """A point of the face."""
        return self.at(x * self.squash + self.shift, y)

    def skull(self, points: list[Point], fill: Colour) -> None:
        self.pen.shape([self.at(*p) for p in points], fill, smooth=True)

    def patch(self, points: list[Point], fill: Colour, *, outline: bool = False) -> None:
        self.pen.shape([self.face(*p) for p in points], fill, smooth=True, outline=outline)

    def dot(self, x: float, y: float, rx: float, ry: float, fill: Colour, *, outline: bool = False) -> None:
        s = self.size
        self.pen.oval(self.face(x, y), rx * s * self.squash, ry * s, fill, turn=self.tilt, outline=outline)

    def eyes(self, x: float, y: float, size: float, *, iris: Colour = INK) -> None:
        for side in (-1, 1):
            self.dot(side * x, y, size, size * 1.25, iris)
            self.dot(side * x + size * 0.35, y + size * 0.5, size * 0.35, size * 0.4, WHITE)

    def line(self, points: list[Point], width: float, colour: Colour = INK) -> None:
        self.pen.stroke([self.face(*p) for p in points], colour, width * self.size)


def _ears(head: _Head, outer: Colour, inner: Colour, tip: Colour | None = None) -> None:
    for s in (-1, 1):
        head.pen.shape([head.at(s * 0.98, 0.35), head.at(s * 0.86, 1.5), head.at(s * 0.12, 0.85)], outer)
        if head.front:
            head.pen.shape(
                [head.at(s * 0.8, 0.6), head.at(s * 0.76, 1.2), head.at(s * 0.36, 0.85)], inner, outline=False
            )
        if tip:
            head.pen.shape([head.at(s * 0.9, 1.12), head.at(s * 0.86, 1.5), head.at(s * 0.6, 1.24)], tip, outline=False)


def _smile(head: _Head, y: float, width: float) -> None:
    curve = [(-width + 2 * width * i / 8, y - 0.12 * math.sin(math.pi * i / 8)) for i in range(9)]
    head.line(curve, 0.06)


ORANGE: Colour = (239, 120, 45)


def fox_head(pen: Pen, centre: Point, tilt: float, yaw: float) -> None:
    """Pointed cheeks, white muzzle, dark ear tips."""
    head = _Head(pen, centre, tilt, yaw, HEAD * 1.05)
    _ears(head, ORANGE, (255, 214, 170), (60, 38, 40))
    head.skull(
        [
            (-1.22, -0.28),
            (-0.95, 0.5),
            (-0.4, 0.93),
            (0.4, 0.93),
            (0.95, 0.5),
            (1.22, -0.28),
            (0.62, -0.78),
            (0, -1.02),
            (-0.62, -0.78),
        ],
        ORANGE,
    )
    if not head.front:
        return
    head.patch(
        [
            (-1.08, -0.28),
            (-0.5, -0.02),
            (-0.16, -0.2),
            (0, 0.12),
            (0.16, -0.2),
            (0.5, -0.02),
            (1.08, -0.28),
            (0.55, -0.7),
            (0, -0.92),
            (-0.55, -0.7),
        ],
        WHITE,
    )
    head.eyes(0.46, 0.16, 0.155)
    head.line([(-0.66, 0.52), (-0.32, 0.46)], 0.075)
    head.line([(0.66, 0.5), (0.32, 0.6)], 0.075)
    head.dot(0, -0.3, 0.17, 0.12, INK)
    _smile(head, -0.52, 0.24)


def fox_tail(pen: Pen, hip: Point, lean: float) -> None:
    """A brush with a white tip, swept up at the side."""

    def at(x: float, y: float) -> Point:
        return add(hip, rotate((x, y), -lean))

    pen.shape(
        [
            at(-0.03, -0.02),
            at(-0.2, -0.05),
            at(-0.33, 0.06),
            at(-0.38, 0.22),
            at(-0.33, 0.35),
            at(-0.25, 0.26),
            at(-0.21, 0.14),
            at(-0.1, 0.09),
            at(-0.02, 0.05),
        ],
        ORANGE,
        smooth=True,
    )
    pen.shape(
        [
            at(-0.385, 0.2),
            at(-0.375, 0.27),
            at(-0.33, 0.35),
            at(-0.265, 0.28),
            at(-0.25, 0.23),
            at(-0.29, 0.25),
            at(-0.32, 0.2),
            at(-0.35, 0.235),
        ],
        WHITE,
        smooth=True,
    )


GREY: Colour = (122, 118, 148)


def cat_head(pen: Pen, centre: Point, tilt: float, yaw: float) -> None:
    """Round cheeks, whiskers, big headphones."""
    head = _Head(pen, centre, tilt, yaw, HEAD * 1.04)
    band = [(1.13 * math.cos(a), 0.15 + 1.1 * math.sin(a)) for a in (math.pi * i / 20 for i in range(21))]
    _ears(head, GREY, (240, 165, 180))
    head.skull(
        [
            (-1.1, -0.15),
            (-0.95, 0.5),
            (-0.4, 0.86),
            (0.4, 0.86),
            (0.95, 0.5),
            (1.1, -0.15),
            (0.7, -0.75),
            (0, -0.93),
            (-0.7, -0.75),
        ],
        GREY,
    )
    pen.stroke([head.at(*p) for p in band], INK, 0.042)
    pen.stroke([head.at(*p) for p in band], (255, 84, 112), 0.024)
    for s in (-1, 1):
        pen.oval(head.at(s * 1.1, 0.05), 0.042, 0.062, (255, 84, 112), turn=tilt)
        pen.oval(head.at(s * 1.14, 0.05), 0.02, 0.035, (255, 205, 90), turn=tilt, outline=False)
    if not head.front:
        return
    head.patch(
        [(-0.5, -0.4), (-0.25, -0.16), (0, -0.22), (0.25, -0.16), (0.5, -0.4), (0.3, -0.72), (0, -0.8), (-0.3, -0.72)],
        (226, 222, 236),
    )
    for s in (-1, 1):
        head.dot(s * 0.44, 0.14, 0.21, 0.24, (170, 235, 150))
        head.dot(s * 0.44, 0.14, 0.085, 0.21, INK)
        head.dot(s * 0.44 + 0.06, 0.25, 0.05, 0.06, WHITE)
        for k in (-1, 0, 1):
            head.line([(s * 0.5, -0.42 + k * 0.07), (s * 1.15, -0.38 + k * 0.17)], 0.035)
    head.pen.shape([head.face(-0.1, -0.24), head.face(0.1, -0.24), head.face(0, -0.36)], (240, 130, 150), outline=False)
    _smile(head, -0.48, 0.2)


def cat_tail(pen: Pen, hip: Point, lean: float) -> None:
    """A long tail with a hook."""
    path = [(0.0, 0.0), (0.14, -0.04), (0.24, 0.02), (0.27, 0.13), (0.26, 0.24), (0.3, 0.32), (0.37, 0.33)]
    curve = open_spline([add(hip, rotate(p, -lean)) for p in path])
    pen.limb(curve, [0.027] * len(curve), GREY)
    for p in curve[-6:]:
        pen.oval(p, 0.027, 0.027, WHITE, outline=False)


STEEL: Colour = (174, 190, 204)


def robot_head(pen: Pen, centre: Point, tilt: float, yaw: float) -> None:
    """A boxy helmet with a screen for a face and an antenna."""
    head = _Head(pen, centre, tilt, yaw)
    pen.stroke([head.at(0.3, 0.8), head.at(0.42, 1.45)], INK, 0.018)
    pen.oval(head.at(0.43, 1.5), 0.028, 0.028, (255, 92, 80))
    for s in (-1, 1):
        pen.shape(
            [head.at(s * 1.0, 0.32), head.at(s * 1.24, 0.26), head.at(s * 1.24, -0.26), head.at(s * 1.0, -0.32)],
            (108, 122, 140),
        )
    head.skull(
        [
            (-1.08, 0),
            (-1.02, 0.62),
            (-0.75, 0.88),
            (0, 0.93),
            (0.75, 0.88),
            (1.02, 0.62),
            (1.08, 0),
            (1.02, -0.62),
            (0.75, -0.86),
            (0, -0.9),
            (-0.75, -0.86),
            (-1.02, -0.62),
        ],
        STEEL,
    )
    if not head.front:
        return
    head.patch(
        [
            (-0.85, 0),
            (-0.8, 0.42),
            (-0.5, 0.6),
            (0, 0.63),
            (0.5, 0.6),
            (0.8, 0.42),
            (0.85, 0),
            (0.8, -0.42),
            (0.5, -0.58),
            (0, -0.6),
            (-0.5, -0.58),
            (-0.8, -0.42),
        ],
        (24, 34, 52),
        outline=True,
    )
    for s in (-1, 1):
        arc = [
            (s * 0.38 + 0.17 * math.cos(a), 0.08 + 0.24 * math.sin(a)) for a in (math.pi * i / 10 for i in range(11))
        ]
        head.line(arc, 0.11, (92, 240, 226))
    arc = [(0.26 * math.cos(a), -0.18 + 0.14 * math.sin(a)) for a in (-math.pi * i / 10 for i in range(11))]
    head.line(arc, 0.08, (92, 240, 226))


def panda_head(pen: Pen, centre: Point, tilt: float, yaw: float) -> None:
    """Eye patches and a bucket hat."""
    head = _Head(pen, centre, tilt, yaw, HEAD * 1.03)
    for s in (-1, 1):
        pen.oval(head.at(s * 0.8, 0.72), 0.052, 0.052, (38, 36, 46))
    head.skull(
        [
            (-1.14, -0.2),
            (-0.98, 0.45),
            (-0.45, 0.85),
            (0.45, 0.85),
            (0.98, 0.45),
            (1.14, -0.2),
            (0.7, -0.78),
            (0, -0.94),
            (-0.7, -0.78),
        ],
        WHITE,
    )
    if head.front:
        for s in (-1, 1):
            patch = [(0.18, 0.02), (0.34, 0.28), (0.6, 0.22), (0.72, -0.06), (0.58, -0.32), (0.34, -0.26)]
            head.patch([(s * x, y) for x, y in patch], (38, 36, 46))
            head.dot(s * 0.45, 0.0, 0.12, 0.14, WHITE)
            head.dot(s * 0.45, -0.01, 0.08, 0.1, INK)
            head.dot(s * 0.45 + 0.04, 0.04, 0.035, 0.04, WHITE)
        head.dot(0, -0.34, 0.14, 0.1, INK)
        _smile(head, -0.55, 0.2)
    hat: Colour = (255, 201, 60)
    head.skull([(-0.74, 0.5), (-0.66, 1.05), (-0.4, 1.22), (0.4, 1.22), (0.66, 1.05), (0.74, 0.5), (0, 0.42)], hat)
    head.skull(
        [(-1.12, 0.2), (-0.78, 0.6), (0, 0.68), (0.78, 0.6), (1.12, 0.2), (0.6, 0.4), (0, 0.44), (-0.6, 0.4)],
        (238, 176, 34),
    )


def dancer_head(pen: Pen, centre: Point, tilt: float, yaw: float) -> None:
    """A person with a beanie."""
    skin: Colour = (196, 138, 100)
    head = _Head(pen, centre, tilt, yaw, HEAD * 0.92)
    for s in (-1, 1):
        if abs(head.shift) < 0.4 or s * head.shift < 0:
            pen.oval(head.at(s * 0.92 * max(head.squash, 0.35), -0.1), 0.02, 0.032, skin)
    head.skull(
        [(-0.9, 0.0), (-0.78, 0.6), (0, 0.9), (0.78, 0.6), (0.9, 0.0), (0.7, -0.62), (0, -0.95), (-0.7, -0.62)],
        skin if head.front else (52, 38, 40),
    )
    if head.front:
        head.eyes(0.34, -0.02, 0.1)
        head.line([(-0.5, 0.24), (-0.2, 0.26)], 0.06)
        head.line([(0.5, 0.24), (0.2, 0.26)], 0.06)
        head.line([(0.02, -0.12), (0.07, -0.3), (-0.03, -0.31)], 0.045, (150, 96, 66))
        _smile(head, -0.5, 0.22)
    beanie: Colour = (222, 66, 78)
    head.skull([(-0.95, 0.3), (-0.88, 0.85), (-0.45, 1.18), (0.45, 1.18), (0.88, 0.85), (0.95, 0.3), (0, 0.4)], beanie)
    head.skull([(-1.0, 0.22), (-0.96, 0.52), (0, 0.62), (0.96, 0.52), (1.0, 0.22), (0, 0.32)], (176, 44, 60))


def _bolt(pen: Pen, chest: Point, lean: float, facing: float) -> None:
    points = [(0.015, 0.07), (-0.04, -0.005), (-0.008, -0.005), (-0.02, -0.07), (0.04, 0.012), (0.008, 0.012)]
    pen.shape([add(chest, rotate((x * facing, y), -lean)) for x, y in points], (255, 214, 64), outline=False)


def _panel(pen: Pen, chest: Point, lean: float, facing: float) -> None:
    corners = [(-0.055, 0.04), (0.055, 0.04), (0.055, -0.04), (-0.055, -0.04)]
    pen.shape([add(chest, rotate((x * facing, y), -lean)) for x, y in corners], (24, 34, 52))
    for x, colour in ((-0.03, (92, 240, 226)), (0.0, (255, 201, 60)), (0.03, (255, 92, 80))):
        pen.oval(add(chest, rotate((x * facing, 0), -lean)), 0.011 * facing, 0.011, colour, outline=False)


def _zip(pen: Pen, chest: Point, lean: float, facing: float) -> None:
    del facing
    pen.stroke([add(chest, rotate((0, y), -lean)) for y in (0.085, -0.13)], (245, 225, 150), 0.01)


def _star(pen: Pen, chest: Point, lean: float, facing: float) -> None:
    star = [
        (
            (0.055 if i % 2 == 0 else 0.024) * math.sin(i * math.pi / 5),
            (0.055 if i % 2 == 0 else 0.024) * math.cos(i * math.pi / 5),
        )
        for i in range(10)
    ]
    pen.shape([add(chest, rotate((x * facing, y), -lean)) for x, y in star], (255, 201, 60), outline=False)


def _stripes(pen: Pen, chest: Point, lean: float, facing: float) -> None:
    for dy in (0.02, -0.03):
        bar = [(-0.112, dy + 0.013), (0.112, dy + 0.013), (0.11, dy - 0.013), (-0.11, dy - 0.013)]
        width = 0.45 + 0.55 * facing
        pen.shape([add(chest, rotate((x * width, y), -lean)) for x, y in bar], WHITE, outline=False)


FOX = Look(fox_head, (20, 148, 146), (12, 108, 112), (44, 50, 72), (240, 78, 70), ORANGE, behind=fox_tail, emblem=_bolt)
ROBOT = Look(
    robot_head,
    STEEL,
    (126, 142, 160),
    (96, 108, 126),
    (255, 168, 48),
    (108, 122, 140),
    emblem=_panel,
    stripe=(92, 240, 226),
)
CAT = Look(
    cat_head,
    (246, 112, 150),
    (206, 72, 118),
    (56, 58, 92),
    (250, 250, 250),
    GREY,
    sole=(255, 205, 90),
    behind=cat_tail,
    emblem=_zip,
)
PANDA = Look(
    panda_head,
    (54, 140, 84),
    (34, 104, 62),
    (54, 140, 84),
    (38, 36, 46),
    (38, 36, 46),
    stripe=WHITE,
    emblem=_star,
    girth=1.12,
)
DANCER = Look(
    dancer_head,
    (64, 108, 214),
    (44, 78, 168),
    (236, 228, 212),
    (250, 250, 250),
    (196, 138, 100),
    sole=(222, 66, 78),
    emblem=_stripes,
)
