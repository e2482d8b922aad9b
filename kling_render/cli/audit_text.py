"""The audit as plain lines for pipes and logs, and as the document of `audit --json`. Amounts are exact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from kling_render.cli.job_words import one_line
from kling_render.cli.timestamps import iso
from kling_render.engine.work import EXIT_MONEY
from kling_render.lifecycle.books import DIFFERS, Kind, Line, totals
from kling_render.lifecycle.records import usd_of
from kling_render.planning.document import money
from kling_render.workspace.account.auditing import NO_JOB, NOT_IN_STORE, Audit, by_facet

FORMAT = "kling-render.audit/1"
LISTED = 20
"""Generations named below each heading; `verbose` names all."""

#: What is wrong, and what to do about it.
WORDS: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {
        Kind.TWICE: ("booked more than once", "ask the provider to take one charge back"),
        Kind.NO_RESULT: (
            "charged without a result",
            "ask the provider: what failed is not to be charged; a loss leaves this list by `resolve --acknowledge`",
        ),
        Kind.AMOUNT: ("booked with another amount than was reported", "ask the provider; what is booked was taken"),
        Kind.LOST: ("ours, charged, and unknown to this store", "`kling-render pull --lost` brings them home, free"),
        Kind.DOUBT: ("charged, and still in doubt here", "`kling-render pull` settles them, free"),
        Kind.UNEXPLAINED: (
            "charged, and not ours",
            "another tool, key or person used the account; `kling-render adopt JOB ID` takes one for a job",
        ),
        Kind.UNTOLD: (
            "charged, and unknown to this store",
            "the account's request log tells whose they are; run `kling-render audit` when it can be read",
        ),
        Kind.NOT_BOOKED: ("reported as charged, and not booked", "the provider's ledger may lag; look again later"),
        Kind.NOT_FETCHED: ("charged, and not yet brought home", "`kling-render pull` brings them home, free"),
        Kind.LATE: ("reported, and not booked yet", "booking may lag a little; nothing to do"),
        Kind.LOSS: ("charged without a result, as you have acknowledged", "nothing to do"),
        Kind.ABOVE_ESTIMATE: ("cost more than was estimated", "the result is longer than its clip; nothing to do"),
        Kind.RUNNING: ("not ended yet", "`kling-render pull` looks after them"),
    }
)
#: Told although the books agree.
_TOLD = (Kind.LATE, Kind.LOSS, Kind.ABOVE_ESTIMATE, Kind.RUNNING)


def exact(credits_: int | None) -> str:
    """An exact amount for people, not negative, with two digits after the point at least; `–` when there is none."""
    if credits_ is None:
        return "–"
    whole, _, cents = str(money(usd_of(credits_))).partition(".")
    return f"${whole}.{cents.ljust(2, '0')}"


def aligned(amounts: Sequence[int | None]) -> list[str]:
    """Exact amounts of one column, with equally many digits after the point."""
    told = [exact(amount) for amount in amounts]
    digits = max((len(text.partition(".")[2]) for text in told), default=2)
    return [text + "0" * (digits - len(text.partition(".")[2])) if "." in text else text for text in told]


def audit_text(audit: Audit, facet: str | None, *, verbose: bool = False) -> str:
    """The audit as lines, never wrapped; ends with a newline."""
    sections = [
        head(audit),
        _sums(audit),
        _groups(audit, facet) if facet else (),
        *(_kind(kind, members, verbose=verbose) for kind, members in sections_of(audit, verbose=verbose)),
        notes(audit),
        [verdict(audit)],
    ]
    return "\n\n".join(text for text in ("\n".join(lines) for lines in sections) if text) + "\n"


def head(audit: Audit) -> list[str]:
    """What was compared."""
    start, end = (f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d}" for at in (audit.start, audit.end))
    days = "1 day" if audit.days == 1 else f"{audit.days} days"
    return [f"books of {audit.namespace}, {days}: {start} to {end} (UTC)"]


def sums(audit: Audit) -> list[tuple[str, str, str]]:
    """Name, amount and remark of each side."""
    total = totals(audit.lines)
    unpriced = f"{total.unpriced} without an estimate" if total.unpriced else ""
    unreported = f"{total.unreported} not reported" if total.unreported else ""
    rows = [("estimated", total.estimate, unpriced), ("reported", total.reported, unreported)]
    if audit.unasked is None:
        off = total.booked - total.reported
        rows.append(("booked", total.booked, f"{exact(abs(off))} {'more' if off > 0 else 'less'}" if off else ""))
    shown = aligned([amount for _, amount, _ in rows])
    return [(name, amount, remark) for (name, _, remark), amount in zip(rows, shown, strict=True)]


def sections_of(audit: Audit, *, verbose: bool) -> Iterator[tuple[Kind, list[Line]]]:
    """The kinds that are listed, most urgent first, with their lines; `verbose` lists what agrees too."""
    shown = [*DIFFERS, *_TOLD, *((Kind.EQUAL, Kind.FREE) if verbose else ())]
    for kind in shown:
        members = [line for line in audit.lines if line.kind is kind]
        if members:
            yield kind, members


def heading(kind: Kind, members: Sequence[Line]) -> tuple[str, str]:
    """What these lines have in common, and what to do about it."""
    words, remedy = WORDS.get(kind, ("in agreement" if kind is Kind.EQUAL else "ended without a charge", ""))
    return f"{words} ({len(members)})", remedy


def notes(audit: Audit) -> list[str]:
    """What does not make the books differ, and should be known."""
    said = []
    if audit.doubts:
        held = f" ({exact(audit.doubts_held)} held)" if audit.doubts_held else ""
        said.append(f"in doubt: {_requests(audit.doubts)}{held} whose payment is not known; `kling-render pull` looks")
    if audit.recorded:
        what = f"{audit.recorded:,} charge{'' if audit.recorded == 1 else 's'}, {exact(audit.recorded_credits)}"
        said.append(f"recorded: {what}, that no answer had told; status, budgets and explain count with it now")
    if audit.other_keys:
        said.append(f"not compared: {_requests(audit.other_keys)} paid with another key, of another account")
    if audit.others:
        said.append(f"other models on the account: {audit.others:,} charges, {exact(audit.others_credits)}")
    return said


def verdict(audit: Audit) -> str:
    """The last line."""
    if audit.unasked is not None:
        return f"the provider was not asked ({audit.unasked}): these are the store's own books"
    differing = audit.differing
    if not differing:
        return "the books agree"
    word = "generation" if len(differing) == 1 else "generations"
    return f"the books differ: {len(differing)} {word}\nexit {EXIT_MONEY}: money needs a decision or a wait"


def name_of(line: Line) -> str:
    """The job, or what stands in its place."""
    if line.attempt is None:
        return NOT_IN_STORE
    return NO_JOB if line.attempt.is_unattached else one_line(line.attempt.job)


def minute(at: float) -> str:
    """A time in UTC, as the provider's ledger counts."""
    return f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M}"


def _sums(audit: Audit) -> Iterator[str]:
    count = len(audit.lines)
    yield f"{count:,} generation{'' if count == 1 else 's'}"
    rows = sums(audit)
    width = max(len(amount) for _, amount, _ in rows)
    for name, amount, remark in rows:
        yield f"  {name:<9}  {amount:>{width}}  {remark}".rstrip()


def _groups(audit: Audit, facet: str) -> Iterator[str]:
    yield f"by {facet}{' (UTC)' if facet == 'day' else ''}"
    for name, count, *figures in group_rows(audit, facet):
        told = "  ".join(f"{word} {figure}" for word, figure in zip(SIDES, figures, strict=False))
        yield f"  {name}  {count}  {told}"


SIDES = ("estimated", "reported", "booked")


def group_rows(audit: Audit, facet: str) -> list[list[str]]:
    """Name, count and the sums of each side, every column as wide as its widest cell."""
    groups = {one_line(name): totals(members) for name, members in by_facet(audit.lines, facet).items()}
    sums_ = [[total.estimate for total in groups.values()], [total.reported for total in groups.values()]]
    if audit.unasked is None:
        sums_.append([total.booked for total in groups.values()])
    columns = [[f"{total.generations:,}" for total in groups.values()], *map(aligned, sums_)]
    width = max(map(len, groups), default=0)
    padded = [[cell.rjust(max(map(len, column))) for cell in column] for column in columns]
    return [[name.ljust(width), *cells] for name, *cells in zip(groups, *padded, strict=True)]


def _kind(kind: Kind, members: Sequence[Line], *, verbose: bool) -> Iterator[str]:
    said, remedy = heading(kind, members)
    yield f"{said}: {remedy}" if remedy else said
    shown = members if verbose else members[:LISTED]
    yield from (f"  {_line(line)}" for line in shown)
    if len(shown) < len(members):
        yield f"  … and {len(members) - len(shown)} more (-v lists them)"


def _line(line: Line) -> str:
    parts = [f"estimated {exact(line.estimate)}", f"reported {exact(line.reported)}"] if line.attempt else []
    if line.booked is not None:
        several = f" in {len(line.bookings)} charges" if len(line.bookings) > 1 else ""
        parts.append(f"booked {exact(line.booked)}{several}" if line.bookings else "not booked")
    whose = f"  {one_line(line.client_request_id)}" if line.attempt is None and line.client_request_id else ""
    told = ", ".join(parts)
    return f"{name_of(line)}  {one_line(line.generation_id or '(no id)')}  {minute(line.at)}  {told}{whose}"


def _requests(number: int) -> str:
    return f"{number:,} request{'' if number == 1 else 's'}"


# -- the document --------------------------------------------------------------------------------------------------


def audit_document(audit: Audit, facet: str | None) -> dict[str, Any]:
    """The document of `audit --json`: every generation, also what agrees."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "namespace": audit.namespace,
        "days": audit.days,
        "from": iso(audit.start),
        "to": iso(audit.end),
        "provider_asked": audit.unasked is None,
        "unasked": audit.unasked,
        "generations": [_generation(line) for line in audit.lines],
        "totals": _totals(audit, audit.lines),
        "other_models": {"charges": audit.others, "usd": _usd(audit.others_credits)},
        "in_doubt": {"requests": audit.doubts, "held_usd": _usd(audit.doubts_held)},
        "other_keys": audit.other_keys,
        "recorded": {"charges": audit.recorded, "usd": _usd(audit.recorded_credits)},
        "differ": bool(audit.differing),
    }
    if facet:
        groups = by_facet(audit.lines, facet).items()
        rows = [{"value": None if name in (NO_JOB, NOT_IN_STORE) else name} | _totals(audit, of) for name, of in groups]
        document["by"] = {"facet": facet, "rows": rows}
    return document


def _generation(line: Line) -> dict[str, Any]:
    attempt = line.attempt
    return {
        "kind": line.kind.value,
        "differs": line.differs,
        "generation_id": line.generation_id,
        "job": None if attempt is None or attempt.is_unattached else attempt.job,
        "project": attempt.project if attempt is not None and attempt.project else None,
        "attempt": attempt.id if attempt is not None else None,
        "state": attempt.state.value if attempt is not None else None,
        "client_request_id": line.client_request_id,
        "at": iso(line.at),
        "estimated_credits": line.estimate,
        "estimated_usd": _usd(line.estimate),
        "reported_credits": line.reported,
        "reported_usd": _usd(line.reported),
        "booked_credits": line.booked,
        "booked_usd": _usd(line.booked),
        "bookings": [{"at": iso(b.at), "credits": b.credits, "usd": _usd(b.credits)} for b in line.bookings],
        "remedy": WORDS[line.kind][1] if line.differs else None,
    }


def _totals(audit: Audit, lines: Iterable[Line]) -> dict[str, Any]:
    total = totals(lines)
    booked = total.booked if audit.unasked is None else None
    return {
        "generations": total.generations,
        "estimated_usd": _usd(total.estimate),
        "reported_usd": _usd(total.reported),
        "booked_usd": _usd(booked),
        "without_estimate": total.unpriced,
        "not_reported": total.unreported,
    }


def _usd(credits_: int | None) -> str | None:
    return None if credits_ is None else money(usd_of(credits_))
