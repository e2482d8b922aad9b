"""Many writes share commits, and each keeps its own outcome."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kling_render.errors import StoreFault
from kling_render.lifecycle.records import Cap, OverBudget, Reserved, Taken
from kling_render.lifecycle.states import Event, IllegalTransition, State
from kling_render.ports import LedgerTransaction
from kling_render.store.group_commit import GroupCommit
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt


def reserving(number: int, *caps: Cap, **changes: Any) -> Callable[[LedgerTransaction], Any]:
    return lambda ledger: ledger.reserve(attempt(number, **changes), caps)


def test_a_thousand_writes_share_a_few_commits(tmp_path: Path) -> None:
    """A commit costs milliseconds; a thousand jobs must not wait a thousand times."""

    async def scene(group: GroupCommit) -> list[Any]:
        names = [f"{number:04x}" * 16 for number in range(1000)]  # apart from their first digits on, as real ones
        pieces = [group.write(reserving(number, fingerprint=name)) for number, name in enumerate(names)]
        return await asyncio.gather(*pieces)

    with Store.open(tmp_path / "store") as store:
        before = store.ledger.commits
        group = GroupCommit(store.ledger)
        outcomes = asyncio.run(scene(group))
        group.close()
        assert all(isinstance(outcome, Reserved) for outcome in outcomes)
        assert store.ledger.commits - before <= 20


def test_one_failing_piece_is_undone_alone_and_its_error_goes_to_its_caller(tmp_path: Path) -> None:
    """A neighbour's mistake is not mine."""

    def failing(ledger: LedgerTransaction) -> None:
        ledger.reserve(attempt(2), ())
        ledger.record("A00002", Event.ACCEPT, 1.0)

    async def scene(group: GroupCommit) -> list[Any]:
        pieces = [group.write(reserving(1)), group.write(failing), group.write(reserving(3))]
        return await asyncio.gather(*pieces, return_exceptions=True)

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        first, second, third = asyncio.run(scene(group))
        group.close()
        assert isinstance(first, Reserved)
        assert isinstance(second, IllegalTransition)
        assert isinstance(third, Reserved)
        with store.ledger.reading() as view:
            assert [found.id for found in view.attempts(NAMESPACE)] == ["A00001", "A00003"]


def test_an_undone_reservation_gives_its_budget_back_within_the_same_commit(tmp_path: Path) -> None:
    """Sums that are carried on forget what was rolled back."""
    cap = Cap(name="c", limit=150)

    def undone(ledger: LedgerTransaction) -> None:
        assert isinstance(ledger.reserve(attempt(1), (cap,)), Reserved)
        raise LookupError

    async def scene(group: GroupCommit) -> list[Any]:
        pieces = [group.write(undone), group.write(reserving(2, cap)), group.write(reserving(3, cap))]
        return await asyncio.gather(*pieces, return_exceptions=True)

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        outcomes = asyncio.run(scene(group))
        group.close()
        assert [type(outcome) for outcome in outcomes] == [LookupError, Reserved, OverBudget]


def test_of_many_at_once_one_gets_the_fingerprint(tmp_path: Path) -> None:
    """Within one commit as between processes."""

    async def scene(group: GroupCommit) -> list[Any]:
        same = {"fingerprint": "f" * 64}
        return await asyncio.gather(*[group.write(reserving(number, **same)) for number in range(50)])

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        outcomes = asyncio.run(scene(group))
        group.close()
        assert [type(outcome) for outcome in outcomes].count(Reserved) == 1
        assert {outcome.attempt.id for outcome in outcomes if isinstance(outcome, Taken)} <= {"A00000"}


def test_a_full_disk_fails_every_caller_of_the_commit_and_keeps_nothing(tmp_path: Path) -> None:
    """All or nothing, and everybody is told."""

    async def scene(group: GroupCommit) -> list[Any]:
        pieces = [group.write(reserving(number, manifest="x" * 4000)) for number in range(200)]
        return await asyncio.gather(*pieces, return_exceptions=True)

    with Store.open(tmp_path / "store", max_pages=30) as store:
        group = GroupCommit(store.ledger)
        outcomes = asyncio.run(scene(group))
        group.close()
        with store.ledger.reading() as view:
            durable = {found.id for found in view.attempts(NAMESPACE)}
        promised = {outcome.attempt.id for outcome in outcomes if isinstance(outcome, Reserved)}
        faults = [outcome for outcome in outcomes if isinstance(outcome, StoreFault)]
        assert durable == promised
        assert len(faults) + len(promised) == 200
        assert {fault.code for fault in faults} == {"store-full"}


def test_a_read_sees_every_write_submitted_before_it(tmp_path: Path) -> None:
    """Recovery reads what was just recorded."""

    async def scene(group: GroupCommit) -> State | None:
        writing = asyncio.ensure_future(group.write(reserving(1)))
        await asyncio.sleep(0)
        found = await group.read(lambda ledger: ledger.attempt("A00001"))
        await writing
        return found.state if found else None

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        assert asyncio.run(scene(group)) is State.RESERVED
        group.close()


def test_closing_waits_for_everything_submitted_and_refuses_more(tmp_path: Path) -> None:
    """An id on its way to the disk arrives."""

    async def scene(group: GroupCommit) -> None:
        pieces = [asyncio.ensure_future(group.write(reserving(number))) for number in range(100)]
        await asyncio.sleep(0)
        await group.aclose()
        await asyncio.gather(*pieces)
        with pytest.raises(StoreFault, match="closed"):
            await group.write(reserving(1000))

    with Store.open(tmp_path / "store") as store:
        asyncio.run(scene(GroupCommit(store.ledger)))
        with store.ledger.reading() as view:
            assert len(view.attempts(NAMESPACE)) == 100


def test_a_cancelled_caller_does_not_undo_its_work(tmp_path: Path) -> None:
    """Ctrl-C must not lose the id that is being written."""

    async def scene(group: GroupCommit) -> None:
        writing = asyncio.ensure_future(group.write(reserving(1)))
        await asyncio.sleep(0)
        writing.cancel()
        await group.aclose()

    with Store.open(tmp_path / "store") as store:
        asyncio.run(scene(GroupCommit(store.ledger)))
        with store.ledger.reading() as view:
            assert view.attempt("A00001") is not None


def test_a_record_that_breaks_a_constraint_fails_alone(tmp_path: Path) -> None:
    """The database refuses the piece, not the disk: its neighbours become durable."""

    async def scene(group: GroupCommit) -> list[Any]:
        pieces = [group.write(reserving(1)), group.write(reserving(1, fingerprint="f" * 64)), group.write(reserving(2))]
        return await asyncio.gather(*pieces, return_exceptions=True)

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        outcomes = asyncio.run(scene(group))
        group.close()
        assert [type(outcome) for outcome in outcomes] == [Reserved, sqlite3.IntegrityError, Reserved]


def test_no_more_than_a_batch_shares_a_commit(tmp_path: Path) -> None:
    """So that nobody waits for ever behind a queue that never ends."""

    async def scene(group: GroupCommit) -> None:
        await asyncio.gather(*[group.write(reserving(number)) for number in range(5)])

    with Store.open(tmp_path / "store") as store:
        before = store.ledger.commits
        group = GroupCommit(store.ledger, batch=1)
        asyncio.run(scene(group))
        group.close()
        assert store.ledger.commits - before == 5


def test_a_question_that_fails_is_its_askers_alone(tmp_path: Path) -> None:
    """The others of the same view are answered."""

    def mistaken(_ledger: LedgerTransaction) -> None:
        raise LookupError

    async def scene(group: GroupCommit) -> list[Any]:
        await group.write(reserving(1))
        asked = [group.read(mistaken), group.read(lambda ledger: ledger.attempt("A00001"))]
        return await asyncio.gather(*asked, return_exceptions=True)

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        failed, found = asyncio.run(scene(group))
        group.close()
        assert isinstance(failed, LookupError)
        assert found == attempt(1)


def test_damage_that_a_question_meets_is_a_fault_with_a_remedy(tmp_path: Path) -> None:
    """A row whose text is none: everybody who asked at that moment is told, and nobody gets half an answer."""

    async def scene(group: GroupCommit) -> list[Any]:
        return await asyncio.gather(
            *[group.read(lambda ledger: ledger.open_attempts(NAMESPACE)) for _ in range(3)], return_exceptions=True
        )

    with Store.open(tmp_path / "store") as store:
        with store.ledger.writing() as transaction:
            transaction.reserve(attempt(1), ())
            store.ledger.connection.execute("UPDATE attempts SET job = CAST(x'ff' AS TEXT)")
        group = GroupCommit(store.ledger)
        faults = asyncio.run(scene(group))
        group.close()
    assert [type(fault) for fault in faults] == [StoreFault] * 3
    assert all(fault.help for fault in faults)


def test_what_was_submitted_before_the_end_is_done_whatever_comes_behind_it(tmp_path: Path) -> None:
    """The end is called while a long write holds the queue: what stands before it is durable, the rest refused."""
    begun, go_on = threading.Event(), threading.Event()

    def long(ledger: LedgerTransaction) -> None:
        begun.set()
        assert go_on.wait(30)

    async def refused(group: GroupCommit) -> bool:
        asked = asyncio.ensure_future(group.read(lambda _: None))
        await asyncio.sleep(0.001)
        return asked.done() and isinstance(asked.exception(), StoreFault)

    async def scene(group: GroupCommit) -> None:
        writing = [asyncio.ensure_future(group.write(long))]
        await asyncio.to_thread(begun.wait, 30)
        writing += [asyncio.ensure_future(group.write(reserving(number))) for number in (1, 2)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(group.aclose())
        while not await refused(group):
            pass
        go_on.set()
        await asyncio.gather(*writing, closing)
        group.close()  # once more does nothing

    with Store.open(tmp_path / "store") as store:
        asyncio.run(scene(GroupCommit(store.ledger)))
        with store.ledger.reading() as view:
            assert [found.id for found in view.attempts(NAMESPACE)] == ["A00001", "A00002"]


def test_a_caller_whose_event_loop_is_gone_stops_nobody_else(tmp_path: Path) -> None:
    """Its work becomes durable, nobody hears of it, and the next caller is served."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(ledger: LedgerTransaction) -> None:
        ledger.reserve(attempt(1), ())
        begun.set()
        assert go_on.wait(30)

    async def leaves(group: GroupCommit) -> None:
        writing = asyncio.ensure_future(group.write(slow))
        await asyncio.to_thread(begun.wait, 30)
        writing.cancel()

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        asyncio.run(leaves(group))
        go_on.set()
        found = asyncio.run(group.read(lambda ledger: ledger.attempt("A00001")))  # type: ignore[arg-type]
        group.close()
    assert found == attempt(1)
