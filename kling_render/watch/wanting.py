"""What watch mode wants to be running at any moment: every decision, and none of the effects.

A save is re-planned once it settled. What costs nothing is wanted at once; what costs is wanted after a hold, if the
allowance covers it, or when the user says so. `goal` is the whole answer: whoever drives compares it with what runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from kling_render.planning.prices import total_usd
from kling_render.watch.allowance import Purse, refusal

_NO_KEYS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a good plan asks for. A key names a result, as in the ledger."""

    #: What has to be paid, and the most that it may cost in USD; None: unknown.
    pays: Mapping[str, Decimal | None]
    #: What can be had for nothing: restored, resumed, made by a free provider; and what runs and is wanted no more.
    free: frozenset[str]
    purse: Purse
    #: Where the results belong: with another provider the session begins anew.
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Results that are to be paid for, and are not yet."""

    keys: frozenset[str]
    #: The most they may cost; None: unknown.
    usd: Decimal | None
    #: They are rendered by themselves at this monotonic time; None: the user must say so.
    until: float | None
    #: Why the user must say so, or what ends the wait.
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the results that a run was about."""

    done: frozenset[str] = _NO_KEYS
    #: Tried, and not to be had by trying again.
    failed: frozenset[str] = _NO_KEYS
    #: Not tried, or not settled: the run was stopped by an account, a budget, a log, a disk.
    left: frozenset[str] = _NO_KEYS
    #: When what is left is worth another look (monotonic); None: at the next save.
    look_at: float | None = None


@dataclass(slots=True)
class Wanting:
    """The decisions of one watch session.

    Args:
        consent: what is to be rendered when the session starts may be paid for within the allowance, like a save.
    """

    consent: bool = False
    wish: Wish | None = None
    held: Held | None = None
    #: Paid for when a run gets to it.
    approved: frozenset[str] = _NO_KEYS
    #: Of those, what the user asked for: no allowance limits it.
    asked_for: frozenset[str] = _NO_KEYS
    #: To be rendered since the start, or held back by the user: only the user's word starts it.
    _unasked: frozenset[str] = _NO_KEYS
    _failed: frozenset[str] = _NO_KEYS
    _left: frozenset[str] = _NO_KEYS
    _look_at: float | None = None
    _began: bool = False
    #: A save is being read, or cannot be used: nothing more is sent before there is a plan again.
    paused: bool = False
    _reading: bool = False
    #: Keys pressed while a save was read: they mean the plan that is about to come.
    _word: bool = False
    _no: bool = False

    @property
    def goal(self) -> frozenset[str]:
        """Keys of the results that a run should be about."""
        return (self.approved | (self.wish.free if self.wish else _NO_KEYS)) - self._failed - self._left

    @property
    def startable(self) -> frozenset[str]:
        """The part of the goal that a run may begin with now."""
        return self.goal - self.approved if self.paused else self.goal

    @property
    def wake_at(self) -> float | None:
        """When `tick` has something to do (monotonic); None: never."""
        times = [self.held.until if self.held else None, self._look_at]
        return min((time for time in times if time is not None), default=None)

    @property
    def waiting(self) -> Held | None:
        """Everything that waits for the user's word, with what may be paid for in a moment."""
        if self.wish is None:
            return None
        keys = frozenset(self.wish.pays) - self.approved
        return self._hold(keys, None, self._why(keys)) if keys else None

    def _why(self, keys: frozenset[str]) -> str:
        if self.wish is not None and self.wish.purse.refused:
            return self.wish.purse.refused
        if keys <= self._failed:
            return "it failed and is not tried again by itself"
        if keys <= self._left:
            return "the last run was stopped before it"
        return "it is not rendered by itself"

    def changed(self) -> None:
        """Something was saved: what is not paid for yet waits until the save has settled and is planned."""
        self.paused = self._reading = True
        if self.held is not None and self.held.until is not None:
            self.held = Held(self.held.keys, self.held.usd, None, "a newer save is being read")

    def broken(self) -> None:
        """A save cannot be used: the last good plan stays, and nothing is paid for by itself."""
        self.paused, self._reading = True, False
        self._word = self._no = False
        if self.held is not None:
            self.held = Held(self.held.keys, self.held.usd, None, "the last save cannot be used")

    def planned(self, wish: Wish, now: float, *, saved: bool = True) -> None:
        """A good plan was made, because of a save or (`saved` false) because a run has ended."""
        self._began = self._began and (self.wish is None or self.wish.namespace == wish.namespace)
        self.wish = wish
        self.paused = self._reading = False
        pays = frozenset(wish.pays)
        if not self._began:
            self._began = True
            self._unasked = _NO_KEYS if self.consent else pays
        if saved:
            self._left, self._look_at = _NO_KEYS, None
            self._failed &= pays  # what costs nothing is tried again
        self.approved &= pays
        self.asked_for &= pays
        self._unasked &= pays
        new = pays - self.approved - self._unasked - self._failed
        if not saved:
            new -= self._left
        before, self.held = self.held, None
        if new:
            self.held = self._judged(new, now, before)
        if self._word:
            self.pressed_render()
        elif self._no:
            self.pressed_cancel()
        self._word = self._no = False

    def _judged(self, new: frozenset[str], now: float, before: Held | None) -> Held:
        assert self.wish is not None
        queued = self._cost(self.approved - self.asked_for)
        why = refusal(self._cost(new), queued, self.wish.purse)
        if why is not None:
            return self._hold(new, None, why)
        if before is not None and before.keys == new and before.until is not None:
            return self._hold(new, before.until, before.why)
        hold = float(self.wish.purse.allowance.hold_seconds)
        return self._hold(new, now + hold, "within the allowance")

    def pressed_render(self) -> None:
        """The user wants everything that waits to be paid for; of a save that is being read, once it is planned."""
        if self._reading:
            self._word, self._no = True, False
            return
        if self.wish is None:
            return
        self.paused = False
        word = frozenset(self.wish.pays) - self.approved
        self.approved |= word
        self.asked_for |= word
        self.held = None
        self._unasked = self._failed = self._left = _NO_KEYS
        self._look_at = None

    def pressed_cancel(self) -> bool:
        """The user wants to think before the held jobs are paid for; whether there was anything to cancel."""
        if self._reading:
            self._word, self._no = False, True
            return True
        if self.held is None or self.held.until is None:
            return False
        self._unasked |= self.held.keys
        self.held = None
        return True

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self.held is not None and self.held.until is not None and self.held.until <= now:
            self.approved |= self.held.keys
            self.held = None
        if self._look_at is not None and self._look_at <= now:
            self._look_at, self._left = None, _NO_KEYS

    def ended(self, outcome: Outcome) -> None:
        """A run has ended. What it did not get to is wanted still, unless it was stopped."""
        over = outcome.done | outcome.failed | outcome.left
        self.approved -= over
        self.asked_for -= over
        self._failed = (self._failed - outcome.done) | outcome.failed
        self._left = (self._left - outcome.done) | outcome.left
        times = [time for time in (self._look_at, outcome.look_at) if time is not None]
        self._look_at = min(times, default=None)
        if self.wish is not None:
            pays = {key: cost for key, cost in self.wish.pays.items() if key not in outcome.done}
            self.wish = replace(self.wish, pays=pays, free=self.wish.free - outcome.done)
        if self.held is not None and self.held.keys & outcome.done:
            rest = self.held.keys - outcome.done
            self.held = self._hold(rest, self.held.until, self.held.why) if rest else None

    def _hold(self, keys: Collection[str], until: float | None, why: str) -> Held:
        return Held(frozenset(keys), self._cost(keys), until, why)

    def _cost(self, keys: Iterable[str]) -> Decimal | None:
        assert self.wish is not None
        return total_usd(self.wish.pays[key] for key in keys)
