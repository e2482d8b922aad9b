"""Identity, money and schedules: arithmetic without a clock."""

from __future__ import annotations

import random
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_render.lifecycle.identity import client_request_id, fingerprint_prefix, ulid
from kling_render.lifecycle.records import credits_of, usd_of
from kling_render.lifecycle.schedule import (
    Concurrency,
    backoff_s,
    first_poll_s,
    next_poll_s,
    resumed_poll_s,
    stalls_after_s,
)
from tests.lifecycle.build import FINGERPRINT


@given(st.floats(0, 2**48 / 1000 - 1), st.floats(0.001, 1e6), st.integers())
def test_ulids_sort_by_their_time(now: float, later: float, seed: int) -> None:
    """A later attempt has a greater id, to the millisecond."""
    chance = random.Random(seed)
    first, second = ulid(now, chance), ulid(min(now + later, 2**48 / 1000 - 1), chance)
    assert len(first) == 26
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", first)
    assert first[:10] <= second[:10]


def test_ulids_of_one_moment_differ() -> None:
    """80 bits of chance."""
    chance = random.Random(1)
    assert len({ulid(1.0, chance) for _ in range(1000)}) == 1000


def test_a_client_request_id_names_its_fingerprint() -> None:
    """And fits the alphabet and the length the API keeps."""
    made = client_request_id(FINGERPRINT, ulid(1.0, random.Random(1)))
    assert re.fullmatch(r"kr1:[0-9a-f]{32}:[0-9A-Z]{26}", made)
    assert len(made) <= 128
    assert fingerprint_prefix(made) == FINGERPRINT[:32]


@pytest.mark.parametrize("foreign", [None, "", "kr1", "kr2:" + "0" * 32 + ":X", "kr1:short:X", "a:b:c:d"])
def test_a_foreign_id_names_none(foreign: str | None) -> None:
    """Other programs use the account too."""
    assert fingerprint_prefix(foreign) is None


def test_an_id_the_api_would_drop_is_refused_before_it_is_sent() -> None:
    """Without it a lost answer could never be found again."""
    with pytest.raises(AssertionError):
        client_request_id("fingerprint with spaces" * 3, "X")


@pytest.mark.parametrize(
    ("usd", "credits_"),
    [("0", 0), ("1", 2_000_000), ("0.0000005", 1), ("0.0000004", 1), ("0.448", 896_000), ("1e-9", 1)],
)
def test_holds_are_rounded_up_to_whole_credits(usd: str, credits_: int) -> None:
    """A cap is never broken by rounding."""
    assert credits_of(Decimal(usd)) == credits_


@given(st.integers(0, 10**15))
def test_credits_survive_the_way_to_usd_and_back(credits_: int) -> None:
    """No cent is lost in between."""
    assert credits_of(usd_of(credits_)) == credits_


@given(st.floats(0.05, 60), st.integers())
def test_polls_come_when_they_should(interval: float, seed: int) -> None:
    """First after 1 to 4 intervals; rarer with age; within an interval after a restart; never not at all."""
    chance = random.Random(seed)
    assert interval <= first_poll_s(interval, chance) <= 4 * interval
    assert 0 <= resumed_poll_s(interval, chance) <= interval
    for age, factor in ((1, 1), (41, 2), (241, 20), (10**6, 20)):
        wait = next_poll_s(age * interval, interval, chance)
        assert 0.8 * factor * interval * 0.999 <= wait <= 1.2 * factor * interval * 1.001
    assert next_poll_s(0, interval, chance, stalled=True) >= 15 * interval
    assert stalls_after_s(15) == 3600


def test_after_a_restart_the_looks_are_spread_over_one_interval() -> None:
    """A thousand resumed jobs do not ask the server in one moment."""
    chance = random.Random(1)
    waits = sorted(resumed_poll_s(15, chance) for _ in range(1000))
    assert 0 <= waits[0] < 1
    assert 14 < waits[-1] <= 15
    assert 6 < waits[500] < 9


def test_backoff_grows_to_its_cap() -> None:
    """Full jitter under 1, 2, 4 … 60 seconds, for any number of failures."""
    chance = random.Random(1)
    for failures, cap in ((1, 1), (2, 2), (4, 8), (10, 60), (10_000, 60)):
        assert all(0.2 * cap <= backoff_s(failures, chance) <= cap for _ in range(50))


def test_concurrency_halves_at_a_limit_and_recovers_slowly() -> None:
    """From 8: a 429 with five in flight allows two; ten acceptances allow one more, up to the ceiling."""
    now = Concurrency(8)
    now.limited(5)
    assert now.allowed == 2
    for _ in range(9):
        now.accepted()
    assert now.allowed == 2
    now.accepted()
    assert now.allowed == 3
    for _ in range(200):
        now.accepted()
    assert now.allowed == 8


def test_concurrency_never_falls_below_one() -> None:
    """Something must always be able to move."""
    now = Concurrency(8)
    for in_flight in (0, 1, 1, 0):
        now.limited(in_flight)
    assert now.allowed == 1
