"""A run: from what is wanted to files in the output tree.

    1. recover what earlier runs left            4. submit what is left, so many at once
    2. restore what the store has, and finish    5. look doubts up again; adopt what is found
       what is ready: results come first         6. report
    3. go on with what runs; look up doubts and
       what was paid for elsewhere

Each wanted result is one task; the gate decides who may submit. A stop closes the gate: what runs goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from kling_render.engine.attempts import work_of
from kling_render.engine.balance import check_balance
from kling_render.engine.bring import Bringer
from kling_render.engine.doubts import Doubts, Looked
from kling_render.engine.follow import Follower
from kling_render.engine.gate import Gate, Slot
from kling_render.engine.leaving import Tasks
from kling_render.engine.lookback import adopt_paid
from kling_render.engine.recover import Recovered, recover
from kling_render.engine.tracker import Tracker
from kling_render.engine.work import JobState, Options, Progress, RunReport, Stop, Work
from kling_render.engine.world import Watcher, World
from kling_render.errors import StoreFault
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.ports import LogRefused, LogUnavailable


class Run:
    """Brings works about; one instance is one run.

    Args:
        world: the ports.
        options: how.
        works: wanted results, most urgent first.
        folder: everything open of this project is finished too; None: of all projects.
        claimed: take paths of the current plan and whose key may write there; an attempt of a cell that was edited
            meanwhile must not.
    """

    def __init__(
        self,
        world: World,
        options: Options,
        works: Sequence[Work],
        folder: str | None,
        claimed: Mapping[Path, str] = MappingProxyType({}),
    ) -> None:
        self.report = RunReport(run=world.run)
        self._world = world
        self._options = options
        self._works = {work.key: work for work in works}
        self._folder = folder
        self._tasks = Tasks(on_fault=lambda fault: self._tracker.stop(Stop.STORE, fault.message))
        self._gate = Gate(options.jobs, world.clock)
        self._tracker = Tracker(_ClosesGate(world.watcher, self._gate), self.report)
        self._doubts = Doubts(world, options, self._tracker) if world.provider else None
        follower = Follower(world, options, self._tracker, on_running=self._learn)
        self._bringer = Bringer(
            world,
            options,
            self._tracker,
            gate=self._gate,
            tasks=self._tasks,
            follower=follower,
            claimed=claimed,
            doubt=self._doubt,
        )
        self._doubtful: dict[str, Looked] = {}

    async def execute(self) -> RunReport:
        """Run to the end; what the network, the server or the disk does ends up in the report."""
        self._tracker.planned(self._works.values())
        timer = asyncio.create_task(self._deadline()) if self._options.stop_after_s is not None else None
        try:
            await self._stages()
        except StoreFault as fault:
            self._tasks.store_fault = fault
        except asyncio.CancelledError:
            if not self._tasks.leaving:
                raise
        finally:
            if timer:
                timer.cancel()
            self._gate.close()
            await self._tasks.drain()
        await self._last_words()
        return self.report

    def leave(self, why: Stop, message: str) -> None:
        """Submit nothing more and leave what runs; the second call drops even uploads and downloads."""
        self._tracker.stop(why, message)
        self._gate.close()
        self._tasks.leave()

    def pause(self, paused: bool) -> None:
        """Submit nothing new for a while; what runs goes on."""
        self._gate.pause(paused)

    def waiting(self) -> frozenset[str]:
        """Keys of the works for which nothing has been sent in this run, and may still be."""
        jobs = self.report.jobs
        return frozenset(
            key for key, work in self._works.items() if all(jobs[t.job].state is JobState.WAITING for t in work.targets)
        )

    async def _stages(self) -> None:
        recovered = await recover(self._world, frozenset(self._works), self._folder)
        await self._results_first(recovered)
        for attempt in recovered.going_on:
            if attempt.state in (State.ACCEPTED, State.STALLED):
                self._resume(attempt)
        for attempt in recovered.others:
            if attempt.fingerprint in self._works:
                self._tasks.start(self._with_other(self._works[attempt.fingerprint], attempt))
        for attempt in [*recovered.in_doubt, *recovered.asked]:
            self._doubt(self._work(attempt), attempt)
        proved_absent = await self._look_at_doubts()
        open_keys = {a.fingerprint for a in recovered.all()} - proved_absent
        new = [w for w in self._works.values() if w.result is None and w.request is not None and w.key not in open_keys]
        paid_elsewhere = await self._adopt(new)
        for work in new:
            if work.key not in paid_elsewhere:
                self._tasks.start(self._bringer.bring(work))
        await self._all_done(but_followers=True)
        await self._settle_before_the_end()

    async def _results_first(self, recovered: Recovered) -> None:
        """Restores, and paid results that only have to be fetched, come before any new submit."""
        open_keys = {a.fingerprint for a in recovered.all()}
        for work in self._works.values():
            if work.result is not None and work.key not in open_keys:
                self._tasks.start(self._bringer.restore(work))
        for attempt in recovered.going_on:
            if attempt.state in (State.READY, State.FETCHED):
                self._tasks.start(self._bringer.resume(self._work(attempt), attempt, Slot(None)))
        await self._all_done()

    async def _adopt(self, works: list[Work]) -> set[str]:
        """Before the first payment: what has the account paid for elsewhere, and is there money for the rest?

        Returns the keys of what goes on without being paid.
        """
        if self._world.provider is None or self._gate.closed or not works:
            return set()
        try:
            paid = await adopt_paid(self._world, self._options, works, self._tracker)
        except LogRefused as error:
            self._tracker.stop(Stop.ACCOUNT, str(error))
            return set()
        except LogUnavailable as error:
            self._unread(error)
            return set()
        for attempt in paid.adopted:
            self._resume(attempt)
        for key, result in paid.results.items():
            self._tasks.start(self._bringer.restore(replace(self._works[key], result=result)))
        for key, holder in paid.held.items():
            text = f"the account paid for it as {holder.generation_id}, which {holder.job} holds (state {holder.state})"
            self._tracker.doubtful(self._works[key].targets, holder, text, None)
        await check_balance(self._world, [work for work in works if work.key not in paid.keys], self._tracker)
        return paid.keys

    def _unread(self, error: LogUnavailable) -> None:
        """Nobody knows what was paid for elsewhere: without the user's word nothing new is paid."""
        text = f"{error}; what this account paid for on another machine cannot be found now"
        if self._options.without_log:
            self._tracker.note(text)
        else:
            self._tracker.stop(Stop.UNREAD_LOG, f"{text}, so nothing new was sent")

    def _resume(self, attempt: Attempt) -> None:
        self._tasks.start(self._bringer.resume(self._work(attempt), attempt, Slot.taken(self._gate)))

    async def _with_other(self, work: Work, attempt: Attempt) -> None:
        if await self._bringer.follow_other(work, attempt):
            await self._bringer.bring(work)

    def _work(self, attempt: Attempt) -> Work:
        return self._works.get(attempt.fingerprint) or work_of(attempt)

    def _doubt(self, work: Work, attempt: Attempt) -> None:
        self._doubtful[attempt.id] = Looked(attempt=attempt, look_at=self._world.now())
        message = attempt.message or "its payment is not known"
        self._tracker.doubtful(work.targets, attempt, message, self._world.clock.now())

    async def _look_at_doubts(self) -> set[str]:
        """Look every doubt up; what is found goes on in a task. Returns the keys proved absent."""
        if not self._doubtful or self._doubts is None:
            return set()
        doubts, self._doubtful = [looked.attempt for looked in self._doubtful.values()], {}
        absent: set[str] = set()
        for looked in await self._doubts.look(doubts):
            if looked.attempt.state in (State.IN_DOUBT, State.NEEDS_USER):
                self._still_in_doubt(looked)
            elif looked.attempt.state is State.ABSENT:
                absent.add(looked.attempt.fingerprint)
                text = "its request never reached the server; nothing was paid"
                self._tracker.moved(self._work(looked.attempt).targets, JobState.WAITING, text)
            else:
                self._tracker.moved(self._work(looked.attempt).targets, JobState.RUNNING, "found again")
                self._resume(looked.attempt)
        return absent

    def _still_in_doubt(self, looked: Looked) -> None:
        attempt = looked.attempt
        self._doubtful[attempt.id] = looked
        look_at = (looked.look_at or self._world.now()) - self._world.now() + self._world.clock.now()
        self._tracker.doubtful(self._work(attempt).targets, attempt, f"{attempt.message}; {looked.why}", look_at)

    async def _settle_before_the_end(self) -> None:
        """Doubts of this run are looked up and adopted in it; what stays open is named, with the next look."""
        looked_at: set[str] = set()
        while not self._tasks.leaving:
            looked_at |= self._doubtful.keys()
            for key in await self._look_at_doubts():
                if key in self._works and self._works[key].request is not None:
                    self._tasks.start(self._bringer.bring(self._works[key]))
            await self._all_done(but_followers=True)
            if self._doubtful.keys() - looked_at:
                continue  # what was sent again after all may be in doubt again
            if self._options.wait_doubts and self._doubtful:
                await self._wait_for_the_log()
                continue
            await self._ask_the_user()
            await self._leave_doubts()
            await self._all_done(unless=lambda: self._doubtful)  # a follower may inherit one
            if not self._doubtful:
                return
        await self._ask_the_user()

    async def _leave_doubts(self) -> None:
        """What is in doubt still is left to whoever looks next: another process, or the next run."""
        left, self._doubtful = self._doubtful, {}
        for looked in left.values():
            await self._bringer.let_go(looked.attempt)

    async def _wait_for_the_log(self) -> None:
        look_at = min(self.report.doubts.values(), default=0.0)
        self._tracker.note(f"waiting for {len(self._doubtful)} in doubt", look_at=look_at)
        with self._tasks.parked():
            await self._world.clock.sleep(max(look_at - self._world.clock.now(), 0.2))

    async def _ask_the_user(self) -> None:
        """What no log can settle is a question, kept in the ledger until it is answered or the log can tell."""
        if self._doubts is None:
            return
        for looked in [looked for looked in self._doubtful.values() if looked.ask]:
            attempt = await self._doubts.ask(looked)
            message = f"{attempt.message}; {looked.why}"
            self._tracker.settled_doubt(attempt)
            self._tracker.doubtful(self._work(attempt).targets, attempt, message, None)

    def _learn(self, attempt: Attempt) -> None:
        if self._doubts is not None and self._doubts.saw_running(attempt):
            self._tasks.start(self._doubts.learn_running())

    async def _deadline(self) -> None:
        await self._world.clock.sleep(self._options.stop_after_s or 0.0)
        self.leave(Stop.DEADLINE, "the time given with --stop-after is over")

    async def _all_done(self, *, but_followers: bool = False, unless: Callable[[], object] = lambda: None) -> None:
        await self._tasks.all_done(but_followers=but_followers, unless=unless)
        if self._tasks.store_fault is not None:
            raise self._tasks.store_fault

    async def _last_words(self) -> None:
        if self._tasks.store_fault is not None:
            self._tracker.stop(Stop.STORE, self._tasks.store_fault.message)
        try:
            found = await self._world.ledger.read(lambda ledger: ledger.open_attempts(self._world.namespace))
        except StoreFault:
            return
        for attempt in found:  # the answer may have come while the run was told to leave
            mine = attempt.owner == self._world.owner and attempt.id not in self.report.doubts
            if mine and attempt.state is State.IN_DOUBT:
                self._doubt(self._work(attempt), attempt)
        running = (State.ACCEPTED, State.STALLED, State.READY, State.INTENT)
        self.report.left_running = [
            a for a in found if a.state in running and (a.owner == self._world.owner or a.id in self._bringer.left)
        ]
        for attempt in self.report.left_running:
            if attempt.state is not State.INTENT:
                self._tracker.left(self._work(attempt).targets)


class _ClosesGate:
    """Closes the gate at every stop, then passes everything on."""

    def __init__(self, watcher: Watcher, gate: Gate) -> None:
        self._watcher = watcher
        self._gate = gate

    def tell(self, progress: Progress) -> None:
        if progress.event == "stop":
            self._gate.close()
        self._watcher.tell(progress)
