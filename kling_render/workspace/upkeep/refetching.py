"""Fetches results again that the store lost: polled and downloaded from the provider, for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kling_render.config import Settings, require_key
from kling_render.engine.attempts import work_of
from kling_render.engine.run import Run
from kling_render.engine.work import Options, Target
from kling_render.engine.world import Watcher, result_of
from kling_render.errors import AccountRefused
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.states import Event, State
from kling_render.ports import Clock
from kling_render.store.opening import Store
from kling_render.workspace.running import Wiring, run


@dataclass(frozen=True, slots=True)
class Refetch:
    """The way to the provider, as far as there is one."""

    store: Store
    settings: Settings
    clock: Clock
    watcher: Watcher
    on_start: Callable[[Run], None]

    def hindrance(self, attempts: Sequence[Attempt]) -> str:
        """Why nothing can be fetched; empty when it can."""
        if self.settings.offline:
            return "Leave out --offline: the provider may still have it."
        if all(attempt.namespace != self.settings.namespace for attempt in attempts):
            return (
                f"It was rendered at {attempts[0].namespace}: set that as the base URL, and its key, and repeat this."
            )
        try:
            require_key(self.settings)
        except AccountRefused as refusal:
            return f"Set the key and repeat this, or run `kling-render pull`, which fetches it too: {refusal.message}."
        return ""

    async def fetch(self, attempts: Sequence[Attempt]) -> str:
        """Bring what is still there; returns why the rest is not."""
        if why := self.hindrance(attempts):
            return why
        own = [a for a in attempts if a.namespace == self.settings.namespace and a.generation_id is not None]
        waiting = {a.id for a in own if a.state is State.FETCHED}
        if waiting:
            self._fetched_anew(waiting)
        works = [work_of(a) if a.id in waiting else replace(work_of(a), result=result_of(a)) for a in own]
        wiring = Wiring(
            namespace=self.settings.namespace,
            watcher=self.watcher,
            publisher=_Nowhere(),
            clock=self.clock,
            online=True,
        )
        report = await run(self.store, self.settings, wiring, works, self._options, folder="", on_start=self.on_start)
        failures = dict.fromkeys(job.failure.message for job in report.jobs.values() if job.failure)
        said = "; ".join([*report.stops.values(), *failures]) or "the provider has no copy that could be fetched"
        return f"{said[:1].upper()}{said[1:]}."

    def _options(self, _run_id: str) -> Options:
        settings = self.settings
        return Options(jobs=settings.jobs, poll_s=settings.poll_seconds, absence_s=settings.absence_seconds)

    def _fetched_anew(self, attempts: set[str]) -> None:
        """Not published yet, and nobody at work on it: to be fetched as if it never had been."""
        with self.store.ledger.writing() as ledger:
            for id_ in sorted(attempts):
                attempt = ledger.attempt(id_)
                if attempt is not None and attempt.state is State.FETCHED and not self.store.is_alive(attempt.owner):
                    ledger.record(id_, Event.REFETCH, self.clock.now())


class _Nowhere:
    """`engine.world.Publisher` that leaves the output folders as they are: the next render looks after them."""

    def publish(self, target: Target, result: Result, manifest: str) -> None:
        """Do nothing."""
