"""An event loop in virtual time: nothing waits, nothing runs beside it, and the seed decides who goes first.

Callbacks that are ready together run in an order drawn from the seed. Work for threads is a step like any other.
Callbacks of a process that was killed are dropped: from then on nothing of it has any effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
import warnings
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol, cast


class Killed(BaseException):
    """Unwinds a process that died in the middle of a call."""


class Stuck(Exception):
    """Nothing is left to happen, and what was waited for has not."""


class Mortal(Protocol):
    """What a callback may belong to."""

    dead: bool


PROCESS: ContextVar[Mortal | None] = ContextVar("process", default=None)


class Step:
    """A callback that is to run: stands for `asyncio.Handle`."""

    __slots__ = ("args", "callback", "context", "gone", "when")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, when: float) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when = when
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    def __init__(self, coroutine: Any, *, loop: VirtualLoop, serial: int, **options: Any) -> None:
        self._serial = serial
        super().__init__(coroutine, loop=cast(Any, loop), **options)

    def __hash__(self) -> int:
        return self._serial


class VirtualLoop:
    """Runs callbacks; when none is ready, time goes on to the next timer. As much of a loop as asyncio asks for."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.turns = 0
        #: Exceptions that nobody took; a bug, or a process that died.
        self.unhandled: list[dict[str, Any]] = []
        self._now = 0.0
        self._ready: list[Step] = []
        self._timers: list[tuple[float, int, Step]] = []
        self._serial = 0
        self._tasks: list[SimTask] = []
        self._closed = False
        #: Ends the story at once, whoever catches what.
        self.broken: BaseException | None = None

    # -- time ------------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        step = Step(callback, args, copy_context() if context is None else context, self._now)
        self._ready.append(step)
        return step

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        step = Step(callback, args, copy_context() if context is None else context, when)
        self._serial += 1
        heapq.heappush(self._timers, (when, self._serial, step))
        return step

    # -- futures, tasks, threads -----------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=cast(Any, self))

    def create_task(self, coro: Any, **options: Any) -> Any:
        self._serial += 1
        task = SimTask(coro, loop=self, serial=self._serial, **options)
        self._tasks.append(task)  # a dead process's tasks must not be tidied up while the others live
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        del executor
        future = self.create_future()

        def run() -> None:
            try:
                value = func(*args)
            except Killed:
                return
            except BaseException as error:
                if not future.done():
                    future.set_exception(error)
                return
            if not future.done():
                future.set_result(value)

        self.call_later(self.chance.random() * 0.02, run)
        return future

    # -- running ---------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Any, limit: int = 400_000) -> Any:
        """Run until the task is done.

        Raises:
            Stuck: nothing is left to happen, or more happens than any story needs.
        """
        asyncio._set_running_loop(cast(Any, self))
        try:
            while not future.done():
                self._turn()
                if self.turns > limit:
                    raise Stuck(f"no end after {self.turns} turns")
        finally:
            asyncio._set_running_loop(None)
        return future.result()

    def _turn(self) -> None:
        if not self._ready:
            self._go_on()
        batch, self._ready = self._ready, []
        if len(batch) > 1:
            self.chance.shuffle(batch)
        for step in batch:
            self.turns += 1
            if step.gone:
                continue
            owner = step.context.get(PROCESS)
            if owner is not None and owner.dead:
                continue
            with contextlib.suppress(Killed):
                step.context.run(step.callback, *step.args)
            if self.broken is not None:
                raise self.broken

    def _go_on(self) -> None:
        """Time passes until the next timer."""
        timers = self._timers
        while timers and timers[0][2].gone:
            heapq.heappop(timers)
        if not timers:
            raise Stuck("nothing is left to happen")
        self._now = max(self._now, timers[0][0])  # it may be past already: time was skipped
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])

    def skip(self, seconds: float) -> None:
        """So much time passes at once; every timer in it is due now."""
        self._now += seconds

    def close(self) -> None:
        """Forget everything; coroutines of dead processes are closed here, where nobody listens any more."""
        self._closed = True
        self._ready, self._timers = [], []
        asyncio._set_running_loop(cast(Any, self))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a dead process had not begun is never awaited
                for task in self._tasks:
                    if not task.done():
                        _close(task)
        finally:
            asyncio._set_running_loop(None)
        self._tasks = []

    # -- what asyncio asks -----------------------------------------------------------------------------------

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed and not isinstance(context.get("exception"), Killed):
            self.unhandled.append(context)


def _close(task: SimTask) -> None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own way to let a task go
    coroutine = task.get_coro()
    for _ in range(20):
        try:
            if coroutine is not None:
                coroutine.close()
        except BaseException:
            continue
        return
