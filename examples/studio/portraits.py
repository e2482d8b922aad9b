"""The character pictures: whole body, head visible, transparent or plain background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from studio.body import Look, Pose, draw_body
from studio.cast import CAT, FOX, PANDA, ROBOT
from studio.pen import Colour, Pen

_OVERSAMPLING = 3

COOL = Pose(
    hip=(0.012, 0.428),
    lean=0.04,
    left_foot=(-0.12, 0.0),
    right_foot=(0.12, 0.0),
    left_arm=(-0.75, 0.55),
    right_arm=(0.5, 0.2),
    tilt=0.08,
)
HELLO = Pose(
    hip=(-0.015, 0.43),
    lean=-0.03,
    left_foot=(-0.11, 0.0),
    right_foot=(0.11, 0.0),
    left_arm=(-0.5, -0.25),
    right_arm=(1.25, 2.7),
    tilt=-0.06,
)
BEAT = Pose(
    hip=(0.0, 0.428),
    lean=-0.05,
    left_foot=(-0.13, 0.0),
    right_foot=(0.11, 0.0),
    left_arm=(-1.2, -2.5),
    right_arm=(0.7, -0.45),
    tilt=-0.1,
)
HIPS = Pose(
    hip=(0.0, 0.428),
    lean=0.02,
    left_foot=(-0.12, 0.0),
    right_foot=(0.12, 0.0),
    left_arm=(-0.85, 0.75),
    right_arm=(0.85, -0.75),
    tilt=0.05,
)


@dataclass(frozen=True, slots=True)
class Portrait:
    """One picture; `background` None is transparent."""

    path: str
    look: Look
    pose: Pose
    size: tuple[int, int]
    background: Colour | None


PORTRAITS = (
    Portrait("street-dance/characters/fox.png", FOX, COOL, (640, 896), None),
    Portrait("street-dance/characters/robot.png", ROBOT, HELLO, (640, 896), (233, 236, 241)),
    Portrait("street-dance/characters/cat.png", CAT, BEAT, (640, 896), None),
    Portrait("street-dance/characters/panda.png", PANDA, HIPS, (640, 896), (222, 236, 224)),
    Portrait("minimal/characters/fox.png", FOX, COOL, (640, 896), None),
    Portrait("minimal/characters/robot.png", ROBOT, HELLO, (640, 896), (233, 236, 241)),
)


def paint_portrait(portrait: Portrait, target: Path) -> None:
    """Draw it large, scale it down, write it as PNG."""
    width, height = (edge * _OVERSAMPLING for edge in portrait.size)
    canvas = Image.new(
        "RGBA", (width, height), (*(portrait.background or (0, 0, 0)), 255 if portrait.background else 0)
    )
    scale = height * 0.84
    feet = (width * 0.5, height * 0.955)
    canvas.alpha_composite(_shadow(canvas.size, feet, scale))
    figure = Image.new("RGBA", canvas.size, (27, 24, 38, 0))
    draw_body(Pen(ImageDraw.Draw(figure), scale, feet), portrait.look, portrait.pose)
    canvas.alpha_composite(figure)
    small = canvas.resize(portrait.size, Image.Resampling.LANCZOS)
    if portrait.background:
        small = small.convert("RGB").quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    else:
        small = small.quantize(160, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small.save(target, optimize=True)


def _shadow(size: tuple[int, int], feet: tuple[float, float], scale: float) -> Image.Image:
    mask = Image.new("L", size, 0)
    box = (feet[0] - scale * 0.25, feet[1] - scale * 0.02, feet[0] + scale * 0.25, feet[1] + scale * 0.025)
    ImageDraw.Draw(mask).ellipse(box, fill=70)
    shadow = Image.new("RGBA", size, (20, 18, 40, 0))
    shadow.putalpha(mask.filter(ImageFilter.GaussianBlur(scale * 0.008)))
    return shadow
