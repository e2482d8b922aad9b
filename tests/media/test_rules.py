"""Claim: each hard limit is checked at its exact edge, and the words name the figure, the limit and a remedy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from kling_render.media.facts import ClipFacts, ImageFacts
from kling_render.media.rules import check_clip, check_image, clip_seconds
from kling_render.models import DEFAULT_MODEL, MODELS

MODEL = MODELS[DEFAULT_MODEL]


def image(**changes: Any) -> ImageFacts:
    return ImageFacts(**{"kind": "png", "width": 640, "height": 896, "bytes": 1000, "mime": "image/png"} | changes)


def clip(**changes: Any) -> ClipFacts:
    plain = {
        "container": "mp4", "codec": "h264", "width": 360, "height": 640, "rotation": 0, "fps": 24.0,
        "duration_s": Decimal(5), "has_audio": True, "frames": 120, "bytes": 1000, "mime": "video/mp4",
    }  # fmt: skip
    return ClipFacts(**plain | changes)


def dec(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def test_what_fits_has_no_violation() -> None:
    assert check_image(image(), MODEL) == []
    assert check_clip(clip(), MODEL, "image", None, None) == []


@pytest.mark.parametrize(
    ("changes", "figure"),
    [
        ({"width": 299, "height": 400}, "the short edge has 299 px; at least 300 px"),
        ({"width": 30_000, "height": 65_537}, "the long edge has 65537 px; at most 65,536 px"),
        ({"bytes": 10_400_000}, "10.4 MB; at most 10 MB (stated by sellers of this model)"),
        ({"width": 399, "height": 1000}, "must lie between 0.4 and 2.5"),
        ({"width": 1000, "height": 399}, "width:height is 2.51 (1000 × 399)"),
    ],
)
def test_an_image_over_a_limit(changes: dict[str, int], figure: str) -> None:
    (violation,) = check_image(image(**changes), MODEL)
    assert figure in violation.message
    assert violation.help
    assert violation.severity == "error"


def test_an_image_at_its_limits_fits() -> None:
    for changes in ({"width": 300, "height": 300}, {"bytes": 10_000_000}, {"width": 400, "height": 1000}):
        assert check_image(image(**changes), MODEL) == []


@pytest.mark.parametrize(
    ("changes", "orientation", "window", "code", "figure"),
    [
        ({"width": 339}, "image", (None, None), "KR0214", "the short edge has 339 px; at least 340 px"),
        ({"height": 3851}, "image", (None, None), "KR0214", "at most 3,850 px"),
        ({"bytes": 100_100_000}, "image", (None, None), "KR0215", "100.1 MB; at most 100 MB"),
        (
            {"duration_s": Decimal(31)},
            "video",
            (None, None),
            "KR0209",
            "31.0 s; at most 30 s when orientation is 'video'",
        ),
        (
            {"duration_s": Decimal(11)},
            "image",
            (None, None),
            "KR0209",
            "11.0 s; at most 10 s when orientation is 'image'",
        ),
        ({"duration_s": Decimal(0)}, "image", (None, None), "KR0209", "0.0 s; at least 3 s"),
        ({}, "image", ("2", "4.5"), "KR0209", "2.5 s after the trim (of 5.0 s); at least 3 s"),
        ({}, "image", ("5", None), "KR0213", "start 5.0 s lies beyond the clip's end (5.0 s)"),
        ({}, "image", (None, "5.5"), "KR0213", "end 5.5 s lies beyond the clip's end (5.0 s)"),
        ({}, "image", ("4", "2"), "KR0213", "start 4.0 s is not before end 2.0 s"),
    ],
)
def test_a_clip_over_a_limit(
    changes: dict[str, Any], orientation: Any, window: tuple[str | None, str | None], code: str, figure: str
) -> None:
    (violation,) = check_clip(clip(**changes), MODEL, orientation, dec(window[0]), dec(window[1]))
    assert violation.code == code
    assert figure in violation.message
    assert violation.help


def test_a_clip_at_its_limits_fits() -> None:
    for seconds, orientation in (("3", "image"), ("10", "image"), ("10.0005", "image"), ("30", "video")):
        assert check_clip(clip(duration_s=Decimal(seconds)), MODEL, orientation, None, None) == []  # type: ignore[arg-type]


def test_too_long_for_image_orientation_offers_the_other_one_only_where_it_helps() -> None:
    (eleven,) = check_clip(clip(duration_s=Decimal(11)), MODEL, "image", None, None)
    (forty,) = check_clip(clip(duration_s=Decimal(40)), MODEL, "image", None, None)
    assert "orientation: video" in eleven.help
    assert "orientation: video" not in forty.help


def test_a_trim_makes_a_long_and_heavy_clip_fit() -> None:
    heavy = clip(duration_s=Decimal(60), bytes=900_000_000)
    assert check_clip(heavy, MODEL, "image", Decimal(10), Decimal(18)) == []


@pytest.mark.parametrize(
    ("start", "end", "left"),
    [(None, None, "5"), ("1.5", None, "3.5"), (None, "2", "2"), ("1", "9", "4"), ("7", None, "0")],
)
def test_the_seconds_left_after_a_trim(start: str | None, end: str | None, left: str) -> None:
    assert clip_seconds(clip(), dec(start), dec(end)) == Decimal(left)
