"""What a save may cost by itself."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from kling_render.planning.text import usd_text
from kling_render.shotlist.records import WatchAllowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """What may be spent without asking, as things stand. Money is USD."""

    allowance: WatchAllowance
    #: What this project cost, or may still cost, in the last hour.
    last_hour: Decimal = Decimal(0)
    #: What the tightest budget of the user leaves; None: there is none.
    left: Decimal | None = None
    budget: str = ""
    #: Why nothing may be spent at all; empty when something may.
    refused: str = ""


def refusal(cost: Decimal | None, queued: Decimal | None, purse: Purse) -> str | None:
    """Why a save that costs so much is not rendered by itself; None when it is.

    An unknown cost (None) is never within an allowance.

    Args:
        cost: of the save.
        queued: of earlier saves, agreed on and not sent yet.
        purse: what may be spent.
    """
    if purse.refused:
        return purse.refused
    if cost is None or queued is None:
        return "its price is not known"
    per_save, per_hour = purse.allowance.per_save_usd, purse.allowance.per_hour_usd
    if cost > per_save:
        return f"{usd_text(cost)} is more than the {usd_text(per_save)} that a save may cost (watch.per_save_usd)"
    if purse.last_hour + queued + cost > per_hour:
        spent = usd_text(purse.last_hour + queued)
        return f"with {spent} of the last hour it is more than the {usd_text(per_hour)} per hour (watch.per_hour_usd)"
    if purse.left is not None and queued + cost > purse.left:
        return f"{purse.budget} leaves {usd_text(purse.left)}"
    return None
