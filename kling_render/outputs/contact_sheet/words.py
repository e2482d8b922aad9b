"""The sentences of a contact sheet, the same on pages and pictures."""

from __future__ import annotations

from kling_render.outputs.contact_sheet.records import Shown, Sums, sums
from kling_render.planning.text import jobs_word, usd_text


def cost_text(take: Shown, *, free: bool) -> str:
    """What it cost, or probably costs; nothing for a free provider."""
    if free:
        return ""
    if take.paid:
        return usd_text(take.usd)
    if not (take.due or take.payment or take.is_staked):
        return ""  # nothing was paid, and nothing would be
    return "" if take.state in ("running", "ready") and take.usd is None else f"~{usd_text(take.usd)}"


def sums_text(found: Sums, *, free: bool) -> str:
    """`36 jobs: 30 done, 2 running, 4 to render · $13.44 · about $0.90 under way or in doubt · about $1.79 to go`."""
    states = ", ".join(f"{count} {word}" for word, count in found.states)
    parts = [f"{jobs_word(found.jobs)}: {states}" if states else jobs_word(0)]
    if found.warned:
        parts.append(f"{found.warned} to look at")
    if not free and (found.paid_usd or found.untold):
        parts.append(usd_text(found.paid_usd) + (f" and {found.untold} of unknown cost" if found.untold else ""))
    if not free and found.staked_usd != 0:
        parts.append(f"about {usd_text(found.staked_usd)} under way or in doubt")
    if not free and (found.open_usd or found.unknown):
        parts.append(f"about {usd_text(None if found.unknown else found.open_usd)} to go")
    return " · ".join(parts)


def said_text(take: Shown) -> str:
    """What there is to say of a take besides its state."""
    return "; ".join(take.warnings) or take.note


__all__ = ["cost_text", "said_text", "sums", "sums_text"]
