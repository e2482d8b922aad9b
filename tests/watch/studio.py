"""Watch mode over a project and runs that are small programs with state; only the loop and the decisions are real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from kling_render.engine.work import JobReport, JobState, Options, RunReport, Stop, Target, Work
from kling_render.errors import InputProblems, KlingRenderError, Place
from kling_render.lifecycle.records import Cap, credits_of
from kling_render.planning.manifest import InputIdentity
from kling_render.planning.plan import totals
from kling_render.planning.records import Action, Plan, PlannedJob
from kling_render.shotlist.records import Budget, InputRef, Job, Project, Request, WatchAllowance
from kling_render.watch.allowance import Purse
from kling_render.watch.batches import Batch
from kling_render.watch.news import News
from kling_render.watch.scope import Scope
from kling_render.watch.wanting import Wanting, Wish
from kling_render.workspace.live.replanning import Attempted, Replan
from kling_render.workspace.live.watching import Watching
from tests.watch.virtual import LoopClock, at_once

FOLDER = Path("/project")
LIST = FOLDER / "shotlist.yaml"
PLACE = Place("shotlist.yaml", 1, 1)
ALLOWANCE = WatchAllowance()
RENDER_S = 360.0


def job(name: str) -> Job:
    """A job of that name."""
    ref = InputRef(shown="fox.png", path=FOLDER / "fox.png", place=PLACE)
    request = Request(
        model="m",
        image=ref,
        video=ref,
        start=None,
        end=None,
        prompt="",
        orientation="image",
        keep_audio=True,
        params=(),
        take=1,
    )
    return Job(
        id=name,
        shot=name,
        character="fox",
        motion="wave",
        take=1,
        values=(),
        request=request,
        output=f"takes/{name}.mp4",
        final=f"{name}.mp4",
        priority=0,
        tags=(),
        place=PLACE,
        prompt_place=None,
    )


@dataclass(slots=True)
class Desk:
    """The project, the account and the results: what survives every run."""

    #: Job → the key of the result it wants now.
    wanted: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    running: dict[str, float] = field(default_factory=dict)
    usd: Decimal | None = Decimal(1)
    provider: str = "aimlapi"
    #: What reading the project says, instead of a plan.
    broken: KlingRenderError | None = None
    #: Stops every run before it submits.
    refused: Stop | None = None
    fails: set[str] = field(default_factory=set)
    at_once: int = 8
    allowance: WatchAllowance = ALLOWANCE
    spent: Decimal = Decimal(0)
    submits: list[tuple[float, str]] = field(default_factory=list)
    plans: int = 0
    indexed: int = 0
    clock: LoopClock = field(default_factory=LoopClock)

    def plan(self, *, finish: bool = False, calm: bool = True) -> Attempted:
        """As `Planner.plan`."""
        del calm
        self.plans += 1
        scope = Scope(frozenset({LIST}), frozenset())
        if self.broken is not None:
            return Attempted(scope, problem=self.broken)
        self.indexed += finish
        planned = [self._planned(name, key) for name, key in self.wanted.items()]
        plan = Plan(
            project="p",
            provider=self.provider,
            namespace="n",
            output_dir="renders",
            prices=(),
            jobs=tuple(planned),
            stale_outputs=(),
            totals=totals(planned),
        )
        project = Project(
            name="p",
            folder=FOLDER,
            provider=self.provider,
            characters={},
            motions={},
            shots=(),
            jobs=tuple(p.job for p in planned),
            output_dir="renders",
            budget=Budget(),
            watch=self.allowance,
            sources=(LIST,),
        )
        pays = {p.key: p.up_to_usd for p in planned if p.action is Action.RENDER and self.provider != "previz"}
        free = {p.key for p in planned if p.action in (Action.RESTORE, Action.RESUME)} | set(self.running)
        if self.provider == "previz":
            free |= {p.key for p in planned if p.action is Action.RENDER}
        wish = Wish(
            pays=pays, free=frozenset(free - pays.keys()), purse=Purse(allowance=self.allowance, last_hour=self.spent)
        )
        wish = replace(wish, namespace=self.provider)
        from kling_render.workspace.workspace import Planned

        found = Planned(project, cast(Any, None), plan, plan)
        return Attempted(scope, Replan(cast(Any, None), found, wish, self.spent, ()))

    def _planned(self, name: str, key: str) -> PlannedJob:
        action = Action.UP_TO_DATE if key in self.done else Action.RESUME if key in self.running else Action.RENDER
        nothing = InputIdentity(sha256="0" * 64)
        return PlannedJob(
            job=job(name),
            fingerprint=key,
            key=key,
            manifest_json="{}",
            action=action,
            reasons=(),
            estimate_usd=self.usd,
            up_to_usd=self.usd,
            duration_s=None,
            result=None,
            attempt=None,
            image=nothing,
            video=nothing,
        )

    def session(self, replan: Replan, goal: frozenset[str], watcher: Any) -> Any:
        """As `Planner.session`."""
        del watcher
        return _Session(
            self, [p for p in replan.planned.plan.jobs if p.key in goal and p.action is not Action.UP_TO_DATE]
        )

    def budgets(self, planned: Any, run_id: str, now: float) -> tuple[Cap, ...]:
        """As `Planner.budgets`."""
        del planned, run_id, now
        return ()

    def began(self, run_id: str) -> None:
        """As `Planner.began`."""

    def ended(self, run_id: str, *, dearer: bool = False) -> None:
        """As `Planner.ended`."""


@dataclass(slots=True)
class _Session:
    desk: Desk
    jobs: list[PlannedJob]

    def check_output(self) -> None:
        """There is a folder."""

    def works(self) -> list[Work]:
        """One per key."""
        return [
            Work(
                key=planned.key,
                manifest="{}",
                targets=(
                    Target(
                        job=planned.job.id,
                        take=1,
                        output=FOLDER / planned.job.output,
                        final=FOLDER / planned.job.final,
                        root=FOLDER,
                        project="p",
                        folder=FOLDER,
                    ),
                ),
            )
            for planned in self.jobs
        ]

    async def run(
        self, works: list[Work], options: Callable[[str], Options], on_start: Callable[[Any], None]
    ) -> RunReport:
        """A run: so many at once, each takes its time, and leaving leaves what runs."""
        run = _Run(self.desk, works, options("run"))
        on_start(run)
        return await run.execute()


class _Run:
    def __init__(self, desk: Desk, works: list[Work], options: Options) -> None:
        self.report = RunReport(run=f"run-{desk.plans}")
        self.options = options
        self._desk = desk
        self._works = {work.key: work for work in works}
        self._left = asyncio.Event()
        self._paused = False
        for work in works:
            self._tell(work.key, JobState.WAITING)

    def waiting(self) -> frozenset[str]:
        return frozenset(
            key for key, work in self._works.items() if self.report.jobs[work.targets[0].job].state is JobState.WAITING
        )

    def pause(self, paused: bool) -> None:
        self._paused = paused

    def leave(self, why: Stop, message: str) -> None:
        self.report.stops.setdefault(why, message)
        self._left.set()

    async def execute(self) -> RunReport:
        desk = self._desk
        if desk.refused is not None:
            self.report.stops[desk.refused] = "no"
            return self.report
        while not self._left.is_set():
            now = desk.clock.monotonic()
            for key, ends in tuple(desk.running.items()):
                if ends <= now:
                    del desk.running[key]
                    desk.done.add(key)
                    self._tell(key, JobState.DONE)
            for key in sorted(self.waiting()):
                if key in desk.running:
                    self._tell(key, JobState.RUNNING)
                elif key in desk.done:
                    self._tell(key, JobState.DONE)
                elif key in desk.fails:
                    self._tell(key, JobState.FAILED)
                elif len(desk.running) < desk.at_once and not self._paused:
                    desk.submits.append((now, key))
                    desk.spent += desk.usd or 0
                    desk.running[key] = now + RENDER_S
                    self._tell(key, JobState.RUNNING)
            if not desk.running and not self.waiting():
                break
            next_end = min(desk.running.values(), default=now + 1)
            try:
                await asyncio.wait_for(self._left.wait(), max(min(next_end - now, 1.0), 0.001))
            except TimeoutError:
                continue
        return self.report

    def _tell(self, key: str, state: JobState) -> None:
        work = self._works.get(key)
        if work is None:
            return
        name = work.targets[0].job
        charged = credits_of(self._desk.usd or Decimal(0)) if state is JobState.DONE else None
        self.report.jobs[name] = JobReport(job=name, state=state, credits=charged)


@dataclass(slots=True)
class Files:
    """Settled batches, as a test sends them."""

    clock: LoopClock
    scopes: list[Scope] = field(default_factory=list)
    queue: asyncio.Queue[Batch] = field(default_factory=asyncio.Queue)
    settle_s: float = 0.0
    unsettled: frozenset[Path] = frozenset()

    def look_at(self, scope: Scope) -> None:
        """Only the last one counts."""
        self.scopes[:] = [scope]

    def settle_for(self, seconds: float) -> None:
        """Remember it."""
        self.settle_s = seconds

    async def next(self) -> Batch:
        """What was saved next."""
        return await self.queue.get()

    def save(self, *names: str) -> None:
        """A burst that has settled."""
        now = self.clock.monotonic()
        self.queue.put_nowait(Batch(tuple(FOLDER / name for name in names) or (LIST,), now, now))


@dataclass(slots=True)
class Session:
    """A watch session in virtual time."""

    desk: Desk
    consent: bool = False
    told: list[News] = field(default_factory=list)
    keep: int | None = None
    files: Files = field(init=False)
    watching: Watching = field(init=False)

    def __post_init__(self) -> None:
        clock = self.desk.clock
        self.files = Files(clock)
        self.watching = Watching(
            self.desk,
            self.files,
            Wanting(consent=self.consent),
            view=self,
            watcher=cast(Any, self),
            clock=clock,
            options=lambda caps, _free: Options(caps=caps),
            in_thread=at_once,
        )

    def tell(self, news: News) -> None:
        """Remember it."""
        self.told.append(news)
        if self.keep is not None:
            del self.told[: -self.keep]

    def of(self, kind: type) -> list[Any]:
        """What was told of a kind."""
        return [news for news in self.told if isinstance(news, kind)]

    async def save(self, **wanted: str) -> None:
        """Another state of the project is saved."""
        self.desk.wanted = dict(self.desk.wanted, **wanted)
        self.watching.changed(frozenset({LIST}))
        self.files.save()
        await asyncio.sleep(0.01)


def problem() -> KlingRenderError:
    """What a broken list says."""
    return InputProblems([])


__all__ = ["Desk", "Session", "job", "problem", "replace"]
