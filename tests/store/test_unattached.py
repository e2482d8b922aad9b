"""Paid generations that no job is known for: kept beside the others, and given to the job that turns up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.lifecycle.records import Attempt, Reserved, Taken
from kling_render.lifecycle.states import Event, State
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt

BLOB = "c" * 64


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with Store.open(tmp_path / "store") as store:
        yield store.ledger


def unattached(number: int, name: str = "U1", state: State = State.ACCEPTED) -> Attempt:
    """A generation for the fingerprint of `attempt(number)`, known by its prefix only."""
    prefix = attempt(number).fingerprint[:32]
    nothing = dict.fromkeys(("folder", "project", "output", "final", "root", "manifest", "model", "run", "owner"), "")
    known = {"id": name, "fingerprint": f"{prefix}:{name}", "client_request_id": f"kr1:{prefix}:{name}"}
    return attempt(number, **nothing, **known, state=state, generation_id=f"gen-{name}", hold=None)


def adopt(ledger: SqliteLedger, *found: Attempt) -> None:
    with ledger.writing() as transaction:
        for each in found:
            transaction.adopt(each, 1.0)


def test_a_reservation_finds_what_was_paid_for_it_before(ledger: SqliteLedger) -> None:
    """The store never pays for what it holds, whatever the caller knew."""
    adopt(ledger, unattached(1 << 200))
    with ledger.writing() as transaction:
        claim = transaction.reserve(attempt(1 << 200), ())
    assert isinstance(claim, Taken)
    assert (claim.attempt.id, claim.attempt.job, claim.attempt.hold) == ("U1", attempt(1 << 200).job, 100)
    with ledger.reading() as view:
        assert view.unattached(NAMESPACE) == []
        assert [step.event for step in view.history("U1")] == ["adopt", "attach"]


def test_a_result_that_is_in_the_store_becomes_the_jobs(ledger: SqliteLedger) -> None:
    """Its bytes answer to the full fingerprint afterwards, and to nothing else."""
    wanted = attempt(1 << 200)
    adopt(ledger, unattached(1 << 200))
    with ledger.writing() as transaction:
        transaction.record("U1", Event.COMPLETE, 2.0, charge=7)
        transaction.record("U1", Event.FETCH, 3.0, blob=BLOB, size=3)
        transaction.record("U1", Event.PUBLISH, 3.0)
        assert transaction.attach(wanted, 4.0, by="me") is not None
    with ledger.reading() as view:
        assert list(view.results(NAMESPACE)) == [wanted.fingerprint]
        assert view.history("U1")[-1].detail == {"job": wanted.job, "by": "me"}


def test_several_payments_for_one_prefix_live_side_by_side(ledger: SqliteLedger) -> None:
    """The oldest becomes the job's; the others stay, and are not lost."""
    adopt(ledger, unattached(1 << 200, "U1"), unattached(1 << 200, "U2"))
    with ledger.writing() as transaction:
        attached = transaction.attach(attempt(1 << 200), 4.0)
        assert attached is not None
        assert attached.id == "U1"
        assert transaction.attach(attempt(1 << 200), 4.0) is None
        assert [one.id for one in transaction.unattached(NAMESPACE)] == ["U2"]


def test_another_prefix_and_a_failed_generation_are_no_ones_result(ledger: SqliteLedger) -> None:
    """Only the same 32 digits count, and only what may have been paid."""
    adopt(ledger, unattached(1 << 200))
    with ledger.writing() as transaction:
        assert transaction.attach(attempt(1 << 201), 4.0) is None
        transaction.record("U1", Event.FAIL, 5.0)
        assert isinstance(transaction.reserve(attempt(1 << 200), ()), Reserved)
        assert transaction.unattached(NAMESPACE) == []
