"""Watch mode: settled saves in, plans and runs out. What is wanted is decided in `watch.wanting`; here it is done.

1. plan; what costs nothing starts at once           4. a run is about the goal; when the goal is another one,
2. a save settles: plan again, in a thread              the run leaves (what runs goes on in the next one)
3. what costs is held, then part of the goal         5. a run ends: index, lock file, and a plan again
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from kling_render.engine.run import Run
from kling_render.engine.work import Options, Progress, RunReport, Stop, Work
from kling_render.engine.world import Watcher
from kling_render.errors import InputProblems, KlingRenderError, UsageError
from kling_render.lifecycle.records import Cap
from kling_render.planning.text import jobs_word
from kling_render.ports import Clock
from kling_render.watch.batches import Batch
from kling_render.watch.news import (
    Broken,
    Changed,
    Dropped,
    Holding,
    Leaving,
    News,
    Rendering,
    Replanned,
    Settled,
    Trouble,
)
from kling_render.watch.scope import Scope
from kling_render.watch.wanting import Held, Outcome, Wanting
from kling_render.workspace.live.replanning import Attempted, Replan, fingerprint_of, hour_cap, jobs_of
from kling_render.workspace.live.run_outcome import is_dearer, outcome_of, run_over
from kling_render.workspace.session import Session
from kling_render.workspace.workspace import PREVIZ, Planned

T = TypeVar("T")


class Inputs(Protocol):
    """Settled changes of what is watched: `watch.batches.InputWatch`."""

    @property
    def unsettled(self) -> frozenset[Path]:
        """What changed and has not come to rest: a batch with it will follow."""
        ...

    def look_at(self, scope: Scope) -> None:
        """Set what is watched."""
        ...

    def settle_for(self, seconds: float) -> None:
        """From now on nothing may change for so long before a batch has settled."""
        ...

    async def next(self) -> Batch:
        """The next settled batch."""
        ...


class View(Protocol):
    """Whoever looks at a watch session."""

    def tell(self, news: News) -> None:
        """One thing that happened; must not block."""
        ...


class Plans(Protocol):
    """Plans one project over and over: `workspace.replanning.Planner`."""

    def plan(self, *, finish: bool = False, calm: bool = True) -> Attempted:
        """Read what changed and plan; `finish`: a run has ended; `calm`: none goes on."""
        ...

    def session(self, replan: Replan, goal: frozenset[str], watcher: Watcher) -> Session:
        """A session about these results."""
        ...

    def budgets(self, planned: Planned, run_id: str, now: float) -> tuple[Cap, ...]:
        """The caps of a run."""
        ...

    def began(self, run_id: str) -> None:
        """A run counts from now on."""
        ...

    def ended(self, run_id: str, *, dearer: bool = False) -> None:
        """A run submits nothing more; `dearer`: it cost more than was expected."""
        ...


@dataclass(slots=True)
class _Running:
    """A run that goes on."""

    session: Session
    keys: frozenset[str]
    works: dict[str, Work]
    task: asyncio.Task[RunReport]
    run: Run | None = None
    leaving: bool = False


@dataclass(slots=True)
class Watching:
    """One watch session; `execute` returns when it is told to quit.

    Args:
        planner: plans the project.
        inputs: settled saves.
        wanting: the decisions.
        view: is told everything.
        watcher: is told what runs do.
        clock: for holds.
        options: how a run goes about it; gets its caps, and whether it costs nothing.
        in_thread: runs a function beside the loop.
    """

    planner: Plans
    inputs: Inputs
    wanting: Wanting
    view: View
    watcher: Watcher
    clock: Clock
    options: Callable[[tuple[Cap, ...], bool], Options]
    in_thread: Callable[[Callable[[], T]], Awaitable[T]] = asyncio.to_thread
    #: Why a project may not be paid for, with what helps; None when it may. The first good plan must be admitted.
    admit: Callable[[Replan], KlingRenderError | None] = lambda _replan: None
    #: The last good plan.
    last: Replan | None = None
    _running: _Running | None = None
    _planning: asyncio.Task[Attempted] | None = None
    _saved: tuple[Path, ...] = ()
    _finished: bool = False
    _stale: bool = True
    _by_save: bool = True
    _shown: Held | None = None
    _plan: int | None = None
    _scope: Scope | None = None
    #: The plan that is being made may fetch what the lock file names: no run starts meanwhile.
    _fetching: bool = False
    _quitting: bool = False
    _poked: asyncio.Event = field(default_factory=asyncio.Event)

    # -- what the user and the files say ---------------------------------------------------------------------

    def changed(self, paths: frozenset[Path]) -> None:
        """Inputs were just saved."""
        self.wanting.changed()
        self.view.tell(Changed(tuple(sorted(paths))))
        self._show_held()

    def render_held(self) -> None:
        """Pay for everything that waits."""
        self.wanting.pressed_render()
        self._poke()

    def cancel_hold(self) -> None:
        """Do not pay by itself for what is about to be rendered."""
        if self.wanting.pressed_cancel():
            self._poke()

    def quit(self) -> None:
        """End the session; said twice, uploads and downloads under way are not waited for."""
        self._quitting = True
        self._leave(Stop.INTERRUPTED, "the watch session ends")
        self._poke()

    def _poke(self) -> None:
        self._poked.set()

    # -- the loop --------------------------------------------------------------------------------------------

    async def execute(self) -> RunReport | None:
        """Watch until `quit`; the report of a run that was under way then."""
        batches = asyncio.create_task(self.inputs.next())
        try:
            while not self._quitting:
                self._steer()
                await self._something(batches)
                if batches.done():
                    self._settled(batches.result())
                    batches = asyncio.create_task(self.inputs.next())
                if self._planning is not None and self._planning.done():
                    planning, self._planning = self._planning, None
                    self._planned(planning.result())
                if self._running is not None and self._running.task.done():
                    self._ended(self._running)
                self.wanting.tick(self.clock.monotonic())
            return await self._left()
        finally:
            batches.cancel()
            await asyncio.gather(batches, return_exceptions=True)

    async def _something(self, batches: asyncio.Task[Batch]) -> None:
        """Wait until anything happens."""
        waits: list[asyncio.Task[object]] = [batches, asyncio.create_task(self._poked.wait())]
        mine = waits[1:]
        if self.wanting.wake_at is not None:
            mine.append(asyncio.create_task(self.clock.sleep(self.wanting.wake_at - self.clock.monotonic())))
        others = [self._planning, self._running.task if self._running else None]
        try:
            await asyncio.wait([*waits[:1], *mine, *filter(None, others)], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in mine:
                task.cancel()
            await asyncio.gather(*mine, return_exceptions=True)
            self._poked.clear()

    def _steer(self) -> None:
        """Start what should be running and is not."""
        if self._planning is None and self._stale and not (self.last and self.inputs.unsettled):
            self._stale = False
            self._planning = asyncio.create_task(self._plan_again())
        goal, paused = self.wanting.goal, self.wanting.paused
        if self._running is None:
            goal = self.wanting.startable
            if goal and self.last is not None and not (self._planning and self._fetching):
                self._start(goal)
        elif not self._running.leaving and self._running.run is not None:
            self._running.run.pause(paused)
            waiting = self._running.run.waiting()
            if waiting - goal:
                self._tell_dropped(waiting - goal)
            if (goal - self._running.keys and not paused) or waiting - goal:
                self._leave(Stop.SUPERSEDED, "a newer save goes on from here")
        self._show_held()

    async def _plan_again(self) -> Attempted:
        finish, self._finished = self._finished, False
        self._fetching = self._running is None
        return await self.in_thread(partial(self.planner.plan, finish=finish, calm=self._fetching))

    def _settled(self, batch: Batch) -> None:
        self._saved = tuple(sorted({*self._saved, *batch.paths}))
        self._stale = self._by_save = True
        self.view.tell(Settled(batch.paths))

    def _planned(self, attempted: Attempted) -> None:
        if attempted.scope != self._scope:
            self._scope = attempted.scope
            self.inputs.look_at(attempted.scope)  # it knows how things looked when they were read
        for notice in attempted.notices:
            self.watcher.tell(Progress(event="note", facts={"text": notice}))
        replan = attempted.replan
        if replan is not None and (refused := self.admit(replan)) is not None:
            if self.last is None:
                raise refused
            purse = replace(replan.wish.purse, refused=refused.message)
            attempted = replace(attempted, replan=replace(replan, wish=replace(replan.wish, purse=purse)))
        if attempted.replan is None:
            problem = attempted.problem
            assert problem is not None
            if self.last is None and isinstance(problem, UsageError):
                raise problem  # a mistyped selection, not a slip of somebody who types
            self.wanting.broken()
            found = problem.diagnostics if isinstance(problem, InputProblems) else ()
            told = tuple(replace(each, help=goes_on(each.help)) for each in found)
            self.view.tell(Broken(problem.message, told, goes_on(problem.help)))
            return
        self.last, saved, by_save = attempted.replan, self._saved, self._by_save
        self._saved, self._by_save = (), False
        planned = self.last.planned
        self.inputs.settle_for(float(self.last.wish.purse.allowance.settle_seconds))
        before, self._plan = self._plan, fingerprint_of(planned)
        self.wanting.planned(self.last.wish, self.clock.monotonic(), saved=by_save)
        if self._stale or self.inputs.unsettled:
            self.wanting.changed()  # this plan is old already: nothing is paid for because of it
        self.view.tell(
            Replanned(
                paths=saved,
                plan=planned.plan,
                differs=before != self._plan,
                today=self.last.today,
                purse=self.last.wish.purse,
                watched=len(attempted.scope.files),
                warnings=self.last.warnings,
            )
        )

    # -- runs ------------------------------------------------------------------------------------------------

    def _start(self, goal: frozenset[str]) -> None:
        assert self.last is not None
        planned = self.last.planned
        session = self.planner.session(self.last, goal, self.watcher)
        works = session.works()
        paying = goal & self.wanting.approved
        lifted = bool(paying & self.wanting.asked_for)
        jobs = tuple(p.job.id for p in jobs_of(planned, goal))
        self.view.tell(Rendering(planned.plan, jobs))
        options = partial(self._options, lifted=lifted)
        task = asyncio.create_task(self._run(session, works, options, paying=bool(paying)))
        self._running = _Running(session, goal, {work.key: work for work in works}, task)

    def _options(self, run_id: str, *, lifted: bool) -> Options:
        assert self.last is not None
        planned, now = self.last.planned, self.clock.now()
        limits = self.planner.budgets(planned, run_id, now)
        if not lifted:
            limits = (*limits, hour_cap(planned, self.last.wish.purse.allowance.per_hour_usd, now))
        free = planned.project.provider == PREVIZ
        return self.options(() if free else limits, free)

    async def _run(
        self, session: Session, works: list[Work], options: Callable[[str], Options], *, paying: bool
    ) -> RunReport:
        if paying:
            session.check_output()
        return await session.run(works, options, self._began)

    def _began(self, run: Run) -> None:
        if self._running is not None:
            self._running.run = run
            self.planner.began(run.report.run)
            self._poke()  # what is wanted may have changed since it was started
            if self._quitting:
                run.leave(Stop.INTERRUPTED, "the watch session ends")

    def _leave(self, why: Stop, message: str) -> None:
        if self._running is not None and self._running.run is not None:
            self._running.leaving = True
            self._running.run.leave(why, message)

    def _ended(self, running: _Running) -> RunReport | None:
        self._running = None
        if running.run is not None:
            self.planner.ended(running.run.report.run, dearer=is_dearer(running.run.report, running.works))
        try:
            report = running.task.result()
        except KlingRenderError as problem:
            self.view.tell(Trouble(problem.message, goes_on(problem.help)))
            self.wanting.ended(Outcome(left=running.keys))
            return None
        self.wanting.ended(outcome_of(report, running.works, running.keys, self.clock))
        self.view.tell(run_over(report))
        self._finished = self._stale = True
        return report

    def _tell_dropped(self, keys: frozenset[str]) -> None:
        assert self._running is not None
        jobs = [target.job for key in keys for target in self._running.works[key].targets]
        self.view.tell(Dropped(tuple(sorted(jobs))))

    def _show_held(self) -> None:
        held = self.wanting.held or (None if self._stale or self._planning else self.wanting.waiting)
        if held is None and self._shown is not None and (self._stale or self._planning):
            return  # what waits is told when its plan is there
        if held != self._shown:
            self._shown = held
            jobs = jobs_of(self.last.planned, held.keys) if held and self.last else ()
            self.view.tell(Holding(held, tuple(p.job.id for p in jobs)))

    async def _left(self) -> RunReport | None:
        """The end: a run under way leaves; the index says how things stand."""
        report = None
        if self._running is not None:
            await asyncio.wait([self._running.task])
            report = self._ended(self._running)
        if self._planning is not None:
            await asyncio.gather(self._planning, return_exceptions=True)
        if self._finished:
            await self._plan_again()
        running = report.left_running if report else []
        text = f"{jobs_word(len(running))} left running; `kling-render pull` brings the results" if running else ""
        self.view.tell(Leaving(text))
        return report


def goes_on(remedy: str | None) -> str:
    """What helps, for a session: other commands have to be called once more, this one takes the next save."""
    return (remedy or "").replace("run the command again", "save again; this session goes on")
