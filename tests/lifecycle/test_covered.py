"""How far the account's log was read."""

from __future__ import annotations

from kling_render.lifecycle.reconcile import LogRead, covered_until


def _read(start: float, at: float) -> LogRead:
    return LogRead(namespace="n", account="a", start=start, end=at + 600, at=at, newest_own=None)


def test_reads_that_join_cover_together() -> None:
    """Each read reaches to the moment it was made, if nothing before it is missing."""
    assert covered_until([_read(0, 100), _read(90, 200)], 0) == 200


def test_a_gap_ends_what_is_covered() -> None:
    """A narrow look at a later doubt says nothing about the time before it."""
    assert covered_until([_read(0, 100), _read(150, 300)], 0) == 100


def test_without_a_read_nothing_is_covered() -> None:
    """The whole window is still to be read."""
    assert covered_until([], 7) == 7
