"""What the ledger refuses of its own callers: a slip of ours must not become a payment or a false record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.errors import StoreFault
from kling_render.lifecycle.states import SPENT_NOTHING, Event, State
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt, start


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with Store.open(tmp_path / "store") as store:
        yield store.ledger


def attempts(ledger: SqliteLedger) -> list[State]:
    with ledger.reading() as view:
        return [found.state for found in view.attempts(NAMESPACE)]


def test_only_a_reservation_can_be_reserved(ledger: SqliteLedger) -> None:
    """A claim that began as something else would skip the steps before it."""
    with pytest.raises(ValueError, match="'accepted'"), ledger.writing() as transaction:
        transaction.reserve(attempt(1, state=State.ACCEPTED), ())
    assert attempts(ledger) == []


@pytest.mark.parametrize("state", sorted({*SPENT_NOTHING, State.RESERVED}))
def test_only_what_was_paid_can_be_adopted(ledger: SqliteLedger, state: State) -> None:
    """Adoption passes by every cap, so it must not be a way to claim."""
    with pytest.raises(ValueError, match="nothing was paid"), ledger.writing() as transaction:
        transaction.adopt(attempt(1, state=state), 5.0)
    assert attempts(ledger) == []


def test_a_generation_that_belongs_to_a_job_is_not_given_to_another(ledger: SqliteLedger) -> None:
    """Two jobs would take one payment for theirs."""
    with ledger.writing() as transaction:
        transaction.adopt(attempt(1, state=State.ACCEPTED, generation_id="g1"), 5.0)
    with pytest.raises(ValueError, match="belongs to sc010/fox/wave/t01"), ledger.writing() as transaction:
        transaction.give("A00001", attempt(2), 6.0)
    with ledger.reading() as view:
        found = view.attempt("A00001")
    assert found is not None
    assert found.fingerprint == attempt(1).fingerprint


def test_a_step_of_an_unknown_attempt_is_an_error(ledger: SqliteLedger) -> None:
    """An id that is recorded for nobody would be lost."""
    with pytest.raises(KeyError, match="A00009"), ledger.writing() as transaction:
        transaction.record("A00009", Event.ACCEPT, 5.0, generation_id="g1")


def test_a_transaction_inside_another_is_refused(ledger: SqliteLedger) -> None:
    """The inner one's promise of durability could not be kept; the outer one goes on."""
    with ledger.writing() as transaction:
        transaction.reserve(attempt(1), ())
        with pytest.raises(RuntimeError, match="already open"), ledger.writing():
            pytest.fail("it was opened")
    assert attempts(ledger) == [State.RESERVED]


@pytest.mark.parametrize(
    ("statement", "error"),
    [("INSERT INTO facts SELECT fact FROM facts", sqlite3.IntegrityError), ("SELECT ?", sqlite3.ProgrammingError)],
)
def test_a_mistake_of_ours_is_not_called_a_fault_of_the_disk(
    ledger: SqliteLedger, statement: str, error: type[sqlite3.Error]
) -> None:
    """The user would look for trouble where there is none."""
    with ledger.writing() as transaction:
        transaction.learn("once")
    with pytest.raises(error), ledger.writing():
        ledger.connection.execute(statement)


def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    """What comes too late is refused with a word of its own."""
    store = Store.open(tmp_path / "store")
    store.close()
    with pytest.raises(StoreFault, match="already closed") as caught, store.ledger.writing():
        pytest.fail("it was opened")
    assert caught.value.code == "store-closed"


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')", reason="needs fork")
def test_a_ledger_is_not_used_on_the_other_side_of_a_fork(tmp_path: Path) -> None:
    """SQLite's locks belong to the process that took them: the child would break them."""
    script = """
import os, sys
from pathlib import Path
from kling_render.store.opening import Store
with Store.open(Path(sys.argv[1])) as store:
    if os.fork() == 0:
        try:
            with store.ledger.reading():
                os._exit(1)
        except AssertionError as refused:
            print(refused, flush=True)
            os._exit(0)
    print(os.wait()[1], flush=True)
"""
    said = start(script, tmp_path / "store").communicate(timeout=20)[0]
    assert said.splitlines() == ["a ledger cannot be used across fork()", "0"]
