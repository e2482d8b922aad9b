"""The protocol holds in every state, and a table or a habit that is wrong does not get past the check."""

from __future__ import annotations

import pytest

from kling_render.lifecycle.states import HOLDING, OPEN, SPENT_NOTHING, TRANSITIONS, Event, State
from tests.model.checker import Checked, Violation, check
from tests.model.protocol import Bounds, Habits, Protocol, Rules

ONE = Bounds(crashes=None, decisions=0)
CAPPED = Bounds(jobs=2, cap=1, crashes=None, decisions=0)

TWICE = "accepted 2 times"
STUCK = "no sequence of recovery"
UNKNOWN = "the store calls its attempt"
HANDED = "was taken over, and may be sent"
OVER = "under a cap of 1"
UNRECORDED = "cannot be recorded"

#: Steps without which a state is stuck, an answer cannot be written down, or a claim is inherited.
NEEDED = {
    (State.RESERVED, Event.RELEASE): HANDED,
    (State.RESERVED, Event.SEND): STUCK,
    (State.INTENT, Event.ACCEPT): UNRECORDED,
    (State.INTENT, Event.REJECT): UNRECORDED,
    (State.INTENT, Event.DOUBT): UNRECORDED,
    (State.ACCEPTED, Event.COMPLETE): STUCK,
    (State.ACCEPTED, Event.FAIL): STUCK,
    (State.STALLED, Event.COMPLETE): STUCK,
    (State.STALLED, Event.FAIL): STUCK,
    (State.READY, Event.FETCH): STUCK,
    (State.FETCHED, Event.PUBLISH): STUCK,
    (State.IN_DOUBT, Event.ACCEPT): UNRECORDED,
    (State.IN_DOUBT, Event.PROVE_ABSENT): STUCK,
    (State.NEEDS_USER, Event.ACCEPT): UNRECORDED,
}
#: A known charge counts by itself.
UNCHARGED = HOLDING - {State.READY, State.FETCHED, State.DONE}
SENT = set(State) - SPENT_NOTHING - {State.RESERVED}
ENDS = {event: state for (_, event), state in TRANSITIONS.items()}


def violation(bounds: Bounds, rules: Rules | None = None, habits: Habits | None = None) -> Violation:
    found = check(Protocol(bounds, rules or Rules(), habits or Habits()), limit=50_000).violation
    assert found is not None
    return found


def sound(bounds: Bounds) -> Checked:
    found = check(Protocol(bounds))
    assert found.violation is None, f"\n{found.violation}"
    print(f"{bounds}: {found.states} states, {found.moves} moves")
    return found


def test_the_model_reads_the_table_of_the_product() -> None:
    """There is no second table to keep in step."""
    rules = Rules()
    assert rules.transitions is TRANSITIONS
    assert (rules.spent_nothing, rules.open, rules.holding) == (SPENT_NOTHING, OPEN, HOLDING)


@pytest.mark.parametrize(
    ("bounds", "at_least"),
    [
        (Bounds(decisions=0), 2_000),
        (ONE, 800),
        (Bounds(processes=1, crashes=None), 10_000),
        (Bounds(jobs=2, cap=1), 15_000),
        (Bounds(processes=3, crashes=None, decisions=0), 2_000),
    ],
    ids=["2 crashes", "any crashes", "paying twice allowed once", "2 jobs, cap for 1", "3 processes"],
)
def test_nothing_is_paid_twice_lost_or_stuck_in_any_state(bounds: Bounds, at_least: int) -> None:
    """Every state that processes, crashes, network, server and user can bring about."""
    assert sound(bounds).states >= at_least


@pytest.mark.parametrize("state", sorted(set(State) - SPENT_NOTHING))
def test_no_state_more_may_be_paid_for_again(state: State) -> None:
    """Whatever is added to `SPENT_NOTHING` is paid twice."""
    assert TWICE in violation(ONE, Rules(spent_nothing=SPENT_NOTHING | {state})).what


@pytest.mark.parametrize("state", sorted(SPENT_NOTHING))
def test_no_state_less_may_be_paid_for_again(state: State) -> None:
    """A job that cost nothing can be had after all."""
    assert STUCK in violation(ONE, Rules(spent_nothing=SPENT_NOTHING - {state})).what


@pytest.mark.parametrize("state", sorted(OPEN - {State.NEEDS_USER}))
def test_an_attempt_that_recovery_does_not_look_for_is_stuck(state: State) -> None:
    """Nobody else goes on with it; a question alone waits for the user."""
    assert STUCK in violation(ONE, Rules(open=OPEN - {state})).what


@pytest.mark.parametrize("state", sorted(UNCHARGED))
def test_a_hold_that_is_not_counted_breaks_the_cap(state: State) -> None:
    """Until a charge is known, its hold stands for it."""
    bounds = Bounds(processes=1, jobs=2, cap=1, crashes=None, decisions=0)
    assert OVER in violation(bounds, Rules(holding=HOLDING - {state})).what


@pytest.mark.parametrize(("state", "event"), sorted(NEEDED))
def test_a_missing_step_is_noticed(state: State, event: Event) -> None:
    """Each is needed on some way to an end."""
    rest = {key: end for key, end in TRANSITIONS.items() if key != (state, event)}
    assert NEEDED[state, event] in violation(ONE, Rules(transitions=rest)).what


@pytest.mark.parametrize("state", sorted(SENT))
def test_nothing_that_was_sent_may_be_released(state: State) -> None:
    """A released attempt is deleted: what it paid for would be lost, and then paid again."""
    rules = Rules(transitions={**TRANSITIONS, (state, Event.RELEASE): State.PLANNED})
    assert UNKNOWN in violation(ONE, rules).what


@pytest.mark.parametrize("state", sorted(SENT))
def test_nothing_is_sent_twice(state: State) -> None:
    """No state but a claim leads to a request; the claim of a dead process does not either."""
    rules = Rules(transitions={**TRANSITIONS, (state, Event.SEND): State.INTENT})
    what = violation(ONE, rules).what
    assert TWICE in what or HANDED in what


@pytest.mark.parametrize(
    ("habits", "bounds", "expected"),
    [
        (Habits(absence_at_once=True), ONE, UNKNOWN),
        (Habits(intent_late=True), ONE, UNKNOWN),
        (Habits(doubt_is_refusal=True), ONE, UNKNOWN),
        (Habits(claims_unguarded=True), ONE, TWICE),
        (Habits(spends_freely=True), CAPPED, OVER),
        (Habits(never_looks=True), ONE, STUCK),
    ],
    ids=["absence at once", "intent late", "5xx is a refusal", "unguarded claim", "no budget", "no look-up"],
)
def test_a_wrong_habit_is_noticed(habits: Habits, bounds: Bounds, expected: str) -> None:
    """The table alone is not the protocol: the order of writes and what counts as proof belong to it."""
    assert expected in violation(bounds, habits=habits).what


def test_a_counterexample_is_shortest_and_can_be_read() -> None:
    """What went wrong, step by step, in words."""
    rules = Rules(transitions={**TRANSITIONS, (State.INTENT, Event.RELEASE): State.PLANNED})
    found = violation(Bounds(processes=1, crashes=None, decisions=0), rules)
    assert str(found).splitlines()[:8] == [
        f"violated: a generation of job 0 was accepted, and {UNKNOWN} 'planned'",
        "  1. process 0 starts and reads the spool",
        "  2. process 0 claims job 0",
        "  3. process 0 writes the intent and sends [job 0]",
        "  4. process 0 dies",
        "  5. process 0 starts and reads the spool",
        "  6. the server accepts the request [job 0]",
        "  7. process 0 recovers it [job 0]",
    ]
