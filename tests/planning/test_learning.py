"""What charges teach about rounding and rate, from many made-up histories; never less than the catalogue says."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.lifecycle.records import credits_of, usd_of
from kling_render.planning.learning import ENOUGH, NOTHING, Actual, Lesson, Rounding, hold, learn, most
from kling_render.planning.prices import Price, estimate, up_to
from tests.planning.build import PRICE

LAWS = settings(derandomize=True, database=None, max_examples=100, deadline=None)
LENGTHS = [Decimal(text) for text in ("3.25", "4", "5.5", "7.033333", "9.9", "12.04", "21.75", "3.9")]
seconds_of_clips = st.decimals(3, 30, places=3)
rules = st.sampled_from(list(Rounding))


def charged(seconds: Decimal, rule: Rounding, factor: str = "1", price: Price = PRICE) -> Actual:
    """A render whose bill follows a rule, in whole credits as the ledger has it."""
    usd = (price.usd_per_second or Decimal(0)) * Decimal(factor) * rule.of(seconds) + (price.usd_fixed or 0)
    return Actual(seconds, usd_of(credits_of(usd)), price)


def history(rule: Rounding, factor: str = "1", lengths: list[Decimal] = LENGTHS) -> list[Actual]:
    return [charged(seconds, rule, factor) for seconds in lengths]


@pytest.mark.parametrize("rule", Rounding)
def test_a_rule_that_all_charges_follow_is_learnt(rule: Rounding) -> None:
    """Eight renders of different lengths tell exact seconds from whole ones and from steps."""
    assert learn(history(rule)) == Lesson(rule, Decimal(1), len(LENGTHS))


@pytest.mark.parametrize("rule", Rounding)
def test_a_few_renders_teach_nothing(rule: Rounding) -> None:
    """Four may agree by chance."""
    assert learn(history(rule, lengths=LENGTHS[: ENOUGH - 1])) is NOTHING
    assert learn([]) is NOTHING


def test_clips_of_whole_seconds_do_not_tell() -> None:
    """Whole seconds are charged alike by both rules: the usual caution stays."""
    assert learn(history(Rounding.EXACT, lengths=[Decimal(n) for n in (3, 4, 5, 6, 7, 8)])) is NOTHING
    four = [Decimal("3.5"), Decimal("4.5"), Decimal("6.2"), Decimal("7.1")]
    assert learn(history(Rounding.EXACT, lengths=[*four, Decimal(3), Decimal(4)])) is NOTHING


def test_rules_that_cannot_be_told_apart_count_at_the_dearest() -> None:
    """Clips of nine seconds charged as ten may be steps of 1, 5 or 10 only as far as the charges tell."""
    lengths = [Decimal(text) for text in ("9.1", "9.2", "9.5", "9.7", "19.5")]
    assert learn(history(Rounding.TEN_SECONDS, lengths=lengths)).rounding is Rounding.TEN_SECONDS


def test_one_older_charge_that_was_more_keeps_the_caution() -> None:
    """What lowers a figure needs every charge at hand to agree."""
    mixed = [*history(Rounding.EXACT), charged(Decimal("5.5"), Rounding.SECOND)]
    assert learn(mixed) is NOTHING


def test_the_newest_charges_are_enough_to_raise() -> None:
    """The provider began to round up: five renders later the plan says so."""
    lesson = learn([*history(Rounding.SECOND, lengths=LENGTHS[:6]), *history(Rounding.EXACT)])
    assert (lesson.rounding, lesson.renders) == (Rounding.SECOND, 6)


@pytest.mark.parametrize("factor", ["1.25", "0.8", "3"])
def test_another_rate_than_the_catalogues_is_noticed(factor: str) -> None:
    """What is charged for a second is what the plan warns of."""
    lesson = learn(history(Rounding.EXACT, factor))
    assert abs(lesson.factor - Decimal(factor)) < Decimal("0.001")
    assert lesson.rounding is None
    assert lesson.renders == len(LENGTHS)


def test_charges_without_any_pattern_teach_nothing() -> None:
    """Results may come out shorter than their clips."""
    odd = [Actual(s, PRICE.usd_per_second * s * Decimal(n) / 10, PRICE) for n, s in enumerate(LENGTHS, 3)]  # type: ignore[operator]
    assert learn(odd) is NOTHING


def test_what_cost_nothing_or_has_no_price_per_second_teaches_nothing() -> None:
    """Adopted files, and models that are priced per render."""
    assert learn([Actual(s, Decimal(0), PRICE) for s in LENGTHS]) is NOTHING
    flat = Price(PRICE.model, None, Decimal("0.5"), "", "catalogue")
    assert learn([Actual(s, Decimal("0.5"), flat) for s in LENGTHS]) is NOTHING


def test_a_fee_per_render_does_not_hide_the_rule() -> None:
    """The part that depends on the seconds is what is rounded."""
    both = Price(PRICE.model, Decimal("0.112"), Decimal("0.05"), "", "catalogue")
    assert learn([charged(s, Rounding.SECOND, price=both) for s in LENGTHS]).rounding is Rounding.SECOND


def test_the_figures_of_a_lesson() -> None:
    """4.2 s at $0.112: exact, begun, in steps, and at a quarter more than the catalogue says."""
    seconds = Decimal("4.2")
    figures = [most(PRICE, seconds, Lesson(rule)) for rule in (None, *Rounding)]
    assert figures == [Decimal(text) for text in ("0.560", "0.4704", "0.560", "0.560", "1.120")]
    dearer = Lesson(None, Decimal("1.25"), 5)
    assert most(PRICE, seconds, dearer) == hold(PRICE, seconds, dearer) == Decimal("0.7")
    assert hold(PRICE, seconds) == Decimal("0.4704")
    assert most(None, seconds, dearer) is None
    assert most(PRICE, None, dearer) is None


@LAWS
@given(
    st.lists(st.tuples(seconds_of_clips, st.decimals("0.01", 9, places=4)), max_size=12),
    seconds_of_clips,
)
def test_no_history_lowers_a_hold_below_the_catalogue(bills: list[tuple[Decimal, Decimal]], seconds: Decimal) -> None:
    """Whatever was charged, the hold and “up to” are at least the catalogue's own estimate."""
    lesson = learn([Actual(length, usd, PRICE) for length, usd in bills])
    about = estimate(PRICE, seconds) or Decimal(0)
    assert (hold(PRICE, seconds, lesson) or 0) >= about
    assert (most(PRICE, seconds, lesson) or 0) >= about


@LAWS
@given(rules, st.sampled_from(["1", "1.25", "0.8"]), st.lists(seconds_of_clips, min_size=5, max_size=12), st.data())
def test_up_to_covers_the_next_bill_of_a_provider_that_keeps_its_rule(
    rule: Rounding, factor: str, lengths: list[Decimal], data: st.DataObject
) -> None:
    """A history by one rule never makes “up to” too low for the lengths it was learnt from."""
    lesson = learn(history(rule, factor, lengths))
    if lesson is NOTHING:
        return
    seconds = data.draw(st.sampled_from(lengths))
    bill = charged(seconds, rule, factor).charged
    assert (most(PRICE, seconds, lesson) or 0) >= bill * Decimal("0.998")


@LAWS
@given(rules, st.lists(seconds_of_clips, min_size=2, max_size=8))
def test_a_longer_clip_is_never_cheaper(rule: Rounding, lengths: list[Decimal]) -> None:
    """Every rule grows with the seconds, and is at least the seconds themselves."""
    figures = [most(PRICE, seconds, Lesson(rule)) or Decimal(0) for seconds in sorted(lengths)]
    assert all(one <= other for one, other in pairwise(figures))
    assert all(rule.of(seconds) >= seconds for seconds in lengths)
    assert most(PRICE, lengths[0]) == up_to(PRICE, lengths[0])
