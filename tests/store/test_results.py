"""Results in the ledger: fetched, fetched again, and given to an edit that was declared cosmetic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import Event
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt

TO_READY = (Event.SEND, Event.ACCEPT, Event.COMPLETE)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with Store.open(tmp_path / "store") as store:
        yield store.ledger


def fetched(ledger: SqliteLedger, number: int) -> Attempt:
    """A result whose blob is named after the number."""
    new = attempt(number)
    with ledger.writing() as transaction:
        transaction.reserve(new, ())
        for event in TO_READY:
            transaction.record(new.id, event, 2000.0)
        return transaction.record(new.id, Event.FETCH, 3000.0, blob=f"{number:x}" * 64, size=3)


def test_a_result_of_its_own_is_not_replaced_by_a_kept_one(ledger: SqliteLedger) -> None:
    """What was paid for this fingerprint stays; and where there is nothing, nothing is kept."""
    old, own = fetched(ledger, 1), fetched(ledger, 2)
    with ledger.writing() as transaction:
        left = transaction.keep(NAMESPACE, own.fingerprint, old.fingerprint, 5.0)
        assert left is not None
        assert left.blob == own.blob
        assert transaction.keep(NAMESPACE, "f" * 64, "e" * 64, 5.0) is None
        assert transaction.result(NAMESPACE, "f" * 64) is None
        assert transaction.kept(NAMESPACE) == {}


def test_a_kept_result_tells_whose_it_was(ledger: SqliteLedger) -> None:
    """So that a plan can say why nothing is rendered, and the word can be taken back."""
    old = fetched(ledger, 1)
    with ledger.writing() as transaction:
        kept = transaction.keep(NAMESPACE, "f" * 64, old.fingerprint, 5.0)
        assert kept is not None
        assert (kept.blob, kept.attempt) == (old.blob, old.id)
        assert transaction.kept(NAMESPACE) == {"f" * 64: old.fingerprint}
        assert transaction.unkeep(NAMESPACE, "f" * 64, 6.0)
        assert transaction.kept(NAMESPACE) == {}


def test_the_decision_to_keep_is_found_with_who_and_why(ledger: SqliteLedger) -> None:
    """The newest one of each result, in one read, however often it was kept and taken back."""
    old = fetched(ledger, 1)
    with ledger.writing() as transaction:
        transaction.keep(NAMESPACE, "f" * 64, old.fingerprint, 5.0, by="ada")
        transaction.unkeep(NAMESPACE, "f" * 64, 6.0)
        assert transaction.kept_decisions(NAMESPACE) == {}
        transaction.keep(NAMESPACE, "f" * 64, old.fingerprint, 7.0, by="bob", why="a comma")
        transaction.keep(NAMESPACE, "e" * 64, old.fingerprint, 8.0, by="cem")
        decided = transaction.kept_decisions(NAMESPACE)
        assert {key: (origin, step.at, step.detail["by"]) for key, (origin, step) in decided.items()} == {
            "f" * 64: (old.fingerprint, 7.0, "bob"),
            "e" * 64: (old.fingerprint, 8.0, "cem"),
        }


def test_a_link_that_is_told_twice_is_one_fact_and_two_steps(ledger: SqliteLedger) -> None:
    """A poll repeated after a crash changes nothing, and the history shows that it was made."""
    new = attempt(1)
    with ledger.writing() as transaction:
        transaction.reserve(new, ())
        for event in TO_READY:
            ready = transaction.record(new.id, event, 2000.0, **_link(event))
        assert transaction.record(new.id, Event.COMPLETE, 9000.0, **_link(Event.COMPLETE)) == ready
        assert [step.event for step in transaction.history(new.id)][-2:] == ["complete", "complete"]
        assert transaction.attempt(new.id) == ready


def test_the_newest_finished_attempts_come_first(ledger: SqliteLedger) -> None:
    """Only what is published, and no more than asked for: prices are learnt from what was paid last."""
    for number in (1, 2, 3, 4):
        new = fetched(ledger, number)
        if number != 3:
            with ledger.writing() as transaction:
                transaction.record(new.id, Event.PUBLISH, 4000.0)
    with ledger.reading() as view:
        assert [one.id for one in view.finished(NAMESPACE, 9)] == ["A00004", "A00002", "A00001"]
        assert [one.id for one in view.finished(NAMESPACE, 2)] == ["A00004", "A00002"]
        assert view.finished("sandbox", 9) == []


def _link(event: Event) -> dict[str, object]:
    return {"result_url": "https://cdn/x", "charge": 80} if event is Event.COMPLETE else {}
