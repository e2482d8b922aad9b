"""`kling-render render`."""

from __future__ import annotations

from typing import Any

import click

from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.locked import render_locked
from kling_render.cli.rendering import render
from kling_render.cli.types import Duration, Usd


@click.command("render")
@click.argument("select", nargs=-1)
@click.option("-y", "--yes", is_flag=True, help="Spend without asking; in a pipe a cap is needed too.")
@click.option("--max-usd", type=Usd(), metavar="N", help="Spend at most N dollars in this run.")
@click.option("--pilot", is_flag=True, help="Only the fewest cells that show every character, motion and axis value.")
@click.option("--plan", "plan_file", metavar="FILE", help="Exactly the plan saved in FILE (plan -o FILE), or nothing.")
@click.option("-j", "--jobs", metavar="N", help="How many jobs run at once (default 8; fewer after 429).")
@click.option("--fail-fast", is_flag=True, help="Submit nothing more after the first failure.")
@click.option("--skip-invalid", is_flag=True, help="Leave out jobs whose inputs break a rule, and render the rest.")
@click.option("--detach", is_flag=True, help="Submit and leave; `pull` fetches the results.")
@click.option("--stop-after", type=Duration(), metavar="TIME", help="Stop submitting and leave after TIME (5h, 30m).")
@click.option("--wait-doubts", is_flag=True, help="Stay until every doubt about a payment is settled.")
@click.option("--without-log", is_flag=True, help="Pay even when the account's log cannot be read first.")
@click.option("--locked", is_flag=True, help="Exactly the results of the lock file, never paid for, or a failure.")
@click.option("--prune", is_flag=True, help="Move stale outputs to the trash afterwards.")
@click.option("--events", metavar="FILE", help="JSON lines while it runs; - for stdout.")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], **given: Any) -> int:
    """Bring the output tree up to date. Asks once before it spends; done jobs are skipped.

    SELECT: job ids or prefixes, globs, facets; see `kling-render plan --help`.

    \b
    Examples:
      kling-render render --provider previz       (a free rehearsal of everything)
      kling-render render sc010/fox --max-usd 5
      kling-render render --yes --max-usd 20 --json
      kling-render render --pilot
      kling-render render --plan friday.plan.json --yes
    """
    return (render_locked if given["locked"] else render)(invocation, select, given)
