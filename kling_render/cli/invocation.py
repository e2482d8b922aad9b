"""What every command shares: global options, settings, the store, and where text goes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kling_render.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from kling_render.config import Settings
    from kling_render.store.opening import Store
    from kling_render.workspace.times import SystemClock
    from kling_render.workspace.workspace import ListSource, Workspace

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """One call of the tool. Global options may stand before or after the command; the later one wins."""

    options: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    #: The setting `color`, once the settings are read.
    _color: str = "auto"

    @property
    def cwd(self) -> Path:
        """The folder the command runs in."""
        return Path.cwd()

    @property
    def as_json(self) -> bool:
        """Whether stdout carries one JSON document."""
        return bool(self.options.get("as_json"))

    @property
    def quiet(self) -> bool:
        """Whether only what matters is shown."""
        return bool(self.options.get("quiet"))

    @property
    def verbose(self) -> bool:
        """Whether everything is shown."""
        return bool(self.options.get("verbose"))

    def color(self, stream: Any) -> bool:
        """Whether colours may be used on a stream."""
        if self.options.get("no_color") or os.environ.get("NO_COLOR") or self._color == "never":
            return False
        if self._color == "always":
            return True
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"

    def settings(self, *, again: bool = False) -> Settings:
        """The user's settings, flags included; `again`: warnings were said before."""
        from kling_render.config import load_settings
        from kling_render.config.file import user_config_file

        flags = {name: self.options.get(name) for name in ("store", "provider", "max_jobs", "offline")}
        flags["input_roots"] = list(self.options.get("input_root") or ()) or None
        flags["jobs"] = self.options.get("jobs")
        home = Path.home()
        settings = load_settings(os.environ, flags, user_config_file(os.environ, home), home=home, cwd=self.cwd)
        self._color = settings.color
        for warning in () if again else settings.warnings:
            self.say(f"warning: {warning}")
        return settings

    def open_store(self, settings: Settings) -> Store:
        """The store of these settings."""
        from kling_render.store.opening import Store

        return Store.open(settings.store)

    def workspace(self, settings: Settings, store: Store) -> Workspace:
        """The shot list on the store."""
        from kling_render.workspace.workspace import Workspace

        source, clock, report = self.sources()
        return Workspace(source, settings, store, clock, self.cwd, report=report)

    def sources(self) -> tuple[ListSource, SystemClock, Callable[[str, int, int], None]]:
        """The shot list, the clock and the progress of whatever reads it."""
        from kling_render.workspace.times import SystemClock
        from kling_render.workspace.workspace import find_list

        return (
            find_list(self.options.get("list_file"), self.cwd, sys.stdin.buffer.read),
            SystemClock(),
            self.progress(),
        )

    def progress(self) -> Callable[[str, int, int], None]:
        """A counter on stderr for work that takes long; silent in a pipe."""
        if self.quiet or not sys.stderr.isatty():
            return lambda _what, _done, _all: None
        from kling_render.cli.counter import Counter

        return Counter(sys.stderr)

    def say(self, text: str) -> None:
        """A notice on stderr."""
        if not self.quiet:
            click.echo(text, err=True)

    def show_warnings(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Warnings on stderr, as they look in `check`."""
        from kling_render.cli.diagnostics import render_text

        found = [d for d in diagnostics if d.severity == "warning"]
        if found and not self.quiet:
            from kling_render.workspace.inputs.advising import ADVICE

            advice = [] if self.verbose else [d for d in found if d.code in ADVICE]
            shown = [d for d in found if d not in advice]
            with suppress(OSError):  # an abandoned or full stream must not end a run
                if shown:
                    click.echo(render_text(shown, self.color(sys.stderr), pictures=self.verbose), err=True)
                if advice:
                    self.say(f"{_about(advice)}; `kling-render check` shows them")

    def document(self, value: dict[str, Any]) -> None:
        """One JSON document on stdout."""
        from kling_render.cli.json_text import json_lines

        sys.stdout.writelines(json_lines(value))
        sys.stdout.flush()


def _about(advice: Collection[Diagnostic]) -> str:
    """How many warnings about inputs there are, and of which kinds."""
    from kling_render.media.footage.advice import CODES

    counts = {name: sum(d.code == code for d in advice) for name, code in CODES.items()}
    kinds = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return f"{len(advice)} warning{'s' if len(advice) != 1 else ''} about inputs ({kinds})"


def _change_folder(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    try:
        os.chdir(value)
    except OSError as error:
        raise UsageError(f"cannot run in {value}: {error.strerror}", help="name an existing folder with -C") from None


_GLOBAL = (
    click.option(
        "-C", "run_in", metavar="DIR", expose_value=False, is_eager=True, callback=_change_folder, help="Run in DIR."
    ),
    click.option("-f", "list_file", metavar="FILE", help="The shot list (default: shotlist.yaml; - for stdin)."),
    click.option("--store", metavar="FOLDER", help="Where results and the ledger lie."),
    click.option("--provider", metavar="NAME", help="aimlapi or previz; overrides the shot list."),
    click.option("--input-root", multiple=True, metavar="DIR", help="Inputs may also come from DIR (repeatable)."),
    click.option("--max-jobs", metavar="N", help="How many jobs a shot list may expand to (default 100000)."),
    click.option("--offline", is_flag=True, default=None, help="Look nothing up: no prices, no remote inputs."),
    click.option("--json", "as_json", is_flag=True, default=None, help="One JSON document on stdout."),
    click.option("--no-color", is_flag=True, default=None, help="No colours (also: NO_COLOR=1)."),
    click.option("-q", "--quiet", is_flag=True, default=None, help="Only what matters."),
    click.option("-v", "--verbose", is_flag=True, default=None, help="Everything."),
)
_NAMES = (
    "list_file",
    "store",
    "provider",
    "input_root",
    "max_jobs",
    "offline",
    "as_json",
    "no_color",
    "quiet",
    "verbose",
)


def global_options(function: F) -> F:
    """Adds the global options to a command; the function gets an `Invocation` first."""

    @click.pass_context
    @functools.wraps(function)
    def wrapped(context: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        invocation = context.ensure_object(Invocation)
        for name in _NAMES:
            value = kwargs.pop(name)
            if value not in (None, ()):
                invocation.options[name] = value
        invocation.command = context.info_name or ""
        return function(invocation, *args, **kwargs)

    for option in reversed(_GLOBAL):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # it takes one argument less: click passes the context
