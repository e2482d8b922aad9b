"""The paid protocol as a small transition system: processes, their store, the server, the network, the user.

Our processes are any programs that take only steps of the table, each with the evidence its event names. The real
engine is one of them, so what holds here holds for it. Time is left out: what the settle time stands for (a request
that the log does not list by then was never accepted and never will be) is an assumption on the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from kling_render.lifecycle.states import HOLDING, OPEN, SPENT_NOTHING, TRANSITIONS, Event, State, step

T = TypeVar("T")

Wire = Literal["unsent", "flying", "lost", "running", "complete", "failed"]
Answer = Literal["", "waited for", "id", "no", "unknown", "unknown, with id"]

DEAD = -1
NOBODY = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The product's table; a test passes a wrong one to see it noticed."""

    transitions: Mapping[tuple[State, Event], State] = field(default_factory=lambda: TRANSITIONS)
    spent_nothing: frozenset[State] = SPENT_NOTHING
    open: frozenset[State] = OPEN
    holding: frozenset[State] = HOLDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Wrong ways of a process that the table alone does not forbid; all of them off is the protocol."""

    #: What the log does not list yet counts as never accepted.
    absence_at_once: bool = False
    #: The intent is written after the request was sent.
    intent_late: bool = False
    #: A lost answer or a 5xx counts as a refusal.
    doubt_is_refusal: bool = False
    #: Whether a fingerprint is free is read in another transaction than the claim is written.
    claims_unguarded: bool = False
    #: The budget is not looked at before a claim.
    spends_freely: bool = False
    #: Doubts are forgotten, not looked up.
    never_looks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of everything; None: any number."""

    processes: int = 2
    jobs: int = 1
    crashes: int | None = 2
    #: The cap of the budget, in generations.
    cap: int | None = None
    #: How often the user may allow paying twice.
    decisions: int = 1


class Attempt(NamedTuple):
    """A row of the ledger, what its sender remembers, and what is true of its request."""

    job: int
    state: State
    owner: int
    wire: Wire = "unsent"
    #: In the sender's memory, gone with the process.
    answer: Answer = ""
    #: The account's log shows the request.
    listed: bool = False
    #: Who wrote the id into the spool.
    spooled: int = NOBODY
    #: The charge is in the ledger.
    charged: bool = False
    #: The user allowed another attempt although this one may have been paid.
    aside: bool = False
    #: Generations that earlier sends of this same attempt brought about.
    earlier: int = 0


class World(NamedTuple):
    """One state of everything."""

    attempts: tuple[Attempt, ...]
    up: tuple[bool, ...]
    crashes: int
    decisions: tuple[int, ...]
    #: Who has found which job free but has not claimed it yet; only with `Habits.claims_unguarded`.
    free: frozenset[tuple[int, int]] = frozenset()


class Move(NamedTuple):
    """One thing that can happen. `fair`: it needs no fault and no user, so sooner or later it does."""

    text: str
    fair: bool
    after: World


class Handed(Exception):
    """The right to pay went from one process to another."""


class Protocol:
    """Every move of every state."""

    def __init__(self, bounds: Bounds, rules: Rules = Rules(), habits: Habits = Habits()) -> None:
        self.bounds = bounds
        self.rules = rules
        self.habits = habits
        self._events: dict[State, list[Event]] = {state: [] for state in State}
        for state, event in rules.transitions:
            self._events[state].append(event)

    def start(self) -> World:
        """Every process is about to start; the store is empty."""
        return World((), (False,) * self.bounds.processes, 0, (0,) * self.bounds.jobs)

    def moves(self, world: World) -> Iterator[Move]:
        """What can happen next.

        Raises:
            IllegalTransition: a process has to record something that the table does not allow.
            Handed: a process takes over what it could send.
        """
        yield from self._lives(world)
        yield from self._claims(world)
        for index, attempt in enumerate(world.attempts):
            for text, fair, changed in self._of_attempt(world, attempt):
                yield Move(f"{text} [job {attempt.job}]", fair, self._replaced(world, index, changed))
            if attempt.state in (State.ABANDONED, State.PAID_LOST) and not attempt.aside:
                yield from self._pays_twice(world, index, attempt)

    # -- processes -----------------------------------------------------------------------------------------

    def _lives(self, world: World) -> Iterator[Move]:
        for process, up in enumerate(world.up):
            if not up:
                yield Move(f"process {process} starts and reads the spool", True, self._started(world, process))
                continue
            if self.bounds.crashes is None or world.crashes < self.bounds.crashes:
                counted = 0 if self.bounds.crashes is None else world.crashes + 1
                yield Move(f"process {process} dies", False, self._ended(world, process, counted))
            if not any(a.owner == process and a.answer for a in world.attempts):
                yield Move(f"process {process} ends", True, self._ended(world, process, world.crashes))

    def _started(self, world: World, process: int) -> World:
        attempts = [self._read_spool(attempt, process) for attempt in world.attempts]
        return self._tidy(world._replace(attempts=tuple(attempts), up=_set(world.up, process, True)))

    def _read_spool(self, attempt: Attempt, process: int) -> Attempt:
        """`Store.record_spooled`: a dead process's slot is recorded before anything else."""
        if attempt.spooled != DEAD:
            return attempt
        if attempt.state not in (State.INTENT, State.IN_DOUBT, State.NEEDS_USER):
            return attempt._replace(spooled=NOBODY)
        state = step(attempt.state, Event.ACCEPT, self.rules.transitions)
        owner = process if attempt.owner == DEAD else attempt.owner
        return attempt._replace(state=state, spooled=NOBODY, owner=owner)

    def _ended(self, world: World, process: int, crashes: int) -> World:
        attempts = tuple(
            a._replace(
                owner=DEAD if a.owner == process else a.owner,
                answer="" if a.owner == process else a.answer,
                spooled=DEAD if a.spooled == process else a.spooled,
            )
            for a in world.attempts
        )
        free = frozenset(each for each in world.free if each[0] != process)
        ended = world._replace(attempts=attempts, up=_set(world.up, process, False), crashes=crashes, free=free)
        return self._tidy(ended)

    # -- claims --------------------------------------------------------------------------------------------

    def _claims(self, world: World) -> Iterator[Move]:
        for process, up in enumerate(world.up):
            for job in range(self.bounds.jobs) if up else ():
                if self.habits.claims_unguarded:
                    yield from self._unguarded(world, process, job)
                elif self.is_free(world, job) and self.has_room(world):
                    yield Move(f"process {process} claims job {job}", True, self._claimed(world, process, job))

    def _unguarded(self, world: World, process: int, job: int) -> Iterator[Move]:
        if (process, job) in world.free:
            claimed = self._claimed(world, process, job)
            free = world.free - {(process, job)}
            yield Move(f"process {process} claims job {job}", True, claimed._replace(free=free))
        elif self.is_free(world, job) and self.has_room(world):
            free = world.free | {(process, job)}
            yield Move(f"process {process} finds job {job} free", True, world._replace(free=free))

    def is_free(self, world: World, job: int) -> bool:
        """The ledger's constraint: at most one attempt of a job that may have spent something."""
        spent_nothing = self.rules.spent_nothing
        return not any(a.job == job and not a.aside and a.state not in spent_nothing for a in world.attempts)

    def has_room(self, world: World) -> bool:
        """Whether one more hold fits under the cap."""
        if self.bounds.cap is None or self.habits.spends_freely:
            return True
        return self.counted(world) < self.bounds.cap

    def counted(self, world: World) -> int:
        """Charges and holds, in generations."""
        return sum(a.charged or a.state in self.rules.holding for a in world.attempts)

    def _claimed(self, world: World, process: int, job: int) -> World:
        new = Attempt(job, State.RESERVED, process)
        return self._tidy(world._replace(attempts=(*world.attempts, new)))

    # -- one attempt ---------------------------------------------------------------------------------------

    def _of_attempt(self, world: World, attempt: Attempt) -> Iterator[tuple[str, bool, Attempt]]:
        yield from _server(attempt)
        yield from self._user(attempt)
        if attempt.owner == DEAD:
            if attempt.state in self.rules.open:
                for process, up in enumerate(world.up):
                    if up:
                        yield f"process {process} recovers it", True, self.recovered(attempt, process)
        elif attempt.owner >= 0:
            yield from self._owner(world, attempt)

    def recovered(self, attempt: Attempt, process: int) -> Attempt:
        """What is taken over is given back where the table allows, else doubted where it allows, else gone on with."""
        taken = attempt._replace(owner=process)
        for event in (Event.RELEASE, Event.DOUBT):
            if (attempt.state, event) in self.rules.transitions:
                return self._stepped(taken, event)
        if (attempt.state, Event.SEND) in self.rules.transitions:
            raise Handed(f"an attempt '{attempt.state}' of a dead process was taken over, and may be sent")
        return taken

    def _owner(self, world: World, attempt: Attempt) -> Iterator[tuple[str, bool, Attempt]]:
        who = f"process {attempt.owner}"
        if attempt.answer:
            yield from self._answered(attempt, who)
            return
        if self.habits.intent_late and attempt.state is State.RESERVED:
            yield f"{who} sends before the intent is written", True, _sent(attempt)
            return
        for event in self._events[attempt.state]:
            evidence = self._EVIDENCE.get(event)
            if evidence is None or not evidence(self, world, attempt):
                continue
            after = self._stepped(attempt, event)
            if event is Event.SEND:
                yield f"{who} writes the intent and sends", True, _sent(after)
                yield f"{who} writes the intent and sends nothing", False, after
            else:
                fair = event not in (Event.RELEASE, Event.STALL, Event.ASK, Event.REFETCH)
                yield f"{who}: {event}", fair, after

    def _answered(self, attempt: Attempt, who: str) -> Iterator[tuple[str, bool, Attempt]]:
        """The sender has to record what it knows, or its store refuses."""
        answer = attempt.answer
        if answer == "waited for":
            return
        if attempt.state is State.RESERVED:  # the habit of writing the intent late
            attempt = self._stepped(attempt, Event.SEND)
        done = attempt._replace(answer="")
        if answer == "id":
            yield f"{who} records the id", True, self._stepped(done, Event.ACCEPT)
            yield f"{who} cannot record the id: it goes into the spool", False, done._replace(spooled=attempt.owner)
            return
        event = Event.REJECT if answer == "no" or self.habits.doubt_is_refusal else Event.DOUBT
        yield f"{who} records: {event} ({answer})", True, self._stepped(done, event)
        yield f"{who} cannot record: {event} ({answer})", False, done

    def _user(self, attempt: Attempt) -> Iterator[tuple[str, bool, Attempt]]:
        for event in (Event.WAIT, Event.ABANDON, Event.LOSE):
            if (attempt.state, event) in self.rules.transitions and not attempt.answer:
                yield f"the user: {event}", False, self._stepped(attempt, event)

    def _pays_twice(self, world: World, index: int, attempt: Attempt) -> Iterator[Move]:
        if sum(world.decisions) < self.bounds.decisions:
            aside = self._replaced(world, index, attempt._replace(aside=True))
            decisions = _set(world.decisions, attempt.job, world.decisions[attempt.job] + 1)
            text = f"the user allows paying twice [job {attempt.job}]"
            yield Move(text, False, aside._replace(decisions=decisions))

    def _stepped(self, attempt: Attempt, event: Event) -> Attempt:
        state = step(attempt.state, event, self.rules.transitions)
        return attempt._replace(state=state, charged=attempt.charged or event is Event.COMPLETE)

    def _lists(self, world: World, attempt: Attempt) -> bool:
        """The request is found: in the log, or by the id of a header."""
        del world
        if self.habits.never_looks or attempt.wire not in ("running", "complete"):
            return False
        return attempt.listed

    def _absent(self, world: World, attempt: Attempt) -> bool:
        """What the settle time stands for; a failed request is listed as failed."""
        del world
        if self.habits.never_looks:
            return False
        if self.habits.absence_at_once and not attempt.listed:
            return True
        return attempt.wire in ("unsent", "lost") or (attempt.wire == "failed" and attempt.listed)

    def _found_again(self, world: World, attempt: Attempt) -> bool:
        if attempt.state in self.rules.spent_nothing and not self.is_free(world, attempt.job):
            return False  # another attempt holds the job
        return self._lists(world, attempt)

    _EVIDENCE: Mapping[Event, Callable[[Protocol, World, Attempt], bool]] = {
        Event.RELEASE: lambda _s, _w, _a: True,
        Event.SEND: lambda _s, _w, _a: True,
        Event.STALL: lambda _s, _w, _a: True,
        Event.FETCH: lambda _s, _w, _a: True,
        Event.REFETCH: lambda _s, _w, _a: True,
        Event.PUBLISH: lambda _s, _w, _a: True,
        Event.ASK: lambda _s, _w, _a: True,
        Event.ACCEPT: _found_again,
        Event.PROVE_ABSENT: _absent,
        Event.COMPLETE: lambda _s, _w, a: a.wire == "complete",
        Event.FAIL: lambda _s, _w, a: a.wire == "failed",
    }

    def _replaced(self, world: World, index: int, changed: Attempt) -> World:
        return self._tidy(world._replace(attempts=(*world.attempts[:index], changed, *world.attempts[index + 1 :])))

    def _tidy(self, world: World) -> World:
        """Attempts in one order; those that ended for nothing are forgotten."""
        return world._replace(attempts=tuple(sorted(a for a in world.attempts if not self._is_over(a))))

    def _is_over(self, attempt: Attempt) -> bool:
        ended = attempt.state in self.rules.spent_nothing and attempt.state not in self.rules.open
        nothing = attempt.wire in ("unsent", "lost", "failed") and not attempt.earlier and not attempt.charged
        return ended and nothing and not attempt.answer


def _sent(attempt: Attempt) -> Attempt:
    """A request leaves; what an earlier one of the same attempt brought about is remembered."""
    earlier = attempt.earlier + (attempt.wire in ("running", "complete"))
    return attempt._replace(wire="flying", answer="waited for", earlier=earlier, listed=False)


def _server(attempt: Attempt) -> Iterator[tuple[str, bool, Attempt]]:
    """What server and network do with a request and its answer."""
    waited = attempt.answer == "waited for"
    if attempt.wire == "flying":
        yield "the server accepts the request", True, attempt._replace(wire="running")
        yield "the request is lost", False, attempt._replace(wire="lost")
        if waited:
            yield "the server refuses the request", False, attempt._replace(wire="lost", answer="no")
    if waited and attempt.wire in ("running", "complete", "failed"):
        yield "the answer arrives", True, attempt._replace(answer="id")
        yield "a 5xx with the id arrives", False, attempt._replace(answer="unknown, with id", listed=True)
    if waited:
        yield "no answer, or a 5xx", attempt.wire == "lost", attempt._replace(answer="unknown")
    if attempt.wire == "running":
        yield "the generation completes", True, attempt._replace(wire="complete")
        yield "the generation fails", False, attempt._replace(wire="failed")
    if attempt.wire in ("running", "complete", "failed") and not attempt.listed:
        yield "the log lists the request", True, attempt._replace(listed=True)


def _set(values: tuple[T, ...], index: int, value: T) -> tuple[T, ...]:
    return (*values[:index], value, *values[index + 1 :])
