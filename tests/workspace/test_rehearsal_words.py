"""Claim: a rehearsal burns in id, prompt, take, length, and what the model would take for it, if that is known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kling_render.planning.prices import Price, free_price
from kling_render.workspace.works import works_of
from tests.planning.build import World, job, project

QUOTED = Price("model", Decimal("0.112"), None, "2026-08-01T00:00:00+00:00", "cached")


@pytest.mark.parametrize(("price", "said"), [(QUOTED, "about $0."), (None, "price not known")])
def test_the_words_of_a_rehearsal_name_the_real_price(price: Price | None, said: str) -> None:
    """The rehearsal itself is free, which is not what its viewer wants to know."""
    world = World()
    world.facts["prices"] = lambda request: free_price(request.model)
    rehearsed = project(job(), provider="previz")
    plan = world.plan(rehearsed)
    (work,) = works_of(plan, rehearsed, lambda _request: price)
    name, prompt, rest = work.label
    assert name == plan.jobs[0].job.id
    assert prompt == plan.jobs[0].job.request.prompt
    assert rest.startswith("take 01, ")
    assert " s, " in rest
    assert said in rest
