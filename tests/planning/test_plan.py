"""Decisions and reasons: one job in a small world, then several that touch each other."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import pytest

from kling_render.errors import Place
from kling_render.lifecycle.states import State
from kling_render.planning.manifest import InputIdentity
from kling_render.planning.prices import free_price
from kling_render.planning.records import (
    SENTENCES,
    Action,
    Pick,
    PlannedJob,
    Reason,
    ReasonCode,
    reason,
)
from kling_render.shotlist.records import InputRef, Job
from tests.planning.build import CLIPS, PRICE, World, digest, identity, job, place, project


def codes(planned: PlannedJob) -> list[str]:
    return [r.code.value for r in planned.reasons]


def outcome(planned: PlannedJob) -> tuple[str, list[str]]:
    return planned.action.value, codes(planned)


def edited(of: Job, **changes: object) -> Job:
    return replace(of, request=replace(of.request, **changes))  # type: ignore[arg-type]


def test_every_reason_has_a_sentence() -> None:
    """The list of reasons is closed."""
    assert set(SENTENCES) == set(ReasonCode)


def test_a_new_job_is_rendered() -> None:
    """Nothing is known about it."""
    planned = World().one(job())
    assert outcome(planned) == ("render", ["new"])
    assert (planned.estimate_usd, planned.up_to_usd, planned.duration_s) == (
        Decimal("0.4480"),
        Decimal("0.448"),
        Decimal("4.0"),
    )
    assert planned.key == planned.fingerprint


def test_a_published_result_is_up_to_date() -> None:
    """Take and final hold the result's bytes: nothing to do, nothing to say."""
    world = World()
    result = world.render(job())
    planned = world.one(job())
    assert outcome(planned) == ("up-to-date", [])
    assert planned.result == result
    assert planned.final_sha256 == result.blob


@pytest.mark.parametrize(
    ("path", "bytes_there", "code"),
    [
        ("renders/takes/sc010/fox/wave_t01.mp4", None, "output-missing"),
        ("renders/takes/sc010/fox/wave_t01.mp4", "other", "output-edited"),
        ("renders/sc010/fox/wave.mp4", None, "final-missing"),
        ("renders/sc010/fox/wave.mp4", "other", "final-differs"),
    ],
)
def test_a_deleted_or_edited_output_is_restored(path: str, bytes_there: str | None, code: str) -> None:
    """The store holds the bytes, so it costs nothing."""
    world = World()
    world.render(job())
    del world.files[path]
    if bytes_there:
        world.files[path] = bytes_there
    plan = world.plan(project(job()))
    assert outcome(plan.jobs[0]) == ("restore", [code])
    assert plan.totals.estimate_usd == 0


EDITS = [
    ({"prompt": "a fox bows"}, "prompt-changed", "prompts/sc010.j2:1"),
    ({"video": CLIPS["spin"]}, "clip-changed", "shotlist.yaml:5"),
    ({"start": Decimal(1), "end": Decimal(5)}, "trim-changed", "shotlist.yaml:5"),
    ({"model": "klingai/video-v3-motion-control"}, "model-changed", "shotlist.yaml:8"),
    ({"orientation": "video"}, "option-changed", "shotlist.yaml:8"),
    ({"keep_audio": False}, "option-changed", "shotlist.yaml:8"),
    ({"params": (("mode", "pro"),)}, "option-changed", "shotlist.yaml:8"),
]


@pytest.mark.parametrize(("changes", "code", "at"), EDITS)
def test_an_edit_is_named_with_its_place(changes: dict[str, object], code: str, at: str) -> None:
    """Compared with the newest earlier result of the same job id."""
    world = World()
    world.facts["earlier"] = {job().id: world.one(job()).manifest_json}
    world.render(job())
    planned = world.one(edited(job(), **changes))
    assert outcome(planned) == ("render", [code])
    assert planned.reasons[0].at == at


def test_new_bytes_under_the_same_name_are_an_edit_of_the_image() -> None:
    """The file kept its name; its content did not keep its digest."""
    world = World()
    world.facts["earlier"] = {job().id: world.one(job()).manifest_json}
    world.facts["identities"] = lambda ref: (
        InputIdentity(digest("new fox")) if ref.shown == "fox.png" else identity(ref)
    )
    planned = world.one(job())
    assert (codes(planned), planned.reasons[0].at) == (["image-changed"], "shotlist.yaml:3")


def test_an_option_is_shown_with_both_values() -> None:
    """Old and new value, as the shot list writes them."""
    world = World()
    world.facts["earlier"] = {job().id: world.one(job()).manifest_json}
    both = edited(job(), keep_audio=False, params=(("mode", "pro"),))
    texts = [r.text for r in world.one(both).reasons]
    assert texts == ["keep_audio: true → false", "mode: default → pro"]


def test_going_back_to_an_earlier_request_restores_it() -> None:
    """Results are kept by request: undoing an edit costs nothing."""
    world = World()
    world.render(job())
    world.render(edited(job(), prompt="else"))
    world.files["renders/takes/sc010/fox/wave_t01.mp4"] = "else"
    assert outcome(world.one(job())) == ("restore", ["output-edited"])


STATES = {
    State.RESERVED: ("render", ["new"]),  # nothing was sent: going on spends
    State.INTENT: ("resume", ["running"]),
    State.ACCEPTED: ("resume", ["running"]),
    State.STALLED: ("resume", ["running"]),
    State.READY: ("resume", ["ready"]),
    State.FETCHED: ("resume", ["fetched"]),
    State.IN_DOUBT: ("resume", ["in-doubt"]),
    State.NEEDS_USER: ("blocked", ["needs-user"]),
    State.PAID_LOST: ("blocked", ["paid-lost"]),
    State.ABANDONED: ("blocked", ["abandoned"]),
    State.REJECTED: ("render", ["failed-before"]),
    State.REMOTE_FAILED: ("render", ["failed-before"]),
    State.ABSENT: ("render", ["failed-before"]),
    State.DONE: ("resume", ["ready"]),
    State.PLANNED: ("render", ["new"]),
}


@pytest.mark.parametrize("state", State)
def test_the_newest_attempt_decides(state: State) -> None:
    """Every state has an answer, and no state that may have been paid leads to a new payment."""
    world = World()
    world.attempt(job(), state)
    assert outcome(world.one(job())) == STATES[state]


def test_open_work_comes_before_an_existing_result() -> None:
    """Damaged stored bytes are fetched again although a result is on record."""
    world = World()
    world.render(job())
    world.attempt(job(), State.READY)
    assert world.one(job()).action is Action.RESUME


@pytest.mark.parametrize("state", [State.DONE, State.PAID_LOST, State.ABANDONED, State.REMOTE_FAILED])
def test_a_result_settles_a_closed_attempt(state: State) -> None:
    """An adopted result is as good as any, whatever became of the last attempt."""
    world = World()
    world.render(job())
    world.attempt(job(), state)
    assert world.one(job()).action is Action.UP_TO_DATE


def test_a_failure_is_told_in_its_own_words() -> None:
    """The provider's message is in the reason, in one line and of bounded length."""
    world = World()
    world.attempt(job(), State.REMOTE_FAILED, message="two people\nin the clip" + "!" * 500)
    text = world.one(job()).reasons[0].text
    assert text.startswith("the last attempt failed: two people in the clip")
    assert len(text) < 260


def test_a_failure_may_be_held_back() -> None:
    """A content refusal is not tried again by itself."""
    world = World()
    world.attempt(job(), State.REMOTE_FAILED, failure="content")
    world.facts["held_back"] = lambda attempt: "refused for its content" if attempt.failure == "content" else None
    planned = world.one(job())
    assert outcome(planned) == ("blocked", ["held-back"])
    assert planned.reasons[0].text == "refused for its content"


def test_a_blocked_job_says_why() -> None:
    """What cannot be rendered is counted and not billed; an existing result is still published."""
    world = World()
    why = (reason(ReasonCode.BLOCKED, "the clip cannot be fetched", place(5)),)
    world.facts["blocked"] = {job().id: why}
    plan = world.plan(project(job()))
    assert (plan.jobs[0].action, plan.jobs[0].reasons) == (Action.BLOCKED, why)
    assert (plan.totals.blocked, plan.totals.estimate_usd) == (1, Decimal(0))
    world.render(job(), publish=False)
    assert world.one(job()).action is Action.RESTORE


def test_a_request_shared_by_several_jobs_is_paid_once() -> None:
    """The first renders, the others take over its result."""
    twins = [replace(job(shot), request=job().request) for shot in ("sc010", "sc020", "sc030")]
    plan = World().plan(project(*twins))
    assert [p.action.value for p in plan.jobs] == ["render", "adopt", "adopt"]
    assert plan.jobs[1].reasons == (
        Reason(ReasonCode.SHARED, "the same request as sc010/fox/wave/t01, rendered and paid once"),
    )
    assert plan.totals.estimate_usd == Decimal("0.448")
    assert plan.totals.saved_usd == Decimal("0.896")


def test_a_shared_request_is_rendered_by_the_selected_job() -> None:
    """A job that is not selected cannot be the one that renders."""
    twins = [replace(job(shot), request=job().request) for shot in ("sc010", "sc020")]
    plan = World().plan(project(*twins), select=lambda j: j.shot == "sc020")
    assert [(p.job.shot, p.action.value) for p in plan.jobs] == [("sc020", "render")]


def test_a_shared_request_under_way_is_resumed_once() -> None:
    """One attempt is followed by one job."""
    twins = [replace(job(shot), request=job().request) for shot in ("sc010", "sc020")]
    world = World()
    world.attempt(twins[0], State.ACCEPTED)
    assert [p.action.value for p in world.plan(project(*twins)).jobs] == ["resume", "adopt"]


def test_a_free_provider_may_tell_equal_requests_apart() -> None:
    """The result key can hold more than the request: a rehearsal shows the job's own label."""
    twins = [replace(job(shot), request=job().request) for shot in ("sc010", "sc020")]
    world = World()
    world.facts |= {"key": lambda j, print_: f"{print_}:{j.id}", "prices": lambda r: free_price(r.model)}
    plan = world.plan(project(*twins))
    assert [p.action.value for p in plan.jobs] == ["render", "render"]
    assert plan.jobs[0].fingerprint == plan.jobs[1].fingerprint
    assert plan.totals.estimate_usd == 0


def test_priority_comes_first_then_the_order_of_the_list() -> None:
    """Higher renders first; equals stay as listed."""
    jobs = [job("a"), job("b", priority=5), job("c"), job("d", priority=5)]
    assert [p.job.shot for p in World().plan(project(*jobs)).jobs] == ["b", "d", "a", "c"]


def test_the_final_belongs_to_the_lowest_finished_take() -> None:
    """Without a pick the first take that is done provides it, also when that take is not selected."""
    one, two, three = (job(take=n) for n in (1, 2, 3))
    world = World()
    world.render(three)
    assert world.plan(project(one, two, three)).jobs[2].final_sha256 == digest(f"out {three.id}")
    world.render(two, publish=False)
    plan = world.plan(project(one, two, three))
    assert [outcome(p) for p in plan.jobs] == [
        ("render", ["new"]),
        ("restore", ["output-missing", "final-differs"]),
        ("up-to-date", []),
    ]
    alone = world.plan(project(one, two, three), select=lambda j: j.take == 3)
    assert [(p.action.value, p.final_sha256) for p in alone.jobs] == [("up-to-date", None)]


def test_a_pick_decides_the_final() -> None:
    """The picked take provides the final whatever its number."""
    one, two = job(take=1), job(take=2)
    world = World()
    world.render(one)
    picked = world.render(two)
    world.facts["picked"] = {one.cell: Pick(2, picked.blob)}
    plan = world.plan(project(one, two))
    assert [outcome(p) for p in plan.jobs] == [("up-to-date", []), ("restore", ["final-differs"])]
    assert plan.jobs[1].final_sha256 == picked.blob


def test_an_edit_does_not_render_a_picked_cell() -> None:
    """All its rendered takes are protected; a further take is a wish of its own and is rendered."""
    one, two, three = (job(take=n) for n in (1, 2, 3))
    world = World()
    world.facts["earlier"] = {j.id: world.one(j).manifest_json for j in (one, two)}
    picked = world.render(one)
    world.render(two)
    world.facts["picked"] = {one.cell: Pick(1, picked.blob)}
    plan = world.plan(project(*(edited(j, prompt="else") for j in (one, two, three))))
    assert [outcome(p) for p in plan.jobs] == [
        ("pinned", ["picked"]),
        ("pinned", ["picked"]),
        ("render", ["new"]),
    ]
    assert plan.jobs[0].result == picked
    assert (plan.totals.pinned, plan.totals.estimate_usd) == (2, Decimal("0.448"))


def test_a_picked_take_is_restored_with_the_picked_bytes() -> None:
    """Even after an edit, a deleted final comes back from the store as it was picked."""
    world = World()
    picked = world.render(job())
    world.facts |= {
        "earlier": {job().id: world.one(job()).manifest_json},
        "picked": {job().cell: Pick(1, picked.blob)},
    }
    del world.files["renders/sc010/fox/wave.mp4"]
    planned = world.one(edited(job(), prompt="else"))
    assert outcome(planned) == ("restore", ["picked", "final-missing"])
    assert (planned.result, planned.final_sha256) == (picked, picked.blob)


def test_a_pick_that_the_store_does_not_hold_stays() -> None:
    """Chosen from a file or on another machine: protected, though there is nothing to restore it from."""
    world = World()
    world.facts["picked"] = {job().cell: Pick(1, digest("elsewhere"))}
    assert outcome(world.one(job())) == ("pinned", ["picked"])


def test_an_unknown_price_leaves_the_total_open() -> None:
    """One job without a price makes the sum unknown, not smaller."""
    v3 = edited(job("sc020"), model="klingai/video-v3-motion-control")
    world = World()
    world.facts["prices"] = lambda r: PRICE if r.model == PRICE.model else None
    plan = world.plan(project(job(), v3))
    assert plan.prices == (PRICE,)
    assert [p.estimate_usd for p in plan.jobs] == [Decimal("0.4480"), None]
    assert (plan.totals.estimate_usd, plan.totals.up_to_usd) == (None, None)


def test_an_unknown_duration_leaves_the_cost_open() -> None:
    """An unchecked remote clip has a price per second and no seconds."""
    world = World()
    world.facts["seconds"] = lambda _request: None
    assert world.one(job()).estimate_usd is None


def test_every_fact_is_asked_for_once_per_input() -> None:
    """Identities, lengths and prices are not asked for again for each job of the matrix."""
    asked: list[str] = []
    world = World()

    def note_identity(ref: InputRef) -> InputIdentity:
        asked.append(ref.shown)
        return identity(ref)

    def note_seconds(request: object) -> Decimal:
        asked.append("seconds")
        return Decimal(4)

    world.facts |= {"identities": note_identity, "seconds": note_seconds}
    world.plan(project(*(job(take=take) for take in range(1, 6))))
    assert sorted(asked) == ["fox.png", "seconds", "wave.mp4"]


def test_an_unselected_shot_costs_nothing_to_plan() -> None:
    """Inputs of other shots are not even looked at."""
    elsewhere = InputRef(shown="gone.png", path=None, place=Place("x", 1, 1))  # has no identity
    other = edited(job("sc020"), image=elsewhere)
    plan = World().plan(project(job(), other), select=lambda j: j.shot == "sc010")
    assert len(plan.jobs) == 1


def test_ten_thousand_jobs_are_planned_quickly() -> None:
    """A guard against quadratic work, with room for a slow machine."""
    jobs = [job(f"s{n // 4}", take=n % 4 + 1) for n in range(10_000)]
    began = time.process_time()
    plan = World().plan(project(*jobs))
    assert plan.totals.render == 10_000
    assert time.process_time() - began < 3
