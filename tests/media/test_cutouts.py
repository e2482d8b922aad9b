"""Claim: a character is cut out where its picture allows it; else its picture is shown as a card, and that is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kling_render.media.cutout import CARD, cut_out
from kling_render.media.planes import lay, layer
from kling_render.media.sprite import Sprite
from kling_render.media.window import split

FIGURE = (70, 20, 250, 390)


def opacity(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.getchannel("A"))


def portrait(ground: Image.Image, *, hole: bool = False) -> Image.Image:
    pen = ImageDraw.Draw(ground)
    pen.ellipse(FIGURE, fill=(200, 60, 40))
    if hole:
        pen.rectangle((130, 270, 190, 350), fill=ground.getpixel((2, 2)))
    return ground


def shaded(low: int, high: int) -> Image.Image:
    run = np.linspace(low, high, 400)[:, None, None] + np.linspace(0, 12, 320)[None, :, None]
    noise = np.random.default_rng(2).normal(0, 2, (400, 320, 3))
    return Image.fromarray(np.clip(run + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "ground",
    [Image.new("RGB", (320, 400), "white"), Image.new("RGB", (320, 400), (0, 180, 60)), shaded(130, 225)],
    ids=["white", "green", "shaded"],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_plain_grounds_are_removed_cleanly(tmp_path: Path, ground: Image.Image, kind: str) -> None:
    portrait(ground.copy()).save(tmp_path / "hero", kind)
    cutout = cut_out(tmp_path / "hero", 400)
    assert cutout.note is None
    width, height = cutout.picture.size
    assert abs(width - 180) < 10
    assert abs(height - 370) < 10
    shown = opacity(cutout.picture)
    assert shown[height // 2, width // 2] == 255
    assert shown[:8, :8].max() == 0
    assert abs((shown > 127).mean() - np.pi / 4) < 0.03


def test_transparency_is_used_as_it_is(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (320, 400), (10, 200, 10, 0))
    ImageDraw.Draw(picture).rectangle((100, 50, 199, 349), fill=(200, 60, 40, 255))
    picture.save(tmp_path / "hero.png")
    cutout = cut_out(tmp_path / "hero.png", 800)
    assert cutout.picture.size == (100, 300)
    assert cutout.note is None


def test_the_ground_between_the_legs_goes_too(tmp_path: Path) -> None:
    portrait(Image.new("RGB", (320, 400), "white"), hole=True).save(tmp_path / "hero.png")
    picture = cut_out(tmp_path / "hero.png", 400).picture
    assert opacity(picture)[round(picture.height * 0.78), picture.width // 2] == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_photograph_becomes_a_card_and_that_is_said(tmp_path: Path, seed: int) -> None:
    stains = np.random.default_rng(seed).integers(0, 255, (12, 10, 3), np.uint8)
    portrait(Image.fromarray(stains).resize((320, 400))).save(tmp_path / "hero.jpg", "JPEG")
    cutout = cut_out(tmp_path / "hero.jpg", 400)
    assert cutout.note == CARD
    shown = opacity(cutout.picture)
    assert shown[0, 0] == 0
    assert (shown == 255).mean() > 0.95


def test_a_sprite_has_the_height_and_the_lean_asked_for(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (200, 400), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((80, 0, 119, 399), fill=(255, 255, 255, 255))
    picture.save(tmp_path / "pole.png")
    sprite = Sprite(tmp_path / "pole.png", (640, 480))
    for height in (300.0, 97.0, 24.0):
        rows = np.flatnonzero((sprite.at(height, 0).alpha > 200).any(axis=1))
        assert len(rows) == pytest.approx(height, abs=max(3, height * 0.03))
    shown = sprite.at(200, 15).alpha > 200
    rows, columns = np.nonzero(shown)
    slope = np.polyfit(rows, columns, 1)[0]
    assert np.degrees(np.arctan(-slope)) == pytest.approx(15, abs=1.5)
    assert sprite.at(200.1, 15.05) is sprite.at(200, 15)


def test_a_broad_card_is_no_broader_than_the_figure_is_tall(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 600, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "wide.png")
    sprite = Sprite(tmp_path / "wide.png", (640, 480))
    assert sprite.note == CARD
    assert sprite.at(200, 0).alpha.shape[1] < 200


def test_layers_are_laid_exactly_and_clipped_at_every_edge() -> None:
    half = layer(Image.new("RGBA", (8, 8), (255, 255, 255, 128)))
    for x, y in ((0, 0), (-4, -4), (12, 12), (-5, 3), (30, 0), (0, -30)):
        picture = np.full((24, 16), 100, np.uint8)
        planes = split(picture)
        lay(planes, half, x, y)
        touched = max(0, min(16, x + 8) - max(0, x)) * max(0, min(16, y + 8) - max(0, y))
        assert (planes[0] != 100).sum() == touched
        assert set(np.unique(planes[0])) <= {100, 168}
