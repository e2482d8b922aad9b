"""Values made ahead in a thread are the values, in order, and the thread ends with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from kling_render.media.ahead import ahead


def _threads() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def test_values_come_in_their_order_whatever_they_are() -> None:
    """None among them is a value like any other."""
    assert list(ahead(iter([3, None, 1, *range(20)]))) == [3, None, 1, *range(20)]
    assert _threads() == 0


def test_what_making_them_raises_is_raised_after_those_that_were_made() -> None:
    """A damaged clip fails its rehearsal, and is not a short one."""

    def two() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("damaged")

    seen = []
    with pytest.raises(ValueError, match="damaged"):
        seen.extend(ahead(two()))
    values = ahead(two())
    assert [next(values), next(values)] == [1, 2]
    values.close()  # type: ignore[attr-defined] # a generator
    assert _threads() == 0


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    """Even when there would be values for ever."""
    values = ahead(count())
    assert [next(values) for _ in range(3)] == [0, 1, 2]
    values.close()  # type: ignore[attr-defined] # a generator
    assert _threads() == 0
