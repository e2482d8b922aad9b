"""A plan made again and again for watch mode: each time from the files as they are, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

from kling_render.config import Settings, watch_allowance
from kling_render.disk.project_files import DiskFiles
from kling_render.engine.work import Progress
from kling_render.engine.world import Watcher
from kling_render.errors import Diagnostic, KlingRenderError
from kling_render.lifecycle.records import Cap, credits_of, usd_of
from kling_render.planning.lock import Promise
from kling_render.planning.records import Action, PlannedJob
from kling_render.ports import Clock
from kling_render.store.digests import StatDigests
from kling_render.store.opening import Store
from kling_render.watch.allowance import Purse
from kling_render.watch.scope import RecordedFiles, Scope
from kling_render.watch.wanting import Wish
from kling_render.workspace.lockfile.locked_results import filled_from_lock
from kling_render.workspace.lockfile.locking import before_paying, wants_to_pay
from kling_render.workspace.running import caps
from kling_render.workspace.session import Session
from kling_render.workspace.workspace import PREVIZ, ListSource, Planned, Workspace

HOUR_S = 3600.0
PRICES_S = 600.0
"""Seconds after which the catalogue is asked again; an unchanged answer costs nothing."""

_FREE = frozenset({Action.RESTORE, Action.RESUME, Action.ADOPT})


@dataclass(frozen=True, slots=True)
class Replan:
    """One good plan, and what it means for watch mode."""

    workspace: Workspace
    planned: Planned
    wish: Wish
    #: What the project cost, or may still cost, since local midnight, in USD.
    today: Decimal
    warnings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of reading the project: a plan or a problem; what is to be watched either way."""

    scope: Scope
    replan: Replan | None = None
    problem: KlingRenderError | None = None
    #: What the user should know: a file that could not be written.
    notices: tuple[str, ...] = ()


@dataclass(slots=True)
class Planner:
    """Plans one project on one store, over and over. Not for two threads at once."""

    source: ListSource
    #: Reads the user's settings anew: a key or a budget may have been mended.
    settings_now: Callable[[], Settings]
    store: Store
    clock: Clock
    cwd: Path
    select: Sequence[str] = ()
    #: What the whole session may cost, in USD.
    max_usd: Decimal | None = None
    #: Epoch seconds of the last local midnight before a time.
    midnight: Callable[[float], float] = lambda now: now - now % 86_400
    #: Jobs whose inputs break a rule are left out; else nothing is planned before they are mended.
    skips_invalid: bool = False
    #: Files besides the project's that are worth another plan.
    besides: tuple[Path, ...] = ()
    settings: Settings = field(init=False)
    #: By result key, what the lock file named and the store knows as paid: never paid for.
    _awaited: dict[str, Promise] = field(default_factory=dict)
    #: Keys that the lock file names and that were asked for in this session.
    _tried: set[str] = field(default_factory=set)
    #: What was said last about a lock file that cannot be written.
    _told: str = ""
    _digests: StatDigests | None = None
    _folder: Path | None = None
    _priced_at: float | None = None
    #: Runs of this session that may still cost something, and whether they are over; what the others cost, in credits.
    _runs: dict[str, bool] = field(default_factory=dict)
    _closed: int = 0
    _scope: Scope = field(default_factory=lambda: Scope(frozenset(), frozenset()))

    def plan(self, *, finish: bool = False, calm: bool = True) -> Attempted:
        """Read everything that changed and plan; never raises what a user's edit can cause.

        Args:
            finish: a run has ended: the index and the lock file are written from the new plan.
            calm: no run goes on, so that what the lock file names may be fetched.
        """
        files = RecordedFiles(DiskFiles())
        try:
            self.settings = self.settings_now()
            workspace = Workspace(
                self.source,
                self.settings,
                self.store,
                self.clock,
                self.cwd,
                files=files,
                awaited=self._awaited,
                lasts=False,
            )
            replan, notices = self._planned(workspace, calm=calm)
        except KlingRenderError as problem:
            return Attempted(files.scope() | self._scope, problem=problem)
        jobs = replan.planned.project.jobs
        inputs = {ref.path for job in jobs for ref in (job.request.image, job.request.video) if ref.path is not None}
        self._scope = files.scope() | Scope(frozenset(inputs | set(self.besides)), frozenset())
        if finish or not (replan.wish.pays or replan.wish.free):
            notices += self.session(replan, frozenset(), _Nobody()).write_index(replan.planned.everything)
        self.session_digests().save()
        self.store.cache.save()
        return Attempted(self._scope, replan, notices=tuple(notices))

    def __post_init__(self) -> None:
        """The settings as they are now."""
        self.settings = self.settings_now()

    def _planned(self, workspace: Workspace, *, calm: bool) -> tuple[Replan, list[str]]:
        project = workspace.compile()
        workspace.advises = project.provider != PREVIZ  # rehearsals cost nothing
        workspace.skips_invalid = self.skips_invalid
        if self._digests is None or self._folder != project.folder:
            self._digests, self._folder = workspace.digests(project.folder), project.folder
        inspection = workspace.inspect(project, self._digests)
        now = self.clock.monotonic()
        lookup = self._priced_at is None or now - self._priced_at >= PRICES_S
        plan = partial(workspace.plan, project, inspection, self._digests, self.select)
        planned = plan(lookup=lookup, trusting=True)
        sums = planned.everything.totals
        if lookup and (sums.render or sums.locked) and project.provider != PREVIZ:
            self._priced_at = now
        notices: list[str] = []
        promised = {job.key for job in planned.plan.jobs if job.is_promised}
        if calm and promised - self._tried:
            planned = filled_from_lock(workspace, planned, self._digests, partial(plan, lookup=False), notices.append)
            self._tried |= promised
        elif promised and promised <= self._tried:
            planned = plan(lookup=False)
        if wants_to_pay(planned.plan) and (told := before_paying(workspace, project)) and told != self._told:
            self._told = told
            notices.append(told)
        return Replan(workspace, planned, self._wish(planned), self._today(planned), tuple(workspace.warnings)), notices

    def _wish(self, planned: Planned) -> Wish:
        jobs = planned.plan.jobs
        costs = planned.project.provider != PREVIZ
        pays = {p.key: p.up_to_usd for p in jobs if p.action is Action.RENDER and costs and p.up_to_usd != 0}
        made = {p.key for p in jobs if p.action is Action.RENDER}
        free = {p.key for p in jobs if p.action in _FREE and not p.is_promised} | made | self._under_way(planned)
        purse = self._purse(planned)
        return Wish(pays=pays, free=frozenset(free - pays.keys()), purse=purse, namespace=planned.plan.namespace)

    def _under_way(self, planned: Planned) -> set[str]:
        """What the project has open, wanted by a job or not: it was paid for, so it is finished."""
        folder = str(planned.project.folder)
        asked = {p.key for p in planned.everything.jobs if p.action is Action.BLOCKED}
        with self.store.ledger.reading() as ledger:
            found = ledger.open_attempts(planned.plan.namespace)
        return {a.fingerprint for a in found if a.folder == folder} - asked

    def _purse(self, planned: Planned) -> Purse:
        project, namespace, now = planned.project, planned.plan.namespace, self.clock.now()
        found = self.budgets(planned, "", now)
        with self.store.ledger.reading() as ledger:
            last_hour = ledger.spent(namespace, str(project.folder), now - HOUR_S).committed
            rooms = [
                (cap.limit - ledger.spent(namespace, cap.project_folder, cap.since, cap.run).committed, cap.name)
                for cap in found
            ]
        left, name = min(rooms, default=(None, ""))
        return Purse(
            allowance=watch_allowance(self.settings, project.watch),
            last_hour=usd_of(last_hour),
            left=None if left is None else usd_of(max(left, 0)),
            budget=name,
        )

    def _today(self, planned: Planned) -> Decimal:
        since = self.midnight(self.clock.now())
        with self.store.ledger.reading() as ledger:
            return usd_of(ledger.spent(planned.plan.namespace, str(planned.project.folder), since).committed)

    def budgets(self, planned: Planned, run_id: str, now: float) -> tuple[Cap, ...]:
        """The user's caps and the shot list's, and what is left of the session's."""
        project = planned.project
        left = None if self.max_usd is None else max(self.max_usd - self._spent(planned.plan.namespace), Decimal(0))
        return caps(self.settings, project.budget, folder=project.folder, run_id=run_id, now=now, max_usd=left)

    def _spent(self, namespace: str) -> Decimal:
        """What the runs of this session cost, or may still cost, in USD."""
        with self.store.ledger.reading() as ledger:
            total = 0
            for run, over in tuple(self._runs.items()):
                spent = ledger.spent(namespace, run=run)
                total += spent.committed
                if over and not spent.held and not spent.unpriced:
                    self._closed += spent.charged
                    del self._runs[run]
                    total -= spent.charged
        return usd_of(self._closed + total)

    def began(self, run_id: str) -> None:
        """A run of this session counts from now on."""
        self._runs[run_id] = False

    def ended(self, run_id: str, *, dearer: bool = False) -> None:
        """The run submits nothing more; `dearer`: it was charged more than was held, so prices are asked for again."""
        self._runs[run_id] = True
        if dearer:
            self._priced_at = None

    def session(self, replan: Replan, goal: frozenset[str], watcher: Watcher) -> Session:
        """A session about the results of these keys."""
        return Session(replan.workspace, replan.planned, self.session_digests(), watcher, only=goal)

    def session_digests(self) -> StatDigests:
        """The stat cache of the project planned last."""
        assert self._digests is not None
        return self._digests


class _Nobody:
    """Is told what nobody wants to know."""

    def tell(self, progress: Progress) -> None:
        """Nothing."""


def hour_cap(planned: Planned, allowance_usd: Decimal, now: float) -> Cap:
    """What all processes may reserve for a project in an hour, as far as watch mode adds to it."""
    folder = str(planned.project.folder)
    return Cap(name="watch.per_hour_usd", limit=credits_of(allowance_usd), project_folder=folder, since=now - HOUR_S)


def fingerprint_of(planned: Planned) -> int:
    """Equal for plans that ask for the same."""
    return hash(tuple((p.job.id, p.action, p.key, p.job.output) for p in planned.everything.jobs))


def jobs_of(planned: Planned, keys: frozenset[str]) -> tuple[PlannedJob, ...]:
    """The selected jobs behind result keys."""
    return tuple(p for p in planned.plan.jobs if p.key in keys)
