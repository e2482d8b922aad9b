"""The audit for people: the same figures in a pipe and on a terminal, exact, with what helps."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from kling_render.cli.audit_table import print_audit
from kling_render.cli.audit_text import WORDS, aligned, audit_document, audit_text, exact
from kling_render.lifecycle.books import DIFFERS, Booking, Kind, Line
from kling_render.workspace.account.auditing import Audit
from tests.lifecycle.build import SENT, attempt

JOB = attempt(generation_id="gen1", charge=896_000)


def line(kind: Kind, **changes: object) -> Line:
    """A generation of forty-five cents, booked once."""
    booking = Booking(reference_id="gen1", at=SENT, credits=896_001, model="m")
    made = Line(
        kind=kind,
        generation_id="gen1",
        estimate=896_000,
        reported=896_000,
        booked=896_001,
        at=SENT,
        attempt=JOB,
        bookings=(booking,),
    )
    return replace(made, **changes)  # type: ignore[arg-type] # any field


def audit(*lines: Line, **changes: object) -> Audit:
    """A month of these lines."""
    made = Audit(namespace="sandbox", days=30, start=SENT - 86_400, end=SENT, lines=lines)
    return replace(made, **changes)  # type: ignore[arg-type] # any field


def on_terminal(shown: Audit, facet: str | None = None, width: int = 120, *, verbose: bool = False) -> str:
    """What a terminal of that width gets."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_audit(console, shown, facet, verbose=verbose)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_told_with_its_amounts_to_the_credit(kind: Kind) -> None:
    """And with a remedy where something differs."""
    shown = audit(line(kind))
    for text in (audit_text(shown, None, verbose=True), on_terminal(shown, verbose=True)):
        assert "gen1" in text
        assert "$0.4480005" in text
        assert kind not in WORDS or WORDS[kind][0] in text
        assert ("the books differ: 1 generation" in text) == (kind in DIFFERS)
    assert (audit_document(shown, None)["generations"][0]["remedy"] is not None) == (kind in DIFFERS)


def test_what_agrees_is_listed_only_when_asked() -> None:
    """The common case is three sums and one sentence."""
    shown = audit(line(Kind.EQUAL))
    assert "gen1" not in audit_text(shown, None)
    assert audit_text(shown, None).endswith("the books agree\n")


def test_strangers_have_no_job_and_long_lists_are_cut() -> None:
    """Each stands under `(not in the store)`, with the name of its request where there is one."""
    stranger = line(Kind.LOST, attempt=None, estimate=None, reported=None, client_request_id="kr1:abc:X")
    text = audit_text(audit(*[stranger] * 25), "character")
    assert "(not in the store)  gen1" in text
    assert "kr1:abc:X" in text
    assert "… and 5 more (-v lists them)" in text
    assert "… and 5 more (-v lists them)" in on_terminal(audit(*[stranger] * 25), "character", 60)


def test_the_notes_tell_what_is_not_compared() -> None:
    """Doubts, other keys, other models; and the store alone when nobody was asked."""
    noted = audit(line(Kind.EQUAL), doubts=2, doubts_held=896_000, other_keys=1, others=3, others_credits=2_000_000)
    text = audit_text(noted, "day")
    assert "in doubt: 2 requests ($0.448 held)" in text
    assert "not compared: 1 request" in text
    assert "other models on the account: 3 charges, $1.00" in text
    alone = audit(line(Kind.EQUAL, booked=None, bookings=()), unasked="no API key")
    for text in (audit_text(alone, "shot"), on_terminal(alone, "shot")):
        assert "the provider was not asked (no API key)" in text
        assert "booked" not in text


def test_amounts_of_a_column_stand_under_each_other() -> None:
    """Exact, with equally many digits."""
    assert aligned([896_000, 2_000_000, None]) == ["$0.448", "$1.000", "–"]
    assert [exact(1), exact(0), exact(None)] == ["$0.0000005", "$0.00", "–"]
