"""One wanted result: submit it, follow it, or follow whoever does, until it is there or cannot be had now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from kling_render.engine.deliver import Deliverer
from kling_render.engine.follow import CannotFetch, Follower, PollingRefused, UnknownToServer
from kling_render.engine.gate import Gate, Slot
from kling_render.engine.leaving import Tasks
from kling_render.engine.recover import recover
from kling_render.engine.submit import NotSent, Submitter, over_budget_message
from kling_render.engine.tracker import Tracker
from kling_render.engine.work import JobState, Options, Stop, Work
from kling_render.engine.world import World
from kling_render.lifecycle.answers import FailureClass
from kling_render.lifecycle.records import Attempt, OverBudget, Reserved, Taken, usd_of
from kling_render.lifecycle.schedule import backoff_s
from kling_render.lifecycle.states import SPENT_NOTHING, Event, State
from kling_render.ports import InputGone, LedgerTransaction

_UNSENT_TRIES = 5
"""Tries after which a request that never left is given up for this run."""
_UNDER_WAY = frozenset({State.ACCEPTED, State.STALLED, State.READY})
_OTHER_S = 0.5
"""Seconds between looks at an attempt that another process drives."""


class Bringer:
    """Brings single works about; many run side by side."""

    def __init__(
        self,
        world: World,
        options: Options,
        tracker: Tracker,
        *,
        gate: Gate,
        tasks: Tasks,
        follower: Follower,
        claimed: Mapping[Path, str],
        doubt: Callable[[Work, Attempt], None],
    ) -> None:
        self._world = world
        self._options = options
        self._tracker = tracker
        self._gate = gate
        self._tasks = tasks
        self._follower = follower
        self._submitter = Submitter(world, options, tracker)
        self._deliverer = Deliverer(world, tracker, claimed)
        self._doubt = doubt
        #: Attempts that this run drove and drives no more, although they have not ended.
        self.left: set[str] = set()

    async def bring(self, work: Work, failed: int = 0) -> None:
        """Submit until the work has a result or cannot have one now; `failed`: generations that failed already."""
        unsent = 0
        while True:
            slot = Slot(self._gate)
            with self._tasks.parked():
                if not await slot.enter():
                    return
            try:
                outcome = await self._pay(work)
                if isinstance(outcome, OverBudget):
                    self._tracker.stop(Stop.BUDGET, over_budget_message(outcome))
                    self._tracker.moved(work.targets, JobState.WAITING, "no budget left")
                    return
                if isinstance(outcome, NotSent):
                    unsent += 1
                    if not await self._try_again(work, outcome, unsent, slot):
                        return
                    continue
                if isinstance(outcome, Taken):
                    slot.leave()
                    if not await self.follow_other(work, outcome.attempt):
                        return
                    continue
                ended = await self.go_on(work, outcome, resumed=False, slot=slot)
                failed += 1
                if not self._once_more(work, ended, failed):
                    return
            finally:
                slot.leave()

    async def resume(self, work: Work, attempt: Attempt, slot: Slot) -> None:
        """Go on with an attempt; where it failed remotely, the retry policy applies as if it were of this run."""
        if attempt.state is State.FETCHED:
            attempt = await self._with_bytes(attempt)
        ended = await self.go_on(work, attempt, resumed=True, slot=slot)
        slot.leave()
        if self._once_more(work, ended, 1):
            await self.bring(work, 1)

    async def _pay(self, work: Work) -> Attempt | Taken | OverBudget | NotSent:
        return await (self._render(work) if self._world.renderer else self._submitter.submit(work))

    async def _try_again(self, work: Work, refusal: NotSent, tries: int, slot: Slot) -> bool:
        """Whether a request that was not accepted may be sent again in this run, after waiting."""
        if refusal.failure is FailureClass.RATE and not self._gate.closed:
            wait = refusal.wait_s or backoff_s(tries, self._world.chance)
            self._gate.limited(wait)
            self._tracker.moved(work.targets, JobState.WAITING, f"the server asks to slow down ({wait:.0f} s)")
            return True
        if not refusal.again or tries >= _UNSENT_TRIES or self._gate.closed:
            self._give_up(work, refusal)
            return False
        slot.leave()
        self._tracker.moved(work.targets, JobState.WAITING, f"{refusal.message}; trying again")
        with self._tasks.parked():
            await self._world.clock.sleep(backoff_s(tries, self._world.chance))
        return True

    def _give_up(self, work: Work, refusal: NotSent) -> None:
        if refusal.stopped:
            self._tracker.moved(work.targets, JobState.WAITING, refusal.message)
        elif Stop.ACCOUNT in self._tracker.report.stops and refusal.failure in (
            FailureClass.ACCOUNT,
            FailureClass.CREDITS,
        ):
            self._tracker.moved(work.targets, JobState.WAITING, "the account is refused")
        else:
            self._fail(work, refusal.failure, refusal.message, None)

    def _once_more(self, work: Work, ended: Attempt, failed: int) -> bool:
        """Whether a failed generation is rendered again; the failed one was not charged."""
        if ended.state is not State.REMOTE_FAILED:
            return False
        transient = ended.failure == FailureClass.UPSTREAM.value
        if not transient or failed > self._options.retries or self._gate.closed or work.request is None:
            if self._options.fail_fast:
                self._tracker.stop(Stop.FAILED_FAST, f"{work.targets[0].job} failed and --fail-fast is set")
            return False
        self._tracker.moved(work.targets, JobState.WAITING, f"failed remotely; further attempt {failed}")
        return True

    async def go_on(self, work: Work, attempt: Attempt, *, resumed: bool, slot: Slot) -> Attempt:
        """Drive an attempt of ours from where it stands; returns it as it stands then."""
        ended = await self._driven(work, attempt, resumed=resumed, slot=slot)
        if ended.state in _UNDER_WAY:
            await self.let_go(ended)
        return ended

    async def let_go(self, attempt: Attempt) -> None:
        """Drive it no more in this run: a process that follows it may go on with it, instead of waiting for our end.

        Two processes that follow each other's would wait for ever.
        """
        self.left.add(attempt.id)
        owner = self._world.owner
        await self._world.ledger.write(lambda ledger: ledger.take_over(attempt.id, "", owner))

    async def _driven(self, work: Work, attempt: Attempt, *, resumed: bool, slot: Slot) -> Attempt:
        if attempt.state is State.IN_DOUBT:
            self._doubt(work, attempt)
            return attempt
        self._gate.concurrency.accepted()
        if self._options.detach and attempt.state is not State.FETCHED:
            self._tracker.moved(work.targets, JobState.RUNNING, "left running")
            return attempt
        try:
            if attempt.state in (State.ACCEPTED, State.STALLED):
                with self._tasks.parked():
                    attempt = await self._follower.to_end(attempt, work.targets, resumed=resumed)
            slot.leave()
            if attempt.state is State.REMOTE_FAILED:
                self._fail(work, FailureClass(attempt.failure or "upstream"), attempt.message or "", attempt)
                return attempt
            warning = None
            if attempt.state is State.READY:
                attempt, warning = await self._follower.fetch(attempt, work.targets)
        except PollingRefused:
            return attempt
        except UnknownToServer as error:
            self._tracker.stalled(work.targets, attempt, str(error))
            return attempt
        except CannotFetch as error:
            self._fail(work, FailureClass.DOWNLOAD, str(error), attempt)
            return attempt
        warning = "; ".join(filter(None, (warning, _overcharged(attempt)))) or None
        await self._deliverer.deliver(work, attempt, charged=attempt.run == self._world.run, warning=warning)
        return attempt

    async def _with_bytes(self, attempt: Attempt) -> Attempt:
        """A fetched attempt of an earlier run; where its bytes are damaged or gone it is ready to be fetched again."""
        world, now = self._world, self._world.now()
        stored = await asyncio.to_thread(world.blobs.verified, attempt.blob or "")
        if stored is not None or world.provider is None or attempt.generation_id is None:
            return attempt
        return await world.ledger.write(lambda ledger: _fetched_anew(ledger, attempt.id, now, world.owner))

    async def restore(self, work: Work) -> None:
        """Publish what the store has; what was paid for and is damaged is fetched again, what is free is made anew."""
        assert work.result is not None
        if await self._deliverer.restore(work):
            return
        world, now, attempt_id = self._world, self._world.now(), work.result.attempt
        if world.renderer is not None and work.request is not None:
            await world.ledger.write(lambda ledger: ledger.forget(attempt_id))
            await self.bring(work)
            return
        attempt = await world.ledger.read(lambda ledger: ledger.attempt(attempt_id))
        if attempt is None or attempt.generation_id is None or world.provider is None:
            fetchable = attempt is not None and attempt.generation_id is not None
            where = "only the provider may have another copy (set the key)" if fetchable else "nobody has another copy"
            message = f"its stored result is missing or damaged, and {where}"
            self._fail(work, FailureClass.DOWNLOAD, message, attempt)
            return
        again = await world.ledger.write(lambda ledger: _fetched_anew(ledger, attempt_id, now, world.owner))
        if again.owner != world.owner:
            await self.follow_other(work, again)
            return
        await self.go_on(work, again, resumed=True, slot=Slot(None))

    async def _render(self, work: Work) -> Attempt | Taken | OverBudget | NotSent:
        """One free local rendering."""
        world = self._world
        assert world.renderer is not None
        assert work.request is not None
        claim = await self._submitter.reserve(work)
        if not isinstance(claim, Reserved):
            return claim
        attempt_id = claim.attempt.id
        self._tracker.moved(work.targets, JobState.RUNNING, "rendering")
        temporary = world.blobs.temporary()
        try:
            with self._tasks.parked():
                digest = await world.renderer.make(work.request, work.label, temporary)
            made = {"blob": digest, "size": temporary.stat().st_size, "charge": 0, "ended_at": world.now()}
            await asyncio.to_thread(world.blobs.adopt, temporary, digest)
            now = world.now()
            return await world.ledger.write(lambda ledger: ledger.record(attempt_id, Event.MAKE, now, **made))
        except (InputGone, asyncio.CancelledError) as error:
            now = world.now()
            await asyncio.shield(world.ledger.write(lambda ledger: ledger.record(attempt_id, Event.RELEASE, now)))
            if isinstance(error, asyncio.CancelledError):
                raise
            return NotSent(failure=FailureClass.LOCAL, message=str(error))
        finally:
            temporary.unlink(missing_ok=True)

    async def follow_other(self, work: Work, attempt: Attempt) -> bool:
        """Watch an attempt that another process drives; True when the work is free to be submitted by us."""
        with self._tasks.following():
            return await self._followed(work, attempt)

    async def _followed(self, work: Work, attempt: Attempt) -> bool:
        self._tracker.moved(work.targets, JobState.RUNNING, "another process renders it")
        while True:
            now = await self._world.ledger.read(lambda ledger: ledger.attempt(attempt.id))
            if now is None or now.state in SPENT_NOTHING:
                return work.request is not None and (now is None or self._free_again(work, now))
            if now.state in (State.FETCHED, State.DONE):
                await self._deliverer.deliver(work, now, charged=False)
                return False
            if now.state in (State.NEEDS_USER, State.PAID_LOST, State.ABANDONED):
                self._tracker.doubtful(work.targets, now, now.message or "only you can decide", None)
                return False
            if now.owner == self._world.owner or not self._world.owners.is_alive(now.owner):
                return await self._inherit(work, now)
            with self._tasks.parked():
                await self._world.clock.sleep(_OTHER_S)

    def _free_again(self, work: Work, ended: Attempt) -> bool:
        """The other process got no result: ours may try, unless the same request would be refused again."""
        final = {FailureClass.CONTENT, FailureClass.BAD_REQUEST, FailureClass.TOO_LARGE}
        if ended.failure in {kind.value for kind in final}:
            self._fail(work, FailureClass(ended.failure), ended.message or "", ended)
            return False
        return True

    async def _inherit(self, work: Work, attempt: Attempt) -> bool:
        """The other process is gone: what it left is recovered like at the start of a run."""
        recovered = await recover(self._world, frozenset({attempt.fingerprint}), "")
        for found in recovered.in_doubt:
            self._doubt(work, found)
        for found in recovered.going_on:
            await self.resume(work, found, Slot(None))
        for found in recovered.others:
            return await self.follow_other(work, found)
        return not recovered.in_doubt and not recovered.going_on and work.request is not None

    def _fail(self, work: Work, kind: FailureClass, message: str, attempt: Attempt | None) -> None:
        self._tracker.failed(work.targets, kind, message, attempt)
        if self._options.fail_fast and kind is not FailureClass.UPSTREAM:
            self._tracker.stop(Stop.FAILED_FAST, f"{work.targets[0].job} failed and --fail-fast is set")


def _fetched_anew(ledger: LedgerTransaction, attempt_id: str, now: float, owner: str) -> Attempt:
    """The attempt, READY for its bytes to be fetched again; unchanged where another process does that already."""
    standing = ledger.attempt(attempt_id)
    if standing is not None and standing.state is State.READY:
        return standing
    return ledger.record(attempt_id, Event.REFETCH, now, owner=owner)


def _overcharged(attempt: Attempt) -> str | None:
    """What to say when the provider charged more than was held."""
    if attempt.charge is None or attempt.hold is None or attempt.charge <= attempt.hold:
        return None
    charged, held = (f"${usd_of(credits_).normalize():f}" for credits_ in (attempt.charge, attempt.hold))
    return f"charged {charged}, more than the {held} it was estimated at"
