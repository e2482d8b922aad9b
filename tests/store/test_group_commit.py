"""Many writes share commits, and each keeps its own outcome."""

from __future__ import annotations

import asyncio
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
        return await asyncio.gather(*[group.write(reserving(number)) for number in range(1000)])

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
