"""Breadth-first search through every state of the protocol; the first counterexample found is a shortest one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from kling_render.lifecycle.states import IllegalTransition, State
from tests.model.protocol import Attempt, Handed, Protocol, World

_PAID = ("running", "complete")
#: States in which the user has the word, or had it.
_USERS = frozenset({State.NEEDS_USER, State.PAID_LOST, State.ABANDONED})
#: What the ledger says of an attempt whose request may have been accepted.
_KNOWN = frozenset(State) - {State.PLANNED, State.RESERVED, State.REJECTED, State.ABSENT, State.REMOTE_FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong, and a shortest way there."""

    what: str
    trace: tuple[str, ...]
    at: World

    def __str__(self) -> str:
        steps = [f"{number:3}. {text}" for number, text in enumerate(self.trace, 1)]
        rows = [f"     {attempt}" for attempt in self.at.attempts] or ["     no attempts"]
        return "\n".join([f"violated: {self.what}", *steps, "   at:", *rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome of a search."""

    states: int
    moves: int
    #: The longest shortest way to a state.
    depth: int
    violation: Violation | None


@dataclass(slots=True)
class _Graph:
    """What was found so far; states are numbered in the order they were found."""

    states: list[World]
    parents: list[tuple[int, str]]
    depths: list[int]
    #: For each state, those from which one fair move leads to it.
    before: list[list[int]]
    moves: int = 0

    def trace(self, number: int) -> tuple[str, ...]:
        texts = []
        while number:
            number, text = self.parents[number]
            texts.append(text)
        return tuple(reversed(texts))


def check(protocol: Protocol, *, limit: int = 2_000_000) -> Checked:
    """Search everything; stops at the first violation of safety, then looks for states that cannot end.

    More than `limit` states are a violation too: attempts pile up that nothing ends.
    """
    start = protocol.start()
    graph = _Graph([start], [(0, "")], [0], [[]])
    numbers = {start: 0}
    todo = deque([0])
    while todo:
        number = todo.popleft()
        what = _wrong(protocol, graph.states[number])
        what = what or _explore(protocol, graph, numbers, todo, number)
        if len(graph.states) > limit:
            what = what or f"there are more than {limit:,} states"
        if what is not None:
            return _outcome(graph, Violation(what=what, trace=graph.trace(number), at=graph.states[number]))
    return _outcome(graph, _stuck(protocol, graph))


def _explore(protocol: Protocol, graph: _Graph, numbers: dict[World, int], todo: deque[int], number: int) -> str | None:
    try:
        for text, fair, after in protocol.moves(graph.states[number]):
            graph.moves += 1
            found = numbers.get(after)
            if found is None:
                found = numbers[after] = len(graph.states)
                graph.states.append(after)
                graph.parents.append((number, text))
                graph.depths.append(graph.depths[number] + 1)
                graph.before.append([])
                todo.append(found)
            if fair:
                graph.before[found].append(number)
    except IllegalTransition as refusal:
        return f"what happened cannot be recorded: {refusal}"
    except Handed as broken:
        return str(broken)
    return None


def _wrong(protocol: Protocol, world: World) -> str | None:
    """The invariants that hold in every state."""
    paid = [0] * protocol.bounds.jobs
    for attempt in world.attempts:
        paid[attempt.job] += _generations(attempt)
        if _generations(attempt) and attempt.state not in _KNOWN:
            return f"a generation of job {attempt.job} was accepted, and the store calls its attempt '{attempt.state}'"
    for job, count in enumerate(paid):
        if count > 1 + world.decisions[job]:
            return f"job {job} was accepted {count} times, with {world.decisions[job]} decisions of the user"
    if protocol.bounds.cap is not None and sum(paid) > protocol.bounds.cap:
        return f"{sum(paid)} generations were accepted under a cap of {protocol.bounds.cap}"
    return None


def _generations(attempt: Attempt) -> int:
    return attempt.earlier + (attempt.wire in _PAID)


def _stuck(protocol: Protocol, graph: _Graph) -> Violation | None:
    """The first state from which fair moves alone lead to no end."""
    ends = [number for number, world in enumerate(graph.states) if _has_ended(protocol, world)]
    reached = set(ends)
    todo = deque(ends)
    while todo:
        for earlier in graph.before[todo.popleft()]:
            if earlier not in reached:
                reached.add(earlier)
                todo.append(earlier)
    for number, world in enumerate(graph.states):
        if number not in reached:
            what = "no sequence of recovery and a fair server ends it"
            return Violation(what=what, trace=graph.trace(number), at=world)
    return None


def _has_ended(protocol: Protocol, world: World) -> bool:
    """Every job has its result, is the user's to decide, or finds no room in the budget."""
    return all(_job_has_ended(protocol, world, job) for job in range(protocol.bounds.jobs))


def _job_has_ended(protocol: Protocol, world: World, job: int) -> bool:
    live = [a for a in world.attempts if a.job == job and not a.aside and a.state not in protocol.rules.spent_nothing]
    if not live:
        return not protocol.has_room(world)
    return all(attempt.state is State.DONE or attempt.state in _USERS for attempt in live)


def _outcome(graph: _Graph, violation: Violation | None) -> Checked:
    return Checked(states=len(graph.states), moves=graph.moves, depth=max(graph.depths), violation=violation)
