"""When to look again, and how many jobs may run: arithmetic without a clock."""

from __future__ import annotations

from dataclasses import dataclass

from kling_render.ports import Randomness

#: Ages in poll intervals (15 s by default): after 10 minutes polls are half as often, after an hour twenty times
#: rarer; they never end.
_SLOW_AFTER = 40
_RARE_AFTER = 240
_RARE_INTERVALS = 20


def first_poll_s(interval_s: float, chance: Randomness) -> float:
    """Seconds from the acceptance to the first look: 1–4 intervals; no generation ends sooner."""
    return interval_s * chance.uniform(1, 4)


def resumed_poll_s(interval_s: float, chance: Randomness) -> float:
    """Seconds to the first look after a restart: spread over one interval."""
    return chance.uniform(0, interval_s)


def next_poll_s(age_s: float, interval_s: float, chance: Randomness, stalled: bool = False) -> float:
    """Seconds to the next look at a generation that has run for `age_s`, spread by ±20 %."""
    intervals = age_s / interval_s
    factor = _RARE_INTERVALS if stalled or intervals > _RARE_AFTER else 2 if intervals > _SLOW_AFTER else 1
    return interval_s * factor * chance.uniform(0.8, 1.2)


def stalls_after_s(interval_s: float) -> float:
    """The age at which a generation without an end counts as stalled: an hour at the default interval."""
    return interval_s * _RARE_AFTER


def backoff_s(failures: int, chance: Randomness, base_s: float = 1.0, cap_s: float = 60.0) -> float:
    """Full-jitter exponential backoff after `failures` failures in a row (1, 2, …)."""
    return chance.uniform(0.2, 1.0) * min(cap_s, base_s * 2.0 ** min(failures - 1, 16))


@dataclass(slots=True)
class Concurrency:
    """Additive increase, multiplicative decrease: how many jobs may be in flight."""

    ceiling: int
    allowed: int = 0
    successes: int = 0

    def __post_init__(self) -> None:
        self.allowed = self.allowed or self.ceiling

    def accepted(self) -> None:
        """A submit went through: one more after ten in a row."""
        self.successes += 1
        if self.successes >= 10 and self.allowed < self.ceiling:
            self.allowed += 1
            self.successes = 0

    def limited(self, in_flight: int) -> None:
        """The server said 429 while `in_flight` jobs ran: halve what is allowed."""
        self.allowed = max(1, min(self.allowed, max(in_flight, 1)) // 2)
        self.successes = 0
