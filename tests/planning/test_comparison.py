"""Two revisions of a shot list, by fingerprints alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.planning.comparison import (
    Base,
    Change,
    Comparison,
    base_jobs,
    compare,
    comparison_document,
    comparison_text,
    counts_text,
)
from kling_render.planning.prices import Price
from kling_render.planning.records import ReasonCode
from kling_render.shotlist.records import Job, Request
from tests.planning.build import PRICE, identity, job, project


def between(old: list[Job], new: list[Job], price: Price | None = PRICE, **options: Any) -> Comparison:
    def quote(_request: Request) -> Price | None:
        return price

    return compare(
        project(*new),
        Base(ref="main", commit="c" * 40, jobs=base_jobs(old, identity)),
        namespace="https://api.example.com",
        identities=identity,
        seconds=lambda _request: Decimal(4),
        prices=quote,
        **options,
    )


def edited(one: Job, **changes: Any) -> Job:
    return replace(one, request=replace(one.request, **changes))


jobs = st.lists(
    st.tuples(st.sampled_from(["s1", "s2"]), st.sampled_from("abc"), st.sampled_from("wx"), st.sampled_from(["", "!"])),
    max_size=8,
    unique_by=lambda t: t[:3],
).map(lambda found: [edited(job(s, c, m), prompt=f"{s}{c}{m}{mark}") for s, c, m, mark in found])


@settings(max_examples=150, deadline=None)
@given(jobs, jobs)
def test_every_job_of_both_sides_is_counted_once_and_only_new_requests_cost(old: list[Job], new: list[Job]) -> None:
    """The bill is one price per fingerprint that the base did not have."""
    found = between(old, new)
    before, after = base_jobs(old, identity), base_jobs(new, identity)
    fresh = {one.fingerprint for one in after.values()} - {one.fingerprint for one in before.values()}
    assert found.plan.totals.estimate_usd == len(fresh) * Decimal("0.448")
    assert set(found.changes) == set(after)
    gone = {one.job.id for one in found.removed}
    assert gone <= set(before) - set(after)
    assert set(before) - set(after) - gone <= set(found.moved.values())
    same = {name for name in after if name in before and before[name].fingerprint == after[name].fingerprint}
    assert {name for name, change in found.changes.items() if change is Change.UNCHANGED} == same
    assert comparison_text(found).endswith("\n")
    assert len(comparison_document(found)["jobs"]) == len(new)


@settings(max_examples=50, deadline=None)
@given(jobs)
def test_a_revision_compared_with_itself_changes_nothing(one: list[Job]) -> None:
    """Whatever the order."""
    found = between(one, one[::-1])
    assert set(found.changes.values()) <= {Change.UNCHANGED}
    assert (found.removed, found.plan.totals.render) == ((), 0)


def test_what_brought_a_job_is_named() -> None:
    """A new shot, character, motion, value, take or cell."""
    old = [job(values={"place": "roof"}), job(motion="spin", values={"place": "roof"}), job("s9", "robot", "spin")]
    new = {
        "new shot sc020": job("sc020"),
        "new value place: dock": job(values={"place": "dock"}),
        "new take": job(values={"place": "roof"}, take=2),
        "new cell": job("s9", "fox", "spin"),
        "new character owl": job("s9", "owl"),
        "new motion jump": job("s9", motion="jump"),
    }
    found = between(old, [*old, *new.values()])
    reasons = {p.job.id: p.reasons for p in found.plan.jobs}
    assert {text: reasons[one.id][0].text for text, one in new.items()} == {text: text for text in new}
    assert all(reasons[one.id][0].at for one in new.values())


def test_an_edit_is_named_as_a_plan_names_it() -> None:
    """With its place."""
    found = between([job()], [edited(job(), prompt="another")])
    (reason,) = found.plan.jobs[0].reasons
    assert (reason.code, reason.at) == (ReasonCode.PROMPT_CHANGED, "prompts/sc010.j2:1")
    assert counts_text(found) == "1 changed"


def test_an_unknown_price_stays_unknown() -> None:
    """Never a made-up figure."""
    assert between([], [job()], price=None).plan.totals.estimate_usd is None


def test_a_selection_limits_both_sides() -> None:
    """What is not meant is not counted."""
    found = between([job(), job("sc020")], [job("sc030")], chosen={"sc020/fox/wave/t01"})
    assert (dict(found.changes), [one.job.id for one in found.removed]) == ({}, ["sc020/fox/wave/t01"])
