"""The place of the clips: a quiet street at night, without anything that moves."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFilter

_SKY_TOP, _SKY_LOW = (26, 28, 62), (112, 76, 128)
_HOUSES = (
    (0.0, 0.34, 0.17),
    (0.16, 0.24, 0.2),
    (0.35, 0.4, 0.14),
    (0.48, 0.3, 0.19),
    (0.66, 0.36, 0.15),
    (0.8, 0.22, 0.21),
)


def night_street(size: tuple[int, int]) -> Image.Image:
    """Sky, houses with a few lit windows, a lamp's glow, and a pavement."""
    width, height = size
    ramp = Image.linear_gradient("L").resize(size)
    picture = Image.composite(Image.new("RGB", size, _SKY_LOW), Image.new("RGB", size, _SKY_TOP), ramp)
    draw = ImageDraw.Draw(picture)
    floor = round(height * 0.8)
    for number, (left, top, wide) in enumerate(_HOUSES):
        _house(draw, (round(left * width), round(top * height), round((left + wide) * width), floor), number)
    draw.rectangle((0, floor, width, height), fill=(60, 58, 84))
    draw.rectangle((0, floor, width, floor + height // 90), fill=(92, 88, 118))
    for step in range(1, 5):
        y = floor + round((height - floor) * (step / 5) ** 1.4)
        draw.line((0, y, width, y), fill=(52, 50, 75), width=max(1, height // 260))
    return _glow(picture, floor)


def _house(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], number: int) -> None:
    left, top, right, floor = box
    shade = 34 + number % 3 * 5
    draw.rectangle(box, fill=(shade, shade, shade + 24))
    wide = (floor - top + right - left) // 26
    columns, rows = (right - left) // (wide * 2), (floor - top) // (wide * 3)
    for row in range(rows):
        for column in range(columns):
            if (row * 5 + column * 3 + number * 7) % 11 in (0, 4):
                x = left + (2 * column + 1) * (right - left) // (2 * columns) - wide // 2
                y = top + wide + row * wide * 3
                draw.rectangle((x, y, x + wide, y + wide * 3 // 2), fill=(196, 156, 98))


def _glow(picture: Image.Image, floor: int) -> Image.Image:
    """The moon above and a pool of light on the pavement."""
    width, height = picture.size
    mask = Image.new("L", (width // 4, height // 4), 0)
    draw = ImageDraw.Draw(mask)
    middle, ground, reach = width // 8, (floor + (height - floor) * 2 // 3) // 4, min(width, height) // 10
    draw.ellipse((middle - reach * 3 // 2, ground - reach // 4, middle + reach * 3 // 2, ground + reach // 4), fill=90)
    moon = (width // 4 * 4 // 5, height // 4 // 9)
    draw.ellipse((moon[0] - reach // 2, moon[1] - reach // 2, moon[0] + reach // 2, moon[1] + reach // 2), fill=80)
    mask = mask.filter(ImageFilter.GaussianBlur(reach // 5))
    mask = mask.resize(picture.size, Image.Resampling.BICUBIC)
    lit = Image.composite(Image.new("RGB", picture.size, (255, 226, 176)), picture, mask)
    x, y, disc = moon[0] * 4, moon[1] * 4, reach * 11 // 10
    ImageDraw.Draw(lit).ellipse((x - disc, y - disc, x + disc, y + disc), fill=(250, 224, 178))
    return lit
