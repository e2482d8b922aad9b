"""The user's answers in the ledger: which attempt is meant, which steps are taken, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.errors import DecisionNeeded, UsageError
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.records import Attempt, Reserved, Taken
from kling_render.lifecycle.states import Event, State
from kling_render.store.opening import Store
from kling_render.workspace.doubts.evidence import Question, candidates, open_questions, question_of, standing_questions
from kling_render.workspace.doubts.resolving import (
    Decision,
    accept,
    acknowledge,
    find,
    give_up,
    pay_again,
    wait,
    who,
)
from tests.store.support import NAMESPACE, attempt

DECISION = Decision(by="ada@desk", at=5_000.0, why="the premiere is tonight")
LATER = Decision(by="eve@desk", at=6_000.0)
IN_DOUBT = (Event.SEND, Event.DOUBT)
ASKED = (*IN_DOUBT, Event.ASK)
STALLED = (Event.SEND, Event.ACCEPT, Event.STALL)
READY = (Event.SEND, Event.ACCEPT, Event.COMPLETE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def walk(store: Store, number: int, *events: Event, **changes: object) -> Attempt:
    """An attempt that went these steps."""
    new = attempt(number, owner="", **changes)
    with store.ledger.writing() as ledger:
        ledger.reserve(new, ())
        for event in events:
            facts: dict[str, object] = {"generation_id": f"gen-{number}"} if event is Event.ACCEPT else {}
            facts |= {"message": "no answer came"} if event is Event.DOUBT else {}
            ledger.record(new.id, event, 2_000.0 + number, **facts)
        return ledger.attempt(new.id) or new


def again(store: Store, old: Attempt) -> Reserved | Taken | object:
    with store.ledger.writing() as ledger:
        return ledger.reserve(attempt(99, fingerprint=old.fingerprint), ())


def asked(store: Store, old: Attempt) -> Question:
    with store.ledger.reading() as ledger:
        now = ledger.attempt(old.id)
        assert now is not None
        return question_of(ledger, store, now, absence_s=3600.0)


@pytest.mark.parametrize(
    ("events", "ended"),
    [
        (IN_DOUBT, State.ABANDONED),
        (ASKED, State.ABANDONED),
        ((Event.SEND,), State.ABANDONED),  # the process died between intent and answer
        (STALLED, State.PAID_LOST),
        (READY, State.PAID_LOST),
    ],
)
def test_giving_up_and_paying_again_are_two_decisions(store: Store, events: tuple[Event, ...], ended: State) -> None:
    """Given up, the fingerprint stays held; only the second word frees it. Both are kept with who, when and why."""
    old = walk(store, 1, *events)
    assert give_up(store, old.id, DECISION).state is ended
    assert isinstance(again(store, old), Taken)
    pay_again(store, old.id, LATER)
    question = asked(store, old)
    assert [(d.by, d.at, d.why) for d in question.decided] == [
        ("ada@desk", 5_000.0, "the premiere is tonight"),
        ("eve@desk", 6_000.0, ""),
    ]
    assert (question.set_aside, question.open) == (True, False)
    assert isinstance(again(store, old), Reserved)
    with pytest.raises(UsageError, match="set aside already"):
        pay_again(store, old.id, LATER)


def test_paying_again_takes_both_steps_at_once(store: Store) -> None:
    """From the doubt to a free fingerprint in one transaction; what it may have cost goes on counting."""
    old = walk(store, 1, *IN_DOUBT)
    pay_again(store, old.id, DECISION)
    assert isinstance(again(store, old), Reserved)
    with store.ledger.reading() as ledger:
        assert ledger.spent(NAMESPACE).held == 200


def test_what_turns_up_takes_its_place_again_unless_that_is_taken(store: Store) -> None:
    """An id for what was given up is adopted; after another attempt was made it is refused."""
    first, second = walk(store, 1, *IN_DOUBT), walk(store, 2, *IN_DOUBT)
    for old in (first, second):
        pay_again(store, old.id, DECISION)
    assert accept(store, first.id, "gen-x", LATER).state is State.ACCEPTED
    assert isinstance(again(store, first), Taken)
    assert not asked(store, first).set_aside
    assert isinstance(again(store, second), Reserved)
    with pytest.raises(UsageError, match="another attempt has taken its place"):
        accept(store, second.id, "gen-y", LATER)


def test_an_id_has_one_attempt_and_an_attempt_has_one_id(store: Store) -> None:
    """Neither another job's result, nor another id for what was accepted."""
    doubt, done, stalled = walk(store, 1, *IN_DOUBT), walk(store, 2, *READY), walk(store, 3, *STALLED)
    with pytest.raises(UsageError, match=done.job):
        accept(store, doubt.id, "gen-2", DECISION)
    with pytest.raises(UsageError, match="accepted as gen-3"):
        accept(store, stalled.id, "gen-x", DECISION)
    assert asked(store, doubt).attempt == doubt


def test_of_two_answers_the_first_holds(store: Store) -> None:
    """Whoever comes second is told what became of it."""
    old = walk(store, 1, *ASKED)
    accept(store, old.id, "gen-x", DECISION)
    for answer in (wait, give_up, pay_again, acknowledge):
        with pytest.raises(UsageError, match="settled meanwhile"):
            answer(store, old.id, LATER)
    lost = walk(store, 2, *STALLED)
    give_up(store, lost.id, DECISION)
    for late in (wait, give_up):
        with pytest.raises(UsageError, match="given up"):
            late(store, lost.id, LATER)


def test_waiting_goes_back_into_doubt_and_changes_nothing_else(store: Store) -> None:
    """The hold and the claim stay."""
    old = walk(store, 1, *ASKED)
    assert wait(store, old.id, DECISION).state is State.IN_DOUBT
    assert wait(store, old.id, DECISION).state is State.IN_DOUBT
    assert wait(store, walk(store, 2, *STALLED).id, DECISION).state is State.STALLED
    assert isinstance(again(store, old), Taken)


def test_a_loss_is_listed_until_it_is_acknowledged(store: Store) -> None:
    """Only a loss can be acknowledged."""
    old = walk(store, 1, *IN_DOUBT)
    with pytest.raises(UsageError, match="is not lost"):
        acknowledge(store, old.id, DECISION)
    give_up(store, old.id, DECISION)
    assert [q.attempt.id for q in standing_questions(store, NAMESPACE, folder=None, absence_s=1.0)] == [old.id]
    acknowledge(store, old.id, DECISION)
    assert standing_questions(store, NAMESPACE, folder=None, absence_s=1.0) == []
    assert find(store, NAMESPACE, old.job, folder=None).id == old.id


def test_a_living_process_is_not_interfered_with(store: Store) -> None:
    """Every answer is refused while its owner's lock is held; the process is named; no question is asked."""
    owner = store.register("somebody")
    old = walk(store, 1, *IN_DOUBT)
    with store.ledger.writing() as ledger:
        assert ledger.take_over(old.id, "somebody", "")
    for answer in (wait, give_up, pay_again, acknowledge):
        with pytest.raises(DecisionNeeded, match=r"process \d+ drives"):
            answer(store, old.id, DECISION)
    assert str(asked(store, old).driven).startswith("process ")
    assert open_questions(store, NAMESPACE, folder=None, absence_s=1.0) == []
    owner.release()
    assert len(open_questions(store, NAMESPACE, folder=None, absence_s=1.0)) == 1
    assert give_up(store, old.id, DECISION).state is State.ABANDONED


class TestNames:
    def test_a_job_its_beginning_and_an_attempt_mean_the_same(self, store: Store) -> None:
        """The only one that waits is meant, whatever else begins so."""
        old = walk(store, 1, *IN_DOUBT)
        walk(store, 2, *READY, Event.LOSE, job="sc020/fox/wave/t01")
        for name in (old.job, "sc010", "sc010/fox", old.id, old.id.lower()):
            assert find(store, NAMESPACE, name, folder=None).id == old.id
        with pytest.raises(UsageError):
            find(store, NAMESPACE, "sc010/f", folder=None)  # a part of a name may be a slip

    def test_a_name_that_means_several_lists_them(self, store: Store) -> None:
        """Jobs by their ids, attempts of one job by theirs; the project at hand comes first."""
        first = walk(store, 1, *IN_DOUBT, job="sc010/fox/wave/t01")
        walk(store, 2, *IN_DOUBT, job="sc010/cat/wave/t01")
        with pytest.raises(UsageError) as several:
            find(store, NAMESPACE, "sc010", folder=None)
        assert "sc010/cat/wave/t01" in several.value.help
        edited = walk(store, 3, *IN_DOUBT, job="sc010/fox/wave/t01", folder="/other")
        with pytest.raises(UsageError) as twice:
            find(store, NAMESPACE, first.job, folder=None)
        assert edited.id in twice.value.help
        assert find(store, NAMESPACE, first.job, folder="/other").id == edited.id

    def test_what_had_its_answer_is_not_meant_any_more(self, store: Store) -> None:
        """A job that was given up and submitted again is named by its newest attempt."""
        old = walk(store, 1, *IN_DOUBT)
        pay_again(store, old.id, DECISION)
        assert find(store, NAMESPACE, old.job, folder=None).id == old.id
        new = walk(store, 2, *IN_DOUBT, job=old.job, fingerprint=old.fingerprint)
        assert find(store, NAMESPACE, old.job, folder=None).id == new.id

    @pytest.mark.parametrize(
        ("events", "words"),
        [
            ((), "nothing was sent"),
            ((Event.SEND, Event.ACCEPT), "kling-render pull"),
            ((Event.SEND, Event.REJECT), "cost nothing"),
            ((*IN_DOUBT, Event.PROVE_ABSENT), "never reached"),
        ],
    )
    def test_where_there_is_nothing_to_decide_it_says_why(
        self, store: Store, events: tuple[Event, ...], words: str
    ) -> None:
        """Each state says what happens next."""
        old = walk(store, 1, *events)
        with pytest.raises(UsageError, match=words):
            find(store, NAMESPACE, old.job, folder=None)

    def test_an_unknown_name_is_answered_with_what_waits(self, store: Store) -> None:
        """The nearest name, or the provider that the store has attempts for."""
        walk(store, 1, *IN_DOUBT)
        with pytest.raises(UsageError, match="did you mean 'sc010/fox/wave/t01'"):
            find(store, NAMESPACE, "sc010/fax/wave/t01", folder=None)
        with pytest.raises(UsageError) as other:
            find(store, "sandbox", "sc010", folder=None)
        assert NAMESPACE in other.value.help


def test_candidates_are_paid_unknown_and_not_another_request_of_ours(store: Store) -> None:
    """Failed ones, known ones and other fingerprints' cannot be it; a charge alone is told as such."""
    question = asked(store, walk(store, 1, *IN_DOUBT))
    prefix = question.attempt.fingerprint[:32]

    def row(name: str, client: str | None, *, failed: bool = False) -> LogRow:
        return LogRow(created=3_000.0, failed=failed, credits=5, inference_id=name, client_request_id=client)

    rows = [
        row("anonymous", None),
        row("twin", f"kr1:{prefix}:ELSEWHERE"),
        row("other", f"kr1:{'f' * 32}:X"),
        row("failed", None, failed=True),
        row("known", None),
    ]
    names = ("booked", "other", "failed", "known", "twin", None)
    bookings = [Booking(reference_id=name, at=3_500.0, credits=5, model="m") for name in names]
    bookings.append(Booking(reference_id="elsewhere", at=3_500.0, credits=5, model="another-model"))
    found = candidates(question, rows, bookings, {"known"})
    assert [(c.generation_id, c.same_result, c.booked_only) for c in found] == [
        ("anonymous", False, False),
        ("twin", True, False),
        ("booked", False, True),
    ]


def test_the_decision_names_a_person_and_a_machine() -> None:
    """`user@host`, whatever the environment lacks."""
    user, _, host = who().partition("@")
    assert user
    assert host
