"""A run as JSON lines, for programs that follow it (`--events`); described by `schemas/events.schema.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TextIO

from kling_render.cli.timestamps import iso
from kling_render.engine.work import JobReport, Progress, RunReport
from kling_render.lifecycle.records import usd_of
from kling_render.planning.document import money

FORMAT = "kling-render.events/1"


class EventWriter:
    """Writes one line per event, each flushed.

    Args:
        stream: open for text; a reader that goes away does not disturb the run.
        now: seconds since the epoch.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now
        #: The last event of each job: polls that bring nothing new are left out.
        self._last: dict[str, dict[str, Any]] = {}
        #: The stream took no more; nothing is written since.
        self.broken = False

    def tell(self, progress: Progress) -> None:
        """Write what happened."""
        if progress.event == "job":
            facts = _job(progress.facts["report"], progress.facts.get("generation_id"))
            if self._last.get(progress.job) == facts:
                return
            self._last[progress.job] = facts
            self.write("job", facts)
        else:
            self.write(progress.event, {**progress.facts, **({"job": progress.job} if progress.job else {})})

    def end(self, report: RunReport) -> None:
        """The last line: what a program needs to know without having counted."""
        states: dict[str, int] = {}
        for job in report.jobs.values():
            states[job.state.value] = states.get(job.state.value, 0) + 1
        spent = sum(job.credits or 0 for job in report.jobs.values())
        self.write(
            "end",
            {
                "exit_code": report.exit_code,
                "states": states,
                "submits": report.submits,
                "usd": money(usd_of(spent)),
            },
        )

    def begin(self) -> None:
        """Another run begins: its jobs are news again."""
        self._last.clear()

    def write(self, event: str, facts: dict[str, Any]) -> None:
        """Write a line of another kind."""
        if self.broken:
            return
        line = {"format": FORMAT, "event": event, "at": iso(self._now()), **facts}
        try:
            # ASCII, so that foreign text cannot act on a terminal and every encoding can carry it.
            self._stream.write(json.dumps(line, default=str) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.broken = True


def _job(report: JobReport, generation_id: str | None) -> dict[str, Any]:
    """Every field of a job's event, null where nothing is known."""
    failure = report.failure
    return {
        "job": report.job,
        "state": report.state.value,
        "detail": report.detail,
        "generation_id": report.generation_id or generation_id,
        "sha256": report.sha256,
        "usd": None if report.credits is None else money(usd_of(report.credits)),
        "output": report.output.as_posix() if report.output else None,
        "warning": report.warning,
        "error": failure and {"class": failure.kind, "message": failure.message, "remedy": failure.remedy},
    }
