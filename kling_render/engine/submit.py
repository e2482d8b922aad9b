"""One paid submit: reserve, intend, send, classify, record. The order of writes is the whole point.

    reserve (claim and hold, one transaction) → connection stands → INTENT on disk → first byte
    → answer → ACCEPTED on disk → anything else

Nothing here ever sends twice: what cannot be told apart from an acceptance is recorded as a doubt.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kling_render.engine.attempts import new_attempt
from kling_render.engine.tracker import Tracker
from kling_render.engine.work import JobState, Options, Stop, Work
from kling_render.engine.world import World
from kling_render.errors import StoreFault
from kling_render.lifecycle.answers import Accepted, FailureClass, InDoubt, Rejected, SubmitEvidence
from kling_render.lifecycle.classify import classify
from kling_render.lifecycle.identity import client_request_id, ulid
from kling_render.lifecycle.records import Attempt, OverBudget, Reserved, Taken, usd_of
from kling_render.lifecycle.states import Event, IllegalTransition
from kling_render.ports import InputGone, LogUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Nothing was paid and nothing is open; `again` says whether this run may try once more."""

    failure: FailureClass
    message: str
    again: bool = False
    wait_s: float | None = None
    #: The run was told to stop first: no failure of the job.
    stopped: bool = False


class Stopped(Exception):
    """The run was told to stop before the first byte left."""


class Submitter:
    """Sends paid requests, each at most once."""

    def __init__(self, world: World, options: Options, tracker: Tracker) -> None:
        self._world = world
        self._options = options
        self._tracker = tracker
        self._uploads = asyncio.Semaphore(options.uploads)

    async def submit(self, work: Work) -> Attempt | Taken | OverBudget | NotSent:
        """Reserve the work's fingerprint and send its request.

        Returns the attempt as it stands afterwards (accepted or in doubt), the attempt of somebody else, the cap
        that has no room, or why nothing was sent.
        """
        claim = await self.reserve(work)
        if not isinstance(claim, Reserved):
            return claim
        async with self._uploads:
            if self._stopped():
                await self._release(claim.attempt)
                return _STOPPED
            return await self._send(work, claim.attempt)

    def _stopped(self) -> bool:
        """Whether nothing may be sent any more; what was reserved before the budget was used up has its room in it."""
        return bool(self._tracker.report.stops.keys() - {Stop.BUDGET})

    async def reserve(self, work: Work) -> Reserved | Taken | OverBudget:
        """Claim the fingerprint and hold its estimate."""
        new = self._new_attempt(work)
        return await self._world.ledger.write(lambda ledger: ledger.reserve(new, self._options.caps))

    def _new_attempt(self, work: Work) -> Attempt:
        now = self._world.now()
        name = ulid(now, self._world.chance)
        request_id = client_request_id(work.key, name)
        return new_attempt(self._world, work, attempt_id=name, client_request_id=request_id, at=now)

    async def _send(self, work: Work, attempt: Attempt) -> Attempt | NotSent:
        world = self._world
        assert world.uploads is not None
        self._tracker.moved(work.targets, JobState.SUBMITTING)
        try:
            request = await world.uploads.prepare(work, attempt.client_request_id)
            await asyncio.to_thread(world.spool.prepare, attempt.id)
        except InputGone as error:
            await self._release(attempt)
            return NotSent(failure=FailureClass.INPUT_CHANGED, message=str(error))
        except (StoreFault, asyncio.CancelledError):
            await asyncio.shield(self._release(attempt))
            raise
        try:
            evidence = await world.paid.submit(request, lambda: self._intend(attempt))
        except StoreFault:
            # The intent could not be written, so not one byte was sent.
            await self._release_if_possible(attempt)
            raise
        except Stopped:
            await self._release(attempt)
            world.spool.release(attempt.id)
            return _STOPPED
        except LogUnavailable as error:
            await self._release(attempt)
            world.spool.release(attempt.id)
            return NotSent(failure=FailureClass.NOT_SENT, message=str(error), again=True)
        return await asyncio.shield(self._record(attempt, evidence))

    async def _intend(self, attempt: Attempt) -> None:
        await self._world.paid.know_time()  # the log is searched around this moment, should the answer be lost
        if self._stopped():
            raise Stopped
        now = self._world.now()
        await self._world.ledger.write(lambda ledger: ledger.record(attempt.id, Event.SEND, now, intent_at=now))
        self._tracker.report.submits += 1

    async def _record(self, attempt: Attempt, evidence: SubmitEvidence) -> Attempt | NotSent:
        now = self._world.now()
        verdict = classify(evidence, now)
        if isinstance(verdict, Accepted):
            return await self._accepted(attempt, verdict, now)
        if isinstance(verdict, Rejected):
            return await self._rejected(attempt, verdict, now, intended=evidence.intended)
        return await self._in_doubt(attempt, verdict, now)

    async def _in_doubt(self, attempt: Attempt, doubt: InDoubt, now: float) -> Attempt:
        """Record a doubt. An id that came with it is no acceptance, so the spool must not keep it; it is shown."""
        self._world.spool.release(attempt.id)
        try:
            return await self._world.ledger.write(
                lambda ledger: ledger.record(
                    attempt.id,
                    Event.DOUBT,
                    now,
                    message=doubt.message,
                    generation_id=doubt.generation_id,
                    raw_answer=doubt.raw or None,
                )
            )
        except StoreFault as fault:
            if doubt.generation_id:
                text = f"{attempt.job} may have been accepted as {doubt.generation_id}: note it down"
                self._tracker.stop(Stop.STORE, f"{fault.message}; {text} (attempt {attempt.id})")
            raise

    async def _accepted(self, attempt: Attempt, verdict: Accepted, now: float) -> Attempt:
        """The id is durable before anything else happens; a full disk sends it to the spool, and ends the run.

        Raises:
            StoreFault: the ledger does not know the id: nothing of this attempt can be recorded before the next run.
        """
        try:
            accepted = await self._world.ledger.write(
                lambda ledger: ledger.record(
                    attempt.id,
                    Event.ACCEPT,
                    now,
                    generation_id=verdict.generation_id,
                    raw_answer=verdict.raw,
                    accepted_at=now,
                )
            )
        except StoreFault as fault:
            self._spool(attempt, verdict.generation_id, fault)
            raise
        self._world.spool.release(attempt.id)
        return accepted

    def _spool(self, attempt: Attempt, generation_id: str, fault: StoreFault) -> None:
        paid = f"the paid generation {generation_id} of {attempt.job}"
        try:
            self._world.spool.put(attempt.id, generation_id)
            kept = f"{paid} is kept in the spool; the next run records it"
        except StoreFault:
            kept = f"{paid} could not be kept anywhere: note it down (attempt {attempt.id})"
        self._tracker.stop(Stop.STORE, f"{fault.message}; {kept}")

    async def _rejected(self, attempt: Attempt, verdict: Rejected, now: float, *, intended: bool) -> NotSent:
        if intended:
            await self._world.ledger.write(
                lambda ledger: ledger.record(
                    attempt.id,
                    Event.REJECT,
                    now,
                    failure=verdict.failure.value,
                    message=verdict.message,
                    ended_at=now,
                )
            )
        else:
            await self._release(attempt)
        self._world.spool.release(attempt.id)
        if verdict.stop:
            self._tracker.stop(Stop.ACCOUNT, verdict.message)
        return NotSent(failure=verdict.failure, message=verdict.message, again=verdict.again, wait_s=verdict.wait_s)

    async def _release(self, attempt: Attempt) -> None:
        now = self._world.now()
        await self._world.ledger.write(lambda ledger: ledger.record(attempt.id, Event.RELEASE, now))

    async def _release_if_possible(self, attempt: Attempt) -> None:
        try:
            await self._release(attempt)
        except (StoreFault, IllegalTransition):
            # The next run lets a dead owner's reservation go. Is the intent on disk although its write was called
            # failed, the next run looks it up.
            return


_STOPPED = NotSent(failure=FailureClass.NOT_SENT, message="the run was told to stop before it was sent", stopped=True)


def over_budget_message(refusal: OverBudget) -> str:
    """One sentence for a cap that has no room."""
    if refusal.asked is None:
        return f"the price is unknown, so nothing can be sent under {refusal.cap.name}"
    left = max(refusal.cap.limit - refusal.committed, 0)
    doubt = f" (in doubt: ${usd_of(refusal.in_doubt):f})" if refusal.in_doubt else ""
    asked, limit = (f"${usd_of(amount).normalize():f}" for amount in (refusal.asked, refusal.cap.limit))
    if left == refusal.cap.limit:  # a watch session's runs get what the ones before them left
        return f"the next job costs {asked}, but {refusal.cap.name} leaves only {limit}{doubt}"
    return (
        f"the next job costs {asked}, but only ${usd_of(left).normalize():f} is left "
        f"of {limit} ({refusal.cap.name}){doubt}"
    )
