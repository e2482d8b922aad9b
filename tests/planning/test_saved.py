"""A saved plan says what was agreed to, and notices everything that departs from it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.lifecycle.states import State
from kling_render.planning.records import Plan
from kling_render.planning.saved import Departure, NotAPlan, SavedPlan, departures, document, read, save, told
from kling_render.shotlist.records import Job
from tests.planning.build import PRICE, World, job, place, project, request

JOBS = (job(), job(character="robot"), job(shot="sc020"))


def plan_of(*jobs: Job, world: World | None = None, **changes: Any) -> Plan:
    return (world or World()).plan(project(*jobs, **changes))


def agreed(*jobs: Job, **changes: Any) -> SavedPlan:
    return save(plan_of(*(jobs or JOBS), **changes), selectors=(), pilot=False, tool_version="1", made_at="now")


def departed(saved: SavedPlan, now: Plan, tolerance: str = "0") -> list[Departure]:
    return departures(saved, now, now.jobs, tolerance=Decimal(tolerance))


def written(saved: SavedPlan) -> bytes:
    return json.dumps(document(saved)).encode()


def test_what_is_written_is_what_is_read() -> None:
    """Every field comes back."""
    saved = agreed()
    assert read(written(saved)) == saved


def test_nothing_departs_from_a_plan_at_once() -> None:
    """The same facts give no difference."""
    assert departed(agreed(), plan_of(*JOBS)) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_changed_character_is_noticed(data: st.DataObject) -> None:
    """Whatever stands at any place of the file instead: it is refused, or says the same as before."""
    text = written(agreed()).decode()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from('09af"{}[],: \\x')) if data.draw(st.booleans()) else ""
    try:
        found = read((text[:at] + other + text[at + 1 :]).encode())
    except NotAPlan:
        return
    assert found == agreed()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"format": "kling-render.plan/1"}',
        b'{"format": "kling-render.saved-plan/2"}',
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b'{"format": "kling-render.saved-plan/1", "digest": null}',
    ],
)
def test_what_is_no_saved_plan_is_refused(text: bytes) -> None:
    """Never an exception of another kind."""
    with pytest.raises(NotAPlan):
        read(text)


def test_a_plan_with_a_right_digest_and_missing_fields_is_refused() -> None:
    """A digest can be made by anybody."""
    from kling_render.planning import saved as module

    body = {"format": module.FORMAT, "jobs": [{}]}
    for broken in (body, body | {"ceiling_usd": "-1"}, body | {"jobs": 3}):
        with pytest.raises(NotAPlan):
            read(json.dumps(broken | {"digest": module._digest(broken)}).encode())


def test_every_edit_is_named_with_its_place() -> None:
    """Prompt, image, option and paths, each where it is written."""
    before = job()
    edited = replace(
        before,
        request=request(
            image=job(character="robot").request.image,
            prompt="another",
            keep_audio=False,
            params=(("cfg_scale", 0.7),),
        ),
        output="elsewhere.mp4",
    )
    found = {d.what: d for d in departed(agreed(before), plan_of(edited))}
    assert set(found) == {"image", "prompt", "keep_audio", "params.cfg_scale", "output"}
    assert found["prompt"].at == place(1, "prompts/sc010.j2")
    assert found["image"].at == place(3)
    assert str(found["keep_audio"]) == "sc010/fox/wave/t01: keep_audio: true → false"
    assert str(found["params.cfg_scale"]).startswith("sc010/fox/wave/t01: params.cfg_scale: default → ")
    assert found["output"].new == "renders/elsewhere.mp4"


def test_jobs_that_came_and_went_are_differences() -> None:
    """The set of jobs is part of what was agreed to."""
    said = [(d.job, d.old) for d in departed(agreed(JOBS[0], JOBS[1]), plan_of(JOBS[0], JOBS[2]))]
    assert said == [("sc010/robot/wave/t01", "to render"), ("sc020/fox/wave/t01", "not in the plan")]


def test_what_is_done_or_under_way_meanwhile_is_no_difference() -> None:
    """Applying a plan twice is allowed."""
    world = World()
    world.render(JOBS[0])
    world.attempt(JOBS[1], State.ACCEPTED)
    assert departed(agreed(), plan_of(*JOBS, world=world)) == []


def test_a_result_that_is_gone_is_a_difference() -> None:
    """A job that was up to date when the plan was saved, and would be rendered now."""
    world = World()
    world.render(JOBS[0])
    saved = save(plan_of(*JOBS, world=world), selectors=(), pilot=False, tool_version="1", made_at="now")
    assert [d.job for d in departed(saved, plan_of(*JOBS))] == [JOBS[0].id]


@pytest.mark.parametrize(
    ("factor", "tolerance", "refused"),
    [("1.1", "0", True), ("1.1", "0.1", False), ("1.11", "0.1", True), ("0.5", "0", False), ("1", "0", False)],
)
def test_a_price_may_rise_by_the_tolerance(factor: str, tolerance: str, refused: bool) -> None:
    """A lower price harms nobody."""
    risen = replace(PRICE, usd_per_second=Decimal("0.112") * Decimal(factor))
    now = plan_of(*JOBS, world=World(facts={"prices": lambda _request: risen}))
    assert [d.what for d in departed(agreed(), now, tolerance)] == (["price"] * 3 if refused else [])


def test_a_price_that_is_no_longer_known_is_a_difference() -> None:
    """Nor one that is known only now."""
    unknown = World(facts={"prices": lambda _request: None})
    assert [str(d) for d in departed(agreed(JOBS[0]), plan_of(JOBS[0], world=unknown))] == [
        "sc010/fox/wave/t01: price: $0.448 → $?"
    ]
    blind = save(plan_of(JOBS[0], world=unknown), selectors=(), pilot=False, tool_version="1", made_at="now")
    assert blind.ceiling_usd is None
    assert [d.what for d in departed(blind, plan_of(JOBS[0]))] == ["price"]


def test_another_project_or_provider_is_told_as_one_difference() -> None:
    """Nothing else could be compared."""
    assert [d.what for d in departed(agreed(), plan_of(*JOBS, name="other"))] == ["project"]


def test_the_ceiling_is_what_the_jobs_cost_at_most() -> None:
    """Clips of 4.0 s: three times the price of four seconds; what is shared counts once."""
    assert agreed().ceiling_usd == Decimal("1.344")
    twin = job(shot="sc030")
    twin = replace(twin, request=JOBS[0].request)
    saved = agreed(JOBS[0], twin)
    assert ([one.shares for one in saved.jobs], saved.ceiling_usd) == ([False, True], Decimal("0.448"))


def test_no_prompt_path_or_address_stands_in_a_saved_plan() -> None:
    """A link may be secret, and a plan is passed around."""
    remote = replace(JOBS[0].request.video, path=None, url="https://cdn.example.com/w.mp4?token=SECRET")
    secret = replace(JOBS[0], request=request(video=remote, prompt="a SECRET prompt"))
    text = written(agreed(secret, folder=Path("/home/SECRET"))).decode()
    assert "SECRET" not in text
    assert "/home" not in text


def test_what_one_edit_did_to_many_jobs_is_said_once() -> None:
    """By place and field, with a few of the jobs; a single difference names its job first."""
    shot, image = place(9), place(3)
    found = [Departure(f"j{n}", "prompt", f"sha256:{n}…", "sha256:x…", shot) for n in range(5)]
    found += [Departure(f"j{n}", "price", "$0.336", "$0.36") for n in range(3)]
    found += [Departure(f"j{n}", "output", f"a/{n}", f"b/{n}", shot) for n in range(2)]
    found += [Departure("j9", "image", "sha256:1…", "sha256:2…", image)]
    found += [Departure("k1", "job", "to render", "no longer in the shot list")]
    found += [Departure("k2", "job", "not in the plan", "to render, about $1.00", None)]
    assert told(found) == [
        ("prompt of 5 jobs is another one (j0, j1, j2 and 2 more)", shot),
        ("price of 3 jobs: $0.336 → $0.36 (j0, j1, j2)", None),
        ("output of 2 jobs: a/0 → b/0, and so on (j0, j1)", shot),
        ("j9: image: sha256:1… → sha256:2…", image),
        ("k1: job: to render → no longer in the shot list", None),
        ("k2: job: not in the plan → to render, about $1.00", None),
    ]
