"""The one clear question about a doubt: what it says, how it is asked, and what counts as an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kling_render.cli.questions import (
    Answer,
    answers_text,
    choices,
    commands,
    prompt,
    question_document,
    question_documents,
    question_text,
)
from kling_render.lifecycle.states import State
from kling_render.schemas_at import load
from kling_render.workspace.doubts.evidence import Candidate, Decided, Nearby, Question
from tests.cli.plans import attempt

JOB = "sc010/fox/wave/t01"
NOON = 1_785_585_600.0
BROKE = "all 3124511 bytes were sent, but no answer came within 60 s"


def doubt(state: State = State.NEEDS_USER, **changes: Any) -> Question:
    sent = replace(attempt(JOB, state=state), intent_at=NOON, generation_id=None, message=BROKE)
    known: dict[str, Any] = {
        "attempt": sent,
        "broke": BROKE,
        "unsettled": f"{BROKE}; the log cannot be read",
        "looks": 4,
        "looked_until": NOON + 3600,
        "next_look": NOON + 3900,
        "set_aside": False,
        "acknowledged": False,
        "decided": (),
        "driven": None,
    }
    return Question(**(known | changes))


def paid(name: str, **facts: Any) -> Candidate:
    return Candidate(generation_id=name, at=NOON + 60, credits=896_000, **facts)


def saying(*lines: str) -> tuple[Callable[[str], str], list[str]]:
    """A person who types these lines, and what that person was shown."""
    shown: list[str] = []
    typed: Iterator[str] = iter(lines)

    def read(text: str) -> str:
        shown.append(text)
        return next(typed)

    return read, shown


def test_the_question_says_when_what_broke_where_it_was_looked_for_and_what_is_at_stake() -> None:
    """One reading is enough to decide."""
    text = question_text(doubt(), Nearby((paid("V1StGX", booked_only=True),), ("log", "books")), zone=UTC)
    assert text.splitlines() == [
        f"needs you: {JOB}  up to $0.448 at stake",
        f"  attempt {attempt(JOB).id}, request kr1:x",
        f"  sent 2026-08-01 12:00:00 UTC; {BROKE}",
        (
            "  the account's log was read completely 4 times, the last time 2026-08-01 13:00 UTC: it does not list the "
            "request"
        ),
        "  the log cannot be read",
        "  worth looking again from 2026-08-01 13:05 UTC on",
        "  paid about that time, and not known here:",
        "    V1StGX  $0.448, booked 2026-08-01 12:01:00 UTC",
    ]


def test_what_could_not_be_asked_is_not_taken_for_an_answer() -> None:
    """No log and no books: nobody knows. Only one of them: it says which."""
    unread = question_text(doubt(looks=0, looked_until=None), Nearby(), zone=UTC)
    assert "was never read completely" in unread
    assert "nobody knows what else was charged" in unread
    assert "as far as can be seen in its books" in question_text(doubt(), Nearby((), ("books",)), zone=UTC)
    assert "charged for nothing" not in question_text(doubt(), None, zone=UTC)


def test_foreign_words_cannot_steer_the_terminal() -> None:
    """Messages, ids and notes come from outside."""
    decided = (Decided(at=NOON, what="abandon", by="eve\x1b[31m@x", why="\x1b]0;t\x07"),)
    question = doubt(broke="\x1b[2J", unsettled="\x1b[2J", decided=decided)
    text = question_text(question, Nearby((paid("id\x1b[1m"),), ("log",)), zone=UTC)
    assert "\x1b" not in text
    assert "given up by eve^[[31m@x" in text


@pytest.mark.parametrize(
    ("state", "changes", "kinds"),
    [
        (State.IN_DOUBT, {}, ["wait", "adopt", "resubmit", "abandon"]),
        (State.NEEDS_USER, {}, ["wait", "adopt", "resubmit", "abandon"]),
        (State.STALLED, {}, ["wait", "resubmit", "abandon"]),
        (State.READY, {}, ["wait", "resubmit", "abandon"]),
        (State.PAID_LOST, {}, ["resubmit", "acknowledge"]),
        (State.ABANDONED, {}, ["adopt", "resubmit", "acknowledge"]),
        (State.ABANDONED, {"set_aside": True, "acknowledged": True}, ["adopt"]),
    ],
)
def test_each_state_offers_the_answers_that_the_ledger_takes(
    state: State, changes: dict[str, bool], kinds: list[str]
) -> None:
    """Nothing is offered that would be refused, and each answer has its command."""
    question = doubt(state, **changes)
    assert [choice.kind for choice in choices(question)] == kinds
    assert all(f"--{kind}" in command for kind, command in zip(kinds, commands(question), strict=True))
    assert answers_text(question).count("\n") == len(kinds)


def test_enter_is_the_free_way() -> None:
    """Looking again costs nothing; after a run somebody has just looked, so nothing happens."""
    assert prompt(doubt(), (), saying("")[0]) == Answer("wait")
    assert prompt(doubt(), (), saying("1")[0]) == Answer("wait")
    assert prompt(doubt(), (), saying("")[0], later=True) is None
    assert prompt(doubt(State.ABANDONED), (), saying("")[0]) is None


def test_a_second_payment_is_confirmed_by_its_amount() -> None:
    """A slip of the finger pays nothing: whatever is not the amount asks the whole question again."""
    assert prompt(doubt(), (), saying("3", "0.448")[0]) == Answer("resubmit")
    assert prompt(doubt(), (), saying("3", "$0.4480")[0]) == Answer("resubmit")
    for slip in ("", "y", "yes", "3", "0.44", "4.48"):
        assert prompt(doubt(), (), saying("3", slip, "")[0]) == Answer("wait")
    unpriced = doubt(attempt=replace(doubt().attempt, hold=None))
    read, shown = saying("3", "again")
    assert prompt(unpriced, (), read) == Answer("resubmit")
    assert "type again" in shown[-1]


def test_one_candidate_is_offered_and_several_are_not() -> None:
    """Among several paid generations another request's result is easily taken for this one's."""
    one, two = (paid("only"),), (paid("first"), paid("second"))
    read, shown = saying("2", "")
    assert prompt(doubt(), one, read) == Answer("adopt", "only")
    assert "adopt only" in shown[0]
    assert prompt(doubt(), two, saying("2", "", "")[0]) == Answer("wait")
    assert prompt(doubt(), two, saying("2", " second ")[0]) == Answer("adopt", "second")


def test_what_is_no_answer_is_asked_again() -> None:
    """Letters, other numbers and signs are no decision about money."""
    read, shown = saying("give up", "5", "-1", "²", "4")
    assert prompt(doubt(), (), read) == Answer("abandon")
    assert len(shown) == 5


def test_programs_get_the_same_question() -> None:
    """Ids, money, times and ready command lines, described by a schema; a job with two doubts names the attempts."""
    document = question_document(doubt(decided=(Decided(at=NOON, what="wait", by="ada@desk", why="x"),)))
    schema = load("resolve.schema.json")
    Draft202012Validator({"$ref": "#/$defs/question", "$defs": schema["$defs"]}).validate(
        json.loads(json.dumps(document))
    )
    assert (document["at_stake_usd"], document["looks"]) == ("0.448", 4)
    assert document["why"] == f"{BROKE}; the log cannot be read"
    assert document["next_look"] == "2026-08-01T13:05:00.000Z"
    twin = replace(doubt(), attempt=replace(doubt().attempt, id="01JTWIN"))
    assert "kling-render resolve 01JTWIN --wait" in question_documents([doubt(), twin])[1]["choices"]
    spaced = replace(doubt(), attempt=replace(doubt().attempt, job="sc 1/fox/wave/t01"))
    assert commands(spaced)[0] == "kling-render resolve 'sc 1/fox/wave/t01' --wait"


def test_every_document_describes_a_question_alike() -> None:
    """`render`, `pull`, `status` and `resolve` print the same thing."""
    described = load("resolve.schema.json")["$defs"]["question"]
    assert load("render.schema.json")["$defs"]["question"] == described
    assert load("status.schema.json")["$defs"]["question"] == described
