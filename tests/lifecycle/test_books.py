"""The books three ways: each way in which estimate, report and booking can stand to each other."""

from __future__ import annotations

from typing import Any

import pytest

from kling_render.lifecycle.books import DIFFERS, Booking, Kind, Line, compare, own_books, totals, unknown_ids
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from tests.lifecycle.build import SENT, attempt, row

NOW = SENT + 10_000
LAG = 3600.0


def paid(**changes: Any) -> Attempt:
    """A generation that ended well: estimated, reported and to be booked at 100 credits."""
    known = {"state": State.DONE, "generation_id": "gen1", "charge": 100, "accepted_at": SENT, "ready_at": SENT + 60}
    return attempt(**(known | changes))


def booking(**changes: Any) -> Booking:
    """The charge of `paid()`."""
    known: dict[str, Any] = {"reference_id": "gen1", "at": SENT + 61, "credits": 100, "model": "m"}
    return Booking(**(known | changes))


def audit(attempts: list[Attempt], bookings: list[Booking], **changes: Any) -> list[Line]:
    """The lines, for account `acc` over a window that begins a day before."""
    log = changes.pop("log", [])
    options: dict[str, Any] = {"account": "acc", "since": SENT - 86_400, "now": NOW, "lag_s": LAG}
    return compare(attempts, bookings, log, **(options | changes))


KINDS = {
    "agrees": (paid(), [booking()], Kind.EQUAL),
    "the provider did not report": (paid(charge=None), [booking()], Kind.EQUAL),
    "above its estimate": (paid(charge=150), [booking(credits=150)], Kind.ABOVE_ESTIMATE),
    "without an estimate": (paid(hold=None), [booking()], Kind.EQUAL),
    "another amount": (paid(), [booking(credits=101)], Kind.AMOUNT),
    "booked twice": (paid(), [booking(), booking(at=SENT + 62)], Kind.TWICE),
    "a failed one charged": (paid(state=State.REMOTE_FAILED, charge=0), [booking()], Kind.NO_RESULT),
    "a failed one booked at nothing": (paid(state=State.REMOTE_FAILED, charge=0), [booking(credits=0)], Kind.EQUAL),
    "a failed one": (paid(state=State.REMOTE_FAILED, charge=0), [], Kind.FREE),
    "a lost one charged": (paid(state=State.PAID_LOST), [booking()], Kind.NO_RESULT),
    "one given up, not booked": (paid(state=State.ABANDONED, charge=None), [], Kind.FREE),
    "runs": (paid(state=State.ACCEPTED, charge=None), [], Kind.RUNNING),
    "ended without us": (paid(state=State.ACCEPTED, charge=None), [booking()], Kind.NOT_FETCHED),
    "not booked": (paid(), [], Kind.NOT_BOOKED),
    "not booked, end unknown": (paid(ready_at=None, accepted_at=None), [], Kind.NOT_BOOKED),
    "neither reported nor booked": (paid(charge=None), [], Kind.NOT_BOOKED),
    "not booked yet": (paid(ready_at=NOW - 60), [], Kind.LATE),
}


@pytest.mark.parametrize(("made", "bookings", "kind"), KINDS.values(), ids=KINDS.keys())
def test_each_generation_is_of_one_kind(made: Attempt, bookings: list[Booking], kind: Kind) -> None:
    """The table of kinds; only those in `DIFFERS` need attention."""
    (line,) = audit([made], bookings)
    assert (line.kind, line.differs) == (kind, kind in DIFFERS)
    assert line.booked == sum(b.credits for b in bookings)
    assert (line.estimate, line.reported, line.attempt) == (made.hold, made.charge, made)


def test_a_loss_that_was_acknowledged_is_told_and_no_difference() -> None:
    """Else the books of a month would differ for ever."""
    (line,) = audit([paid(state=State.PAID_LOST)], [booking()], acknowledged=[paid().id])
    assert (line.kind, line.differs) == (Kind.LOSS, False)


STRANGERS = {
    "ours, not in the store": ([], [row(client_request_id=attempt().client_request_id)], Kind.LOST),
    "ours, the store has another generation for it": ([paid(generation_id="gen0")], [row()], Kind.LOST),
    "ours, in doubt here": ([attempt()], [row()], Kind.DOUBT),
    "of another tool": ([], [row(client_request_id="somebody-else")], Kind.UNEXPLAINED),
    "without a name": ([], [row(client_request_id=None)], Kind.UNEXPLAINED),
    "of another key: no row": ([], [], Kind.UNEXPLAINED),
}


@pytest.mark.parametrize(("attempts", "log", "kind"), STRANGERS.values(), ids=STRANGERS.keys())
def test_a_charge_for_an_unknown_id_is_told_by_the_log(attempts: list[Attempt], log: Any, kind: Kind) -> None:
    """Whose request it was decides what helps."""
    stranger = audit(attempts, [booking()], log=log)[-1]
    assert (stranger.kind, stranger.booked, stranger.reported) == (kind, 100, None)
    assert (stranger.attempt is not None) == (kind is Kind.DOUBT)


def test_charges_without_an_id_are_lines_of_their_own() -> None:
    """They cannot be one generation's double booking."""
    lines = audit([], [booking(reference_id=None), booking(reference_id=None, at=SENT + 70)])
    assert [(line.kind, line.generation_id, line.booked) for line in lines] == [(Kind.UNEXPLAINED, None, 100)] * 2
    assert unknown_ids([], [booking(reference_id=None), booking()]) == {"gen1"}
    assert unknown_ids([paid()], [booking()]) == set()


def test_what_another_key_paid_is_compared_only_where_this_account_booked_it() -> None:
    """Two keys may share an account; another account's ledger was not asked."""
    other = paid(account="other")
    assert [line.kind for line in audit([other], [booking()])] == [Kind.EQUAL]
    assert audit([other], []) == []


def test_the_window_bounds_what_is_missed_and_not_what_is_booked() -> None:
    """A generation from before the window may be booked in it; one that is not is no business of this window."""
    old = paid(accepted_at=SENT - 90_000)
    assert audit([old], []) == []
    assert [line.kind for line in audit([old], [booking()])] == [Kind.EQUAL]


def test_the_sums_count_what_has_no_figure() -> None:
    """Unknown amounts are counted, never guessed; what failed was never going to cost its estimate."""
    lines = audit(
        [
            paid(),
            paid(id="B", generation_id="gen2", hold=None, charge=None),
            paid(id="C", generation_id="gen3", state=State.REMOTE_FAILED, charge=0),
            paid(id="D", generation_id="gen4", state=State.ACCEPTED, charge=None, accepted_at=SENT - 1),
        ],
        [booking(), booking(reference_id="gen2", credits=7)],
    )
    total = totals(lines)
    assert (total.generations, total.estimate, total.reported, total.booked) == (4, 200, 100, 107)
    assert (total.unpriced, total.unreported) == (1, 1)
    assert lines[0].generation_id == "gen4"


def test_the_stores_own_books_differ_from_nothing() -> None:
    """Without the provider there is nothing to compare; attempts without an id are no generations."""
    lines = own_books(
        [
            paid(),
            paid(state=State.STALLED, charge=None),
            paid(state=State.REMOTE_FAILED, charge=0),
            attempt(),
            paid(accepted_at=1.0),
        ],
        SENT - 10,
    )
    assert [line.kind for line in lines] == [Kind.EQUAL, Kind.RUNNING, Kind.FREE]
    assert [line.booked for line in lines] == [None, None, None]


def test_whose_a_charge_is_is_not_guessed_while_the_log_cannot_be_read() -> None:
    """Only the log names the requests of others; a charge without an id nobody could name anyway."""
    lines = audit([], [booking(reference_id=name) for name in ("gen9", None)], log=None)
    assert [line.kind for line in lines] == [Kind.UNTOLD, Kind.UNEXPLAINED]
