"""A crash at every step, and at every step of the recovery from it, in stories small enough to try them all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kling_render.engine.work import Options
from tests.sim.process import Start
from tests.sim.story import Outcome, Plan, play
from tests.sim.weather import FAULTS, OK, Weather, Word

_WORDS = {word.name: word for word in (OK, *FAULTS)}
_OPTIONS = Options(poll_s=2.0, absence_s=120.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A small story whose first program dies at one step, and whose second may die too."""

    name: str
    #: What becomes of the first submits.
    words: tuple[str, ...] = ()
    jobs: int = 2
    lists_running: bool = True
    log_lag: tuple[float, float] = (0.0, 0.0)
    fails: float = 0.0
    link_fails: float = 0.0
    damaged: float = 0.0
    #: The second program runs beside the first one, instead of after it.
    beside: bool = False
    #: Commands of the two.
    commands: tuple[str, str] = ("render", "render")

    def plan(self, first: int, second: int) -> Plan:
        """The story in which they die at these steps; 0: not at all."""
        weather = Weather(
            script=[self._word(name) for name in self.words],
            lists_running=self.lists_running,
            log_lag=self.log_lag,
            fails=self.fails,
            link_fails=self.link_fails,
            damaged=self.damaged,
        )
        starts = [
            Start(name="p1", command=self.commands[0], jobs=self.jobs, options=_OPTIONS, kill_at=first),
            Start(
                name="p2",
                command=self.commands[1],
                jobs=self.jobs,
                options=_OPTIONS,
                kill_at=second,
                after=not self.beside,
            ),
        ]
        return Plan(weather=weather, jobs=self.jobs, starts=starts, absence_s=_OPTIONS.absence_s)

    @staticmethod
    def _word(name: str) -> Word:
        return _WORDS[name]


SCENARIOS = (
    Scenario(name="fair"),
    Scenario(name="lost", words=("lost", "504-accepted")),
    Scenario(name="dropped", words=("dropped", "502")),
    Scenario(name="header", words=("503-id-accepted", "503-id")),
    Scenario(name="three", words=("lost", "ok", "limited"), jobs=3),
    Scenario(name="slow-log", words=("lost", "dropped"), lists_running=False, log_lag=(20.0, 50.0)),
    Scenario(name="failing", fails=0.5),
    Scenario(name="results", link_fails=0.5, damaged=0.3),
    Scenario(name="full", words=("ok-disk-full-once", "ok-disk-full")),
    Scenario(name="pull", words=("lost", "ok"), commands=("render", "pull")),
    Scenario(name="beside", words=("ok", "lost"), beside=True),
    Scenario(name="beside-three", words=("dropped", "ok", "lost"), beside=True, jobs=3),
)


def told(scenario: Scenario, first: int, second: int, folder: Path, order: int = 0) -> Outcome:
    """One story; `order` is another interleaving."""
    seed = f"{scenario.name}-{order}:{first}:{second}"
    return replace(play(f"{scenario.name}-{order}", folder, scenario.plan(first, second)), seed=seed)


def by_name(seed: str, folder: Path) -> Outcome:
    """The story of a name like `lost-0:17:4`."""
    head, first, second = seed.rsplit(":", 2)
    name, _, order = head.rpartition("-")
    scenario = next(each for each in SCENARIOS if each.name == name)
    return told(scenario, int(first), int(second), folder, int(order))


def stories(
    scenario: Scenario, folder: Path, *, pairs: bool, order: int = 0, share: float = 1.0, every: int = 1
) -> Iterator[Outcome]:
    """Every crash of the first program, then (`pairs`) every crash of the second after each of them.

    Args:
        scenario: the story.
        folder: scratch.
        pairs: whether the second program dies too.
        order: which interleaving.
        share: of the pairs, this share is tried (drawn from the order).
        every: the first program dies at every so-manieth step.
    """
    chance = random.Random(f"{scenario.name} {order}")
    whole = told(scenario, 0, 0, folder, order)
    yield whole
    for first in range(1 + order % every, whole.program_steps[0] + 1, every):
        once = told(scenario, first, 0, folder, order)
        yield once
        if not pairs:
            continue
        for second in range(1, once.program_steps[1] + 1):
            if chance.random() < share:
                yield told(scenario, first, second, folder, order)
