"""Wires a watch session: the planner, the files, the keys and whoever looks on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import click

from kling_render.cli.consent import has_cap
from kling_render.cli.driving import TERMINATE_S, event_stream
from kling_render.cli.events import EventWriter
from kling_render.cli.invocation import Invocation
from kling_render.cli.rendering import at_once
from kling_render.cli.timestamps import iso
from kling_render.cli.watch_keys import AsTyped, Beside, Log, with_keys
from kling_render.config import Settings, tightest
from kling_render.config.file import user_config_file
from kling_render.engine.work import EXIT_INTERRUPTED, Options, Progress
from kling_render.errors import SpendingRefused, UsageError
from kling_render.lifecycle.records import Cap
from kling_render.store.opening import Store
from kling_render.store.watchers import only_watcher
from kling_render.watch.batches import InputWatch
from kling_render.watch.news import News
from kling_render.watch.wanting import Wanting
from kling_render.workspace.live.replanning import Planner, Replan
from kling_render.workspace.live.watching import Watching
from kling_render.workspace.times import SystemClock
from kling_render.workspace.workspace import PREVIZ, ListSource

_LEAST_POLL_S = 0.2


class Told(Protocol):
    """A view of the session, and of what its runs do."""

    def tell(self, news: News | Progress) -> None:
        """One thing that happened."""
        ...


class Audience:
    """Tells several views. One whose reader has gone is told nothing more."""

    def __init__(self) -> None:
        self.views: list[Told] = []

    def tell(self, news: News | Progress) -> None:
        """Pass it on."""
        for view in tuple(self.views):
            try:
                view.tell(news)
            except OSError:
                # A request may be on its way: a display must never end a session.
                self.views.remove(view)


def watch(invocation: Invocation, select: Sequence[str], given: dict[str, Any]) -> int:
    """Watch until the user ends it; returns the exit code."""
    invocation.options["jobs"] = given["jobs"]
    settings = invocation.settings()
    source, clock, _ = invocation.sources()
    if source.text is not None:
        raise UsageError("a shot list from standard input cannot be watched", help="name a file with -f")
    poll = given["poll"]
    if poll is not None and poll < _LEAST_POLL_S:
        raise UsageError(
            f"--poll {poll:g}s would keep a core busy", help=f"{_LEAST_POLL_S} s is the least; 2s is usual"
        )
    with (
        invocation.open_store(settings) as store,
        only_watcher(store.layout, source.path, iso(clock.now()), users=_users_folder()),
    ):
        return asyncio.run(_session(invocation, settings, source, store=store, select=select, given=given))


async def _session(
    invocation: Invocation,
    settings: Settings,
    source: ListSource,
    *,
    store: Store,
    select: Sequence[str],
    given: dict[str, Any],
) -> int:
    clock, audience = SystemClock(), Audience()
    max_usd = tightest(settings.max_usd, given["max_usd"])
    planner = Planner(
        source,
        lambda: invocation.settings(again=True),
        store,
        clock,
        invocation.cwd,
        tuple(select),
        max_usd=max_usd,
        midnight=_local_midnight,
        skips_invalid=given["skip_invalid"],
        besides=(user_config_file(os.environ, Path.home()),),
    )
    link = _Link(_resolved(store.layout.root), _resolved(source.path.parent))
    inputs = InputWatch(
        clock,
        settle_s=float(settings.watch_settle_seconds),
        polling_s=given["poll"],
        ignored=link.ignored,
        on_change=link.changed,
    )
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    watching = Watching(
        planner,
        inputs,
        Wanting(consent=given["yes"]),
        view=audience,
        watcher=audience,
        clock=clock,
        options=_options(settings, without_log=given["without_log"]),
        admit=_admission(settings, yes=given["yes"], max_usd=max_usd, terminal=terminal),
    )
    link.watching = watching
    interrupted = _heed_signals(watching)
    report = None
    try:
        with _shown(invocation, audience, clock, source.path.parent, given["events"], keys=terminal) as shown:
            try:
                report = await (with_keys(watching, invocation, inputs, shown) if terminal else watching.execute())
            finally:
                inputs.close()
    except OSError:
        if not interrupted:
            raise
        # The terminal was closed: there is nothing to tidy up on it.
    if interrupted:
        return EXIT_INTERRUPTED
    return report.exit_code if report is not None and report.exit_code != EXIT_INTERRUPTED else 0


def _users_folder() -> Path:
    """Where this user's sessions are known, whatever the store."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("kling-render", appauthor=False)) / "watchers"


def _options(settings: Settings, *, without_log: bool) -> Callable[[tuple[Cap, ...], bool], Options]:
    def options(limits: tuple[Cap, ...], free: bool) -> Options:
        return Options(
            jobs=at_once(settings, free=free),
            poll_s=settings.poll_seconds,
            absence_s=settings.absence_seconds,
            retries=settings.retries,
            caps=limits,
            without_log=without_log,
        )

    return options


def _admission(
    settings: Settings, *, yes: bool, max_usd: Any, terminal: bool
) -> Callable[[Replan], SpendingRefused | None]:
    """Without a terminal nobody can agree, so the consent is given with the command, as for `render`."""

    def admit(replan: Replan) -> SpendingRefused | None:
        project = replan.planned.project
        if terminal or project.provider == PREVIZ or (yes and has_cap(settings, project.budget, max_usd)):
            return None
        return SpendingRefused(
            "saves would be paid for, and nobody is here to agree",
            help="without a terminal `watch` needs --yes and a cap: --max-usd N, or a budget",
            code="no-cap" if yes else "no-consent",
        )

    return admit


@dataclass(slots=True)
class _Link:
    """What the files need of the session, which is made after them."""

    store: Path
    folder: Path
    watching: Watching | None = None

    def changed(self, paths: frozenset[Path]) -> None:
        """Inputs were saved."""
        if self.watching is not None:
            self.watching.changed(paths)

    def ignored(self, path: Path) -> bool:
        """What is never an input: the store, and the output folders of the project."""
        return any(path.is_relative_to(root) for root in (self.store, *self._outputs()))

    def _outputs(self) -> Iterator[Path]:
        if self.watching is not None and self.watching.last is not None:
            output_dir = self.watching.last.planned.project.output_dir
            yield from (self.folder / output_dir, self.folder / f"{output_dir}.previz")


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _local_midnight(now: float) -> float:
    local = datetime.fromtimestamp(now).astimezone()
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _heed_signals(watching: Watching) -> list[bool]:
    """Ctrl-C and SIGTERM end the session in order, a second one at once. The list is not empty after one."""
    loop, heard = asyncio.get_running_loop(), []

    def told() -> None:
        heard.append(True)
        watching.quit()

    def terminated() -> None:
        told()
        loop.call_later(TERMINATE_S, watching.quit)

    try:
        loop.add_signal_handler(signal.SIGINT, told)
        loop.add_signal_handler(signal.SIGTERM, terminated)
        loop.add_signal_handler(signal.SIGHUP, terminated)
    except (NotImplementedError, AttributeError):  # Windows has no such handlers in its event loop
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(told))
    return heard


@contextmanager
def _shown(
    invocation: Invocation, audience: Audience, clock: SystemClock, folder: Path, events: str | None, *, keys: bool
) -> Iterator[Beside]:
    """While inside, the session is shown; yields what answers key presses."""
    planner_shown = AsTyped(invocation.cwd)
    with ExitStack() as stack:
        if events is not None:
            from kling_render.cli.watch_events import WatchEvents

            writer = EventWriter(stack.enter_context(event_stream(events)), clock.now)
            audience.views.append(WatchEvents(writer))
        if sys.stderr.isatty() and not invocation.quiet and not invocation.verbose:
            from rich.console import Console

            from kling_render.cli.watch_live import LiveWatch

            console = Console(stderr=True, no_color=not invocation.color(sys.stderr))
            live = stack.enter_context(LiveWatch(console, clock, folder=folder, shown=planner_shown, keys=keys))
            audience.views.append(live)
            yield live
        else:
            from kling_render.cli.watch_plain import PlainWatch

            audience.views.append(
                PlainWatch(
                    _write_error, quiet=invocation.quiet, shown=planner_shown, base=invocation.cwd, now=clock.now
                )
            )
            yield Log()


def _write_error(text: str) -> None:
    click.echo(text, err=True, nl=False)
