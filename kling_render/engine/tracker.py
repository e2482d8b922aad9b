"""Where every job of a run stands: one authoritative map, told to the watcher and turned into the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kling_render.engine.work import Failure, JobReport, JobState, Progress, RunReport, Stop, Target, Work
from kling_render.engine.world import Watcher
from kling_render.lifecycle.answers import REMEDIES, FailureClass
from kling_render.lifecycle.records import Attempt, Result


class Tracker:
    """Collects the report of a run while it happens."""

    def __init__(self, watcher: Watcher, report: RunReport) -> None:
        self._watcher = watcher
        self.report = report
        #: Jobs whose outcome is settled for this run.
        self._settled: set[str] = set()

    def note(self, text: str, **facts: Any) -> None:
        """Something the user should read once."""
        self._watcher.tell(Progress(event="note", facts={"text": text, **facts}))

    def stop(self, why: Stop, message: str) -> None:
        """Submitting ends, for a reason that is shown once."""
        if why not in self.report.stops:
            self.report.stops[why] = message
            self._watcher.tell(Progress(event="stop", facts={"why": why.value, "text": message}))

    def moved(self, targets: Iterable[Target], state: JobState, detail: str = "", **facts: Any) -> None:
        """Jobs came into a state that is not final."""
        for target in targets:
            self._tell(JobReport(job=target.job, state=state, detail=detail, output=target.output), facts)

    def finished(
        self,
        target: Target,
        result: Result,
        *,
        state: JobState = JobState.DONE,
        charged: bool = True,
        warning: str | None = None,
    ) -> None:
        """A job's result stands in the output tree."""
        self._tell(
            JobReport(
                job=target.job,
                state=state,
                generation_id=result.generation_id,
                sha256=result.blob,
                credits=result.charge if charged else 0,
                output=target.output,
                warning=warning,
            ),
            {},
        )

    def kept(self, target: Target, result: Result, *, charged: bool) -> None:
        """A job's cell was edited while it ran: the store has its result, the output tree has no place for it."""
        self.note(f"{target.job} was edited while it ran; its result is kept in the store")
        standing = self.report.jobs.get(target.job)
        if standing is None or standing.state is not JobState.FETCHING:
            return  # the edited job goes on under the same id
        paid = result.charge if charged else 0
        text = "edited while it ran; its result is kept in the store"
        report = JobReport(
            job=target.job,
            state=JobState.DONE,
            detail=text,
            generation_id=result.generation_id,
            sha256=result.blob,
            credits=paid,
        )
        self._tell(report, {})

    def unpublished(self, target: Target, result: Result, message: str, *, charged: bool) -> None:
        """A job's result is stored, but cannot be written into the output tree; its cost is a cost all the same."""
        kind = FailureClass.OUTPUT
        report = JobReport(
            job=target.job,
            state=JobState.FAILED,
            generation_id=result.generation_id,
            sha256=result.blob,
            credits=result.charge if charged else 0,
            failure=Failure(kind=kind.value, message=message, remedy=REMEDIES[kind]),
            output=target.output,
        )
        self._tell(report, {})

    def failed(self, targets: Iterable[Target], kind: FailureClass, message: str, attempt: Attempt | None) -> None:
        """Jobs ended without a result."""
        failure = Failure(kind=kind.value, message=message, remedy=REMEDIES[kind])
        for target in targets:
            report = JobReport(
                job=target.job,
                state=JobState.FAILED,
                generation_id=attempt.generation_id if attempt else None,
                failure=failure,
                output=target.output,
            )
            self._tell(report, {})

    def doubtful(self, targets: Iterable[Target], attempt: Attempt, message: str, look_at: float | None) -> None:
        """Jobs whose payment is not known yet."""
        if look_at is not None:
            self.report.doubts[attempt.id] = look_at
        state = JobState.IN_DOUBT if look_at is not None else JobState.NEEDS_USER
        for target in targets:
            self._tell(JobReport(job=target.job, state=state, detail=message, output=target.output), {})

    def stalled(self, targets: Iterable[Target], attempt: Attempt, message: str) -> None:
        """Jobs whose paid generation the server does not know any more: only the user can say what to do."""
        detail = f"{message}; `kling-render pull` looks again"
        for target in targets:
            report = JobReport(
                job=target.job,
                state=JobState.NEEDS_USER,
                detail=detail,
                generation_id=attempt.generation_id,
                output=target.output,
            )
            self._tell(report, {})

    def settled_doubt(self, attempt: Attempt) -> None:
        """A doubt is none any more."""
        self.report.doubts.pop(attempt.id, None)

    def left(self, targets: Iterable[Target]) -> None:
        """Jobs that were accepted while the run was leaving: nobody was left to say so."""
        jobs = self.report.jobs
        late = [t for t in targets if t.job in jobs and jobs[t.job].state is JobState.SUBMITTING]
        self.moved(late, JobState.RUNNING, "left running")

    def planned(self, works: Iterable[Work]) -> None:
        """Every job of the run, before anything happens."""
        for work in works:
            self.moved(work.targets, JobState.WAITING)

    def _tell(self, report: JobReport, facts: dict[str, Any]) -> None:
        self.report.jobs[report.job] = report
        self._watcher.tell(Progress(event="job", job=report.job, facts={"report": report, **facts}))
