"""What the account's log proves about a doubt: every branch of the decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_render.lifecycle.reconcile import Absent, Adopt, Ask, LogRead, LookAgain, Settlement, settle
from tests.lifecycle.build import SENT, attempt, read, row

SETTLE = 3600.0


def _settle(*reads: LogRead, lists: bool = True, now: float | None = None, rows: tuple[Any, ...] = ()) -> Settlement:
    at = reads[-1].at if now is None and reads else SENT + (now or 0.0)
    return settle(attempt(), rows, reads, at, absence_s=SETTLE, log_lists_running=lists)


@pytest.mark.parametrize("credits_", [None, 0, 500])
def test_a_row_that_is_not_failed_is_adopted_at_once(credits_: int | None) -> None:
    """Succeeded or still running: the request was accepted."""
    assert _settle(read(1), rows=(row(credits=credits_),)) == Adopt(generation_id="gen1")


def test_a_row_that_counts_wins_over_failed_ones() -> None:
    """One acceptance is enough."""
    rows = (row(failed=True, inference_id="gen0"), row())
    assert _settle(read(1), rows=rows) == Adopt(generation_id="gen1")


def test_a_failed_row_proves_absence() -> None:
    """Failed requests are listed with no cost."""
    settled = _settle(read(1), rows=(row(failed=True),))
    assert isinstance(settled, Absent)
    assert "gen1" in settled.proof


@pytest.mark.parametrize("client_id", [None, "", "kr1:x:y", attempt().client_request_id + "x"])
def test_rows_of_other_requests_say_nothing(client_id: str | None) -> None:
    """Only our own id counts, exactly."""
    assert isinstance(_settle(read(1), rows=(row(client_request_id=client_id),)), LookAgain)


def _late(**changes: Any) -> Settlement:
    """After the settle time, when the log has one row that is not known to be ours."""
    other = replace(row(client_request_id=None, inference_id="gen9", model="m"), **changes)
    reads = [read(3300), read(3600)]
    return settle(attempt(), [other], reads, SENT + 3600, absence_s=SETTLE, log_lists_running=True, known={"gen5"})


def test_a_row_without_any_request_id_leaves_the_question_to_the_user() -> None:
    """A log that forgets the id proves nothing: that row may be ours."""
    settled = _late()
    assert isinstance(settled, Ask)
    assert "gen9" in settled.why


@pytest.mark.parametrize(
    "changes",
    [
        {"failed": True},
        {"model": "other/m"},
        {"created": SENT + 700},
        {"inference_id": "gen5"},
        {"client_request_id": "x"},
    ],
    ids=str,
)
def test_rows_that_cannot_be_ours_do_not_stand_in_the_way(changes: dict[str, Any]) -> None:
    """Failed, of another vendor, of another time, known to the store, or somebody else's."""
    assert isinstance(_late(**changes), Absent)


def test_before_the_settle_time_nothing_is_proved() -> None:
    """However often the log is read."""
    assert isinstance(_settle(read(1), read(400), read(3599)), LookAgain)


def test_two_reads_a_twelfth_apart_and_a_newer_request_prove_absence() -> None:
    """The last of them after the settle time."""
    settled = _settle(read(3300), read(3600))
    assert isinstance(settled, Absent)
    assert "newer request" in settled.proof


def test_one_read_or_two_close_ones_are_not_enough() -> None:
    """An outage of the log's pipeline must not look like absence."""
    assert isinstance(_settle(read(4000)), LookAgain)
    assert isinstance(_settle(read(3800), read(4000)), LookAgain)


@pytest.mark.parametrize(
    ("lists", "newest"),
    [(False, SENT + 30), (True, None), (True, SENT - 10), (True, SENT), (False, None)],
)
def test_a_log_not_yet_trusted_needs_24_times_as_long(lists: bool, newest: float | None) -> None:
    """It was never seen to list running requests, or showed no newer one of ours."""
    changed = {"newest_own": newest}
    assert isinstance(_settle(read(3000, **changed), read(23 * SETTLE, **changed), lists=lists), LookAgain)
    assert isinstance(_settle(read(3000, **changed), read(24 * SETTLE, **changed), lists=lists), Absent)


@pytest.mark.parametrize(
    "changed",
    [{"account": "another"}, {"start": SENT + 1}, {"end": SENT - 1}, {"at": SENT - 1}],
    ids=["another account", "begins too late", "ends too early", "made before the submit"],
)
def test_a_read_that_could_not_show_the_request_proves_nothing(changed: dict[str, Any]) -> None:
    """Only reads of the paying account over the right window count."""
    reads = [replace(read(at), **changed) for at in (3300, 24 * SETTLE)]
    assert isinstance(_settle(*reads, now=30 * SETTLE), LookAgain)


def test_the_next_look_is_in_the_future_and_a_twelfth_away_at_most() -> None:
    """So that a run can say until when it waits."""
    settled = _settle(read(10))
    assert isinstance(settled, LookAgain)
    assert SENT + 10 <= settled.at <= SENT + 10 + SETTLE / 12
    alone = _settle(now=5.0)
    assert isinstance(alone, LookAgain)
    assert alone.at == SENT + 5 + SETTLE / 12


def test_without_an_intent_time_the_reservation_counts() -> None:
    """An attempt taken over from a dead process may lack it."""
    found = settle(
        attempt(intent_at=None), [], [read(3300), read(3600)], SENT + 3600, absence_s=SETTLE, log_lists_running=True
    )
    assert isinstance(found, Absent)


@given(
    st.lists(st.floats(1, 30 * SETTLE), max_size=6).map(sorted),
    st.booleans(),
    st.sampled_from([None, SENT - 1, SENT + 30]),
)
def test_absence_is_never_believed_early(times: list[float], lists: bool, newest: float | None) -> None:
    """For any history of reads: an answer of absence has all its conditions."""
    reads = [read(at, newest_own=newest) for at in times]
    if isinstance(_settle(*reads, lists=lists, now=times[-1] if times else 0.0), Absent):
        trusted = lists and newest is not None and newest > SENT
        assert times[-1] >= SETTLE * (1 if trusted else 24)
        assert times[-1] - times[0] >= SETTLE / 12 - 1e-6
