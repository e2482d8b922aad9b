"""Keeping meets other attempts: what somebody renders meanwhile is left alone, a dead claim is let go."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from kling_render.lifecycle.records import Attempt, Reserved
from kling_render.lifecycle.states import State
from kling_render.planning.records import PlannedJob
from kling_render.store.opening import Store
from kling_render.workspace.doubts.resolving import Decision
from kling_render.workspace.plans.keeping import Keepable, Offer, keep, undo
from tests.planning.build import World, job, request

SPACE = "https://api.example.com"
DECISION = Decision(by="ada@studio", at=50.0, why="a comma")


def attempt(planned: PlannedJob, name: str, state: State, **more: object) -> Attempt:
    base = Attempt(
        id=name,
        namespace=SPACE,
        fingerprint=planned.key,
        client_request_id=name,
        account="a",
        state=state,
        owner="",
        run="r",
        job=planned.job.id,
        project="p",
        folder="/p",
        output="/p/t.mp4",
        final="/p/f.mp4",
        root="/p",
        manifest=planned.manifest_json,
        model=planned.job.request.model,
        hold=10,
    )
    return replace(base, **more)  # type: ignore[arg-type] # fields by name


def offered(store: Store) -> tuple[Offer, PlannedJob]:
    """An edited job whose earlier result is in the ledger."""
    old, new = (World().one(job(request=request(prompt=text))) for text in ("a fox", "a fox."))
    done = attempt(old, "OLD", State.DONE, blob="b" * 64, size=7, charge=9, generation_id="g")
    with store.ledger.writing() as ledger:
        ledger.adopt(done, 10.0)
        result = ledger.result(SPACE, old.key)
    assert result is not None
    return Offer(jobs=(Keepable(planned=new, result=result, changes=()),), left=()), new


def test_a_kept_result_has_who_when_and_why_and_can_be_taken_back(tmp_path: Path) -> None:
    """Both steps stand in the history; a job that kept nothing is no part of the undoing."""
    with Store.open(tmp_path / "store") as store:
        offer, new = offered(store)
        assert offer.saves_usd == Decimal("0.448")
        assert [one.planned for one in keep(store, offer, SPACE, DECISION).jobs] == [new]
        other = World().one(job("sc020"))
        undone = undo(store, [new, other], SPACE, replace(DECISION, at=60.0))
        assert [one.planned for one in undone] == [new]
        with store.ledger.reading() as ledger:
            events = [(t.event, t.at, t.detail["by"], t.detail["why"]) for t in ledger.history("OLD")[1:]]
            assert ledger.result(SPACE, new.key) is None
        assert events == [("keep", 50.0, "ada@studio", "a comma"), ("unkeep", 60.0, "ada@studio", "a comma")]


def test_what_is_rendered_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """An attempt that may have been paid for, or a claim of a process that lives, wins."""
    for state in (State.ACCEPTED, State.RESERVED):
        with Store.open(tmp_path / state.value) as store:
            offer, new = offered(store)
            owner = store.register("me")
            live = attempt(new, "LIVE", state, owner="me", generation_id="g2" if state is State.ACCEPTED else None)
            with store.ledger.writing() as ledger:
                if state is State.RESERVED:
                    assert isinstance(ledger.reserve(live, ()), Reserved)
                else:
                    ledger.adopt(live, 20.0)
            kept = keep(store, offer, SPACE, DECISION)
            assert (kept.jobs, [state.value in left.why for left in kept.left]) == ((), [True])
            owner.release()


def test_a_dead_claim_for_which_nothing_was_sent_is_let_go(tmp_path: Path) -> None:
    """Its process is gone, so nobody pays for it any more."""
    with Store.open(tmp_path / "store") as store:
        offer, new = offered(store)
        with store.ledger.writing() as ledger:
            ledger.reserve(attempt(new, "DEAD", State.RESERVED, owner="gone"), ())
        assert len(keep(store, offer, SPACE, DECISION).jobs) == 1
        with store.ledger.reading() as ledger:
            assert ledger.attempt("DEAD") is None
