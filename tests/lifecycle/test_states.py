"""The table of states and events."""

from __future__ import annotations

import itertools

import pytest

from kling_render.lifecycle.states import (
    HOLDING,
    OPEN,
    SPENT_NOTHING,
    TRANSITIONS,
    Event,
    IllegalTransition,
    State,
    step,
)

TERMINAL = {
    State.PLANNED,
    State.REMOTE_FAILED,
    State.PAID_LOST,
    State.ABANDONED,
}

#: Nothing was paid, as far as is known.
FREE = {State.REJECTED, State.ABSENT}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_is_in_the_table_or_refused(state: State, event: Event) -> None:
    """There is no third answer, and a refusal names both."""
    if (state, event) in TRANSITIONS:
        assert step(state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(IllegalTransition) as refused:
        step(state, event)
    assert (refused.value.state, refused.value.event) == (state, event)


def test_ends_lead_nowhere() -> None:
    """Only the states named here are final; `done` leads back to `ready` alone, when stored bytes were damaged."""
    final = {state for state in State if not any(start is state for start, _ in TRANSITIONS)}
    assert final == TERMINAL - {State.ABANDONED}
    assert {event for start, event in TRANSITIONS if start is State.DONE} == {Event.REFETCH}
    for refused in {*FREE, State.ABANDONED}:  # only what is found after all contradicts a refusal, a proof, a farewell
        assert {event for start, event in TRANSITIONS if start is refused} == {Event.ACCEPT}


def test_every_state_is_reached_and_every_open_state_can_end() -> None:
    """No state is dead, and none is a trap."""
    assert _reached(State.RESERVED) == set(State)
    for state in OPEN:
        assert _reached(state) & (TERMINAL | FREE | {State.DONE}), state


def test_the_classes_of_states_fit_together() -> None:
    """Open is what is neither finished nor free; nothing that holds money sets the fingerprint free."""
    assert set(State) == OPEN | TERMINAL | FREE | {State.DONE}
    assert not OPEN & (TERMINAL | FREE | {State.DONE})
    assert not HOLDING & SPENT_NOTHING
    assert {State.PAID_LOST, State.ABANDONED, State.IN_DOUBT, State.NEEDS_USER}.isdisjoint(SPENT_NOTHING)


def test_money_can_only_be_committed_by_an_intent() -> None:
    """Nothing becomes accepted, doubtful or rejected that was not written down as intended before."""
    for outcome in (State.ACCEPTED, State.REJECTED, State.IN_DOUBT):
        sources = {start for (start, _), end in TRANSITIONS.items() if end is outcome}
        assert State.RESERVED not in sources
    assert TRANSITIONS[State.RESERVED, Event.SEND] is State.INTENT
    assert (State.INTENT, Event.RELEASE) not in TRANSITIONS


def test_a_doubt_is_left_only_by_knowledge_or_by_the_user() -> None:
    """No event turns a doubt into a fresh start."""
    ends = {end for (start, _), end in TRANSITIONS.items() if start is State.IN_DOUBT}
    assert ends == {State.ACCEPTED, State.ABSENT, State.NEEDS_USER}


def _reached(start: State) -> set[State]:
    seen, front = {start}, [start]
    while front:
        here = front.pop()
        for (state, _), end in TRANSITIONS.items():
            if state is here and end not in seen:
                seen.add(end)
                front.append(end)
    return seen
