"""What the engine is asked to bring about, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from kling_render.lifecycle.records import Attempt, Cap, Result
from kling_render.shotlist.records import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a job's result is to appear."""

    job: str
    take: int
    #: Absolute paths of the take and of the cell's final.
    output: Path
    final: Path
    #: The output folder, absolute.
    root: Path
    #: The project's name and the absolute folder of its shot list.
    project: str
    folder: Path
    #: A take the user picked for the cell; None: the lowest finished take is the final.
    picked: int | None = None

    @property
    def cell(self) -> str:
        """The id of the job's cell."""
        return self.job.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One result that is wanted, and every job that wants it."""

    #: The name of the result in the ledger: the fingerprint for paid providers.
    key: str
    manifest: str
    targets: tuple[Target, ...]
    #: None when the shot list is not at hand (`pull`): then nothing can be submitted.
    request: Request | None = None
    model: str = ""
    #: What is held in the budget, in credits; None while the price is unknown.
    hold: int | None = None
    #: Length of the clip that is sent, in seconds.
    duration_s: float | None = None
    #: The store has it already.
    result: Result | None = None
    #: Text that a rehearsal burns in.
    label: tuple[str, ...] = ()


class JobState(StrEnum):
    """A job as a run's report shows it."""

    UP_TO_DATE = "up-to-date"
    WAITING = "waiting"
    SUBMITTING = "submitting"
    RUNNING = "running"
    FETCHING = "fetching"
    DONE = "done"
    RESTORED = "restored"
    FAILED = "failed"
    IN_DOUBT = "in-doubt"
    NEEDS_USER = "needs-user"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job has no result."""

    kind: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What became of one job."""

    job: str
    state: JobState
    detail: str = ""
    generation_id: str | None = None
    sha256: str | None = None
    credits: int | None = None
    output: Path | None = None
    failure: Failure | None = None
    warning: str | None = None


class Stop(StrEnum):
    """Why nothing new is submitted any more; the most urgent one counts."""

    STORE = "store"
    ACCOUNT = "account"
    #: The account's log cannot be read, so nobody knows what was paid for elsewhere.
    UNREAD_LOG = "unread-log"
    BUDGET = "budget"
    FAILED_FAST = "failed-fast"
    DEADLINE = "deadline"
    #: Something newer is wanted: another run goes on from here at once.
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"


#: Exit codes by urgency: of several, the first that applies wins.
EXIT_STORE, EXIT_ACCOUNT, EXIT_MONEY, EXIT_BUDGET, EXIT_FAILED, EXIT_LEFT, EXIT_INTERRUPTED = 7, 6, 4, 5, 3, 10, 130


@dataclass(slots=True, kw_only=True)
class RunReport:
    """The end of a run."""

    #: The run's id, which its attempts carry.
    run: str = ""
    jobs: dict[str, JobReport] = field(default_factory=dict)
    #: Stop → message, in the order they came.
    stops: dict[Stop, str] = field(default_factory=dict)
    #: Attempts still in doubt and when to look again (seconds since the epoch).
    doubts: dict[str, float] = field(default_factory=dict)
    #: Attempts that run remotely and were left.
    left_running: list[Attempt] = field(default_factory=list)
    #: Requests sent in this run.
    submits: int = 0
    #: What else the user should know: files that were in the way, …
    notices: list[str] = field(default_factory=list)

    def add_earlier(self, before: RunReport) -> None:
        """Add what a run did that this one went on from."""
        self.jobs = before.jobs | self.jobs
        self.submits += before.submits
        self.notices = [*before.notices, *self.notices]

    @property
    def exit_code(self) -> int:
        """The command's exit code."""
        states = {report.state for report in self.jobs.values()}
        if Stop.STORE in self.stops:
            return EXIT_STORE
        if Stop.INTERRUPTED in self.stops:
            return EXIT_INTERRUPTED
        if Stop.ACCOUNT in self.stops:
            return EXIT_ACCOUNT
        if self.doubts or states & {JobState.IN_DOUBT, JobState.NEEDS_USER} or Stop.UNREAD_LOG in self.stops:
            return EXIT_MONEY
        if Stop.BUDGET in self.stops:
            return EXIT_BUDGET
        if states & {JobState.FAILED, JobState.BLOCKED}:
            return EXIT_FAILED
        return EXIT_LEFT if Stop.DEADLINE in self.stops else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run goes about it. Times are seconds."""

    jobs: int = 8
    uploads: int = 8
    poll_s: float = 15.0
    absence_s: float = 3600.0
    #: Further attempts after a transient remote failure.
    retries: int = 2
    caps: Sequence[Cap] = ()
    fail_fast: bool = False
    #: Submit and leave.
    detach: bool = False
    #: Stop submitting, and leave what runs, after this many seconds.
    stop_after_s: float | None = None
    #: Stay until every doubt is settled.
    wait_doubts: bool = False
    #: Pay even when the account's log cannot be read first: what another machine paid for may be paid again.
    without_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One thing that happened, for the terminal and for `--events`."""

    event: str
    job: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
