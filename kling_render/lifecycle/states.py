"""States, events and transitions of an attempt: one table, free of I/O.

Everything that decides where an attempt may go stands here; the diagram in the docs is generated from `TRANSITIONS`.
An attempt is one paid submission (or one free local rendering) for a fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where an attempt stands; each member names the durable evidence behind it."""

    #: Nothing durable: derived from the shot list. An attempt that returns here is deleted.
    PLANNED = "planned"
    #: Claim and budget hold; provably nothing was sent.
    RESERVED = "reserved"
    #: Written and synced before the first request byte; money: maybe.
    INTENT = "intent"
    #: Generation id and raw answer are durable; money: committed.
    ACCEPTED = "accepted"
    #: Accepted, but no end for an hour, or the server no longer knows the id; polled slowly, for ever.
    STALLED = "stalled"
    #: The result's link and the usage are durable; money: charged.
    READY = "ready"
    #: Verified bytes lie in the store under their own SHA-256.
    FETCHED = "fetched"
    #: Published in the output tree with its sidecar.
    DONE = "done"
    #: The server definitely did not accept; money: none.
    REJECTED = "rejected"
    #: The generation failed; failed generations are not charged.
    REMOTE_FAILED = "remote-failed"
    #: An intent whose outcome is unknown; its hold stays.
    IN_DOUBT = "in-doubt"
    #: Proved never to have reached the server; the proof is stored.
    ABSENT = "absent"
    #: Only the user can answer; the question is stored and the hold stays.
    NEEDS_USER = "needs-user"
    #: Charged without an obtainable result, by the user's word.
    PAID_LOST = "paid-lost"
    #: Given up by the user while its outcome was unknown.
    ABANDONED = "abandoned"


class Event(StrEnum):
    """What can happen to an attempt."""

    RELEASE = "release"
    SEND = "send"
    MAKE = "make"
    ACCEPT = "accept"
    REJECT = "reject"
    DOUBT = "doubt"
    STALL = "stall"
    COMPLETE = "complete"
    FAIL = "fail"
    FETCH = "fetch"
    REFETCH = "refetch"
    PUBLISH = "publish"
    PROVE_ABSENT = "prove-absent"
    ASK = "ask"
    WAIT = "wait"
    LOSE = "lose"
    ABANDON = "abandon"


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.RESERVED, Event.RELEASE): State.PLANNED,  # owner dead or stopped: nothing was sent
        (State.RESERVED, Event.SEND): State.INTENT,
        (State.RESERVED, Event.MAKE): State.FETCHED,  # free local providers have no server
        (State.INTENT, Event.ACCEPT): State.ACCEPTED,
        (State.INTENT, Event.REJECT): State.REJECTED,
        (State.INTENT, Event.DOUBT): State.IN_DOUBT,
        (State.ACCEPTED, Event.COMPLETE): State.READY,
        (State.ACCEPTED, Event.FAIL): State.REMOTE_FAILED,
        (State.ACCEPTED, Event.STALL): State.STALLED,
        (State.STALLED, Event.COMPLETE): State.READY,
        (State.STALLED, Event.FAIL): State.REMOTE_FAILED,
        (State.STALLED, Event.LOSE): State.PAID_LOST,
        (State.READY, Event.COMPLETE): State.READY,  # an expired link was polled again for a fresh one
        (State.READY, Event.FETCH): State.FETCHED,
        (State.READY, Event.LOSE): State.PAID_LOST,
        (State.FETCHED, Event.PUBLISH): State.DONE,
        (State.FETCHED, Event.REFETCH): State.READY,  # the stored bytes were damaged
        (State.DONE, Event.REFETCH): State.READY,
        (State.IN_DOUBT, Event.ACCEPT): State.ACCEPTED,
        (State.IN_DOUBT, Event.PROVE_ABSENT): State.ABSENT,
        (State.IN_DOUBT, Event.ASK): State.NEEDS_USER,
        (State.REJECTED, Event.ACCEPT): State.ACCEPTED,  # the account's log contradicts the refusal: it was paid
        (State.ABSENT, Event.ACCEPT): State.ACCEPTED,  # the same, of a row that came later than any log should be
        (State.NEEDS_USER, Event.ACCEPT): State.ACCEPTED,
        (State.NEEDS_USER, Event.PROVE_ABSENT): State.ABSENT,
        (State.NEEDS_USER, Event.WAIT): State.IN_DOUBT,
        (State.NEEDS_USER, Event.ABANDON): State.ABANDONED,
        (State.ABANDONED, Event.ACCEPT): State.ACCEPTED,  # found after all, and nothing else lives for its fingerprint
    }
)

#: States that leave the right to pay for the fingerprint free again. Every other state excludes a second attempt.
SPENT_NOTHING = frozenset({State.PLANNED, State.REJECTED, State.REMOTE_FAILED, State.ABSENT})

#: States in which work is still to be done, or a decision is still open.
OPEN = frozenset(
    {
        State.RESERVED,
        State.INTENT,
        State.ACCEPTED,
        State.STALLED,
        State.READY,
        State.FETCHED,
        State.IN_DOUBT,
        State.NEEDS_USER,
    }
)

#: States whose hold counts against a budget for as long as no charge is known.
HOLDING = frozenset(
    {
        State.RESERVED,
        State.INTENT,
        State.ACCEPTED,
        State.STALLED,
        State.READY,
        State.FETCHED,
        State.DONE,
        State.IN_DOUBT,
        State.NEEDS_USER,
        State.PAID_LOST,
        State.ABANDONED,
    }
)


class IllegalTransition(Exception):
    """An event that the table does not allow in this state: a bug, never an answer of the server."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"an attempt in state '{state}' cannot take the event '{event}'")
        self.state = state
        self.event = event


def step(state: State, event: Event, transitions: Mapping[tuple[State, Event], State] = TRANSITIONS) -> State:
    """The state after `event`; another table is for the proof that a wrong one is noticed.

    Raises:
        IllegalTransition: the table does not allow it; the state is unchanged.
    """
    try:
        return transitions[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None
