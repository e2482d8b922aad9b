"""What the live board knows, apart from any terminal: which jobs stand where, since when, and the money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from statistics import median
from types import MappingProxyType

from kling_render.cli.job_words import ENDED, UNDER_WAY
from kling_render.engine.work import JobReport, JobState
from kling_render.lifecycle.records import usd_of
from kling_render.planning.prices import total_usd
from kling_render.planning.records import Action, Plan, PlannedJob

_REMEMBERED = 200
"""Newly finished jobs and durations that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One job on the board. Times are seconds of the monotonic clock."""

    report: JobReport
    started: float | None
    ended: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Money of this run in USD; None: not known."""

    spent: Decimal
    held: Decimal | None
    left: Decimal | None


def is_free(plan: Plan) -> bool:
    """Whether no job of the plan can cost anything: then no money is shown."""
    return all(price.source == "free" for price in plan.prices)


class Board:
    """Follows the jobs of a run.

    Args:
        plan: gives the money each job may cost; None: nothing is submitted.
        cap_usd: the tightest cap of the run, and what already counted against it when the run began.
        committed_usd: see `cap_usd`.
        since: jobs that were under way already when the run began, and since when.
    """

    def __init__(
        self,
        plan: Plan | None,
        cap_usd: Decimal | None = None,
        committed_usd: Decimal = Decimal(0),
        since: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._since = dict(since)
        self._cap = cap_usd
        self._committed = committed_usd
        self._holds = {p.job.id: _hold(p) for p in plan.jobs} if plan else {}
        self._counted = {p.job.id for p in plan.jobs if p.action is Action.RENDER} if plan else set()
        self._rows: dict[str, Row] = {}
        #: Each in the order they came there; the waiting ones in the order of the plan.
        self._waiting: dict[str, None] = {}
        self._under_way: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self.counts: Counter[JobState] = Counter()
        self._lengths: list[float] = []
        self._most_at_once = 1
        eta = plan.eta if plan else None
        self._expected_s = eta.pace.typical_s if eta else None
        self._expected_lanes = eta.at_once if eta else 1

    def put(self, report: JobReport, now: float) -> None:
        """A job came into a state."""
        job, old = report.job, self._rows.get(report.job)
        if old is not None:
            self.counts[old.report.state] -= 1
        self.counts[report.state] += 1
        started = old.started if old else None
        if report.state in UNDER_WAY and (started is None or (old and old.ended is not None)):
            started = self._since.pop(job, now)
        ended = now if report.state in ENDED else None
        self._rows[job] = Row(report=report, started=started, ended=ended)
        self._file(report)
        if report.state is JobState.DONE and started is not None:
            self._lengths = [*self._lengths[-_REMEMBERED:], now - started]

    def _file(self, report: JobReport) -> None:
        place = self._waiting
        if report.state in UNDER_WAY:
            place = self._under_way
        elif report.state in ENDED:
            place = self._ended
        for other in (self._waiting, self._under_way, self._ended):
            if other is not place:
                other.pop(report.job, None)
        if place is self._ended:
            place.pop(report.job, None)  # the newest one last
        place[report.job] = None
        self._most_at_once = max(self._most_at_once, len(self._under_way))

    def rows(self, room: int) -> tuple[list[Row], str]:
        """The jobs that fit: under way first, then newly ended, then waiting; and what is left out, in words.

        Where all under way would fill the room, a few newly ended ones still show that the run gets on.
        """
        news = [job for job in reversed(self._ended) if self._rows[job].report.state is not JobState.UP_TO_DATE]
        kept = min(len(news), max(room - len(self._under_way), room // 4), room)
        chosen = [*list(self._under_way)[: room - kept], *news[:kept]]
        waiting = list(islice(self._waiting, max(room - len(chosen), 0)))
        hidden = {
            "under way": len(self._under_way) + kept - len(chosen),
            "waiting": len(self._waiting) - len(waiting),
            "ended": len(news) - kept,
        }
        left_out = ", ".join(f"{count} more {word}" for word, count in hidden.items() if count)
        return [self._rows[job] for job in (*chosen, *waiting)], left_out

    def under_way(self) -> dict[str, float]:
        """The jobs under way, and since when."""
        return {job: self._rows[job].started or 0.0 for job in self._under_way}

    @property
    def total(self) -> int:
        """All jobs of the run."""
        return len(self._rows)

    @property
    def over(self) -> int:
        """Jobs that need nothing more in this run."""
        return len(self._ended)

    def typical_s(self) -> float | None:
        """How long the finished jobs of this run took, in the middle; before there are any, what the plan expects."""
        return median(self._lengths) if self._lengths else self._expected_s

    def job_left_s(self, row: Row, now: float) -> float | None:
        """Seconds until a job under way ends, going by the finished ones; None when they do not tell."""
        typical = self.typical_s()
        if typical is None or row.started is None or row.ended is not None:
            return None
        left = typical - (now - row.started)
        return left if left > 0 else None

    def left_s(self, now: float) -> float | None:
        """Seconds until the run ends, at the pace of this run."""
        typical = self.typical_s()
        if typical is None or not (self._under_way or self._waiting):
            return None
        running = [self.job_left_s(self._rows[job], now) or 0.0 for job in self._under_way]
        lanes = self._most_at_once if self._lengths else max(self._most_at_once, self._expected_lanes)
        return max(running, default=0.0) + typical * -(-len(self._waiting) // lanes)

    def sums(self) -> Sums:
        """Money spent, held and left."""
        spent = usd_of(sum(row.report.credits or 0 for row in map(self._rows.__getitem__, self._ended)))
        open_jobs = [*self._under_way, *(j for j in self._ended if self._rows[j].report.state in _UNSETTLED)]
        held = total_usd(self._holds[job] for job in open_jobs if job in self._holds)
        new = total_usd(self._holds[job] for job in open_jobs if job in self._counted)
        left = None
        if self._cap is not None and new is not None:
            left = max(self._cap - self._committed - spent - new, Decimal(0))
        return Sums(spent=spent, held=held, left=left)

    def cost(self, report: JobReport) -> Decimal | None:
        """What a job cost, or may cost; None when it is not known."""
        if report.credits is not None:
            return usd_of(report.credits)
        return self._holds.get(report.job, Decimal(0))


_UNSETTLED = frozenset({JobState.IN_DOUBT, JobState.NEEDS_USER})


def _hold(planned: PlannedJob) -> Decimal | None:
    """What a job may cost: what the ledger holds for a running one, else the next whole second's price."""
    attempt = planned.attempt
    if planned.action is Action.RESUME and attempt is not None:
        credits = attempt.hold if attempt.charge is None else attempt.charge  # noqa: A001 - the vendor's word
        return None if credits is None else usd_of(credits)
    return planned.up_to_usd if planned.action is Action.RENDER else Decimal(0)
