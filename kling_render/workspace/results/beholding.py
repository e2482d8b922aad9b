"""Watches results to their end while a run goes on, off its way: a film that takes long to watch holds nobody up.

Films that an earlier run left unwatched (it was killed, or its user did not want to wait) come after the new ones.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kling_render.engine.work import JobReport, JobState, Progress, RunReport, Stop
from kling_render.engine.world import Watcher
from kling_render.media.study import Studies
from kling_render.planning.records import PlannedJob
from kling_render.store.hashing import sha256_of
from kling_render.store.opening import Store
from kling_render.workspace.inputs.inspect import Inspection
from kling_render.workspace.results.looking import Looker

_ARRIVED = frozenset({JobState.DONE, JobState.RESTORED})
_LEAVING = frozenset({Stop.INTERRUPTED, Stop.SUPERSEDED})
"""Whoever leaves, or wants something else by now, waits for no film."""
_PATIENCE_S = 1.0
"""Seconds of waiting that need no word."""
_MISSED_S = 20.0
"""Seconds that are spent after a run on films of earlier runs; the next run goes on with the rest."""
_GLANCE_S = 0.2
_SAVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Missed:
    """A result that nobody watched, and a file that should hold it."""

    planned: PlannedJob
    sha256: str
    #: None: it just arrived in the store.
    path: Path | None = None


class Beholder:
    """Passes on what happens, and looks at each result that arrives; a thread and a child, once there is a film.

    Args:
        watcher: is told what happens, and what is found ("look").
        store: for looks, and the films.
        inspection: the clips.
        jobs: what may arrive.
        missed: films that were not watched before.
        missed_s: how long those may hold the end of the run up, in seconds.
    """

    def __init__(
        self,
        watcher: Watcher,
        store: Store,
        inspection: Inspection,
        jobs: Iterable[PlannedJob],
        missed: Sequence[Missed] = (),
        *,
        missed_s: float = _MISSED_S,
    ) -> None:
        self._watcher = watcher
        self._store = store
        self._studies = Studies()
        self._looker = Looker(store, inspection, self._studies, lambda: self._left)
        self._jobs = {planned.job.id: planned for planned in jobs}
        self._missed_s = missed_s
        self._changed = threading.Condition()
        self._arrived: deque[Missed] = deque()
        self._missed = deque(missed)
        self._watching = 0
        self._thread: threading.Thread | None = None
        self._over = self._left = False
        self._found: dict[str, tuple[str, ...]] = {}
        self._told: set[str] = set()
        self._old = {each.planned.job.id: each for each in missed}
        if missed:
            self._start()

    def tell(self, progress: Progress) -> None:
        """See `engine.world.Watcher.tell`."""
        self._watcher.tell(progress)
        report = progress.facts.get("report")
        if isinstance(report, JobReport) and report.state in _ARRIVED and report.job in self._jobs and report.sha256:
            with self._changed:
                self._arrived.append(Missed(self._jobs[report.job], report.sha256))
                self._changed.notify()
            self._start()
        self._pass_on()

    async def finish(self, report: RunReport) -> None:
        """Wait until everything was looked at, and say what was found. Who leaves waits for nothing."""
        thread = self._thread
        if thread is None:
            return
        with self._changed:
            self._over = True
            self._changed.notify()
        await self._wait(thread, report)
        self._pass_on()
        for job, texts in self._found.items():
            standing = report.jobs.get(job) or self._standing(job)
            if texts and standing is not None:
                known = (standing.warning or "").split("; ")
                every = dict.fromkeys([*filter(None, known), *texts])
                report.jobs[job] = replace(standing, warning="; ".join(every))

    async def _wait(self, thread: threading.Thread, report: RunReport) -> None:
        ended = asyncio.create_task(asyncio.to_thread(thread.join))
        began, said = time.monotonic(), False
        try:
            while not ended.done() and not _LEAVING & report.stops.keys():
                await asyncio.wait({ended}, timeout=_GLANCE_S)
                self._pass_on()
                waited = time.monotonic() - began
                if waited >= self._missed_s:
                    self._leave_missed(report)
                if waited >= _PATIENCE_S and not said and not ended.done():
                    said = True
                    self._say_waiting()
        finally:
            while not ended.done():  # the thread ends with its child, and may just be starting one
                self.close()
                await asyncio.wait({ended}, timeout=_GLANCE_S)

    def _say_waiting(self) -> None:
        left = self._watching + len(self._arrived) + len(self._missed)
        text = f"watching {left} results to their end" if left > 1 else "watching the last result to its end"
        self._watcher.tell(Progress(event="note", facts={"text": text}))

    def _leave_missed(self, report: RunReport) -> None:
        with self._changed:
            left = len(self._missed)
            self._missed.clear()
        if left:
            which = f"{left} results of earlier runs were" if left > 1 else "a result of an earlier run was"
            report.notices.append(f"{which} not watched to the end yet; the next `render` or `pull` goes on with that")

    def _standing(self, job: str) -> JobReport | None:
        """What a run that had nothing to do with a job would have said of it."""
        old = self._old.get(job)
        if old is None:
            return None
        result = old.planned.result
        generation = result.generation_id if result else None
        return JobReport(job=job, state=JobState.UP_TO_DATE, generation_id=generation, sha256=old.sha256, credits=0)

    def _pass_on(self) -> None:
        """Tell what was found meanwhile; never from the thread, for who is told need not be safe for that."""
        for job in [job for job in tuple(self._found) if job not in self._told]:
            self._told.add(job)
            if texts := self._found[job]:
                self._watcher.tell(Progress(event="look", job=job, facts={"warnings": list(texts)}))

    def close(self) -> None:
        """End the child; what was not looked at stays unknown."""
        with self._changed:
            self._left = True
            self._changed.notify()
        self._studies.close()

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="kling-render-look", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        saved = time.monotonic()
        while (film := self._next()) is not None:
            if film.path is not None and not _holds(film.path, film.sha256):
                continue  # what is seen in damaged bytes must not be remembered of the whole
            texts = self._looker.warnings(film.planned, film.sha256, film.path)
            if texts is None:
                if self._left:
                    return  # the child was ended: that says nothing about the film
                texts = self._looker.gave_up(film.planned, film.sha256)
            self._found[film.planned.job.id] = texts
            if time.monotonic() - saved >= _SAVE_S:
                self._store.cache.save()  # a killed run is not to have watched for nothing
                saved = time.monotonic()

    def _next(self) -> Missed | None:
        with self._changed:
            self._watching = 0
            while not self._left:
                for films in (self._arrived, self._missed):
                    if films:
                        self._watching = 1
                        return films.popleft()
                if self._over:
                    return None
                self._changed.wait()
        return None


def _holds(film: Path, sha256: str) -> bool:
    try:
        return sha256_of(film) == sha256
    except OSError:
        return False
