"""The ledger: claims, budgets, steps and what is durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kling_render.errors import StoreFault
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt, Cap, OverBudget, Reserved, Taken
from kling_render.lifecycle.states import SPENT_NOTHING, Event, IllegalTransition, State
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store
from kling_render.store.rows import Spent
from tests.store.support import NAMESPACE, attempt, start

BLOB = "b" * 64


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with Store.open(tmp_path / "store") as store:
        yield store.ledger


def reserve(ledger: SqliteLedger, new: Attempt, *caps: Cap) -> Reserved | Taken | OverBudget:
    with ledger.writing() as transaction:
        return transaction.reserve(new, caps)


def walk(ledger: SqliteLedger, number: int, *events: Event, **facts: object) -> Attempt:
    """Take several steps; the facts go with the last one."""
    with ledger.writing() as transaction:
        for event in events[:-1]:
            more = {"blob": BLOB, "size": 3} if event is Event.FETCH else {}
            transaction.record(f"A{number:05d}", event, 2000.0, **more)
        return transaction.record(f"A{number:05d}", events[-1], 3000.0, **facts)


TO_READY = (Event.SEND, Event.ACCEPT, Event.COMPLETE)


class TestClaims:
    def test_a_reservation_comes_back_with_every_field(self, ledger: SqliteLedger) -> None:
        """Nothing of an attempt is lost on the way to the disk."""
        new = attempt(1, charge=7, duration_s=4.5, raw_answer="é", failure="f", message="m", size=2, intent_at=1.5)
        assert reserve(ledger, new) == Reserved(attempt=new)
        with ledger.reading() as view:
            assert view.attempt(new.id) == new

    def test_a_second_attempt_for_a_live_fingerprint_is_refused(self, ledger: SqliteLedger) -> None:
        """Two payments for one result are what this store exists to prevent."""
        reserve(ledger, attempt(1))
        second = reserve(ledger, attempt(2, fingerprint=attempt(1).fingerprint))
        assert second == Taken(attempt=attempt(1))

    def test_the_file_itself_refuses_a_second_live_attempt(self, ledger: SqliteLedger) -> None:
        """It is a constraint of the store, not a habit of the code."""
        reserve(ledger, attempt(1))
        columns = [row[1] for row in ledger.connection.execute("PRAGMA table_info(attempts)")]
        others = ", ".join(name for name in columns if name not in {"seq", "id"})
        copy = f"INSERT INTO attempts (id, {others}) SELECT 'other', {others} FROM attempts"
        with pytest.raises(sqlite3.IntegrityError), ledger.writing():
            ledger.connection.execute(copy)

    def test_the_constraint_names_exactly_the_states_that_spent_nothing(self, ledger: SqliteLedger) -> None:
        """A state added to the table cannot be forgotten in the schema."""
        sql = ledger.connection.execute("SELECT sql FROM sqlite_master WHERE name = 'one_live_attempt'").fetchone()[0]
        assert {state for state in State if f"'{state.value}'" in sql} == set(SPENT_NOTHING)

    def test_only_what_is_done_and_cost_nothing_is_ever_forgotten(self, ledger: SqliteLedger) -> None:
        """The record of a payment stays for good, whoever asks."""
        reserve(ledger, attempt(1))
        reserve(ledger, attempt(2, generation_id="g2"))
        walk(ledger, 1, Event.MAKE, blob=BLOB, size=3, charge=0)
        walk(ledger, 1, Event.PUBLISH)
        walk(ledger, 2, *TO_READY, Event.FETCH, Event.PUBLISH)
        with ledger.writing() as transaction:
            for number in (1, 2, 3):
                transaction.forget(f"A{number:05d}")
        with ledger.reading() as view:
            assert (view.attempt("A00001"), view.attempt("A00002") is None) == (None, False)
            assert list(view.results(NAMESPACE)) == [attempt(2).fingerprint]
        assert isinstance(reserve(ledger, attempt(1)), Reserved)

    def test_another_namespace_never_holds_a_fingerprint(self, ledger: SqliteLedger) -> None:
        """A sandbox result cannot stand for a paid one."""
        reserve(ledger, attempt(1))
        elsewhere = attempt(2, fingerprint=attempt(1).fingerprint, namespace="sandbox")
        assert isinstance(reserve(ledger, elsewhere), Reserved)
        with ledger.reading() as view:
            assert view.namespaces() == [NAMESPACE, "sandbox"]

    @pytest.mark.parametrize(
        "events",
        [
            (Event.SEND, Event.REJECT),
            (Event.SEND, Event.DOUBT, Event.PROVE_ABSENT),
            (Event.SEND, Event.ACCEPT, Event.FAIL),
            (Event.RELEASE,),
        ],
    )
    def test_a_fingerprint_is_free_again_when_nothing_was_spent(
        self, ledger: SqliteLedger, events: tuple[Event, ...]
    ) -> None:
        """A refused job may be sent anew."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, *events)
        assert isinstance(reserve(ledger, attempt(2, fingerprint=attempt(1).fingerprint)), Reserved)

    def test_a_lost_attempt_blocks_until_the_user_sets_it_aside(self, ledger: SqliteLedger) -> None:
        """Paying again for a result that was charged needs the user's word, and the old cost goes on counting."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, *TO_READY, Event.LOSE, charge=90)
        again = attempt(2, fingerprint=attempt(1).fingerprint)
        assert isinstance(reserve(ledger, again), Taken)
        with ledger.writing() as transaction:
            transaction.set_aside("A00001", 9.0, who="ada", why="the shot is needed")
        assert isinstance(reserve(ledger, again), Reserved)
        with ledger.reading() as view:
            assert view.spent(NAMESPACE) == Spent(charged=90, held=100, in_doubt=0)
            assert view.history("A00001")[-1].detail == {"who": "ada", "why": "the shot is needed"}

    def test_a_live_attempt_cannot_be_set_aside(self, ledger: SqliteLedger) -> None:
        """Only a decision already taken frees a fingerprint."""
        reserve(ledger, attempt(1))
        with pytest.raises(IllegalTransition), ledger.writing() as transaction:
            transaction.set_aside("A00001", 9.0)

    def test_of_two_processes_that_claim_the_same_hundred_results_each_is_won_once(self, tmp_path: Path) -> None:
        """The claim is decided by the file, between processes."""
        script = """
import sys
from pathlib import Path
from kling_render.lifecycle.records import Reserved
from kling_render.store.opening import Store
from tests.store.support import attempt
me = int(sys.argv[2])
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(100):
        new = attempt(n * 2 + me, fingerprint=f"{n:064x}")
        with store.ledger.writing() as ledger:
            won = isinstance(ledger.reserve(new, ()), Reserved)
        if won:
            print(n, flush=True)
"""
        children = [start(script, tmp_path / "store", str(number)) for number in (0, 1)]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        outputs = [child.communicate("go\n", timeout=30)[0] for child in children]
        won = [int(line) for output in outputs for line in output.split()]
        assert sorted(won) == list(range(100))

    def test_only_one_of_two_takes_an_orphan_over(self, ledger: SqliteLedger) -> None:
        """A dead owner's job gets one new driver."""
        reserve(ledger, attempt(1))
        with ledger.writing() as transaction:
            assert transaction.take_over("A00001", "owner-2", "owner-1")
            assert not transaction.take_over("A00001", "owner-3", "owner-1")
            assert transaction.owners_of_open(NAMESPACE) == {"owner-2"}

    def test_what_another_machine_paid_for_is_adopted_over_any_cap(self, ledger: SqliteLedger) -> None:
        """The money is spent; what matters is that it is known."""
        found = attempt(1, state=State.ACCEPTED, generation_id="g1", hold=None, charge=500)
        with ledger.writing() as transaction:
            assert transaction.adopt(found, 5.0, why="log") == Reserved(attempt=found)
            assert isinstance(transaction.adopt(replace(found, id="other"), 6.0), Taken)
            assert transaction.known_generations(NAMESPACE) == {"g1": "A00001"}
            assert transaction.by_generation(NAMESPACE, "g1") == found

    def test_bytes_that_another_machine_has_fetched_are_the_result_at_once(self, ledger: SqliteLedger) -> None:
        """An imported attempt brings its blob along; nothing has to be polled for."""
        found = attempt(1, state=State.DONE, generation_id="g1", charge=90, blob=BLOB, size=3)
        with ledger.writing() as transaction:
            transaction.adopt(found, 5.0)
            result = transaction.result(NAMESPACE, found.fingerprint)
            assert isinstance(transaction.reserve(attempt(2, fingerprint=found.fingerprint), ()), Taken)
        assert result is not None
        assert (result.blob, result.charge, result.attempt) == (BLOB, 90, found.id)


class TestBudget:
    def test_holds_of_one_transaction_count_against_the_next_reservation_in_it(self, ledger: SqliteLedger) -> None:
        """Shared commits must not overlook each other."""
        cap = Cap(name="budget.total_usd", limit=250)
        with ledger.writing() as transaction:
            outcomes = [transaction.reserve(attempt(n), [cap]) for n in range(3)]
        assert [type(outcome) for outcome in outcomes] == [Reserved, Reserved, OverBudget]
        assert outcomes[2] == OverBudget(cap=cap, committed=200, in_doubt=0, asked=100)

    def test_a_charge_takes_the_place_of_its_hold(self, ledger: SqliteLedger) -> None:
        """What the provider reported counts, more or less than the estimate."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, *TO_READY, charge=160)
        refused = reserve(ledger, attempt(2), Cap(name="c", limit=259))
        assert isinstance(refused, OverBudget)
        assert refused.committed == 160
        assert isinstance(reserve(ledger, attempt(2), Cap(name="c", limit=260)), Reserved)

    def test_a_hold_in_doubt_stays_and_is_named(self, ledger: SqliteLedger) -> None:
        """Nobody knows whether it was charged, so it cannot be spent again."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, Event.SEND, Event.DOUBT)
        refused = reserve(ledger, attempt(2), Cap(name="c", limit=150))
        assert isinstance(refused, OverBudget)
        assert (refused.committed, refused.in_doubt) == (100, 100)

    def test_a_finished_attempt_without_a_reported_charge_keeps_its_hold(self, ledger: SqliteLedger) -> None:
        """An unreported cost is not a cost of nothing."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, *TO_READY, Event.FETCH, Event.PUBLISH)
        with ledger.reading() as view:
            assert view.spent(NAMESPACE) == Spent(charged=0, held=100, in_doubt=0)

    def test_a_charge_that_only_the_books_knew_takes_the_place_of_the_hold(self, ledger: SqliteLedger) -> None:
        """Also in the result and what was kept from it; a charge that was reported is never overwritten."""
        reserve(ledger, attempt(1))
        done = walk(ledger, 1, *TO_READY, Event.FETCH, blob=BLOB, size=3)
        with ledger.writing() as transaction:
            transaction.keep(NAMESPACE, "f" * 64, done.fingerprint, 5.0)
            assert transaction.book(done.id, 180, 6.0, account="acc")
            assert not transaction.book(done.id, 999, 7.0)
        with ledger.reading() as view:
            assert view.spent(NAMESPACE) == Spent(charged=180, held=0, in_doubt=0)
            results = [view.result(NAMESPACE, key) for key in (done.fingerprint, "f" * 64)]
            assert [result and result.charge for result in results] == [180, 180]
            booked = [one for one in view.history(done.id) if one.event == "booked"]
            assert [(one.at, one.detail) for one in booked] == [(6.0, {"charge": 180, "account": "acc"})]

    def test_a_rejected_attempt_frees_its_hold(self, ledger: SqliteLedger) -> None:
        """Nothing was spent."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, Event.SEND, Event.REJECT)
        with ledger.reading() as view:
            assert view.spent(NAMESPACE).committed == 0

    def test_an_unknown_price_fits_under_no_cap(self, ledger: SqliteLedger) -> None:
        """Neither one's own nor that of a job that runs."""
        cap = Cap(name="c", limit=10**12)
        refused = reserve(ledger, attempt(1, hold=None), cap)
        assert isinstance(refused, OverBudget)
        assert refused.asked is None
        reserve(ledger, attempt(1, hold=None))
        refused = reserve(ledger, attempt(2), cap)
        assert isinstance(refused, OverBudget)
        assert refused.unpriced == 1

    @pytest.mark.parametrize(
        ("cap", "fits"),
        [
            (Cap(name="project", limit=150, project_folder="/other"), True),
            (Cap(name="project", limit=150, project_folder="/project"), False),
            (Cap(name="run", limit=150, run="run-2"), True),
            (Cap(name="run", limit=150, run="run-1"), False),
            (Cap(name="day", limit=150, since=1002.0), True),
            (Cap(name="day", limit=150, since=1001.0), False),
        ],
    )
    def test_a_cap_counts_its_own_scope_only(self, ledger: SqliteLedger, cap: Cap, fits: bool) -> None:
        """A project's budget is not spent by its neighbour."""
        reserve(ledger, attempt(1))
        new = attempt(2, folder=cap.project_folder or "/project", run=cap.run or "run-1")
        assert isinstance(reserve(ledger, new, cap), Reserved) is fits

    def test_the_caps_of_another_project_neither_bind_nor_count(self, ledger: SqliteLedger) -> None:
        """Two projects reserve in one transaction, under the caps of both: each is held to its own."""
        caps = [Cap(name=name, limit=150, project_folder=name) for name in ("/project", "/other")]
        with ledger.writing() as transaction:
            outcomes = [
                transaction.reserve(attempt(n, folder=folder), caps)
                for n, folder in enumerate(["/project", "/other", "/project", "/elsewhere"])
            ]
        assert [type(outcome) for outcome in outcomes] == [Reserved, Reserved, OverBudget, Reserved]
        assert outcomes[2] == OverBudget(cap=caps[0], committed=100, in_doubt=0, asked=100)


class TestSteps:
    def test_a_step_out_of_the_table_changes_nothing(self, ledger: SqliteLedger) -> None:
        """The table decides, the store obeys."""
        reserve(ledger, attempt(1))
        with pytest.raises(IllegalTransition), ledger.writing() as transaction:
            transaction.record("A00001", Event.ACCEPT, 5.0, generation_id="g")
        with ledger.reading() as view:
            assert view.attempt("A00001") == attempt(1)

    def test_facts_that_identify_an_attempt_cannot_be_changed(self, ledger: SqliteLedger) -> None:
        """A hold or a fingerprint that moves would break the books."""
        reserve(ledger, attempt(1))
        for name in ("hold", "fingerprint", "namespace", "no_such_field"):
            with pytest.raises(TypeError, match=name), ledger.writing() as transaction:
                transaction.record("A00001", Event.SEND, 5.0, **{name: 1})

    def test_steps_fill_in_their_times_and_are_kept_as_history(self, ledger: SqliteLedger) -> None:
        """Every step can be told afterwards."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, Event.SEND, Event.ACCEPT, generation_id="g1", raw_answer="{}", detail={"proof": 1})
        with ledger.reading() as view:
            now = view.attempt("A00001")
            history = view.history("A00001")
        assert now is not None
        assert (now.intent_at, now.accepted_at, now.ended_at) == (2000.0, 3000.0, None)
        assert [step.event for step in history] == ["reserve", "send", "accept"]
        assert history[-1].detail == {"generation_id": "g1", "proof": 1}

    def test_text_of_the_server_that_no_database_takes_does_not_lose_an_id(self, ledger: SqliteLedger) -> None:
        """JSON may carry half a surrogate pair."""
        reserve(ledger, attempt(1))
        facts = {"generation_id": "g1", "raw_answer": "\ud800", "detail": {"x": "\udfff"}}
        after = walk(ledger, 1, Event.SEND, Event.ACCEPT, **facts)
        with ledger.reading() as view:
            assert view.attempt("A00001") == after
        assert after.raw_answer == "\\ud800"

    def test_a_path_that_cannot_be_stored_is_refused_before_anything_is_paid(self, ledger: SqliteLedger) -> None:
        """The result could not be published later."""
        with pytest.raises(StoreFault, match="Unicode"):
            reserve(ledger, attempt(1, folder="/project\udcff"))

    def test_a_released_claim_leaves_nothing(self, ledger: SqliteLedger) -> None:
        """A planned job has no row."""
        reserve(ledger, attempt(1))
        assert walk(ledger, 1, Event.RELEASE).state is State.PLANNED
        with ledger.reading() as view:
            assert view.attempt("A00001") is None
            assert view.history("A00001") == []

    def test_fetched_bytes_become_the_result(self, ledger: SqliteLedger) -> None:
        """Any job with the fingerprint may use them."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, Event.SEND, Event.ACCEPT, generation_id="g1")
        walk(ledger, 1, Event.COMPLETE, charge=80, result_url="https://cdn/x")
        walk(ledger, 1, Event.FETCH, blob=BLOB, size=3)
        with ledger.reading() as view:
            result = view.result(NAMESPACE, attempt(1).fingerprint)
            assert result is not None
            assert (result.blob, result.size, result.charge, result.generation_id) == (BLOB, 3, 80, "g1")
            assert view.results(NAMESPACE) == {result.fingerprint: result}
            assert view.results("sandbox") == {}

    def test_a_state_that_promises_bytes_needs_them(self, ledger: SqliteLedger) -> None:
        """FETCHED without a blob would be a lie."""
        reserve(ledger, attempt(1))
        with pytest.raises(ValueError, match="blob"):
            walk(ledger, 1, *TO_READY, Event.FETCH)
        with ledger.reading() as view:
            assert view.attempt("A00001") == attempt(1)

    def test_damaged_bytes_that_are_fetched_again_serve_kept_results_too(self, ledger: SqliteLedger) -> None:
        """A re-fetch follows every fingerprint that uses the result."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, *TO_READY, Event.FETCH, blob=BLOB, size=3)
        with ledger.writing() as transaction:
            kept = transaction.keep(NAMESPACE, "f" * 64, attempt(1).fingerprint, 5.0, who="ada")
            assert kept is not None
        done = walk(ledger, 1, Event.PUBLISH)
        assert reserve(ledger, attempt(2, fingerprint="f" * 64)) == Taken(attempt=done)
        walk(ledger, 1, Event.REFETCH)
        walk(ledger, 1, Event.FETCH, blob="c" * 64, size=4)
        with ledger.reading() as view:
            assert {result.blob for result in view.results(NAMESPACE).values()} == {"c" * 64}

    def test_keeping_a_result_can_be_undone(self, ledger: SqliteLedger) -> None:
        """A cosmetic edit was not cosmetic after all."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, *TO_READY, Event.FETCH, blob=BLOB, size=3)
        with ledger.writing() as transaction:
            transaction.keep(NAMESPACE, "f" * 64, attempt(1).fingerprint, 5.0)
            assert transaction.unkeep(NAMESPACE, "f" * 64, 6.0)
            assert not transaction.unkeep(NAMESPACE, attempt(1).fingerprint, 6.0)
        assert isinstance(reserve(ledger, attempt(2, fingerprint="f" * 64)), Reserved)

    def test_a_lost_result_is_no_result_and_is_listed_until_acknowledged(self, ledger: SqliteLedger) -> None:
        """A loss is never silent."""
        reserve(ledger, attempt(1))
        walk(ledger, 1, *TO_READY, Event.FETCH, Event.REFETCH, Event.LOSE)
        with ledger.writing() as transaction:
            assert transaction.result(NAMESPACE, attempt(1).fingerprint) is None
            assert [lost.id for lost in transaction.unacknowledged(NAMESPACE)] == ["A00001"]
            transaction.acknowledge("A00001", 9.0, who="ada")
            assert transaction.unacknowledged(NAMESPACE) == []

    def test_open_attempts_come_oldest_first_and_the_latest_wins(self, ledger: SqliteLedger) -> None:
        """The order is that of the reservations, not of a clock."""
        reserve(ledger, attempt(1, reserved_at=50.0))
        walk(ledger, 1, Event.SEND, Event.REJECT)
        reserve(ledger, attempt(2, fingerprint=attempt(1).fingerprint, reserved_at=10.0))
        reserve(ledger, attempt(3, reserved_at=5.0))
        with ledger.reading() as view:
            assert [found.id for found in view.open_attempts(NAMESPACE)] == ["A00002", "A00003"]
            assert view.latest(NAMESPACE)[attempt(1).fingerprint].id == "A00002"

    def test_reads_of_the_log_and_facts_are_remembered(self, ledger: SqliteLedger) -> None:
        """What was read counts across runs."""
        reads = [
            LogRead(namespace=NAMESPACE, account="acc", start=0.0, end=9.0, at=at, newest_own=None)
            for at in (20.0, 10.0, 30.0)
        ]
        with ledger.writing() as transaction:
            for read in reads:
                transaction.add_log_read(read)
            transaction.learn("log lists running")
            transaction.learn("log lists running")
        with ledger.reading() as view:
            assert [read.at for read in view.log_reads(NAMESPACE, "acc", 15.0)] == [20.0, 30.0]
            assert view.log_reads(NAMESPACE, "other", 0.0) == []
            assert view.knows("log lists running")
            assert not view.knows("anything else")
