"""Claim: the mover's place, size and lean are followed within bounds, calmly, and what is not to be seen is assumed."""

from __future__ import annotations

import numpy as np
import pytest

from kling_render.media.mover import Track, find_mover
from tests.media.figures import Pose, Way, pictures

RATE = 15.0


def followed(way: Way, seconds: float = 4.0, **how: object) -> tuple[Track, list[Pose]]:
    track = find_mover(pictures(way, seconds, rate=RATE, **how), RATE)  # type: ignore[arg-type]
    truth = [way(index / RATE)[0] for index in range(len(track.centre))]
    return track, truth


def worst(found: np.ndarray, true: list[float], skip: int = 4) -> float:
    """The 95th percentile of the error, the ends (where smoothing has one side only) left out."""
    return float(np.quantile(np.abs(found - np.array(true))[skip:-skip], 0.95))


def stroll(time: float) -> list[Pose]:
    return [Pose(0.5 + 0.28 * np.sin(time * 1.4))]


@pytest.mark.parametrize("size", [(213, 120), (67, 120), (121, 121)], ids=["landscape", "portrait", "odd"])
@pytest.mark.parametrize("noise", [0.0, 4.0], ids=["clean", "noisy"])
def test_the_place_of_a_strolling_figure_is_followed(size: tuple[int, int], noise: float) -> None:
    track, truth = followed(stroll, size=size, noise=noise)
    assert track.found
    assert worst(track.centre, [p.centre for p in truth]) < 0.03
    assert worst(track.foot, [p.foot for p in truth]) < 0.03
    assert worst(track.height, [p.height for p in truth]) < 0.04


def test_a_figure_that_comes_nearer_grows() -> None:
    def nearing(time: float) -> list[Pose]:
        return [Pose(0.3 + 0.08 * time, 0.7 + 0.05 * time, 0.35 + 0.1 * time)]

    track, truth = followed(nearing)
    assert worst(track.height, [p.height for p in truth], skip=12) < 0.06
    assert track.height[-10] - track.height[10] > 0.2
    assert worst(track.foot, [p.foot for p in truth]) < 0.04


def test_a_figure_that_sways_leans_as_much() -> None:
    def swaying(time: float) -> list[Pose]:
        return [Pose(0.5 + 0.2 * np.sin(time), lean=18 * np.sin(time * 2.5))]

    track, truth = followed(swaying, 6.0)
    assert worst(track.lean, [p.lean for p in truth]) < 5
    assert track.lean.max() > 12
    assert track.lean.min() < -12


def test_an_upright_figure_does_not_lean() -> None:
    track, _ = followed(stroll, noise=3.0)
    assert np.abs(track.lean).max() < 3


def test_standing_still_is_calm() -> None:
    def resting(time: float) -> list[Pose]:
        return [Pose(0.2 + 0.15 * min(time, 2.0))]

    track, _ = followed(resting, 6.0, noise=4.0)
    stood = slice(round(3.2 * RATE), None)
    for values, most in ((track.centre, 0.003), (track.foot, 0.004), (track.height, 0.01), (track.lean, 0.6)):
        assert np.ptp(values[stood]) < most * 3
        assert np.abs(np.diff(values[stood], 2)).max() < most
    assert abs(track.centre[-1] - 0.5) < 0.03


def test_a_figure_that_leaves_the_picture_takes_the_character_along() -> None:
    def leaving(time: float) -> list[Pose]:
        return [Pose(0.3 + 0.35 * time)]

    track, truth = followed(leaving, 5.0)
    assert worst(track.centre[:28], [p.centre for p in truth[:28]]) < 0.05
    assert (track.centre[-20:] > 1.15).all()


def test_one_of_several_is_followed_without_leaping() -> None:
    def crowd(time: float) -> list[Pose]:
        return [Pose(0.25 + 0.06 * np.sin(3 * time), height=0.7), Pose(0.75 + 0.03 * np.sin(2 * time), height=0.4)]

    track, truth = followed(crowd)
    assert worst(track.centre, [p.centre for p in truth]) < 0.05
    assert worst(track.height, [p.height for p in truth]) < 0.08
    assert np.abs(np.diff(track.centre)).max() < 0.05


def test_small_walkers_stay_small_and_a_waving_arm_belongs_to_a_body() -> None:
    far, _ = followed(lambda time: [Pose(0.1 + 0.2 * time, foot=0.6, height=0.25)])
    assert float(np.median(far.height)) < 0.32
    arm, _ = followed(lambda time: [Pose(0.5 + 0.02 * np.sin(5 * time), foot=0.5, height=0.25)])
    assert float(np.median(arm.height)) > 0.7
    assert float(np.median(arm.foot)) >= 0.94


@pytest.mark.parametrize("moments", [1, 2, 3, 40])
def test_without_movement_the_middle_is_assumed(moments: int) -> None:
    track = find_mover(pictures(lambda _: [Pose(0.2)], moments / RATE, rate=RATE), RATE)
    assert not track.found
    assert len(track.centre) == moments
    assert float(track.lean[0]) == 0


def test_a_light_that_goes_up_is_no_figure() -> None:
    still = pictures(stroll, 4.0, rate=RATE).astype(np.int16)
    track = find_mover(np.clip(still + np.linspace(-25, 25, len(still))[:, None, None], 0, 255).astype(np.uint8), RATE)
    truth = [stroll(index / RATE)[0].centre for index in range(len(still))]
    assert worst(track.centre, truth) < 0.05


def test_the_way_is_smooth_between_frames() -> None:
    track, _ = followed(lambda time: [Pose(0.5 + 0.25 * np.sin(2 * time), lean=10 * np.sin(2 * time))], 6.0, noise=4.0)
    for values, most in ((track.centre, 0.012), (track.foot, 0.006), (track.height, 0.006), (track.lean, 1.5)):
        assert np.abs(np.diff(values, 2)).max() < most


def test_a_figure_that_leans_slightly_all_the_time_stands_upright() -> None:
    track, _ = followed(lambda time: [Pose(0.5 + 0.28 * np.sin(time * 1.4), lean=6)])
    assert np.abs(track.lean).max() < 4
