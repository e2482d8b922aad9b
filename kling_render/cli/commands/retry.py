"""`kling-render retry`."""

from __future__ import annotations

from typing import Any

import click

from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.rendering import render
from kling_render.cli.summary import run_document
from kling_render.cli.types import Usd
from kling_render.engine.work import RunReport
from kling_render.errors import UsageError

FAILED = "state:failed"


@click.command("retry")
@click.argument("select", nargs=-1)
@click.option("-y", "--yes", is_flag=True, help="Spend without asking; in a pipe a cap is needed too.")
@click.option("--max-usd", type=Usd(), metavar="N", help="Spend at most N dollars in this run.")
@click.option("-j", "--jobs", metavar="N", help="How many jobs run at once (default 8; fewer after 429).")
@click.option("--without-log", is_flag=True, help="Pay even when the account's log cannot be read first.")
@click.option("--events", metavar="FILE", help="JSON lines while it runs; - for stdout.")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], **given: Any) -> int:
    """Render failed jobs again, those included that the provider refused for good.

    \b
    Examples:
      kling-render retry
      kling-render retry character:fox --max-usd 5
    """
    try:
        return render(invocation, [*select, FAILED], given, again=True)
    except UsageError as error:
        if select or error.code != "selector":
            raise
        if invocation.as_json:
            invocation.document(run_document(RunReport()))
        else:
            click.echo("no job has failed")
        return 0
