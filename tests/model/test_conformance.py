"""Where the model restates what the product does, the product does just that."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from kling_render.engine.recover import recover
from kling_render.engine.world import World
from kling_render.lifecycle.records import Attempt as Row
from kling_render.lifecycle.records import Cap, OverBudget, Reserved
from kling_render.lifecycle.states import OPEN, SPENT_NOTHING, State
from kling_render.store.group_commit import GroupCommit
from kling_render.store.opening import Store
from tests.engine.studio import Believing, Told, Tree, VirtualClock
from tests.model.protocol import DEAD, Attempt, Bounds, Protocol
from tests.store.support import NAMESPACE, attempt

MODEL = Protocol(Bounds())


def put(store: Store, state: State, **facts: object) -> Row:
    """An attempt of a dead process in a state, written past the table."""
    row = attempt(1, owner="dead", **facts)
    with store.ledger.writing() as ledger:
        assert isinstance(ledger.reserve(row, ()), Reserved)
        store.ledger.connection.execute("UPDATE attempts SET state = ? WHERE id = ?", (state.value, row.id))
    return replace(row, state=state)


def world_of(store: Store, ledger: GroupCommit) -> World:
    return World(
        clock=VirtualClock(),
        chance=random.Random(1),
        ledger=ledger,
        blobs=store.blobs,
        checker=Believing(),
        publisher=Tree(store.blobs.path),
        owners=store,
        watcher=Told(),
        owner="me",
        run="run",
        namespace=NAMESPACE,
        spool=store.spool("me"),
    )


@pytest.mark.parametrize("state", sorted(OPEN))
def test_recovery_takes_the_model_s_step_from_every_open_state(tmp_path: Path, state: State) -> None:
    """A claim is given back, an intent is doubted, everything else is gone on with."""
    with Store.open(tmp_path / "store") as store:
        row = put(store, state)
        commits = GroupCommit(store.ledger)

        async def scenario() -> None:
            await recover(world_of(store, commits), frozenset({row.fingerprint}), None)

        asyncio.run(scenario())
        commits.close()
        with store.ledger.reading() as view:
            found = view.attempt(row.id)
    expected = MODEL.recovered(Attempt(0, state, DEAD), 0).state
    assert (State.PLANNED if found is None else found.state) is expected


@pytest.mark.parametrize("state", sorted(set(State) - {State.PLANNED}))
def test_the_ledger_lets_a_fingerprint_be_claimed_as_the_model_does(tmp_path: Path, state: State) -> None:
    """By its answer to a claim, and by the constraint of the database behind it."""
    with Store.open(tmp_path / "store") as store:
        put(store, state)
        with store.ledger.writing() as ledger:
            claim = ledger.reserve(attempt(1, id="A2"), ())
    world = MODEL.start()._replace(attempts=(Attempt(0, state, DEAD),))
    assert isinstance(claim, Reserved) == MODEL.is_free(world, 0) == (state in SPENT_NOTHING)


@pytest.mark.parametrize("state", sorted(set(State) - {State.PLANNED}))
def test_the_ledger_counts_a_hold_as_the_model_does(tmp_path: Path, state: State) -> None:
    """A cap for one has room for another exactly when nothing may have been spent."""
    with Store.open(tmp_path / "store") as store:
        put(store, state)
        with store.ledger.writing() as ledger:
            claim = ledger.reserve(attempt(2), (Cap(name="cap", limit=100),))
    bounded = Protocol(Bounds(jobs=2, cap=1))
    world = bounded.start()._replace(attempts=(Attempt(0, state, DEAD),))
    assert isinstance(claim, OverBudget) == (not bounded.has_room(world))
