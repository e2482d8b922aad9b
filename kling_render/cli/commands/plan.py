"""`kling-render plan`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from kling_render import __version__
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.json_text import json_lines
from kling_render.errors import UsageError
from kling_render.planning.document import plan_document
from kling_render.planning.pilot import pilot
from kling_render.planning.records import Plan
from kling_render.planning.saved import document, save
from kling_render.planning.text import jobs_word, plan_text, usd_text
from kling_render.shotlist.nodes import without_gc
from kling_render.workspace.lockfile.locking import mend_lock
from kling_render.workspace.plans.applying import write
from kling_render.workspace.workspace import PREVIZ

EXIT_WORK = 10


@click.command("plan")
@click.argument("select", nargs=-1)
@click.option(
    "-o",
    "save_to",
    metavar="FILE",
    help="Save the plan (-: stdout); `render --plan FILE` does exactly that, or nothing.",
)
@click.option("--pilot", "as_pilot", is_flag=True, help="Only the fewest cells that show every axis value.")
@click.option("--base", "base", metavar="GITREF", help="What a change would cost, against a git revision.")
@click.option(
    "--format", "style", type=click.Choice(["text", "json", "markdown"]), help="markdown: a pull request's comment."
)
@click.option("--skip-invalid", is_flag=True, help="Block only the jobs whose inputs break a rule.")
@click.option("--exit-code", is_flag=True, help="Exit with 10 when something is to be rendered.")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], **given: Any) -> int:
    """Show what `render` would do and why, and what it costs. Needs no key, sends nothing that costs.

    SELECT: job ids or prefixes (sc010/fox), globs (*/fox/*), facets (character:fox, motion:wave, shot:sc010,
    tag:hero, state:to-render).

    \b
    Examples:
      kling-render plan
      kling-render plan character:fox --json
      kling-render plan --exit-code || echo "there is work to do"
      kling-render plan -o friday.plan.json
      kling-render plan --base origin/main --format markdown
    """
    if given["style"] == "json":
        invocation.options["as_json"] = True
    if given["base"] is not None:
        rendered = _against_base(invocation, select, given)
    else:
        rendered = _plan(invocation, select, given)
    return EXIT_WORK if given["exit_code"] and rendered else 0


@without_gc()  # nearly everything that is made lives to the end
def _plan(invocation: Invocation, select: Sequence[str], given: Mapping[str, Any]) -> int:
    """Plan against the store; returns how many jobs would be rendered, or have to be fetched by the lock file."""
    if given["style"] == "markdown":
        raise UsageError(
            "--format markdown belongs to --base", help="`kling-render plan --base main --format markdown`"
        )
    settings, as_pilot = invocation.settings(), given["as_pilot"]
    piped = given["save_to"] == "-"
    if piped and invocation.as_json:
        raise UsageError(
            "-o - and --json both want standard output", help="name a file with -o, or leave one of the two out"
        )
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        workspace.advises = project.provider != PREVIZ  # rehearsals cost nothing
        workspace.skips_invalid = given["skip_invalid"]
        digests = workspace.digests(project.folder)
        inspection = workspace.inspect(project, digests)
        planned = workspace.plan(
            project, inspection, digests, select, narrow=pilot if as_pilot else None, trusting=True
        )
        notices = mend_lock(workspace, project, planned.everything)
    invocation.show_warnings(workspace.warnings)
    for notice in notices:
        invocation.say(f"note: {notice}")
    if invocation.as_json:
        invocation.document(plan_document(planned.plan))
    else:
        show_plan(invocation, planned.plan, err=piped)
    if given["save_to"] is not None:
        made_at = datetime.fromtimestamp(workspace.clock.now(), UTC).isoformat(timespec="seconds")
        agreed = save(planned.plan, selectors=select, pilot=as_pilot, tool_version=__version__, made_at=made_at)
        if piped:
            invocation.document(document(agreed))
        else:
            write(invocation.cwd / given["save_to"], "".join(json_lines(document(agreed))).encode())
        cost = f"{jobs_word(len(agreed.jobs))}, at most {usd_text(agreed.ceiling_usd)}"
        invocation.say(f"saved: {'to standard output' if piped else given['save_to']} ({cost})")
    return planned.plan.totals.render + planned.plan.totals.locked


def _against_base(invocation: Invocation, select: Sequence[str], given: Mapping[str, Any]) -> int:
    """Plan against a git revision, without the store; returns how many jobs would be rendered."""
    if given["save_to"] is not None or given["as_pilot"]:
        raise UsageError("--base goes with neither -o nor --pilot", help="it only tells what a change would cost")
    from kling_render.planning.comparison import comparison_document, comparison_text
    from kling_render.workspace.plans.base import compared

    source, clock, report = invocation.sources()
    comparison, warnings = compared(
        source,
        invocation.settings(),
        given["base"],
        select,
        clock=clock,
        shown_from=None if given["style"] == "markdown" else invocation.cwd,
        report=report,
    )
    invocation.show_warnings(warnings)
    if invocation.as_json:
        invocation.document(comparison_document(comparison))
    elif given["style"] == "markdown":
        from kling_render.cli.markdown import comparison_markdown

        click.echo(comparison_markdown(comparison), nl=False)
    else:
        click.echo(comparison_text(comparison, verbose=invocation.verbose), nl=False)
    return comparison.plan.totals.render


def show_plan(invocation: Invocation, plan: Plan, *, err: bool = False) -> None:
    """The plan as tables on a terminal, as plain lines in a pipe; on stderr if that is asked for."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        from rich.console import Console

        from kling_render.cli.plan_table import print_plan

        print_plan(Console(stderr=err, no_color=not invocation.color(stream)), plan, invocation.verbose)
    else:
        click.echo(plan_text(plan, verbose=invocation.verbose), nl=False, err=err)
