"""`kling-render fix`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from kling_render.cli.diagnostics import escaped
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.types import Colour, Moment
from kling_render.errors import InputProblems, UsageError

if TYPE_CHECKING:
    from kling_render.shotlist.records import Project
    from kling_render.workspace.inputs.fixing import Outcome
    from kling_render.workspace.inputs.list_edits import Change
    from kling_render.workspace.inputs.naming import Item

FORMAT = "kling-render.fix/1"
_WIDE = 60
"""Characters up to which what is wrong and what is done stand on one line."""


@click.command("fix")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--start", type=Moment(), metavar="TIME", help="Keep the part of the clip from here (seconds or m:ss).")
@click.option("--end", type=Moment(), metavar="TIME", help="... to here.")
@click.option("--orientation", type=click.Choice(["image", "video"]), help="Keep to the limits of this one.")
@click.option("--pad", type=Colour(blur=True), default="blur", show_default=True, help="Borders: blur, or a colour.")
@click.option("--background", type=Colour(), default="#ffffff", show_default=True, help="Under see-through parts.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@global_options
def command(invocation: Invocation, inputs: tuple[str, ...], **given: Any) -> int:
    """Write corrected copies of images and clips beside them, and show the change of the shot list.

    INPUT: a file, or the id of a character or motion. The original is never touched, and no file is overwritten.

    \b
    Examples:
      kling-render fix clips/wave.mp4
      kling-render fix wave fox
      kling-render fix wave --start 12 --end 0:20
      kling-render fix fox --pad '#202020'
    """
    outcomes: list[Outcome] = []
    for outcome in _outcomes(invocation, inputs, given):
        if not invocation.as_json:  # at once: the next clip may take minutes, or be interrupted
            click.echo("\n".join([""] * bool(outcomes) + [*_lines(outcome, invocation)]))
        outcomes.append(outcome)
    if invocation.as_json:
        invocation.document({"format": FORMAT, **_document(outcomes, invocation)})
    return 2 if any(outcome.problems for outcome in outcomes) else 0


def _outcomes(invocation: Invocation, inputs: Sequence[str], given: dict[str, Any]) -> Iterator[Outcome]:
    from kling_render.media.fixing.fixer import Fixer
    from kling_render.media.fixing.records import Wish
    from kling_render.media.probe import Prober
    from kling_render.workspace.inputs.fixing import Fixing

    items, report = _items(invocation, inputs, given["orientation"]), invocation.progress()
    start, end = given["start"], given["end"]
    if (start is not None or end is not None) and sum(item.kind == "clip" for item in items) != 1:
        ids = [item.entry.id for item in items if item.kind == "clip" and item.entry is not None]
        help_ = f"name one of these: {', '.join(ids)}" if len(ids) > 1 else "name one clip"
        raise UsageError("--start and --end are about one clip", help=help_)
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--start {start} is not before --end {end}", help="swap them")
    wish = Wish(start=start, end=end, pad=given["pad"], background=given["background"])
    with Prober(1) as prober, Fixer() as fixer:
        tell = lambda what, done, count: report(_line(what), done, count)  # noqa: E731 - a file's name may be hostile
        fixing = Fixing(prober, fixer, wish, invocation.cwd, writes=not given["dry_run"], report=tell)
        yield from (fixing.fix(item) for item in items)


def _items(invocation: Invocation, inputs: Sequence[str], orientation: Any) -> list[Item]:
    from kling_render.shotlist.urls import is_url
    from kling_render.workspace.inputs.naming import items_of

    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        project: Project | None = None
        try:
            project = invocation.workspace(settings, store).compile()
        except (UsageError, InputProblems) as problem:
            # Files can be corrected without a shot list; what it would say is missing then.
            unknown = [text for text in inputs if not os.path.lexists(invocation.cwd / text) and not is_url(text)]
            if unknown and (isinstance(problem, InputProblems) or invocation.options.get("list_file")):
                raise
            if unknown:
                raise UsageError(f"no such file: {unknown[0]}", help=f"name a file; {_no_ids(problem)}") from None
            if isinstance(problem, InputProblems) or invocation.options.get("list_file"):
                invocation.say(f"note: {problem.message}, so no change of the shot list is shown")
        return items_of(inputs, project, invocation.cwd, orientation)


def _no_ids(problem: UsageError | InputProblems) -> str:
    return f"or an id, where there is a shot list: {problem.message}"


def _line(text: str) -> str:
    """A foreign text on one line; spaces stay as they are, for it may be the name of a file."""
    return escaped(text).replace("\n", "^J")


def _lines(outcome: Outcome, invocation: Invocation) -> Iterator[str]:
    item = outcome.item
    name = _line(item.shown) + (f" ({item.entry.id})" if item.entry is not None else "")
    if not outcome.corrections and not outcome.problems:
        yield f"{name}: nothing to correct"
        return
    yield f"{name}:"
    yield from _corrections(outcome)
    for wrong in outcome.unfixable:
        yield f"  cannot be corrected: {_line(wrong.message)}"
        yield f"    help: {_line(wrong.help)}"
    for wrong in outcome.failures:
        yield f"  no copy was made: {_line(wrong.message)}"
        yield f"    help: {_line(wrong.help)}"
    if not outcome.failures:
        yield from _windows(outcome)
    if outcome.trim is not None:
        better = "  best in the shot list: nothing is encoded twice"
        yield better if outcome.copy is not None else "  in the shot list:"
        yield from _change(outcome.trim)
    if outcome.copy is not None:
        yield from _copy(outcome, invocation)
    for note in outcome.notes:
        yield f"  note: {_line(note)}"


def _corrections(outcome: Outcome) -> Iterator[str]:
    """What is wrong and what the copy does about it; without a copy only what is wrong."""
    found = [(_line(one.wrong), _line(one.done)) for one in outcome.corrections]
    if outcome.problems:
        shown = {_line(wrong.message) for wrong in outcome.unfixable}
        yield from (f"  {wrong}" for wrong, _ in found if wrong not in shown)
        return
    width = max((len(wrong) for wrong, _ in found), default=0)
    for wrong, done in found:
        yield from [f"  {wrong:<{width}}  -> {done}"] if width <= _WIDE else [f"  {wrong}", f"    -> {done}"]


def _windows(outcome: Outcome) -> Iterator[str]:
    """The part that is kept, and others that could be."""
    # Of an input that cannot be corrected, the first part is the one that was asked for.
    for number, window in enumerate(outcome.windows[1:] if outcome.unfixable else outcome.windows):
        first = "  try  " if outcome.unfixable else "  keeps"
        mark = first if number == 0 else "  or   "
        cuts = f", {window.cuts} cut{'s' if window.cuts != 1 else ''} inside" if window.cuts else ", no cut inside"
        times = f"--start {_seconds(window.start)} --end {_seconds(window.end)}"
        yield f"{mark} {times}  (motion {window.motion:.1f}{cuts})"


def _copy(outcome: Outcome, invocation: Invocation) -> Iterator[str]:
    assert outcome.copy is not None
    assert outcome.size is not None
    shown = _shown(outcome, invocation)
    state = "copy" if outcome.is_new else "copy, as it stood there already"
    before = "or the " if outcome.trim is not None else ""
    size, heavy = f"{outcome.size[0]} × {outcome.size[1]}", _bytes(outcome.copy.stat().st_size)
    yield f"  {before}{state}: {_line(shown)} ({size}, {outcome.how}, {heavy})"
    if outcome.change is not None:
        yield from _change(outcome.change)


def _change(change: Change) -> Iterator[str]:
    if change.diff:
        yield from (f"    {escaped(line)}" for line in change.diff.splitlines())
    else:
        yield f"    {_line(change.file)}:{change.line}: write {_line(change.write)}"


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{max(1, round(size / 1e3))} kB"


def _shown(outcome: Outcome, invocation: Invocation) -> str:
    import os
    from pathlib import Path

    assert outcome.copy is not None
    return Path(os.path.relpath(outcome.copy, invocation.cwd)).as_posix()


def _seconds(value: Decimal) -> str:
    from kling_render.media.fixing.footage import text_of

    return text_of(value)


def _document(outcomes: Sequence[Outcome], invocation: Invocation) -> dict[str, Any]:
    return {
        "inputs": [_input(outcome, invocation) for outcome in outcomes],
        "errors": [
            {
                "code": wrong.code or "fix",
                "message": f"{outcome.item.shown}: {wrong.message}",
                "file": place.file if (place := outcome.item.ref.place if outcome.item.ref else None) else None,
                "line": place.line if place else None,
                "column": place.column if place else None,
                "help": wrong.help,
            }
            for outcome in outcomes
            for wrong in outcome.problems
        ],
    }


def _input(outcome: Outcome, invocation: Invocation) -> dict[str, Any]:
    item = outcome.item
    return {
        "input": item.shown,
        "id": item.entry.id if item.entry is not None else None,
        "kind": item.kind,
        "corrections": [
            {"code": one.code or None, "wrong": one.wrong, "done": one.done} for one in outcome.corrections
        ],
        "windows": [
            {"start": _seconds(w.start), "end": _seconds(w.end), "motion": w.motion, "cuts": w.cuts}
            for w in outcome.windows
        ],
        "trim": _edit(outcome.trim),
        "copy": None if outcome.copy is None else _made(outcome, invocation),
        "notes": outcome.notes,
    }


def _made(outcome: Outcome, invocation: Invocation) -> dict[str, Any]:
    assert outcome.copy is not None
    assert outcome.size is not None
    return {
        "path": _shown(outcome, invocation),
        "new": outcome.is_new,
        "width": outcome.size[0],
        "height": outcome.size[1],
        "bytes": outcome.copy.stat().st_size,
        "how": outcome.how,
        "change": _edit(outcome.change),
    }


def _edit(change: Change | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {"file": change.file, "line": change.line, "diff": change.diff or None, "write": change.write or None}
