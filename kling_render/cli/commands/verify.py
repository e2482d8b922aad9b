"""`kling-render verify`."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from typing import Any

import click

from kling_render.cli.diagnostics import escaped
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.job_words import credits_text
from kling_render.cli.upkeep_words import files_word, size_text, some, usd
from kling_render.config import Settings
from kling_render.lifecycle.records import Attempt
from kling_render.store.opening import Store
from kling_render.workspace.times import SystemClock
from kling_render.workspace.upkeep.verifying import Finding, Grade, Verdict, verify

FORMAT = "kling-render.verify/1"
_SIGNS = {Grade.DAMAGE: "FAIL", Grade.MENDED: "mend", Grade.NOTE: "note"}


@click.command("verify")
@click.option("--read-data", is_flag=True, help="Read every stored result and compare it with its checksum.")
@global_options
def command(invocation: Invocation, read_data: bool) -> int:
    """Check the store: the ledger's structure, and that every result is there; with --read-data every byte of them.

    Damaged bytes go to quarantine and are fetched again for nothing, never rendered again. Safe beside a run.

    \b
    Examples:
      kling-render verify
      kling-render verify --read-data
    """
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        verdict = verify(
            store,
            SystemClock(),
            read_data=read_data,
            progress=_progress(invocation),
            fetch=lambda attempts: _fetch(invocation, settings, store, attempts),
        )
    if invocation.as_json:
        invocation.document(_document(verdict, settings))
    else:
        click.echo("\n".join(_text(verdict, settings, everything=invocation.verbose)))
    return verdict.exit_code


def _progress(invocation: Invocation) -> Callable[[str, int, int], None]:
    if invocation.quiet or not sys.stderr.isatty():
        return lambda _what, _done, _all: None
    from kling_render.cli.counter import Counter

    return Counter(sys.stderr)


def _fetch(invocation: Invocation, settings: Settings, store: Store, attempts: list[Attempt]) -> str:
    from kling_render.cli.driving import Several, display, heed_signals
    from kling_render.workspace.upkeep.refetching import Refetch

    watchers, clock = Several(), SystemClock()
    refetch = Refetch(store, settings, clock, watchers, heed_signals)
    if why := refetch.hindrance(attempts):
        return why
    with display(invocation, watchers, None, clock, None):
        return asyncio.run(refetch.fetch(attempts))


def _text(verdict: Verdict, settings: Settings, *, everything: bool) -> Iterator[str]:
    yield f"store {escaped(str(settings.store))}: {_counts(verdict)}"
    for grade in Grade:
        lines = [_line(finding) for finding in verdict.findings if finding.grade is grade]
        yield from (f"{_SIGNS[grade]}  {line}" for line in some(lines, everything=everything))
    tally = Tally(finding.grade for finding in verdict.findings)
    if verdict.sound:
        yield "sound" if not tally[Grade.MENDED] else f"sound again: {tally[Grade.MENDED]} mended, nothing was paid"
    else:
        yield f"not sound: {tally[Grade.DAMAGE]} found that could not be mended"


def _counts(verdict: Verdict) -> str:
    found = verdict.survey
    size = size_text(sum(found.blobs.values()))
    read = "every byte read" if verdict.read_data else "bytes not read (--read-data)"
    return f"{found.attempts} attempts, {found.results} results, {files_word(len(found.blobs))}, {size}; {read}"


def _line(finding: Finding) -> str:
    what = f" ({', '.join(finding.jobs[:2])}; cost {credits_text(finding.credits)})" if finding.sha256 else ""
    help_ = f"\n      help: {finding.help}" if finding.help and finding.grade is not Grade.NOTE else ""
    return escaped(f"{finding.text}{what.replace('(; ', '(')}{help_}")


def _document(verdict: Verdict, settings: Settings) -> dict[str, Any]:
    found = verdict.survey
    return {
        "format": FORMAT,
        "store": str(settings.store),
        "sound": verdict.sound,
        "read_data": verdict.read_data,
        "totals": {
            "attempts": found.attempts,
            "results": found.results,
            "files": len(found.blobs),
            "bytes": sum(found.blobs.values()),
        },
        "exit_code": verdict.exit_code,
        "findings": [_finding(finding) for finding in verdict.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "state": finding.grade.value,
        "kind": finding.kind,
        "text": finding.text,
        "help": finding.help,
        "sha256": finding.sha256,
        "size": finding.size,
        "usd": usd(finding.credits),
        "jobs": list(finding.jobs),
    }
