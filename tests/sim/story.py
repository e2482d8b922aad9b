"""A seed's story: programs that start, meet faults, die, and start again; then calm, in which all must come right."""

from __future__ import annotations

import asyncio
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.engine.work import Options
from kling_render.lifecycle.records import Cap
from kling_render.lifecycle.states import State
from tests.sim.loop import Stuck
from tests.sim.machine import Machine
from tests.sim.process import FOLDER, Program, Start, begin, works
from tests.sim.weather import PRICE, Weather, drawn
from tests.sim.world import Sim, Violation

_YEARS = 10 * 365.25 * 86_400.0
STORM_S = 1_500.0
"""Seconds after the last start at which every fault ends."""
_ROUNDS = (0.11, 1.03, 25.0, 0.11, 0.11, 25.0, 0.11, 0.11)
"""Absence times between the runs that must bring everything about: it takes 24 of them where the log is not trusted."""
_PROMPT_S = 7_200.0
"""What is in no doubt when calm begins ends within so many seconds."""

_DOUBTFUL = (State.INTENT, State.IN_DOUBT, State.NEEDS_USER)


@dataclass(slots=True)
class Plan:
    """Everything that a seed decides."""

    weather: Weather
    jobs: int
    starts: list[Start]
    cap: int | None = None
    #: (when, what, how much): "clock", "sleep", "jump", "full", "dead", "mend".
    events: list[tuple[float, str, float]] = field(default_factory=list)
    lost_store: bool = False
    absence_s: float = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a story ended."""

    seed: str
    violation: Violation | None
    text: str
    #: Virtual seconds, steps of processes, checks of the promises, kills.
    seconds: float
    steps: int
    checks: int
    kills: int
    #: Steps of each program of the storm, in the order of their start.
    program_steps: tuple[int, ...]


def planned(seed: str) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"{seed} plan")
    jobs = chance.choice((1, 1, 2, 2, 3, 4, 6))
    cap = PRICE * chance.randint(0, jobs) + chance.choice((0, 50)) if chance.random() < 0.2 else None
    absence_s = chance.choice((120.0, 120.0, 3_600.0))
    starts: list[Start] = []
    at = 0.0
    for number in range(chance.choice((1, 2, 2, 3, 4))):
        starts.append(_start(chance, f"p{number + 1}", at, jobs=jobs, cap=cap, absence_s=absence_s))
        at += chance.choice((0.0, chance.uniform(0.0, 5.0), chance.uniform(0.0, 100.0), chance.uniform(0.0, 5_000.0)))
    return Plan(
        weather=drawn(chance, absence_s),
        jobs=jobs,
        starts=starts,
        cap=cap,
        events=_events(chance),
        lost_store=chance.random() < 0.15,
        absence_s=absence_s,
    )


def _start(chance: random.Random, name: str, at: float, *, jobs: int, cap: int | None, absence_s: float) -> Start:
    options = Options(
        absence_s=absence_s,
        poll_s=chance.choice((2.0, 2.0, 2.0, 15.0)),
        jobs=chance.choice((1, 2, 8)),
        uploads=chance.choice((1, 8)),
        retries=chance.choice((0, 2)),
        caps=(Cap(name="budget", limit=cap, project_folder=str(FOLDER)),) if cap is not None else (),
        fail_fast=chance.random() < 0.1,
        detach=chance.random() < 0.15,
        stop_after_s=chance.choice((0.5, 10.0, 200.0)) if chance.random() < 0.15 else None,
        # Others follow who waits, twice a second: a day of that is long even in virtual time.
        wait_doubts=chance.random() < 0.2 and absence_s < 600.0,
        without_log=chance.random() < 0.3,
    )
    leave_at: tuple[int, ...] = ()
    if chance.random() < 0.15:
        first = _some_step(chance)
        leave_at = (first, first + chance.randint(1, 20)) if chance.random() < 0.5 else (first,)
    return Start(
        at=at,
        name=name,
        command="pull" if chance.random() < 0.15 else "render",
        jobs=jobs if chance.random() < 0.8 else chance.randint(0, jobs),
        options=options,
        kill_at=_some_step(chance) if chance.random() < 0.5 else 0,
        leave_at=leave_at,
    )


def _some_step(chance: random.Random) -> int:
    """Early steps as likely as late ones: the first twenty open the store."""
    return chance.randint(1, chance.choice((40, 90, 160, 300)))


def _events(chance: random.Random) -> list[tuple[float, str, float]]:
    def when() -> float:
        return chance.uniform(0.0, chance.choice((3.0, 40.0, 2_000.0)))

    found: list[tuple[float, str, float]] = []
    if chance.random() < 0.12:
        start = when()
        found.append((start, "clock", chance.choice((_YEARS, -_YEARS, 7_200.0, -7_200.0, 90_000.0, -90_000.0))))
        if chance.random() < 0.5:
            found.append((start + when(), "clock", 0.0))
    if chance.random() < 0.1:
        found.append((when(), chance.choice(("sleep", "jump")), 8 * 3_600.0))
    if chance.random() < 0.15:
        start = when()
        found.append((start, chance.choice(("full", "full", "dead")), chance.choice((0, 0, 1, 3))))
        found.append((start + chance.choice((0.05, 1.0, 60.0, 3_000.0)), "mend", 0.0))
    return sorted(found)


def play(seed: str, folder: Path, plan: Plan | None = None) -> Outcome:
    """Tell one story from its beginning to its end."""
    plan = plan or planned(seed)
    sim = Sim(seed, folder, plan.weather)
    teller = Teller(sim, plan)
    violation: Violation | None = None
    main = sim.loop.create_task(teller.tell())
    try:
        sim.loop.run_until_complete(main)
    except Violation as broken:
        violation = broken
    except Stuck as stuck:
        violation = Violation("I11 everything ends", str(stuck))
    if violation is None and sim.loop.unhandled:
        violation = Violation("no bug", repr(sim.loop.unhandled[0]))
    text = sim.text()
    outcome = Outcome(
        seed=seed,
        violation=violation,
        text=text,
        seconds=sim.true(),
        steps=sum(program.process.count for program in teller.programs),
        checks=sim.watch.checks,
        kills=sum(program.process.dead for program in teller.programs),
        program_steps=tuple(program.process.count for program in teller.programs[: len(plan.starts)]),
    )
    teller.close()
    shutil.rmtree(folder, ignore_errors=True)
    return outcome


class Teller:
    """Drives one plan."""

    def __init__(self, sim: Sim, plan: Plan) -> None:
        self.sim = sim
        self.plan = plan
        self.machine = sim.machine("home")
        self.programs: list[Program] = []

    async def tell(self) -> None:
        await self._storm()
        self.plan.weather.calm()
        await self._calm()
        await self._nothing_is_left()
        if self.plan.lost_store:
            await self._lost_store()

    def close(self) -> None:
        for program in self.programs:
            for fd in list(program.process.fds):
                program.process.machine.sim.note("end", f"descriptor {fd} is left")
            for store in program.process.connections:
                store.close()
        self.sim.watch.close()
        self.sim.loop.close()

    # -- the storm ---------------------------------------------------------------------------------------------

    async def _storm(self) -> None:
        self.sim.watch.cap = self.plan.cap
        for at, what, amount in self.plan.events:
            self.sim.outside(at, lambda what=what, amount=amount: self._happens(what, amount))  # type: ignore[misc]
        for start in self.plan.starts:
            await asyncio.sleep(max(start.at - self.sim.loop.time(), 0.0))
            if start.after:
                await self._all_over(self.sim.loop.time() + STORM_S)
                self.machine.disk.mend()
            self.programs.append(begin(self.machine, start))
        ends = self.sim.loop.time() + STORM_S
        await self._all_over(ends)
        self.sim.note("world", "calm")
        for generation in self.sim.server.generations.values():
            generation.unknown_until = 0.0
            generation.ends = min(generation.ends, self.sim.true() + 60.0)
        self.machine.disk.mend()

    def _happens(self, what: str, amount: float) -> None:
        sim, machine = self.sim, self.machine
        if sim.calm:
            return
        sim.note("world", what, f"{amount:g}")
        if what == "clock":
            machine.clock_off = amount
        elif what == "sleep":
            sim.sleep_machine(amount)
        elif what == "jump":
            sim.wakes_late(amount)
        elif what == "mend":
            machine.disk.mend()
        else:
            machine.disk.breaks(what, int(amount) or None)

    # -- calm: everything comes right --------------------------------------------------------------------------

    async def _calm(self) -> None:
        self.sim.calm = True
        begun = self.sim.true()
        self.sim.watch.cap = None
        in_doubt = self._may_be_in_doubt()
        await self._all_over()
        for number, pause in enumerate(_ROUNDS):
            await self._run(f"calm{number}")
            took = self.sim.true() - begun
            if not in_doubt and took > _PROMPT_S:
                break
            if self._all_done():
                return
            in_doubt |= self._may_be_in_doubt()
            await asyncio.sleep(pause * self.plan.absence_s)
        left = [f"{row.id[-6:]} {row.state}" for row in self.sim.watch.rows(self.machine)]
        self.sim.fail("I11 everything ends", f"after {took:.0f} s of calm: {', '.join(left)}")

    async def _all_over(self, until: float = float("inf")) -> None:
        """Wait until every program has ended or died."""
        # A program that died tells nobody, and time is virtual: asking is all there is.
        while self.sim.loop.time() < until and not all(program.over for program in self.programs):  # noqa: ASYNC110
            await asyncio.sleep(5.0)

    def _may_be_in_doubt(self) -> bool:
        return any(row.state in _DOUBTFUL for row in self.sim.watch.rows(self.machine))

    async def _run(self, name: str, command: str = "render", machine: Machine | None = None) -> Program:
        start = Start(name=name, command=command, jobs=self.plan.jobs, options=self._calm_options())
        program = begin(machine or self.machine, start)
        self.programs.append(program)
        assert program.task is not None
        await program.task
        return program

    def _calm_options(self) -> Options:
        return Options(poll_s=3.0, absence_s=self.plan.absence_s, without_log=True)

    def _all_done(self) -> bool:
        rows = self.sim.watch.rows(self.machine)
        done = {row.fingerprint for row in rows if row.state is State.DONE}
        return all(work.key in done and work.targets[0].final.exists() for work in works(self.machine, self.plan.jobs))

    async def _nothing_is_left(self) -> None:
        """Recovering once more changes nothing; every charge has its result."""
        before = self.sim.watch.snapshot(self.machine)
        for command in ("render", "pull"):
            program = await self._run(f"again-{command}", command)
            if program.code != 0 or program.submits:
                self.sim.fail("I10 recovery twice", f"{command} ends with {program.code}, {program.submits} submits")
        if self.sim.watch.snapshot(self.machine) != before:
            self.sim.fail("I10 recovery twice", "another run changed the ledger")
        for work in works(self.machine, self.plan.jobs):
            count = self.sim.server.charged().get(work.key[:32], 0)
            if count != 1:
                self.sim.fail("I1 paid once", f"{work.targets[0].job} is done and was charged {count} times")
        for row in self.sim.watch.rows(self.machine):
            if row.state is State.DONE and row.blob is None:
                self.sim.fail("I5 done is stored", f"{row.id[-6:]} has no blob")

    async def _lost_store(self) -> None:
        """A fresh machine of the same account finds everything in the log and pays nothing."""
        await asyncio.sleep(2 * 86_400.0)
        fresh = self.sim.machine("fresh")
        paid = len(self.sim.server.generations)
        program = await self._run("fresh", machine=fresh)
        if program.code != 0 or len(self.sim.server.generations) != paid:
            self.sim.fail("a lost store pays nothing", f"exit {program.code}, {program.submits} submits")
