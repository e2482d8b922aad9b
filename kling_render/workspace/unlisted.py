"""Finishes what runs from the store alone: the shot list and its inputs may be gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kling_render import __version__
from kling_render.config import Settings
from kling_render.engine.run import Run
from kling_render.engine.work import Options, RunReport, Work
from kling_render.engine.world import Watcher
from kling_render.outputs.publisher import TreePublisher
from kling_render.ports import Clock
from kling_render.store.opening import Store
from kling_render.workspace.running import Wiring, run


async def finish_without_list(
    store: Store,
    settings: Settings,
    options: Callable[[str], Options],
    watcher: Watcher,
    clock: Clock,
    *,
    folder: str | None,
    on_start: Callable[[Run], None],
    also: Sequence[Work] = (),
) -> RunReport:
    """Bring every open attempt of a project folder (None: of all projects), and `also`, to its end. Never submits."""
    publisher = TreePublisher(
        store.blobs,
        store.digests(),
        now=clock.now,
        tool_version=__version__,
        allowed=settings.input_roots,
    )
    with store.ledger.reading() as ledger:
        found = ledger.open_attempts(settings.namespace)
    waiting = [a for a in found if folder is None or a.folder == folder]
    wiring = Wiring(
        namespace=settings.namespace,
        watcher=watcher,
        publisher=publisher,
        clock=clock,
        online=bool(waiting or also),
    )
    report = await run(store, settings, wiring, also, options, folder=folder, on_start=on_start)
    report.notices.extend(publisher.notices)
    return report
