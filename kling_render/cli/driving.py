"""Runs a session in front of a person or a program: progress, signals, the end of the story."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import click

from kling_render.cli.events import EventWriter
from kling_render.cli.invocation import Invocation
from kling_render.cli.summary import completed
from kling_render.engine.run import Run
from kling_render.engine.work import Options, Progress, RunReport, Stop
from kling_render.engine.world import Watcher
from kling_render.errors import UsageError
from kling_render.planning.records import Plan
from kling_render.ports import Clock
from kling_render.workspace.session import Session

TERMINATE_S = 10.0
"""Seconds that uploads and downloads get after SIGTERM."""


class Several:
    """Tells several watchers. One whose reader has gone, or whose disk is full, is told nothing more."""

    def __init__(self) -> None:
        self.watchers: list[Watcher] = []

    def tell(self, progress: Progress) -> None:
        """Pass it on."""
        for watcher in tuple(self.watchers):
            try:
                watcher.tell(progress)
            except OSError:
                # A request may be on its way: a display must never end a run.
                self.watchers.remove(watcher)


@dataclass(frozen=True, slots=True)
class Limit:
    """The tightest cap of a run, and what counted against it before."""

    usd: Decimal
    committed_usd: Decimal


@contextmanager
def display(
    invocation: Invocation,
    watchers: Several,
    plan: Plan | None,
    clock: Clock,
    events: str | None,
    *,
    limit: Limit | None = None,
) -> Iterator[EventWriter | None]:
    """While inside, the run is shown: live on a terminal, as plain lines in a pipe, as events where asked."""
    with ExitStack() as stack:
        writer = None
        if events is not None:
            writer = EventWriter(stack.enter_context(event_stream(events)), clock.now)
            watchers.watchers.append(writer)
        if plan is not None and sys.stderr.isatty() and not invocation.quiet and not invocation.verbose:
            from rich.console import Console

            from kling_render.cli.progress_live import LiveProgress

            console = Console(stderr=True, no_color=not invocation.color(sys.stderr))
            cap, committed = (limit.usd, limit.committed_usd) if limit else (None, Decimal(0))
            board = LiveProgress(console, plan, clock, cap_usd=cap, committed_usd=committed)
            watchers.watchers.append(stack.enter_context(board))
        else:
            from kling_render.cli.progress_plain import PlainProgress

            plain = PlainProgress(_write_error, quiet=invocation.quiet, base=invocation.cwd)
            watchers.watchers.append(plain)
        yield writer


def _write_error(text: str) -> None:
    click.echo(text, err=True, nl=False)


@contextmanager
def event_stream(name: str) -> Iterator[TextIO]:
    """The stream that `--events` names, while inside; UsageError when it cannot be written."""
    if name == "-":
        yield sys.stdout
        return
    try:
        file = Path(name).open("a", encoding="utf-8")  # noqa: SIM115 - closed below, after the run
    except OSError as error:
        raise UsageError(f"cannot write events to {name}: {error.strerror}", help="name another file") from None
    try:
        yield file
    finally:
        with suppress(OSError):  # lines that a full disk did not take
            file.close()


def drive(
    invocation: Invocation,
    session: Session,
    options: Callable[[str], Options],
    *,
    paying: bool,
    events: str | None,
    limit: Limit | None = None,
) -> RunReport:
    """Run the session with its display; the index is written afterwards."""
    watchers = Several()
    session.watcher = watchers
    with display(invocation, watchers, session.planned.plan, session.workspace.clock, events, limit=limit) as writer:
        report = session.execute(options, paying=paying, on_start=heed_signals)
        if writer is not None:
            writer.end(completed(report, session.planned.plan))
    return report


def heed_signals(run: Run) -> None:
    """Ctrl-C leaves in order, a second one at once; SIGTERM leaves and insists after ten seconds."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        run.leave(Stop.INTERRUPTED, "interrupted: uploads and downloads under way finish; Ctrl-C again leaves at once")

    def terminated() -> None:
        run.leave(Stop.INTERRUPTED, "told to end: uploads and downloads under way get ten seconds")
        loop.call_later(TERMINATE_S, run.leave, Stop.INTERRUPTED, "")

    try:
        loop.add_signal_handler(signal.SIGINT, interrupted)
        loop.add_signal_handler(signal.SIGTERM, terminated)
    except NotImplementedError:  # Windows has no such handlers in its event loop
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(interrupted))
