"""`kling-render explain`."""

from __future__ import annotations

import sys

import click

from kling_render.cli.explain_text import explain_document, explain_text
from kling_render.cli.invocation import Invocation, global_options
from kling_render.workspace.plans.explaining import explain


@click.command("explain")
@click.argument("job", metavar="JOB")
@global_options
def command(invocation: Invocation, job: str) -> int:
    """Say why a job is up to date or not: what differs from the nearest earlier result, and where it is written.

    JOB is a job's id, or the beginning of one that means one job. Needs no key, sends nothing that costs. -v adds the
    exact manifest, whose SHA-256 is the fingerprint.

    \b
    Examples:
      kling-render explain sc010/fox/wave/t01
      kling-render explain sc010/fox --json
    """
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        workspace.skips_invalid = True  # another job's input hinders no explanation; its own is one
        digests = workspace.digests(project.folder)
        planned = workspace.plan(project, workspace.inspect(project, digests), digests, trusting=True)
        told = explain(workspace, planned, job)
    invocation.show_warnings(workspace.warnings)
    if invocation.as_json:
        invocation.document(explain_document(told))
    else:
        text = explain_text(told, color=invocation.color(sys.stdout), verbose=invocation.verbose)
        click.echo(text, nl=False)
    return 0
