"""Consent before spending: asked once on a terminal; elsewhere `--yes` and a cap."""

from __future__ import annotations

import sys
from decimal import Decimal

import click

from kling_render.cli.diagnostics import escaped
from kling_render.config import Settings
from kling_render.errors import SpendingRefused
from kling_render.planning.records import Plan
from kling_render.planning.text import jobs_word, usd_text
from kling_render.shotlist.records import Budget


def ask(plan: Plan, settings: Settings, budget: Budget, *, yes: bool, max_usd: Decimal | None) -> None:
    """Return when the plan may spend.

    Raises:
        SpendingRefused: it may not.
    """
    if not plan.totals.render:
        return
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if yes and (terminal or has_cap(settings, budget, max_usd)):
        return
    if terminal:
        if _confirmed(plan, max_usd):
            return
        raise SpendingRefused("nothing was sent", help="run it again and answer y, or give --yes", code="no-consent")
    if not yes:
        raise SpendingRefused(
            f"{_bill(plan)} would be spent, and nobody is here to agree",
            help="without a terminal `render` needs --yes and a cap: --max-usd N, or a budget",
            code="no-consent",
        )
    raise SpendingRefused(
        f"{_bill(plan)} would be spent without a cap",
        help="add --max-usd N, or set a budget in the shot list or your settings",
        code="no-cap",
    )


def agrees_without_log(why: str) -> bool:
    """Whether the user, where there is one, pays although nobody knows what the account paid for elsewhere."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo(f"\n{escaped(why)}.", err=True)
    return click.confirm("Send it all the same? It may be paid for a second time", default=False, err=True)


def has_cap(settings: Settings, budget: Budget, max_usd: Decimal | None) -> bool:
    """Whether anything limits what a run may spend."""
    limits = (
        max_usd,
        settings.max_usd,
        settings.budget_total_usd,
        settings.budget_per_day_usd,
        budget.total_usd,
        budget.per_day_usd,
    )
    return any(limit is not None for limit in limits)


def _confirmed(plan: Plan, max_usd: Decimal | None) -> bool:
    cap = f", at most {usd_text(max_usd)}" if max_usd is not None else ""
    return click.confirm(f"Render {jobs_word(plan.totals.render)} for {_bill(plan)}{cap}?", default=False, err=True)


def _bill(plan: Plan) -> str:
    """`about $1.20, up to $1.34`, or that the price is unknown."""
    if plan.totals.estimate_usd is None:
        return "an unknown price"
    return f"about {usd_text(plan.totals.estimate_usd)}, up to {usd_text(plan.totals.up_to_usd)}"
