"""What a plan reads of the ledger: only the attempts that still decide something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kling_render.lifecycle.records import Reserved, Taken
from kling_render.lifecycle.states import Event, State
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt

TO_FETCHED = (Event.SEND, Event.ACCEPT, Event.COMPLETE, Event.FETCH)
FACTS = {Event.FETCH: {"blob": "b" * 64, "size": 3}}


def walk(store: Store, number: int, *events: Event, fingerprint: str | None = None) -> None:
    new = attempt(number, **({"fingerprint": fingerprint} if fingerprint else {}))
    with store.ledger.writing() as ledger:
        ledger.reserve(new, ())
        for event in events:
            ledger.record(new.id, event, 2000.0 + number, **FACTS.get(event, {}))


def test_an_attempt_that_is_done_and_has_its_result_is_left_out(tmp_path: Path) -> None:
    """Done attempts are most of a ledger, and a plan only needs their results."""
    with Store.open(tmp_path / "store") as store:
        walk(store, 1, *TO_FETCHED, Event.PUBLISH)
        walk(store, 2, *TO_FETCHED)
        walk(store, 3, Event.SEND)
        with store.ledger.reading() as ledger:
            assert {a.id for a in ledger.unsettled(NAMESPACE).values()} == {"A00002", "A00003"}


def test_a_done_attempt_whose_result_is_gone_is_kept(tmp_path: Path) -> None:
    """Without its result it decides again: it was paid for, so the job goes on with it."""
    with Store.open(tmp_path / "store") as store:
        walk(store, 1, *TO_FETCHED, Event.PUBLISH)
        store.ledger.connection.execute("DELETE FROM results")
        with store.ledger.reading() as ledger:
            assert set(ledger.unsettled(NAMESPACE)) == {attempt(1).fingerprint}


def test_an_earlier_failure_does_not_stand_in_for_the_newest_attempt(tmp_path: Path) -> None:
    """A rejected attempt is forgotten once a later one of the same fingerprint ended well."""
    same = attempt(1).fingerprint
    with Store.open(tmp_path / "store") as store:
        walk(store, 1, Event.SEND, Event.REJECT)
        walk(store, 2, *TO_FETCHED, Event.PUBLISH, fingerprint=same)
        with store.ledger.reading() as ledger:
            assert not ledger.unsettled(NAMESPACE)


def test_what_was_set_aside_decides_nothing_until_it_is_found_after_all(tmp_path: Path) -> None:
    """The user's word frees the fingerprint; the account's log may still find the result before it is paid again."""
    with Store.open(tmp_path / "store") as store:
        walk(store, 1, Event.SEND, Event.DOUBT, Event.ASK, Event.ABANDON)
        with store.ledger.writing() as ledger:
            ledger.set_aside("A00001", 5.0, by="ada@desk")
            assert not ledger.unsettled(NAMESPACE)
            found = replace(ledger.attempt("A00001") or attempt(1), state=State.ACCEPTED, generation_id="gen-1")
            assert isinstance(ledger.adopt(found, 6.0), Reserved)
            assert set(ledger.unsettled(NAMESPACE)) == {found.fingerprint}
            again = ledger.reserve(attempt(2, fingerprint=found.fingerprint), ())
            assert isinstance(again, Taken)


def test_the_newest_manifest_of_a_job_is_found(tmp_path: Path) -> None:
    """It tells an edit from a new job."""
    with Store.open(tmp_path / "store") as store:
        walk(store, 1, *TO_FETCHED, Event.PUBLISH)
        new = attempt(1)
        with store.ledger.reading() as ledger:
            assert ledger.newest_manifests(NAMESPACE, new.folder) == {new.job: new.manifest}
            assert not ledger.newest_manifests(NAMESPACE, "/elsewhere")
