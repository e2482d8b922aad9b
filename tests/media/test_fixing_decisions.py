"""Claim: sizes stay within their bounds, and the part of a clip that is kept has no cut where that can be."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kling_render.media.fixing.sizes import Bounds, fit
from kling_render.media.fixing.windows import Motion, best_windows


@pytest.mark.parametrize("size", [(1, 4000), (300, 300), (65_536, 300), (299, 5000), (7000, 8000), (1000, 399)])
def test_every_size_ends_within_the_bounds(size: tuple[int, int]) -> None:
    """Whatever the proportions."""
    bounds = Bounds(300, 65_536, Decimal("0.4"), Decimal("2.5"), 50_000_000)
    found = fit(*size, bounds)
    wide, tall = found.canvas
    assert min(found.canvas) >= 300
    assert Decimal("0.4") <= Decimal(wide) / tall <= Decimal("2.5")
    assert wide * tall <= 50_300_000
    assert found.picture[0] <= wide
    assert found.picture[1] <= tall
    clip = fit(*size, Bounds(340, 3850, even=True))
    assert all(340 <= edge <= 3850 and edge % 2 == 0 for edge in clip.canvas)


def test_windows_without_a_cut_beat_livelier_ones_with_one() -> None:
    """And where every take is too short, the fewest cuts win."""
    motion = Motion(Decimal("0.1"), (1.0,) * 100 + (9.0,) * 100, (Decimal("12.0417"), Decimal(14)))
    best = best_windows(motion, Decimal(0), Decimal(20), Decimal(3), Decimal(10))
    assert [window.cuts for window in best] == [0] * len(best)
    assert best[0].end <= Decimal("12.05") or best[0].start >= Decimal(14)
    assert best[0].start >= Decimal(14)
    chopped = Motion(Decimal("0.1"), (1.0,) * 100, tuple(Decimal(n) for n in range(1, 10)))
    (first, *_) = best_windows(chopped, Decimal(0), Decimal(10), Decimal(3), Decimal(4))
    assert first.seconds == 4
