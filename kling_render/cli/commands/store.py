"""`kling-render store`."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kling_render.cli.diagnostics import escaped
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.upkeep_words import files_word, size_text
from kling_render.errors import UsageError
from kling_render.lifecycle.identity import ulid
from kling_render.store.opening import Store
from kling_render.store.transfer import Exported, Imported, export_store, import_store
from kling_render.workspace.times import SystemClock

FORMAT = "kling-render.store/1"


@click.command("store")
@click.argument("action", type=click.Choice(["export", "import"]))
@click.argument("file", type=click.Path(path_type=Path))
@global_options
def command(invocation: Invocation, action: str, file: Path) -> int:
    """Write the whole store to FILE, to move it or to keep a copy; or bring in what such a file holds.

    An import into a store that is in use merges: what both know is known once, and nothing is paid for again.

    \b
    Examples:
      kling-render store export ~/renders.tar
      kling-render store import ~/renders.tar
      kling-render --store /mnt/new store import renders.tar
    """
    if str(file) == "-":
        raise UsageError("a store is exported to a file and imported from one, not by a pipe", help="name a file")
    settings, clock = invocation.settings(), SystemClock()
    path = (invocation.cwd / file).absolute()
    token = ulid(clock.now(), random.SystemRandom())
    with invocation.open_store(settings) as store:
        if action == "export":
            made = export_store(store, path, _progress(invocation, "exporting"), token=token)
            document, text = _exported(made)
        else:
            came = import_store(store, path, clock.now(), _progress(invocation, "importing"), token=token)
            document, text = _imported(store, path, came)
    if invocation.as_json:
        invocation.document({"format": FORMAT, "action": action, "file": str(path), **document})
    else:
        click.echo(text)
    return 0


def _progress(invocation: Invocation, what: str) -> Callable[[int, int], None]:
    if invocation.quiet or not sys.stderr.isatty():
        return lambda _done, _all: None
    from kling_render.cli.counter import Counter

    counter = Counter(sys.stderr)
    return lambda done, count: counter(what, done, count)


def _exported(made: Exported) -> tuple[dict[str, Any], str]:
    missing = f"; {made.missing} results have no bytes (`kling-render verify`)" if made.missing else ""
    text = (
        f"exported {made.attempts} attempts and {files_word(made.files)} to {escaped(str(made.path))}, "
        f"{size_text(made.size)}{missing}\nkeep it private: it holds what the store holds, prompts and links among it"
    )
    counts = {"attempts": made.attempts, "files": made.files, "bytes": made.size, "missing": made.missing}
    return counts, text


def _imported(store: Store, path: Path, came: Imported) -> tuple[dict[str, Any], str]:
    merged = came.merged
    counts = f"{merged.new} attempts are new, {merged.updated} are further along, {merged.known} were known"
    files = f"{files_word(came.files)}, {size_text(came.size)}"
    into = escaped(str(store.layout.root))
    lines = [f"imported from {escaped(str(path))} into {into}: {counts}; {files}"]
    if merged.left_out:
        lines.append(f"left out: {merged.left_out} claims for which nothing was sent")
    lines += [
        f"paid twice, both kept: {loser} stands back behind {winner}, which is nearer to a result"
        for loser, winner in merged.set_aside
    ]
    lines.append("before the next payment the account's whole request log is read")
    document = {
        "attempts": merged.new,
        "updated": merged.updated,
        "known": merged.known,
        "left_out": merged.left_out,
        "results": merged.results,
        "files": came.files,
        "bytes": came.size,
        "set_aside": [{"attempt": loser, "behind": winner} for loser, winner in merged.set_aside],
    }
    return document, "\n".join(lines)
