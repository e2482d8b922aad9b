"""`kling-render plan`."""

from __future__ import annotations

import sys

import click

from kling_render.cli.invocation import Invocation, global_options
from kling_render.planning.document import plan_document
from kling_render.planning.records import Plan
from kling_render.planning.text import plan_text

EXIT_WORK = 10


@click.command("plan")
@click.argument("select", nargs=-1)
@click.option("--exit-code", is_flag=True, help="Exit with 10 when something is to be rendered.")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], exit_code: bool) -> int:
    """Show what `render` would do and why, and what it costs. Needs no key, sends nothing that costs.

    SELECT: job ids or prefixes (sc010/fox), globs (*/fox/*), facets (character:fox, motion:wave, shot:sc010,
    tag:hero, state:render).

    \b
    Examples:
      kling-render plan
      kling-render plan character:fox --json
      kling-render plan --exit-code || echo "there is work to do"
    """
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        inspection = workspace.inspect(project, digests)
        planned = workspace.plan(project, inspection, digests, select)
    invocation.show_warnings(workspace.warnings)
    if invocation.as_json:
        invocation.document(plan_document(planned.plan))
    else:
        show_plan(invocation, planned.plan)
    return EXIT_WORK if exit_code and planned.plan.totals.render else 0


def show_plan(invocation: Invocation, plan: Plan) -> None:
    """The plan as tables on a terminal, as plain lines in a pipe."""
    if sys.stdout.isatty():
        from rich.console import Console

        from kling_render.cli.plan_table import print_plan

        print_plan(Console(no_color=not invocation.color(sys.stdout)), plan, invocation.verbose)
    else:
        click.echo(plan_text(plan, verbose=invocation.verbose), nl=False)
