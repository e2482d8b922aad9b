"""What watch mode wants to be running: every decision about money, without a clock or a disk."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_render.shotlist.records import WatchAllowance
from kling_render.watch.allowance import Purse, refusal
from kling_render.watch.wanting import Outcome, Wanting, Wish

ALLOWANCE = WatchAllowance(
    per_save_usd=Decimal(5), per_hour_usd=Decimal(15), settle_seconds=Decimal(1), hold_seconds=Decimal(10)
)


def wish(
    *pays: str,
    free: tuple[str, ...] = (),
    usd: str | None = "1",
    last_hour: str = "0",
    left: str | None = None,
) -> Wish:
    cost = None if usd is None else Decimal(usd)
    purse = Purse(
        allowance=ALLOWANCE,
        last_hour=Decimal(last_hour),
        left=None if left is None else Decimal(left),
        budget="budget_per_day_usd",
    )
    return Wish(pays=dict.fromkeys(pays, cost), free=frozenset(free), purse=purse)


def started(*pays: str, consent: bool = False, free: tuple[str, ...] = ()) -> Wanting:
    wanting = Wanting(consent=consent)
    wanting.planned(wish(*pays, free=free), 0.0)
    return wanting


def test_what_is_to_be_paid_at_the_start_waits_for_the_users_word() -> None:
    """Starting to watch a cloned project must not cost anything."""
    wanting = started("a", "b", free=("r",))
    wanting.tick(1e9)
    assert wanting.goal == {"r"}
    assert wanting.waiting is not None
    assert wanting.waiting.keys == {"a", "b"}
    wanting.pressed_render()
    assert wanting.goal == {"a", "b", "r"}


def test_with_consent_the_start_is_held_like_a_save() -> None:
    """`--yes` says that the allowance holds from the beginning."""
    wanting = started("a", consent=True)
    assert wanting.goal == frozenset()
    wanting.tick(10.0)
    assert wanting.goal == {"a"}


def test_a_save_within_the_allowance_is_paid_for_after_the_hold_and_not_before() -> None:
    """The hold is there for half-typed prompts."""
    wanting = started()
    wanting.planned(wish("a"), 100.0)
    assert wanting.wake_at == 110.0
    wanting.tick(109.9)
    assert wanting.goal == frozenset()
    wanting.tick(110.0)
    assert wanting.goal == {"a"}
    assert wanting.wake_at is None


def test_a_newer_save_starts_the_hold_again() -> None:
    """What was typed first is not paid for."""
    wanting = started()
    wanting.planned(wish("half"), 0.0)
    wanting.changed()
    wanting.tick(50.0)
    assert wanting.goal == frozenset()
    wanting.planned(wish("whole"), 51.0)
    wanting.tick(60.9)
    assert wanting.goal == frozenset()
    wanting.tick(61.0)
    assert wanting.goal == {"whole"}


def test_a_save_that_cannot_be_used_pays_for_nothing_by_itself() -> None:
    """The plan before it stays, for the user's word only."""
    wanting = started()
    wanting.planned(wish("a"), 0.0)
    wanting.changed()
    wanting.broken()
    wanting.tick(1e6)
    assert wanting.goal == frozenset()
    wanting.pressed_render()
    assert wanting.goal == {"a"}


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (wish("a", usd="5.01"), "watch.per_save_usd"),
        (wish("a", "b", "c", usd="2"), "watch.per_save_usd"),
        (wish("a", usd="2", last_hour="13.01"), "watch.per_hour_usd"),
        (wish("a", usd=None), "not known"),
        (wish("a", usd="2", left="1.99"), "budget_per_day_usd leaves $1.99"),
    ],
)
def test_what_the_allowance_does_not_cover_waits_for_the_user_and_says_why(asked: Wish, why: str) -> None:
    """However long it waits."""
    wanting = started()
    wanting.planned(asked, 0.0)
    wanting.tick(1e9)
    assert wanting.goal == frozenset()
    assert wanting.held is not None
    assert why in wanting.held.why
    wanting.pressed_render()
    assert wanting.goal == set(asked.pays)
    assert wanting.asked_for == set(asked.pays)


def test_what_earlier_saves_queued_counts_against_the_hour() -> None:
    """It is agreed on and not in the ledger yet."""
    wanting = started()
    wanting.planned(wish("a", "b", usd="2"), 0.0)
    wanting.tick(10.0)
    wanting.planned(wish("a", "b", "c", "d", usd="2", last_hour="8"), 20.0)
    assert wanting.held is not None
    assert "watch.per_hour_usd" in wanting.held.why


def test_what_waits_unpaid_and_is_wanted_no_more_is_dropped() -> None:
    """The newer save supersedes the queue of the older one."""
    wanting = started()
    wanting.planned(wish("old", "both"), 0.0)
    wanting.tick(10.0)
    assert wanting.goal == {"old", "both"}
    wanting.planned(wish("new", "both"), 20.0)
    assert wanting.goal == {"both"}
    wanting.tick(30.0)
    assert wanting.goal == {"new", "both"}


def test_what_costs_nothing_never_waits() -> None:
    """Restores, rehearsals, and what runs already."""
    wanting = started()
    wanting.planned(wish("a", free=("b",), usd="100"), 0.0)
    assert wanting.goal == {"b"}


def test_a_cancelled_hold_waits_for_the_users_word_whatever_else_is_saved() -> None:
    """The user has seen the price and said no."""
    wanting = started()
    wanting.planned(wish("a"), 0.0)
    assert wanting.pressed_cancel()
    assert not wanting.pressed_cancel()
    wanting.planned(wish("a"), 20.0)
    wanting.tick(1e6)
    assert wanting.goal == frozenset()
    assert wanting.waiting is not None


def test_what_failed_is_not_tried_again_by_itself() -> None:
    """A failing job must not run round and round."""
    wanting = started()
    wanting.planned(wish("a", "b"), 0.0)
    wanting.tick(10.0)
    wanting.ended(Outcome(done=frozenset({"a"}), failed=frozenset({"b"})))
    assert wanting.goal == frozenset()
    wanting.planned(wish("b"), 20.0, saved=False)
    wanting.planned(wish("b"), 30.0)
    wanting.tick(1e6)
    assert wanting.goal == frozenset()
    wanting.pressed_render()
    assert wanting.goal == {"b"}


def test_what_a_refused_account_left_goes_on_with_the_next_save() -> None:
    """After the key or the credits were mended, nothing special has to be said."""
    wanting = started()
    wanting.planned(wish("a"), 0.0)
    wanting.tick(10.0)
    wanting.ended(Outcome(left=frozenset({"a"})))
    wanting.planned(wish("a"), 11.0, saved=False)
    wanting.tick(1e6)
    assert wanting.goal == frozenset()
    wanting.planned(wish("a"), 1e6)
    wanting.tick(1e6 + 10)
    assert wanting.goal == {"a"}


def test_doubts_are_looked_up_again_at_their_time() -> None:
    """A session that runs for days settles what can be settled."""
    wanting = started(free=("doubt",))
    wanting.ended(Outcome(left=frozenset({"doubt"}), look_at=500.0))
    wanting.planned(wish(free=("doubt",)), 5.0, saved=False)
    assert wanting.goal == frozenset()
    assert wanting.wake_at == 500.0
    wanting.tick(500.0)
    assert wanting.goal == {"doubt"}


def test_what_came_meanwhile_is_held_no_longer() -> None:
    """Another job of the same request brought it."""
    wanting = started()
    wanting.planned(wish("a", "b"), 0.0)
    wanting.ended(Outcome(done=frozenset({"a"})))
    assert wanting.held is not None
    assert (wanting.held.keys, wanting.held.usd) == ({"b"}, Decimal(1))
    wanting.ended(Outcome(done=frozenset({"b"})))
    wanting.tick(10.0)
    assert wanting.held is None
    assert wanting.goal == frozenset()


def test_what_failed_and_costs_nothing_is_tried_again_at_the_next_save() -> None:
    """A folder that could not be written may have been mended."""
    wanting = started(free=("r",))
    wanting.ended(Outcome(failed=frozenset({"r"})))
    wanting.planned(wish(free=("r",)), 5.0, saved=False)
    assert wanting.goal == frozenset()
    wanting.planned(wish(free=("r",)), 9.0)
    assert wanting.goal == {"r"}


STEPS = st.one_of(
    st.tuples(st.just("save"), st.frozensets(st.sampled_from("abcdef")), st.integers(0, 9)),
    st.tuples(st.just("replan"), st.frozensets(st.sampled_from("abcdef")), st.integers(0, 9)),
    st.tuples(st.just("change"), st.none(), st.none()),
    st.tuples(st.just("broken"), st.none(), st.none()),
    st.tuples(st.just("cancel"), st.none(), st.none()),
    st.tuples(st.just("time"), st.none(), st.integers(0, 30)),
    st.tuples(st.just("ended"), st.frozensets(st.sampled_from("abcdef")), st.sampled_from(["done", "failed", "left"])),
)


@given(st.lists(STEPS, max_size=40))
def test_without_the_users_word_nothing_is_paid_for_that_was_not_held_within_the_allowance(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    """Whatever is saved, in whatever order: each approval follows a whole hold of a plan that was within bounds."""
    wanting, now = Wanting(), 0.0
    wanting.planned(wish(), now)
    since: dict[str, float] = {}
    for kind, keys, figure in steps:
        before = wanting.approved
        if kind in ("save", "replan"):
            wanted = wish(*sorted(keys), usd=str(figure))
            wanting.planned(wanted, now, saved=kind == "save")
            since = {key: since.get(key, now) for key in keys}
        elif kind == "change":
            wanting.changed()
        elif kind == "broken":
            wanting.broken()
        elif kind == "cancel":
            wanting.pressed_cancel()
        elif kind == "ended":
            wanting.ended(Outcome(**{figure: keys}))
        else:
            now += figure
            wanting.tick(now)
        fresh = wanting.approved - before
        assert not fresh or kind == "time"
        assert all(now - since[key] >= 10 for key in fresh)
        assert wanting.wish is not None
        assert wanting.approved <= wanting.wish.pays.keys()
        if fresh:
            assert (
                refusal(
                    sum((wanting.wish.pays[key] or Decimal(0) for key in fresh), Decimal(0)),
                    Decimal(0),
                    wanting.wish.purse,
                )
                is None
            )
        assert not wanting.asked_for


def test_the_allowance_is_exact_at_its_bounds() -> None:
    """What costs just as much as is allowed is allowed."""
    purse = Purse(allowance=ALLOWANCE, last_hour=Decimal(10), left=Decimal(5))
    assert refusal(Decimal(5), Decimal(0), purse) is None
    assert refusal(Decimal("5.001"), Decimal(0), purse) is not None
    assert refusal(Decimal(5), Decimal("0.001"), purse) is not None
