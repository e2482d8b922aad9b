"""`kling-render check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from kling_render.cli.annotations import annotation
from kling_render.cli.diagnostics import as_json, render_text
from kling_render.cli.invocation import Invocation, global_options
from kling_render.errors import Diagnostic, InputProblems, in_file_order

FORMAT = "kling-render.check/1"


@click.command("check")
@click.option("--format", "style", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@global_options
def command(invocation: Invocation, style: str) -> int:
    """Find everything that is wrong with shot list, templates and media, at once. Costs nothing.

    \b
    Examples:
      kling-render check
      kling-render check --format github     (annotations in a pull request)
    """
    jobs, found = _findings(invocation)
    if invocation.as_json or style == "json":
        invocation.options["as_json"] = True
        errors = [entry for entry in as_json(found) if entry["severity"] == "error"]
        warnings = [entry for entry in as_json(found) if entry["severity"] == "warning"]
        invocation.document({"format": FORMAT, "jobs": jobs, "errors": errors, "warnings": warnings})
    elif style == "github":
        for diagnostic in found:
            click.echo(annotation(diagnostic, invocation.cwd, _repository()))
    elif found:
        click.echo(render_text(found, invocation.color(sys.stdout), pictures=invocation.verbose))
    failed = any(diagnostic.severity == "error" for diagnostic in found)
    if not failed and not invocation.quiet and style == "text" and not invocation.as_json:
        click.echo(f"{jobs} job{'s' if jobs != 1 else ''}, no errors")
    return 2 if failed else 0


def _findings(invocation: Invocation) -> tuple[int | None, Sequence[Diagnostic]]:
    """How many jobs there are (None: the list does not expand) and everything found."""
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        workspace.advises = True
        try:
            project = workspace.compile()
        except InputProblems as problems:
            return None, problems.diagnostics
        inspection = workspace.looked_at(project, workspace.digests(project.folder))
        return len(project.jobs), in_file_order([*workspace.warnings, *inspection.diagnostics])


def _repository() -> Path | None:
    """The folder that annotations are relative to, where a workflow runs."""
    root = os.environ.get("GITHUB_WORKSPACE")
    return Path(root) if root else None
