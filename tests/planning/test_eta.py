"""When a plan is done: from own renders, else everybody's, else not known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.planning.eta import FEW, Pace, eta, pace_of

SIX = Pace(360.0, 540.0, "history", 10)
LAWS = settings(derandomize=True, database=None, max_examples=100, deadline=None)


def test_the_pace_is_the_median_and_what_one_of_ten_exceeds() -> None:
    """Ten renders: half took longer than the middle, one longer than the ninth."""
    took = [300.0, 310.0, 320.0, 330.0, 340.0, 360.0, 370.0, 380.0, 500.0, 9000.0]
    assert pace_of(took) == Pace(350.0, 500.0, "history", 10)
    assert pace_of([1.0, 5.0, 3.0]) == Pace(3.0, 5.0, "history", 3)


@pytest.mark.parametrize("took", [[], [1.0], [1.0] * (FEW - 1), [0.0, -1.0, 0.0, 5.0]])
def test_two_renders_tell_no_pace(took: list[float]) -> None:
    """Nor do times that a wrong clock made."""
    assert pace_of(took) is None


def test_only_the_newest_renders_count() -> None:
    """The provider became faster: after fifty renders the slow ones are forgotten."""
    found = pace_of([10.0] * 50 + [1000.0] * 500)
    assert found is not None
    assert (found.slow_s, found.renders) == (10.0, 50)


@pytest.mark.parametrize(("count", "at_once", "minutes"), [(1, 8, 6), (8, 8, 6), (9, 8, 12), (16, 8, 12), (3, 1, 18)])
def test_renders_run_in_rounds(count: int, at_once: int, minutes: int) -> None:
    """Nine renders at eight at once take two rounds."""
    found = eta(["m"] * count, {"m": SIX}, at_once)
    assert found is not None
    assert found.seconds == minutes * 60
    assert found.at_once == min(at_once, count)


def test_without_work_or_without_a_pace_there_is_no_time() -> None:
    """One model that nobody has timed makes the whole unknown: half a time would be a wrong one."""
    assert eta([], {"m": SIX}, 8) is None
    assert eta(["m", "other"], {"m": SIX}, 8) is None


def test_the_grounds_are_those_of_the_commonest_model() -> None:
    """Two models, each with its own pace, share the lanes."""
    fast = Pace(60.0, 90.0, "metrics")
    found = eta(["m", "fast", "fast"], {"m": SIX, "fast": fast}, 2)
    assert found is not None
    assert (found.seconds, found.pace) == (360.0, fast)


@LAWS
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=40), st.integers(1, 12))
def test_more_at_once_is_never_slower_than_one_after_another(models: list[str], at_once: int) -> None:
    """The time lies between the work shared evenly and the work done alone."""
    paces = {"a": Pace(10.0, 20.0, "history", 3), "b": Pace(40.0, 50.0, "history", 3)}
    found = eta(models, paces, at_once)
    assert found is not None
    work = sum(paces[model].typical_s for model in models)
    assert work / at_once <= found.seconds <= work
