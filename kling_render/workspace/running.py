"""Wires a run: the store, the provider and the project's files behind the engine's ports."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType

from kling_render.config import Settings
from kling_render.engine.run import Run
from kling_render.engine.work import Options, Progress, RunReport, Work
from kling_render.engine.world import LocalRenderer, Publisher, Uploads, Watcher, World
from kling_render.errors import AccountRefused
from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Cap, credits_of
from kling_render.ports import Clock, PaidProvider
from kling_render.shotlist.records import Budget
from kling_render.store.group_commit import GroupCommit
from kling_render.store.opening import Store
from kling_render.workspace.account.account import client_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a run needs besides the store and the settings."""

    namespace: str
    watcher: Watcher
    publisher: Publisher
    clock: Clock
    #: Whether anything is to be asked of the provider; a run that only restores needs no key.
    online: bool
    #: Whether the provider is wanted if a key is at hand: stored bytes may prove damaged, and it has another copy.
    helpful: bool = False
    uploads: Uploads | None = None
    renderer: LocalRenderer | None = None
    chance: random.Random | None = None


async def run(
    store: Store,
    settings: Settings,
    wiring: Wiring,
    works: Sequence[Work],
    options: Callable[[str], Options],
    *,
    folder: str | None,
    claimed: Mapping[Path, str] = MappingProxyType({}),
    on_start: Callable[[Run], None] = lambda _run: None,
) -> RunReport:
    """Run the works to the end.

    Args:
        store: open.
        settings: the user's.
        wiring: the other ports.
        works: see `engine.run.Run`.
        options: made from the run's id, which caps need.
        folder: see `engine.run.Run`.
        claimed: see `engine.run.Run`.
        on_start: gets the run, to be able to stop it.
    """
    async with _world(store, settings, wiring) as world:
        driving = Run(world, options(world.run), works, folder, claimed)
        on_start(driving)
        return await driving.execute()


@asynccontextmanager
async def _world(store: Store, settings: Settings, wiring: Wiring) -> AsyncIterator[World]:
    from kling_render.workspace.results.checking import ResultChecker
    from kling_render.workspace.results.looking import remember

    chance = wiring.chance or random.SystemRandom()
    token = ulid(wiring.clock.now(), chance)
    owner = store.register(token)
    _recover_spool(store, wiring)
    async with AsyncExitStack() as stack:
        stack.callback(owner.release)
        ledger = GroupCommit(store.ledger)
        stack.push_async_callback(ledger.aclose)
        checker = ResultChecker(partial(remember, store.cache))
        stack.callback(checker.close)
        spool = store.spool(token)
        stack.callback(spool.close)
        provider = await _provider(settings, wiring, stack)
        yield World(
            clock=wiring.clock,
            chance=chance,
            ledger=ledger,
            blobs=store.blobs,
            checker=checker,
            publisher=wiring.publisher,
            owners=store,
            watcher=wiring.watcher,
            owner=token,
            run=ulid(wiring.clock.now(), chance),
            namespace=wiring.namespace,
            spool=spool,
            provider=provider,
            uploads=wiring.uploads,
            renderer=wiring.renderer,
        )


async def _provider(settings: Settings, wiring: Wiring, stack: AsyncExitStack) -> PaidProvider | None:
    """The account's client; None for free providers and for runs that ask nothing of it."""
    if wiring.renderer is not None or not (wiring.online or wiring.helpful):
        return None
    try:
        client = client_of(settings, wiring.namespace, wiring.clock)
    except AccountRefused:
        if wiring.online:
            raise
        return None
    return await stack.enter_async_context(client)


def _recover_spool(store: Store, wiring: Wiring) -> None:
    """Generation ids that a full disk sent to the spool come into the ledger before anything else happens."""
    recorded, unknown = store.record_spooled(wiring.clock.now())
    for attempt in recorded:
        text = f"found in the spool: {attempt.job} was accepted as {attempt.generation_id}"
        wiring.watcher.tell(Progress(event="note", facts={"text": text}))
    for spooled in unknown:
        text = f"the spool holds the paid generation {spooled.generation_id}, which this store does not know"
        wiring.watcher.tell(Progress(event="note", facts={"text": text}))


def caps(
    settings: Settings, budget: Budget, *, folder: Path, run_id: str, now: float, max_usd: Decimal | None
) -> tuple[Cap, ...]:
    """Every cap that applies: the user's own, and the shot list's, which can only tighten them.

    `now` is seconds since the epoch; a day is 24 hours back from it.
    """
    found: list[Cap] = []
    if max_usd is not None:
        found.append(Cap(name="--max-usd", limit=credits_of(max_usd), run=run_id))
    for name, limit in (("budget_total_usd", settings.budget_total_usd), ("budget.total_usd", budget.total_usd)):
        if limit is not None:
            found.append(Cap(name=name, limit=credits_of(limit), project_folder=str(folder)))
    day = now - 86_400.0
    if settings.budget_per_day_usd is not None:
        found.append(Cap(name="budget_per_day_usd", limit=credits_of(settings.budget_per_day_usd), since=day))
    if budget.per_day_usd is not None:
        per_day = credits_of(budget.per_day_usd)
        found.append(Cap(name="budget.per_day_usd", limit=per_day, since=day, project_folder=str(folder)))
    return tuple(found)
