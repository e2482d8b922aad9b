"""What the keys of a watch session do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from kling_render.cli.invocation import Invocation
from kling_render.engine.work import RunReport
from kling_render.planning.records import Action, Plan
from kling_render.watch.batches import InputWatch
from kling_render.workspace.live.watching import Watching

if TYPE_CHECKING:
    from kling_render.cli.keys import Keys

_LISTED = 200
"""Watched files that are listed at most."""


class Beside(Protocol):
    """Where answers to key presses are shown: `cli.watch_live.LiveWatch`, or the log."""

    def show(self, what: str) -> None:
        """A text."""
        ...

    def show_plan(self, plan: Plan, *, verbose: bool) -> None:
        """A plan."""
        ...

    def hide(self) -> None:
        """The shell gets the terminal."""
        ...

    def anew(self) -> None:
        """And gives it back."""
        ...


class Log:
    """Answers where nothing is drawn: with -q and -v on a terminal."""

    def show(self, what: str) -> None:
        """The text."""
        click.echo(what, err=True)

    def show_plan(self, plan: Plan, *, verbose: bool) -> None:
        """The plan as lines."""
        from kling_render.planning.text import plan_text

        click.echo(plan_text(plan, verbose=verbose), err=True, nl=False)

    def hide(self) -> None:
        """Nothing is drawn."""

    def anew(self) -> None:
        """Nothing is drawn."""


@dataclass(frozen=True, slots=True)
class AsTyped:
    """A path as the user would type it."""

    cwd: Path

    def __call__(self, path: Path) -> str:
        """The text."""
        try:
            return path.relative_to(self.cwd).as_posix()
        except ValueError:
            return str(path)


async def with_keys(watching: Watching, invocation: Invocation, inputs: InputWatch, shown: Beside) -> RunReport | None:
    """Watch while single keys are heard."""
    from kling_render.cli.keys import Keys

    async with Keys(sys.stdin, on_suspend=shown.hide, on_resume=shown.anew) as keys:
        listening = asyncio.create_task(_listen(keys, watching, invocation, inputs, shown))
        try:
            return await watching.execute()
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening


async def _listen(keys: Keys, watching: Watching, invocation: Invocation, inputs: InputWatch, shown: Beside) -> None:
    opening: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish
    actions: dict[str, Callable[[], None]] = {
        "r": watching.render_held,
        "c": watching.cancel_hold,
        "esc": watching.cancel_hold,
        "q": watching.quit,
        "p": lambda: _show_plan(watching, shown, verbose=invocation.verbose),
        "e": lambda: shown.show(_explain_text(watching, color=invocation.color(sys.stderr))),
        "w": lambda: shown.show(_watched_text(inputs, AsTyped(invocation.cwd))),
        "o": lambda: _open(watching, shown, opening),
    }
    while True:
        action = actions.get((await keys.next()).lower())
        if action is not None:
            action()


def _show_plan(watching: Watching, shown: Beside, *, verbose: bool) -> None:
    if watching.last is None:
        shown.show("there is no good plan yet")
    else:
        shown.show_plan(watching.last.planned.plan, verbose=verbose)


def _explain_text(watching: Watching, *, color: bool) -> str:
    """Why the first of the jobs that the last plan changed is not up to date."""
    from kling_render.cli.explain_text import explain_text
    from kling_render.workspace.plans.explaining import explain

    if watching.last is None:
        return "there is no good plan yet"
    planned = watching.last.planned
    jobs = [job for job in planned.plan.jobs if job.action is not Action.UP_TO_DATE] or list(planned.plan.jobs)
    wanted = next((job for job in jobs if job.action is Action.RENDER), jobs[0])
    return explain_text(explain(watching.last.workspace, planned, wanted.job.id), color=color, verbose=False)


def _watched_text(inputs: InputWatch, shown: AsTyped) -> str:
    watched = inputs.watched
    files = [path for path in sorted(watched.files) if not path.is_dir()]
    lines = [f"watched ({watched.how}):"]
    lines += _some([f"  {shown(path)}{'' if path.exists() else ' (if it appears)'}" for path in files])
    lines += _some([f"  {shown(path)}/ (new and deleted files)" for path in sorted(watched.folders)])
    return "\n".join([*lines, *watched.warnings])


def _some(lines: list[str]) -> list[str]:
    return [*lines[:_LISTED], f"  … and {len(lines) - _LISTED:,} more"] if len(lines) > _LISTED else lines


def _open(watching: Watching, shown: Beside, opening: set[asyncio.Task[None]]) -> None:
    if watching.last is None:
        shown.show("there is no good plan yet")
        return
    project = watching.last.planned.project
    folder = project.folder / project.output_dir
    if folder.is_dir():
        opening.add(asyncio.create_task(open_folder(folder, shown, _opener())))
    else:
        shown.show(f"there is no {project.output_dir}/ yet: nothing was rendered")


async def open_folder(folder: Path, shown: Beside, opener: Sequence[str] | None) -> None:
    """Show a folder in the desktop's own program; says so where there is none.

    Args:
        folder: the folder.
        shown: is told what went wrong.
        opener: the command that opens folders; None where there is none.
    """
    quiet = asyncio.subprocess.DEVNULL  # whatever it prints would land in the middle of the board
    try:
        if opener is None:
            raise FileNotFoundError
        process = await asyncio.create_subprocess_exec(
            *opener, os.fspath(folder), stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )
        failed = await process.wait() != 0 and sys.platform != "win32"  # Explorer always ends with 1
    except OSError:
        failed = True
    if failed:
        shown.show(f"no program here shows folders; the results are in {folder}")


def _opener() -> tuple[str, ...] | None:
    if sys.platform == "win32":
        return ("explorer",)
    program = "open" if sys.platform == "darwin" else "xdg-open"
    found = shutil.which(program)
    return (found,) if found else None
