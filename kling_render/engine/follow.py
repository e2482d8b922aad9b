"""Follows an accepted generation to its end: poll, fetch, verify, store. Costs nothing and never gives up an id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kling_render.engine.tracker import Tracker
from kling_render.engine.work import JobState, Options, Stop, Target
from kling_render.engine.world import World
from kling_render.errors import StoreFault
from kling_render.lifecycle.answers import FailureClass, PollAnswer
from kling_render.lifecycle.classify import is_content_refusal
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.schedule import (
    backoff_s,
    first_poll_s,
    next_poll_s,
    resumed_poll_s,
    stalls_after_s,
)
from kling_render.lifecycle.states import Event, State
from kling_render.ports import FetchFailed, LinkExpired

_UNKNOWN_IDS = 5
"""Answers of "no such generation" in a row, over half the stall time, before an id counts as stalled."""
_REFUSALS = 3
_FETCHES = 4
_FRESH_LINKS = 8


class PollingRefused(Exception):
    """The account is refused even for polls: the generation goes on, this run cannot see it."""


class UnknownToServer(Exception):
    """The server does not know the id any more: looking on would hold the run up; the attempt is kept."""


class _Unbelieved(FetchFailed):
    """What came is no good video; `digest` of bytes that are all there, else empty."""

    def __init__(self, problem: str, digest: str) -> None:
        super().__init__(f"what came is not a complete video: {problem}")
        self.digest = digest


class CannotFetch(Exception):
    """The result is paid for but could not be downloaded now; the attempt stays ready."""


class Follower:
    """Brings accepted attempts to FETCHED or to their failure."""

    def __init__(self, world: World, options: Options, tracker: Tracker, on_running: Callable[[Attempt], None]) -> None:
        self._world = world
        self._options = options
        self._tracker = tracker
        #: Statuses that were reported as unknown already.
        self._odd: set[str] = set()
        #: Called with the attempt at each poll that says "still running".
        self._on_running = on_running

    async def to_end(self, attempt: Attempt, targets: tuple[Target, ...], *, resumed: bool) -> Attempt:
        """Poll until the generation ended remotely: READY or REMOTE_FAILED.

        Raises:
            PollingRefused: 401 or 403, three times in a row.
            UnknownToServer: the attempt stalled because its id is unknown; it is kept, and never sent again.
        """
        world, poll_s = self._world, self._options.poll_s
        wait = resumed_poll_s(poll_s, world.chance) if resumed else first_poll_s(poll_s, world.chance)
        troubles = _Troubles()
        self._tracker.moved(targets, JobState.RUNNING, "queued", generation_id=attempt.generation_id)
        while True:
            await world.clock.sleep(wait)
            assert attempt.generation_id is not None
            answer = await world.paid.poll(attempt.generation_id)
            if answer.kind == "completed":
                return await self._record(attempt, Event.COMPLETE, **_completed(answer, world.now()))
            if answer.kind == "failed":
                return await self._failed(attempt, answer)
            attempt = await self._still_running(attempt, answer, targets, troubles)
            if attempt.state is State.STALLED and answer.kind == "unknown-id":
                raise UnknownToServer(f"the server does not know the generation {attempt.generation_id}")
            wait = self._next_wait(attempt, answer, troubles)

    async def _still_running(
        self, attempt: Attempt, answer: PollAnswer, targets: tuple[Target, ...], troubles: _Troubles
    ) -> Attempt:
        troubles.count(answer, self._world.clock.monotonic())
        if troubles.refused >= _REFUSALS:
            self._tracker.stop(Stop.ACCOUNT, answer.message)
            raise PollingRefused(answer.message)
        if answer.kind == "running":
            self._on_running(attempt)
            self._say_odd(answer.status)
            self._tracker.moved(targets, JobState.RUNNING, answer.status, generation_id=attempt.generation_id)
        elif answer.message:
            detail = f"the server does not answer: {answer.message}"
            self._tracker.moved(targets, JobState.RUNNING, detail, generation_id=attempt.generation_id)
        if attempt.state is State.ACCEPTED and self._stalled(attempt, troubles):
            return await self._record(attempt, Event.STALL)
        return attempt

    def _stalled(self, attempt: Attempt, troubles: _Troubles) -> bool:
        limit = stalls_after_s(self._options.poll_s)
        unknown_s = self._world.clock.monotonic() - troubles.unknown_since
        return self._age(attempt) > limit or (troubles.unknown >= _UNKNOWN_IDS and unknown_s > limit / 2)

    def _next_wait(self, attempt: Attempt, answer: PollAnswer, troubles: _Troubles) -> float:
        world, poll_s = self._world, self._options.poll_s
        wait = next_poll_s(self._age(attempt), poll_s, world.chance, stalled=attempt.state is State.STALLED)
        if answer.kind == "unavailable":
            wait = max(wait, backoff_s(troubles.unavailable, world.chance, base_s=poll_s / 4, cap_s=20 * poll_s))
        return max(wait, answer.wait_s or 0.0)

    def _age(self, attempt: Attempt) -> float:
        return self._world.now() - (attempt.accepted_at or attempt.reserved_at)

    def _say_odd(self, status: str) -> None:
        if status not in ("queued", "generating", "waiting", "active", *self._odd):
            self._odd.add(status)
            self._tracker.note(f"the server reports the unknown status '{status}'; it counts as still running")

    async def _failed(self, attempt: Attempt, answer: PollAnswer) -> Attempt:
        content = is_content_refusal(answer.error_name, answer.message)
        kind = FailureClass.CONTENT if content else FailureClass.UPSTREAM
        message = f"{answer.error_name}: {answer.message}"
        ended = self._world.now()
        return await self._record(attempt, Event.FAIL, failure=kind.value, message=message, charge=0, ended_at=ended)

    async def fetch(self, attempt: Attempt, targets: tuple[Target, ...]) -> tuple[Attempt, str | None]:
        """Download, verify and store a READY attempt's result; returns it FETCHED, and a warning to show.

        Raises:
            CannotFetch: not now; the attempt stays READY, its link and id are kept.
        """
        self._tracker.moved(targets, JobState.FETCHING, generation_id=attempt.generation_id)
        failures = fresh = 0
        brought: set[str] = set()
        while True:
            temporary = self._world.blobs.temporary()
            try:
                # What comes the same every time was made like this: paid bytes are kept, whatever they are worth.
                last = failures == _FETCHES - 1 and len(brought) == 1
                return await self._fetch_once(attempt, temporary, min(brought) if last else "")
            except LinkExpired as error:
                fresh += 1
                if fresh > _FRESH_LINKS:
                    raise CannotFetch(str(error)) from error
                attempt = await self._fresh_link(attempt, fresh, str(error))
            except FetchFailed as error:
                failures += 1
                brought.add(error.digest if isinstance(error, _Unbelieved) else "")
                if failures >= _FETCHES:
                    raise CannotFetch(str(error)) from error
                await self._world.clock.sleep(backoff_s(failures, self._world.chance))
            except OSError as error:
                raise StoreFault(f"the result cannot be stored: {error.strerror or error}") from error
            finally:
                temporary.unlink(missing_ok=True)

    async def _fetch_once(self, attempt: Attempt, temporary: Path, known: str) -> tuple[Attempt, str | None]:
        """One try; bytes of the digest `known` are kept with a warning if they are not believed again."""
        world = self._world
        fetched = await world.paid.fetch(attempt.result_url or "", temporary)
        checked = await world.checker.check(temporary, attempt.duration_s)
        warning = checked.warning
        if checked.problem:
            digest = fetched.sha256 if checked.complete else ""
            if not known or digest != known:
                raise _Unbelieved(checked.problem, digest)
            warning = f"{checked.problem}; fetched {_FETCHES} times, the same each time"
        await asyncio.to_thread(world.blobs.adopt, temporary, fetched.sha256)
        stored = await self._record(attempt, Event.FETCH, blob=fetched.sha256, size=fetched.size, ended_at=world.now())
        return stored, warning

    async def _fresh_link(self, attempt: Attempt, tries: int, why: str) -> Attempt:
        """Ask for the link again; the generation is not paid again for that."""
        world = self._world
        if tries > 1:
            poll_s = self._options.poll_s
            await world.clock.sleep(backoff_s(tries, world.chance, base_s=min(1.0, poll_s), cap_s=2 * poll_s))
        assert attempt.generation_id is not None
        answer = await world.paid.poll(attempt.generation_id)
        if answer.kind != "completed":
            if answer.kind in ("unknown-id", "refused"):
                raise CannotFetch(f"{why}, and no fresh link is to be had: {answer.message or answer.status}")
            return replace(attempt)
        facts = _completed(answer, attempt.ready_at or world.now())
        if facts["charge"] is None:
            facts["charge"] = attempt.charge
        return await self._record(attempt, Event.COMPLETE, **facts)

    async def _record(self, attempt: Attempt, event: Event, **facts: Any) -> Attempt:
        now = self._world.now()
        return await self._world.ledger.write(lambda ledger: ledger.record(attempt.id, event, now, **facts))


def _completed(answer: PollAnswer, now: float) -> dict[str, Any]:
    return {"result_url": answer.url, "charge": answer.credits, "ready_at": now}


class _Troubles:
    """Polls in a row that brought nothing, by kind."""

    def __init__(self) -> None:
        self.refused = self.unknown = self.unavailable = 0
        self.unknown_since = 0.0

    def count(self, answer: PollAnswer, now: float) -> None:
        self.refused = self.refused + 1 if answer.kind == "refused" else 0
        self.unavailable = self.unavailable + 1 if answer.kind in ("unavailable", "refused") else 0
        if answer.kind != "unknown-id":
            self.unknown = 0
        elif self.unknown == 0:
            self.unknown, self.unknown_since = 1, now
        else:
            self.unknown += 1
