"""`kling-render keep`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import click

from kling_render.cli.diagnostics import escaped
from kling_render.cli.driving import Several
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.job_words import one_line
from kling_render.cli.timestamps import iso, local
from kling_render.cli.upkeep_words import usd
from kling_render.errors import SpendingRefused, UsageError
from kling_render.lifecycle.records import Result
from kling_render.planning.document import money
from kling_render.planning.prices import total_usd
from kling_render.planning.records import PlannedJob
from kling_render.planning.text import jobs_word, usd_text
from kling_render.store.digests import StatDigests
from kling_render.workspace.doubts.resolving import Decision, who
from kling_render.workspace.lockfile.locking import still_names
from kling_render.workspace.plans.keeping import (
    Keepable,
    Left,
    Offer,
    keep,
    offer,
    only_same_media,
    refuse_rehearsals,
    undo,
)
from kling_render.workspace.session import Session
from kling_render.workspace.workspace import Planned, Workspace

FORMAT = "kling-render.keep/1"
_STILL_NAMED = (
    "the lock file still says that it was kept: this store remembers that it was taken back and does not believe it, "
    "but others do until the file can be written (`kling-render pull`) and is committed"
)
LISTED = 40
"""Jobs that are listed one by one; `-v` lists all."""


@click.command("keep")
@click.argument("select", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Keep them without asking; --undo never asks.")
@click.option("--note", default="", metavar="TEXT", help="Why; kept with who decided and when.")
@click.option("--undo", "undone", is_flag=True, help="Take it back: these jobs are to be rendered again.")
@click.option("--same-media", is_flag=True, help="Only where pixels and sound are proven to be as they were.")
@click.option("--old", multiple=True, metavar="FILE", help="With --same-media: an input as it was before (repeatable).")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], note: str, **given: Any) -> int:
    """Declare an edit cosmetic: each job that would be rendered keeps its newest result. Sends nothing, costs nothing.

    Who did it, when and why is kept, and --undo takes it back. Without a terminal nothing is kept unless --yes is
    given. With --same-media only those jobs are kept whose image or clip was rewritten without changing a pixel or a
    sample; both files are decoded, so the old one must be at hand.

    \b
    Examples:
      kling-render keep sc010 --note "a comma in the prompt"
      kling-render keep character:fox --same-media --old ../before/fox.png
      kling-render keep sc010 --undo
    """
    if given["old"] and not given["same_media"]:
        raise UsageError("--old belongs to --same-media")
    if given["undone"] and given["same_media"]:
        raise UsageError("--undo takes back what was kept for whatever reason: it does not go with --same-media")
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        workspace.skips_invalid = True  # jobs whose inputs break a rule are left, and named
        planned = workspace.plan(project, workspace.inspect(project, digests), digests, select)
        refuse_rehearsals(planned)
        invocation.show_warnings(workspace.warnings)
        decision = Decision(by=who(), at=workspace.clock.now(), why=note)
        call = _Call(invocation, workspace, planned, digests, decision)
        if given["undone"]:
            return call.undo()
        offered = offer(store, planned)
        if given["same_media"]:
            offered = only_same_media(offered, planned, store, [invocation.cwd / old for old in given["old"]])
        return call.keep(offered, yes=given["yes"])


class _Call:
    """One call, its project planned."""

    def __init__(
        self, invocation: Invocation, workspace: Workspace, planned: Planned, digests: StatDigests, decision: Decision
    ) -> None:
        self._invocation = invocation
        self._workspace = workspace
        self._planned = planned
        self._digests = digests
        self._decision = decision

    def keep(self, offered: Offer, *, yes: bool) -> int:
        """Show what would be kept, ask, and keep it."""
        if not self._invocation.as_json:
            click.echo("\n".join(_listing(offered, everything=self._invocation.verbose)))
        if not offered.jobs:
            return self._end("kept", offered, [])
        if not self._agreed(offered, yes=yes):
            return self._refused(offered)
        kept = keep(self._workspace.store, offered, self._planned.plan.namespace, self._decision)
        notices = self._write_index()
        if not self._invocation.as_json:
            for left in kept.left[len(offered.left) :]:
                self._invocation.say(f"note: {_left(left)}")
            saved = f"{usd_text(kept.saves_usd)} saved; `kling-render keep … --undo` takes it back"
            click.echo(f"kept: {_results_word(len(kept.jobs))}, {saved}")
        return self._end("kept", kept, notices)

    def undo(self) -> int:
        """Take back what was kept for the selected jobs."""
        store, namespace = self._workspace.store, self._planned.plan.namespace
        undone = undo(store, self._planned.plan.jobs, namespace, self._decision)
        notices = self._write_index() if undone else []
        if still_names(self._workspace, self._planned.project, [one.planned.key for one in undone]):
            notices.append(_STILL_NAMED)
        costs = total_usd({one.planned.key: one.planned.estimate_usd for one in undone}.values())
        if self._invocation.as_json:
            jobs = [_job(one.planned, one.result, one.kept_from, ()) for one in undone]
            self._invocation.document(self._document("undone", jobs, saves=costs, notices=notices))
            return 0
        for one in undone:
            click.echo(f"  {escaped(one.planned.job.id)}")
        if undone:
            click.echo(f"taken back: {_results_word(len(undone))}; rendering again costs about {usd_text(costs)}")
        else:
            click.echo("nothing was kept for these jobs")
        self._notices(notices)
        return 0

    def _agreed(self, offered: Offer, *, yes: bool) -> bool:
        if yes:
            return True
        if self._invocation.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        question = f"Keep {_results_word(len(offered.jobs))} as they are, and save about {usd_text(offered.saves_usd)}?"
        return click.confirm(question, default=False, err=True)

    def _refused(self, offered: Offer) -> int:
        if not self._invocation.as_json:
            raise SpendingRefused("nothing was kept", help="answer y, or give --yes", code="no-consent")
        return self._end("listed", offered, [], code=SpendingRefused.exit_code)

    def _end(self, did: str, offered: Offer, notices: list[str], code: int = 0) -> int:
        if not self._invocation.as_json:
            self._notices(notices)
            return code
        jobs = [_job(j.planned, j.result, j.result.fingerprint, [c.field for c in j.changes]) for j in offered.jobs]
        self._invocation.document(
            self._document(did, jobs, saves=offered.saves_usd, left=offered.left, notices=notices, code=code)
        )
        return code

    def _notices(self, notices: Iterable[str]) -> None:
        for notice in notices:
            self._invocation.say(f"note: {one_line(notice)}")

    def _write_index(self) -> list[str]:
        """`index.json` as things stand now; returns what the user should know."""
        planned = self._planned
        now = self._workspace.plan(planned.project, planned.inspection, self._digests, lookup=False)
        return Session(self._workspace, now, self._digests, Several(), alone=True).write_index(now.everything)

    def _document(
        self,
        did: str,
        jobs: list[dict[str, Any]],
        *,
        saves: Decimal | None,
        left: Iterable[Left] = (),
        notices: Iterable[str] = (),
        code: int = 0,
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "did": did,
            "jobs": jobs,
            "left": [{"id": one.job, "why": one.why} for one in left],
            "saves_usd": money(saves),
            "by": self._decision.by,
            "at": iso(self._decision.at),
            "why": self._decision.why,
            "notices": list(notices),
            "exit_code": code,
        }


def _job(planned: PlannedJob, result: Result, kept_from: str, differences: Iterable[str]) -> dict[str, Any]:
    return {
        "id": planned.job.id,
        "fingerprint": planned.fingerprint,
        "kept_from": kept_from,
        "sha256": result.blob,
        "generation_id": result.generation_id,
        "made_at": iso(result.made_at),
        "usd": usd(result.charge),
        "estimate_usd": money(planned.estimate_usd),
        "differences": list(differences),
    }


def _listing(offered: Offer, *, everything: bool) -> Iterator[str]:
    """What can be kept, what that saves, and what cannot."""
    if offered.jobs:
        number = _results_word(len(offered.jobs))
        yield f"can be kept: {number}; rendering would cost about {usd_text(offered.saves_usd)}"
        yield from _some([_kept(job) for job in offered.jobs], everything=everything)
    if offered.left:
        yield f"still to render: {jobs_word(len(offered.left))}"
        yield from _some([f"  {_left(one)}" for one in offered.left], everything=everything)
    if not offered.jobs and not offered.left:
        yield "nothing to keep: none of these jobs would be rendered"
    elif not offered.jobs:
        yield "nothing to keep"


def _kept(job: Keepable) -> str:
    fields = ", ".join("clip" if c.field == "video" else c.field.removeprefix("params.") for c in job.changes)
    made, what = local(job.result.made_at), f"{one_line(fields)} changed" if fields else "it is not known what changed"
    return f"  {escaped(job.planned.job.id)}  {what}; made {made}, sha256 {job.result.blob[:12]}"


def _left(left: Left) -> str:
    return f"{escaped(left.job)}: {one_line(left.why)}"


def _some(lines: list[str], *, everything: bool) -> Iterator[str]:
    shown = lines if everything else lines[:LISTED]
    yield from shown
    if len(shown) < len(lines):
        yield f"  … and {len(lines) - len(shown)} more (-v lists them)"


def _results_word(count: int) -> str:
    return f"{count} result{'' if count == 1 else 's'}"
