"""`kling-render render`."""

from __future__ import annotations

import os
import sys
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from kling_render.cli.consent import ask
from kling_render.cli.driving import Several, drive
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.summary import completed, run_document, run_text
from kling_render.config import Settings
from kling_render.engine.work import Options
from kling_render.workspace.running import caps
from kling_render.workspace.session import Session

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Usd(click.ParamType[Decimal]):
    """An amount in USD."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """A finite amount, not negative."""
        try:
            amount = Decimal(str(value).removeprefix("$"))
        except InvalidOperation:
            self.fail(f"'{value}' is not an amount in USD", param, ctx)
        if not amount.is_finite() or amount < 0:
            self.fail(f"'{value}' is not an amount in USD", param, ctx)
        return amount


class Duration(click.ParamType[float]):
    """A time span: `90`, `90s`, `30m`, `5h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        text = str(value).strip().lower()
        unit = text[-1:] if text[-1:] in "smh" else ""
        try:
            seconds = float(text.removesuffix(unit)) * _UNITS[unit]
        except ValueError:
            self.fail(f"'{value}' is not a time span such as 90s, 30m or 5h", param, ctx)
        if not 0 <= seconds < 1e9:
            self.fail(f"'{value}' is not a time span such as 90s, 30m or 5h", param, ctx)
        return seconds


@click.command("render")
@click.argument("select", nargs=-1)
@click.option("-y", "--yes", is_flag=True, help="Spend without asking; in a pipe a cap is needed too.")
@click.option("--max-usd", type=Usd(), metavar="N", help="Spend at most N dollars in this run.")
@click.option("-j", "--jobs", metavar="N", help="How many jobs run at once (default 8; fewer after 429).")
@click.option("--fail-fast", is_flag=True, help="Submit nothing more after the first failure.")
@click.option("--detach", is_flag=True, help="Submit and leave; `pull` fetches the results.")
@click.option("--stop-after", type=Duration(), metavar="TIME", help="Stop submitting and leave after TIME (5h, 30m).")
@click.option("--wait-doubts", is_flag=True, help="Stay until every doubt about a payment is settled.")
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
    """
    invocation.options["jobs"] = given["jobs"]
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        planned = workspace.plan(project, workspace.inspect(project, digests), digests, select)
        invocation.show_warnings(workspace.warnings)
        session = Session(workspace, planned, digests, Several())
        if not session.free:
            _announce(invocation, session)
            ask(planned.plan, settings, project.budget, yes=given["yes"], max_usd=_max_usd(settings, given))
        report = drive(invocation, session, _options(session, settings, given), paying=True, events=given["events"])
        after = session.replanned()
        session.write_index(after)
        if given["prune"]:
            for path in session.prune(after):
                report.notices.append(f"moved to the trash: {path}")
        elif after.stale_outputs and not invocation.quiet:
            report.notices.append(f"{len(after.stale_outputs)} stale outputs; `render --prune` moves them to the trash")
    if invocation.as_json:
        invocation.document(run_document(report, planned.plan))
    else:
        click.echo(run_text(report, planned.plan), nl=False, err=given["events"] == "-")
        for notice in report.notices:
            click.echo(f"note: {notice}", err=True)
    return completed(report, planned.plan).exit_code


def _announce(invocation: Invocation, session: Session) -> None:
    """What is about to happen, before consent is asked."""
    if sys.stderr.isatty() and not invocation.quiet and not invocation.as_json and session.planned.plan.totals.render:
        from kling_render.cli.commands.plan import show_plan

        show_plan(invocation, session.planned.plan)


def _max_usd(settings: Settings, given: dict[str, Any]) -> Decimal | None:
    limits = [limit for limit in (settings.max_usd, given["max_usd"]) if limit is not None]
    return min(limits) if limits else None


def _options(session: Session, settings: Settings, given: dict[str, Any]) -> Any:
    project, clock = session.planned.project, session.workspace.clock

    def options(run_id: str) -> Options:
        at_once = settings.jobs
        if session.free and settings.origins.get("jobs") == "default":
            at_once = min(at_once, os.cpu_count() or 1)
        limits = caps(
            settings,
            project.budget,
            folder=project.folder,
            run_id=run_id,
            now=clock.now(),
            max_usd=_max_usd(settings, given),
        )
        return Options(
            jobs=at_once,
            poll_s=settings.poll_seconds,
            absence_s=settings.absence_seconds,
            retries=settings.retries,
            caps=() if session.free else limits,
            fail_fast=given["fail_fast"],
            detach=given["detach"] and not session.free,
            stop_after_s=given["stop_after"],
            wait_doubts=given["wait_doubts"],
        )

    return options
