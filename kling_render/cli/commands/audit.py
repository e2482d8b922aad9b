"""`kling-render audit`."""

from __future__ import annotations

import asyncio
import sys

import click

from kling_render.cli.audit_text import audit_document, audit_text
from kling_render.cli.invocation import Invocation, global_options
from kling_render.config import Settings, require_key
from kling_render.engine.work import EXIT_MONEY
from kling_render.errors import AccountRefused
from kling_render.store.opening import Store
from kling_render.workspace.account.account import MOST_DAYS
from kling_render.workspace.account.auditing import FACETS, Audit, full_audit, own_audit

_DAYS = 30


@click.command("audit")
@click.option("--by", "facet", type=click.Choice(sorted(FACETS)), help="A table of the money by this.")
@click.option("--days", type=click.IntRange(1, MOST_DAYS), default=_DAYS, help="How far back (default 30, at most 92).")
@global_options
def command(invocation: Invocation, facet: str | None, days: int) -> int:
    """Compare what was estimated, reported and booked, generation by generation. Exit 4 when the books differ.

    Of all projects of the store. Reads the account's charges and, where some are unknown here, its request log; sends
    nothing that costs. Without a key it shows the store's own books.

    \b
    Examples:
      kling-render audit
      kling-render audit --by character --days 7
      kling-render audit --json
    """
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        audit = _audit(invocation, settings, store, days)
    if invocation.as_json:
        invocation.document(audit_document(audit, facet))
    elif sys.stdout.isatty() and not invocation.quiet:
        from rich.console import Console

        from kling_render.cli.audit_table import print_audit

        print_audit(Console(no_color=not invocation.color(sys.stdout)), audit, facet, verbose=invocation.verbose)
    else:
        click.echo(audit_text(audit, facet, verbose=invocation.verbose), nl=False)
    return EXIT_MONEY if audit.differing else 0


def _audit(invocation: Invocation, settings: Settings, store: Store, days: int) -> Audit:
    from kling_render.workspace.times import SystemClock

    clock, why = SystemClock(), "--offline" if settings.offline else None
    try:
        if why is None:
            require_key(settings)
    except AccountRefused as refusal:
        why = refusal.message
    if why is not None:
        return own_audit(store, settings, now=clock.now(), days=days, why=why)
    lag_s = settings.absence_seconds
    return asyncio.run(full_audit(store, settings, clock, days=days, lag_s=lag_s, say=invocation.say))
