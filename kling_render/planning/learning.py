"""What own renders teach about the bill: how seconds are rounded, and whether the catalogue's rate is what is charged.

The catalogue gives a rate, and not how a clip of 4.03 seconds is counted. Charges of earlier renders tell. What is
learnt only ever moves the figure after "up to" and the hold, and neither of them below the catalogue's own estimate:
a lesson that lowers needs every charge at hand to agree, one that raises only the newest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from kling_render.planning.prices import EXACT, Price, estimate, rounded_up, up_to

ENOUGH = 5
"""Renders that must agree before anything is learnt."""

_CLOSE = Decimal("0.002")
"""Amounts that differ by less, as a share, are one: the provider measures a clip a little differently."""
_CREDIT = Decimal("0.0000005")
"""USD; charges are whole credits, so amounts may differ by one."""


class Rounding(Enum):
    """How seconds are counted: to the next multiple of the value; 0 stands for exactly."""

    EXACT = Decimal(0)
    SECOND = Decimal(1)
    FIVE_SECONDS = Decimal(5)
    TEN_SECONDS = Decimal(10)

    def of(self, seconds: Decimal) -> Decimal:
        """The seconds that are charged."""
        return rounded_up(seconds, self.value) if self.value else seconds


@dataclass(frozen=True, slots=True)
class Actual:
    """A finished render of one model and what it really cost, in USD, beside the price of today."""

    seconds: Decimal
    charged: Decimal
    price: Price


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the charges of one model say; the neutral one is `NOTHING`."""

    #: None: they do not tell.
    rounding: Rounding | None = None
    #: What is charged for a second as a share of the catalogue's rate.
    factor: Decimal = Decimal(1)
    #: How many renders agree.
    renders: int = 0


NOTHING = Lesson()


def learn(actuals: Sequence[Actual]) -> Lesson:
    """What these renders of one model, newest first, teach."""
    told = [actual for actual in actuals if actual.seconds > 0 and actual.charged > 0 and actual.price.usd_per_second]
    fitting = {rule: _agreeing(told, rule, Decimal(1)) for rule in Rounding}
    fitting = {rule: count for rule, count in fitting.items() if count >= ENOUGH}
    if fitting:
        return _rounding(told, fitting)
    return _other_rate(told)


def most(price: Price | None, seconds: Decimal | None, lesson: Lesson = NOTHING) -> Decimal | None:
    """The most a render costs: by the lesson, else with seconds begun counted whole; never less than the estimate."""
    about = estimate(price, seconds)
    if about is None or price is None or seconds is None:
        return about
    rounding = lesson.rounding
    usual = up_to(price, seconds) if rounding is None else estimate(price, rounding.of(seconds))
    usual = max(about, usual or about)
    if lesson.factor <= 1 or price.usd_per_second is None:
        return usual
    counted = (rounding or Rounding.SECOND).of(seconds)
    charged = EXACT.multiply(EXACT.multiply(price.usd_per_second, lesson.factor), counted)
    return max(usual, EXACT.add(charged, price.usd_fixed or Decimal(0)))


def hold(price: Price | None, seconds: Decimal | None, lesson: Lesson = NOTHING) -> Decimal | None:
    """What to hold in a budget for a render: the estimate, or more where the charges were more."""
    return estimate(price, seconds) if lesson is NOTHING else most(price, seconds, lesson)


def _rounding(told: Sequence[Actual], fitting: dict[Rounding, int]) -> Lesson:
    """Of the rules that the newest charges fit, the one that can be relied on."""
    if Rounding.EXACT not in fitting:
        rule = max(fitting, key=lambda rule: rule.value)  # what cannot be told apart is taken at its dearest
        return Lesson(rule, renders=fitting[rule])
    telling = [a for a in told if not _close(_expected(a, Rounding.SECOND), _expected(a, Rounding.EXACT))]
    if fitting[Rounding.EXACT] == len(told) and len(telling) >= ENOUGH:
        return Lesson(Rounding.EXACT, renders=len(told))
    return NOTHING  # clips of whole seconds do not tell; or an older charge was more


def _other_rate(told: Sequence[Actual]) -> Lesson:
    """The newest charges agree on another rate than the catalogue's; the rule that rounds least explains them best."""
    if len(told) < ENOUGH:
        return NOTHING
    for rule in Rounding:
        factor = EXACT.divide(_variable(told[0]), _expected(told[0], rule))
        if factor > 0 and (count := _agreeing(told, rule, factor)) >= ENOUGH:
            return Lesson(None if rule is Rounding.EXACT else rule, factor, count)
    return NOTHING


def _agreeing(told: Sequence[Actual], rule: Rounding, factor: Decimal) -> int:
    """How many of the newest charges, without a gap, are what the rule says."""
    for number, actual in enumerate(told):
        if not _close(_variable(actual), EXACT.multiply(_expected(actual, rule), factor)):
            return number
    return len(told)


def _variable(actual: Actual) -> Decimal:
    """The part of a charge that depends on the seconds."""
    return EXACT.subtract(actual.charged, actual.price.usd_fixed or Decimal(0))


def _expected(actual: Actual, rule: Rounding) -> Decimal:
    """What that part is by the catalogue and a rule."""
    return EXACT.multiply(actual.price.usd_per_second or Decimal(0), rule.of(actual.seconds))


def _close(one: Decimal, other: Decimal) -> bool:
    """Whether two amounts may be one."""
    return abs(one - other) <= max(_CREDIT, _CLOSE * abs(other))
