"""What the store makes of each row of the account's log: adopted, accepted after all, kept beside, or left alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.identity import client_request_id
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import Event, State
from kling_render.store.opening import Store
from kling_render.workspace.account.lost import Adoption
from tests.store.support import NAMESPACE, attempt

FINGERPRINT = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
NAMES = [f"01ARZ3NDEKTSV4RRFFQ69G5FA{last}" for last in "ABCDE"]
READ = LogRead(namespace=NAMESPACE, account="acc", start=0.0, end=9000.0, at=8000.0, newest_own=None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def row(generation: str = "gen1", name: str = NAMES[0], fingerprint: str = FINGERPRINT, **changes: Any) -> LogRow:
    """A request of ours that the log lists as accepted."""
    made = LogRow(
        created=5000.0,
        failed=False,
        credits=None,
        inference_id=generation,
        client_request_id=client_request_id(fingerprint, name),
    )
    return replace(made, **changes)


def own(state: State = State.RESERVED, **changes: Any) -> Attempt:
    """The attempt that `row()` names itself after."""
    known = {"id": NAMES[0], "fingerprint": FINGERPRINT, "client_request_id": row().client_request_id}
    return attempt(1, **(known | {"state": state} | changes))


JOB = own(id="", client_request_id="", owner="", job="sc020/cat/spin/t01")
WANTED = {FINGERPRINT[:32]: JOB}


def adopt(store: Store, *rows: LogRow, wanted: dict[str, Attempt] | None = None, **booked: int) -> list[Attempt]:
    """One walk; returns what was adopted."""
    return Adoption(store, READ, wanted or {}, booked).of(rows)[1]


def walked(store: Store, *events: Event) -> None:
    """An attempt of ours that took these steps."""
    with store.ledger.writing() as ledger:
        ledger.reserve(own(), ())
        for event in events:
            ledger.record(NAMES[0], event, 4000.0)


def states(store: Store) -> list[tuple[str, str]]:
    """Fingerprint and state of every attempt."""
    with store.ledger.reading() as ledger:
        return [(each.fingerprint, each.state.value) for each in ledger.attempts(NAMESPACE)]


def test_a_job_of_the_list_gets_its_generation_and_a_second_walk_nothing(store: Store) -> None:
    """With the times of the log, the amount of the books, and nobody's ownership."""
    (found,) = adopt(store, row(), wanted=WANTED, gen1=77)
    assert (found.id, found.job, found.state, found.hold) == (NAMES[0], JOB.job, State.ACCEPTED, 77)
    assert (found.accepted_at, found.owner, found.account) == (5000.0, "", "acc")
    assert adopt(store, row(), wanted=WANTED) == []
    with store.ledger.reading() as ledger:
        assert ledger.history(NAMES[0])[0].detail["by"]
        assert ledger.log_reads(NAMESPACE, "acc") == [READ, READ]


def test_failed_rows_and_rows_of_others_are_left_alone(store: Store) -> None:
    """Nothing was paid there, or not by us."""
    rows = [row(failed=True), row(client_request_id=None), row(client_request_id=f"kr1:{'x' * 32}:{NAMES[0]}")]
    assert adopt(store, *rows) == []


def test_an_older_attempt_knows_the_job(store: Store) -> None:
    """Its request failed; another machine paid for the same one."""
    walked(store, Event.SEND, Event.ACCEPT, Event.FAIL)
    (found,) = adopt(store, row(name=NAMES[1]))
    assert (found.id, found.job, found.fingerprint, found.failure) == (NAMES[1], own().job, FINGERPRINT, None)


CONTRADICTED = {
    "refused": (Event.SEND, Event.REJECT),
    "absent": (Event.SEND, Event.DOUBT, Event.PROVE_ABSENT),
    "needs the user": (Event.SEND, Event.DOUBT, Event.ASK),
    "given up": (Event.SEND, Event.DOUBT, Event.ASK, Event.ABANDON),
    "in doubt": (Event.SEND, Event.DOUBT),
    "its process died": (Event.SEND,),
}


@pytest.mark.parametrize("events", CONTRADICTED.values(), ids=CONTRADICTED.keys())
def test_an_attempt_of_ours_is_accepted_after_all(store: Store, events: tuple[Event, ...]) -> None:
    """It stays one attempt: the log says what became of it."""
    walked(store, *events)
    (found,) = adopt(store, row())
    assert (found.id, found.state, found.generation_id) == (NAMES[0], State.ACCEPTED, "gen1")
    assert states(store) == [(FINGERPRINT, "accepted")]


def test_what_a_living_process_is_about_to_record_is_left_to_it(store: Store) -> None:
    """And a claim without an intent, whoever holds it: nothing was sent under its name."""
    owner = store.register("owner-1")
    walked(store, Event.SEND)
    assert adopt(store, row()) == []
    owner.release()
    assert len(adopt(store, row())) == 1


def test_a_second_payment_for_a_result_is_kept_beside_it(store: Store) -> None:
    """Also when a proxy sent one request twice, so that both carry one name."""
    first, twice, again = adopt(
        store, row(), row("gen2", created=5001.0), row("gen3", NAMES[2], created=5002.0), wanted=WANTED
    )
    assert (first.fingerprint, twice.is_unattached, again.is_unattached) == (FINGERPRINT, True, True)
    assert twice.id != first.id
    assert again.fingerprint == f"{FINGERPRINT[:32]}:{NAMES[2]}"


def test_what_no_job_is_known_for_is_given_to_the_list_that_wants_it(store: Store) -> None:
    """By a later walk, whatever the log still shows."""
    (found,) = adopt(store, row(), row("gen2", NAMES[1], OTHER, failed=True))
    assert found.is_unattached
    attached, adopted = Adoption(store, READ, WANTED, {}).of([])
    assert ([each.job for each in attached], adopted) == ([JOB.job], [])
    assert states(store) == [(FINGERPRINT, "accepted")]
