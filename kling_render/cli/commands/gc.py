"""`kling-render gc`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.timestamps import iso, local
from kling_render.cli.upkeep_words import files_word, item_line, some, sum_text, usd
from kling_render.errors import UsageError
from kling_render.store.garbage import Item
from kling_render.store.trash import Batch
from kling_render.workspace.times import SystemClock
from kling_render.workspace.upkeep.cleaning import Cleaning

FORMAT = "kling-render.gc/1"


@click.command("gc")
@click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
@click.option("--paid", is_flag=True, help="What was paid for too.")
@click.option("--undo", is_flag=True, help="Bring back what the last gc moved.")
@click.option("--empty-trash", is_flag=True, help="Delete what earlier calls moved, for good.")
@click.option("--now", is_flag=True, help="With --empty-trash: even what was moved in the last 24 hours.")
@global_options
def command(invocation: Invocation, **given: bool) -> int:
    """List what the store could do without, its size and what it cost; move it to the store's trash when you agree.

    Without a terminal nothing is moved unless --yes is given. What was paid for stays unless --paid is given.

    \b
    Examples:
      kling-render gc
      kling-render gc --yes
      kling-render gc --undo
      kling-render gc --empty-trash
    """
    yes, paid, undo, empty_trash, now = (given[name] for name in ("yes", "paid", "undo", "empty_trash", "now"))
    if undo and (paid or empty_trash):
        raise UsageError("--undo stands alone", help="it brings back everything that the last gc moved")
    if now and not empty_trash:
        raise UsageError("--now belongs to --empty-trash", help="gc itself needs no waiting")
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        cleaning = Cleaning(store, SystemClock())
        if undo:
            return _undo(invocation, cleaning)
        if empty_trash:
            return _empty(invocation, cleaning, cleaning.old(even_fresh=now, paid=paid), yes=yes)
        return _clean(invocation, cleaning, paid=paid, yes=yes)


def _clean(invocation: Invocation, cleaning: Cleaning, *, paid: bool, yes: bool) -> int:
    found = cleaning.found()
    going = [item for item in found if paid or not item.paid]
    kept = [item for item in found if item not in going]
    if not invocation.as_json:
        click.echo("\n".join(_listing(going, kept, cleaning.trash(), everything=invocation.verbose)))
    question = f"Move {files_word(len(going))} to the store's trash?"
    batch = cleaning.throw(going) if going and _agreed(invocation, question, yes=yes) else None
    if invocation.as_json:
        shown = [_item(item, goes=item in going) for item in found]
        invocation.document(_document("moved" if batch else "listed", cleaning, shown, batch.items if batch else ()))
    elif batch:
        click.echo(f"moved to the trash: {sum_text(batch.items)}; `kling-render gc --undo` brings it back")
    elif going and not yes:
        click.echo(f"nothing was moved; `kling-render gc{' --paid' if paid else ''} --yes` moves it")
    return 0


def _undo(invocation: Invocation, cleaning: Cleaning) -> int:
    undone = cleaning.undo()
    items = undone.batch.items if undone else ()
    if invocation.as_json:
        invocation.document(_document("undone", cleaning, [_item(item, goes=False) for item in items], items))
    elif undone is None:
        click.echo("the trash is empty: there is nothing to bring back")
    else:
        click.echo(f"brought back what was moved at {local(undone.batch.at)}: {sum_text(items)}")
        for item in undone.gone:
            invocation.say(f"note: no longer there: {item_line(item)}")
    return 0


def _empty(invocation: Invocation, cleaning: Cleaning, old: list[Batch], *, yes: bool) -> int:
    items = [item for batch in old for item in batch.items]
    stays = len(cleaning.trash()) - len(old)
    if not invocation.as_json:
        lines = some([item_line(item) for item in items], everything=invocation.verbose)
        click.echo("\n".join([f"would be deleted for good: {sum_text(items)}", *(f"  {line}" for line in lines)]))
        if stays:
            batches = f"{stays} batch{'es' if stays > 1 else ''}"
            click.echo(f"stays in the trash: {batches}, not a day old (--now) or paid for (--paid)")
    question = f"Delete {files_word(len(items))} for good?"
    done = bool(old) and _agreed(invocation, question, yes=yes)
    if done:
        cleaning.empty(old)
    if invocation.as_json:
        shown = [_item(item, goes=True) for item in items]
        invocation.document(_document("deleted" if done else "listed", cleaning, shown, items if done else ()))
    elif done:
        click.echo(f"deleted: {sum_text(items)}")
    elif old and not yes:
        click.echo("nothing was deleted; --yes deletes it")
    return 0


def _agreed(invocation: Invocation, question: str, *, yes: bool) -> bool:
    if yes:
        return True
    if invocation.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(question, default=False, err=True)


def _listing(going: list[Item], kept: list[Item], trash: list[Batch], *, everything: bool) -> Iterator[str]:
    if not going and not kept:
        yield "nothing to tidy up: everything in the store is in use"
    if going:
        yield f"could go: {sum_text(going)}"
        yield from (f"  {line}" for line in some([item_line(item) for item in going], everything=everything))
    if kept:
        yield f"stays, for it may have been paid for (--paid moves it too): {sum_text(kept)}"
        yield from (f"  {line}" for line in some([item_line(item) for item in kept], everything=everything))
    for batch in trash:
        yield f"in the trash since {local(batch.at)}: {sum_text(batch.items)}"


def _document(action: str, cleaning: Cleaning, items: list[dict[str, Any]], acted: Iterable[Item]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "action": action,
        "totals": _totals(acted),
        "trash": [
            {"name": b.folder.name, "at": iso(b.at), "paid": b.paid} | _totals(b.items) for b in cleaning.trash()
        ],
        "items": items,
    }


def _totals(items: Iterable[Item]) -> dict[str, Any]:
    found = list(items)
    return {
        "files": len(found),
        "bytes": sum(item.size for item in found),
        "usd": usd(sum(item.credits or 0 for item in found)),
        "unknown": sum(item.credits is None for item in found),
    }


def _item(item: Item, *, goes: bool) -> dict[str, Any]:
    return {
        "kind": item.kind.value,
        "path": item.path,
        "size": item.size,
        "usd": usd(item.credits),
        "paid": item.paid,
        "sha256": item.sha256,
        "jobs": list(item.jobs),
        "goes": goes,
    }
