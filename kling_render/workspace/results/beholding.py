"""Watches results to their end while a run goes on, off its way: a film that takes long to watch holds nobody up."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from dataclasses import replace

from kling_render.engine.work import JobReport, JobState, Progress, RunReport, Stop
from kling_render.engine.world import Watcher
from kling_render.media.study import Studies
from kling_render.planning.records import PlannedJob
from kling_render.store.opening import Store
from kling_render.workspace.inputs.inspect import Inspection
from kling_render.workspace.results.looking import Looker

_ARRIVED = frozenset({JobState.DONE, JobState.RESTORED})
_PATIENCE_S = 1.0


class Beholder:
    """Passes on what happens, and looks at each result that arrives; a thread and a child, once the first one does."""

    def __init__(self, watcher: Watcher, store: Store, inspection: Inspection, jobs: Iterable[PlannedJob]) -> None:
        self._watcher = watcher
        self._studies = Studies()
        self._looker = Looker(store, inspection, self._studies)
        self._jobs = {planned.job.id: planned for planned in jobs}
        self._arrived: queue.SimpleQueue[JobReport | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._left = False
        self._found: dict[str, tuple[str, ...]] = {}

    def tell(self, progress: Progress) -> None:
        """See `engine.world.Watcher.tell`."""
        self._watcher.tell(progress)
        report = progress.facts.get("report")
        if isinstance(report, JobReport) and report.state in _ARRIVED and report.job in self._jobs:
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="kling-render-look", daemon=True)
                self._thread.start()
            self._arrived.put(report)

    def add_to(self, report: RunReport) -> None:
        """Wait until everything was looked at, and say what was found; blocks. An interrupted run waits for nothing."""
        thread = self._thread
        if thread is None:
            return
        self._left = Stop.INTERRUPTED in report.stops
        self._arrived.put(None)
        if not self._left:
            thread.join(_PATIENCE_S)
            if thread.is_alive():
                left = self._arrived.qsize()
                text = f"watching {left} results to their end" if left > 1 else "watching the last result to its end"
                self._watcher.tell(Progress(event="note", facts={"text": text}))
            thread.join()
        for job, texts in self._found.items():
            if job in report.jobs and texts:
                known = (report.jobs[job].warning or "").split("; ")
                every = dict.fromkeys([*filter(None, known), *texts])
                report.jobs[job] = replace(report.jobs[job], warning="; ".join(every))

    def close(self) -> None:
        """End the child; what was not looked at stays unknown."""
        self._left = True
        self._arrived.put(None)
        self._studies.close()

    def _look(self) -> None:
        while (report := self._arrived.get()) is not None and not self._left:
            if report.sha256 is not None:
                self._found[report.job] = self._looker.warnings(self._jobs[report.job], report.sha256)
