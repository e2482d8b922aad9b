"""One simulated world: time, a server, machines, and the record of everything that happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sim.loop import PROCESS, VirtualLoop
from tests.sim.server import Server
from tests.sim.watch import Watch

if TYPE_CHECKING:
    from tests.sim.machine import Machine, Process
    from tests.sim.weather import Weather


class Violation(BaseException):
    """A promise that was broken; ends the story."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant


class Sim:
    """Everything of one seed."""

    def __init__(self, seed: str, folder: Path, weather: Weather) -> None:
        self.seed = seed
        self.folder = folder
        self.loop = VirtualLoop(random.Random(f"{seed} order"))
        #: True time beyond the loop's: the machine slept, its monotonic clock stood still.
        self.slept = 0.0
        self.naps = 0
        self.calm = False
        self.log: list[tuple[float, str, str, str]] = []
        self.watch = Watch(self)
        self.server = Server(self, weather, random.Random(f"{seed} server"))
        self._outside = copy_context()
        self._outside.run(PROCESS.set, None)

    def true(self) -> float:
        """Seconds since the story began, whatever any clock says."""
        return self.loop.time() + self.slept

    def note(self, who: str, what: str, detail: str = "") -> None:
        self.log.append((self.loop.time() + self.slept, who, what, detail))

    def text(self) -> str:
        """The story, one line for each step."""
        return "".join(f"{at:14.6f} {who:8} {what} {detail}".rstrip() + "\n" for at, who, what, detail in self.log)

    def outside(self, delay: float, callback: Callable[[], None]) -> None:
        """Something that belongs to no process."""
        self.loop.call_later(delay, callback, context=self._outside)

    def sleep_machine(self, seconds: float) -> None:
        """The lid is closed: connections die, true time goes on, monotonic time does not."""
        self.note("world", f"the machine sleeps {seconds:.0f} s")
        self.server.settle_now()
        self.slept += seconds
        self.naps += 1

    def wakes_late(self, seconds: float) -> None:
        """The machine slept, and its monotonic clock went on: every timer is due at once."""
        self.note("world", f"the machine wakes {seconds:.0f} s later")
        self.server.settle_now()
        self.loop.skip(seconds)
        self.naps += 1

    def committed(self, process: Process) -> None:
        self.watch.committed(process.machine)

    def ended(self, process: Process) -> None:
        """A process died or ended."""
        self.watch.files(process.machine)
        if not process.dead:
            self.watch.kept(process)

    def fail(self, invariant: str, text: str) -> None:
        """Stop the story: a promise was broken."""
        broken = Violation(invariant, text)
        self.loop.broken = self.loop.broken or broken
        raise broken

    def machine(self, name: str) -> Machine:
        """A new computer of the same account."""
        from tests.sim.machine import Machine

        made = Machine(self, self.folder / name)
        made.out.mkdir(parents=True)
        return made
