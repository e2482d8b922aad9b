"""How long a plan takes: from how long renders took, own ones or, where there are too few, everybody's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from typing import Literal

FEW = 3
"""Own renders below which they do not tell how long the next one takes."""
_NEWEST = 50


@dataclass(frozen=True, slots=True)
class Pace:
    """How long renders of a model take, in seconds."""

    #: Half of them take longer.
    typical_s: float
    #: One of ten takes longer.
    slow_s: float
    source: Literal["history", "metrics"]
    #: How many own renders say so; 0 for everybody's.
    renders: int = 0


@dataclass(frozen=True, slots=True)
class Eta:
    """When the renders of a plan are probably done, in seconds from their start."""

    seconds: float
    #: How many run at once.
    at_once: int
    #: Of the model with the most renders.
    pace: Pace


def pace_of(took: Sequence[float]) -> Pace | None:
    """The pace in how long own renders took, newest first; None when they are too few."""
    times = sorted(seconds for seconds in took[:_NEWEST] if seconds > 0)
    if len(times) < FEW:
        return None
    middle = len(times) // 2
    median = times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2
    slow = times[-(-9 * len(times) // 10) - 1]  # the nearest rank
    return Pace(median, max(slow, median), "history", len(times))


def eta(renders: Sequence[str], paces: Mapping[str, Pace], at_once: int) -> Eta | None:
    """When all of it is done.

    Args:
        renders: the model of each render, in the order they are begun.
        paces: by model.
        at_once: how many run at the same time.

    Returns:
        None when there is nothing to render, or nobody knows how long one of the models takes.
    """
    counted = {model: renders.count(model) for model in dict.fromkeys(renders)}
    if not counted or any(model not in paces for model in counted):
        return None
    lanes = [0.0] * max(min(at_once, len(renders)), 1)
    for model in renders:
        heapreplace(lanes, lanes[0] + paces[model].typical_s)
    return Eta(max(lanes), len(lanes), paces[max(counted, key=counted.__getitem__)])
