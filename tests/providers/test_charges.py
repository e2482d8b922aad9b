"""The account's charges: every page, exact amounts, and never half of them."""

from __future__ import annotations

import time

import pytest

from kling_render.lifecycle.books import Booking
from kling_render.ports import LogRefused, LogUnavailable
from kling_render.providers.aimlapi import vocabulary
from tests.providers.caller import Caller


def charges(caller: Caller, start: float | None = None, end: float | None = None, page: int = 100) -> list[Booking]:
    """Those of the last hour, or of another window."""
    now = time.time()
    return caller.call(lambda api: api.transactions(start or now - 3600, end or now + 3600, page))


def test_every_page_is_read_by_the_cursor_as_it_came(caller: Caller) -> None:
    """Newest first, each charge once, with the generation's id; outside the window nothing."""
    made = [caller.accepted() for _ in range(5)]
    caller.sandbox.advance(61)
    found = charges(caller, page=2)
    assert sorted(one.reference_id or "" for one in found) == sorted(made)
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    booked = {one["reference_id"]: one["credits"] for one in caller.sandbox.books()["charges"]}
    assert {one.reference_id: one.credits for one in found} == booked
    assert caller.sandbox.books()["requests"]["billing"] >= 3
    assert charges(caller, 1000.0, 2000.0) == []


@pytest.mark.parametrize("fault", ["status,status=500", "html", "drop", "cut,bytes=30", "status,status=429"])
def test_charges_that_cannot_be_read_are_no_charges_at_all(caller: Caller, fault: str) -> None:
    """Half of the books would be worse than none."""
    caller.sandbox.faults(f"billing:{fault}")
    with pytest.raises(LogUnavailable):
        charges(caller)


def test_a_refused_account_is_told_apart(caller: Caller) -> None:
    """The key is the trouble, not the server."""
    caller.sandbox.faults("billing:status,status=401")
    with pytest.raises(LogRefused):
        charges(caller)


def test_a_charge_is_read_exactly() -> None:
    """Credits where they are given, else dollars; without an amount it is no charge."""
    made = {"created_at": "2026-08-17T10:00:00.000Z", "amount": {"usd": 0.336, "credits": 672000}, "model": "m"}
    assert vocabulary.booking(made | {"reference_id": "g"}).credits == 672000
    parsed = vocabulary.json_object('{"amount": {"usd": 0.336}, "created_at": "2026-08-17T10:00:00Z"}')
    assert parsed is not None
    assert (vocabulary.booking(parsed).credits, vocabulary.booking(parsed).reference_id) == (672000, None)
    with pytest.raises(ValueError, match="amount"):
        vocabulary.booking({"created_at": "2026-08-17T10:00:00Z", "amount": {}})
