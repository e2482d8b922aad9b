"""Claim: the words of a rehearsal can be read in every script and size, and keep off the character's head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from kling_render.media.captions import overlay, wrap
from kling_render.media.fonts import Letters, folders, installed

HERE = [path for path in installed(folders()) if path.name.lower() in ("dejavusans.ttf", "notosans-regular.ttf")]


def head(left: float, top: float, moments: int = 10) -> np.ndarray:
    return np.tile([left, top, left + 0.1, top + 0.2], (moments, 1))


def covered(picture: Image.Image, box: np.ndarray) -> bool:
    left, top, right, bottom = (round(edge * picture.size[i % 2]) for i, edge in enumerate(box))
    return bool(np.asarray(picture.getchannel("A"))[max(0, top) : bottom, left:right].any())


def test_without_a_font_words_are_written_as_they_sound() -> None:
    letters = Letters(14, files=())
    assert letters.drawable("Café – “日本語”\n\x1b[1m ok\u200b…") == "Cafe - “RiBenYu” [1m ok…"
    assert letters.drawable("Привет, שלום 🦊\ufe0f") == "Privet, shlvm :fox:".replace("shlvm", letters.drawable("שלום"))
    assert letters.drawable("\ue000") == "<E000>"
    assert letters.drawable("שלום").isascii()


@pytest.mark.skipif(not HERE, reason="this machine has none of the two fonts")
def test_a_font_of_the_machine_draws_what_the_built_in_one_lacks() -> None:
    letters = Letters(14, files=tuple(HERE[:1]))
    assert letters.drawable("Café ßłşğ Привет Ελλάδα") == "Café ßłşğ Привет Ελλάδα"
    assert letters.drawable("日本").isascii()
    if features.check("fribidi"):
        assert letters.drawable("שלום") == "שלום"
    assert letters.length("Café Привет") > letters.length("Café")


def test_a_damaged_font_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "DejaVuSans.ttf").write_bytes(b"no font")
    (tmp_path / "other.ttf").write_bytes(b"")
    files = installed((tmp_path, tmp_path / "missing"))
    assert [path.name for path in files] == ["DejaVuSans.ttf"]
    assert Letters(14, files=tuple(files)).drawable("é") == "e"


def test_words_are_wrapped_and_what_is_left_over_is_marked() -> None:
    letters = Letters(14)
    lines = wrap("word " * 300, letters, 200, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("...")
    assert all(letters.length(line) <= 200 for line in lines)
    assert wrap("", letters, 200, 3) == []
    assert wrap("y" * 5000, letters, 50, 2)[1].endswith("...")
    assert len(wrap("a " + "x" * 60, letters, 200, 9)[0]) > 2


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1920, 1080), (1080, 1920)])
def test_words_are_large_enough_and_stay_inside(size: tuple[int, int]) -> None:
    picture = np.asarray(overlay(size, ("sc010/fox/wave/t01", "a prompt " * 80, "take 01, 5 s, about $0.448")))
    opaque = picture[..., 3] == 255
    accent = opaque & (picture[..., 0] > 240) & (picture[..., 2] < 100)
    rows = np.flatnonzero(accent[size[1] // 2 :].any(axis=1))
    assert len(rows) >= 10
    assert not opaque[:, -2:].any()
    assert (picture[..., 3] > 0).mean() < 0.36


@pytest.mark.parametrize(("left", "top"), [(0.02, 0.0), (0.45, 0.1), (0.85, 0.0), (0.02, 0.78), (0.45, 0.8)])
def test_the_head_stays_visible(left: float, top: float) -> None:
    place = head(left, top)
    picture = overlay((640, 360), ("sc010/fox/wave/t01", "a prompt", "take 01"), place)
    assert not covered(picture, place[0])


def test_nothing_to_say_leaves_the_badge_alone() -> None:
    alpha = np.asarray(overlay((320, 240), ()).getchannel("A"))
    assert alpha[:40].any()
    assert not alpha[60:].any()
