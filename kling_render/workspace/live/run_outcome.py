"""What a run of watch mode came to: for the decisions that follow, and for whoever looks on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from kling_render.engine.work import JobState, RunReport, Stop, Work
from kling_render.lifecycle.records import usd_of
from kling_render.ports import Clock
from kling_render.watch.news import RunOver
from kling_render.watch.wanting import Outcome

_DONE = frozenset({JobState.DONE, JobState.RESTORED, JobState.UP_TO_DATE})
_OURS = frozenset({Stop.SUPERSEDED, Stop.INTERRUPTED})
"""Stops that the session itself asked for."""
_AGAIN_S = 60.0
"""Seconds after which what is in doubt is looked up again, where nobody knows better."""


def outcome_of(report: RunReport, works: Mapping[str, Work], keys: frozenset[str], clock: Clock) -> Outcome:
    """What became of the results that a run was about.

    Args:
        report: of the run.
        works: by key, what it was given.
        keys: what it was about; besides the works what else the project has under way.
        clock: for the next look at doubts.
    """
    by: dict[str, set[str]] = {"done": set(), "failed": set(), "left": set(), "open": set()}
    stopped = bool(report.stops.keys() - {Stop.SUPERSEDED})
    superseded = Stop.SUPERSEDED in report.stops
    for key, work in works.items():
        states = {report.jobs[t.job].state for t in work.targets if t.job in report.jobs}
        if states and states <= _DONE:
            by["done"].add(key)
        elif states & {JobState.FAILED, JobState.BLOCKED}:
            by["failed"].add(key)
        elif superseded and not stopped:
            by["open"].add(key)
        else:
            by["left"].add(key)
    if not superseded:
        by["left"] |= keys - works.keys()
    look_at = None
    if report.doubts:
        look_at = clock.monotonic() + max(min(report.doubts.values()) - clock.now(), _AGAIN_S)
    return Outcome(
        done=frozenset(by["done"]), failed=frozenset(by["failed"]), left=frozenset(by["left"]), look_at=look_at
    )


def run_over(report: RunReport) -> RunOver:
    """What is told of a run that has ended."""
    states = Counter(job.state.value for job in report.jobs.values())
    spent = sum(job.credits or 0 for job in report.jobs.values())
    stops = tuple(message for why, message in report.stops.items() if why not in _OURS)
    return RunOver(
        states=sorted(states.items()),
        spent=usd_of(spent),
        stops=stops,
        notices=tuple(report.notices),
        superseded=Stop.SUPERSEDED in report.stops,
    )


def is_dearer(report: RunReport, works: Mapping[str, Work]) -> bool:
    """Whether a job was charged more than was held for it."""
    holds = {target.job: work.hold for work in works.values() for target in work.targets}
    return any((job.credits or 0) > (holds.get(name) or 0) > 0 for name, job in report.jobs.items())
