"""The store's trash: what goes there can come back, whatever dies in between.

    trash/0001-20260801T120000Z/journal.json      written first: what lies where, and the records forgotten with it
    trash/0001-20260801T120000Z/blobs/ab12…       moved afterwards, by renames

Where a file stands tells how far a move came, so bringing back and emptying may be repeated at any point.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from kling_render.disk.filesystem import FileSystem
from kling_render.disk.publish import make_folders, move, publish_bytes
from kling_render.errors import StoreFault
from kling_render.store import faults
from kling_render.store.forgetting import Rows, bring_back, forget, remembered
from kling_render.store.garbage import Item, Kind
from kling_render.store.opening import Store

JOURNAL = "journal.json"
FORMAT = "kling-render.trash/1"
_EMPTYING = ".emptying"
_UNDO = "`kling-render gc --undo` brings back what was moved."


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one `gc` moved."""

    folder: Path
    #: Seconds since the epoch.
    at: float
    items: tuple[Item, ...]
    rows: Rows

    def lies(self, item: Item) -> Path:
        """Where an item lies in the trash."""
        kept = item.path.split("/")
        return self.folder / kept[0] / kept[-1] if len(kept) > 1 else self.folder / kept[0]

    @property
    def paid(self) -> bool:
        """Whether something of it may have cost something."""
        return any(item.paid for item in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What came back."""

    batch: Batch
    files: int
    #: Items that lie neither in the trash nor in their place.
    gone: tuple[Item, ...]


def batches(store: Store) -> list[Batch]:
    """Everything in the trash, oldest first.

    Raises:
        StoreFault: a journal is damaged.
    """
    return [_read(folder) for folder in _folders(store) if (folder / JOURNAL).is_file()]


def throw(store: Store, items: Sequence[Item], at: float) -> Batch:
    """Move files to the trash and forget the free attempts that go with them. The store is the caller's alone.

    Raises:
        StoreFault: the disk or the database refused; what was moved can be brought back.
    """
    _clear(store)
    number = max((int(folder.name[:4]) for folder in _folders(store)), default=0) + 1
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    forgotten = [attempt for item in items for attempt in item.forget]
    batch = Batch(
        folder=store.layout.trash / f"{number:04d}-{stamp}",
        at=at,
        items=tuple(items),
        rows=remembered(store.ledger, forgotten),
    )
    try:
        for folder in sorted({batch.lies(item).parent for item in items}):
            make_folders(folder, mode=0o700, fs=store.fs)
        with store.fs.folder(batch.folder) as opened:
            publish_bytes(opened, JOURNAL, _journal(batch), mode=0o600, fs=store.fs)
        forget(store.ledger, forgotten)
        pairs = [(store.layout.root / item.path, batch.lies(item)) for item in items]
        _move_all(pairs, store.fs)
    except OSError as fault:
        refused = faults.of_os(fault, "move files to the store's trash", batch.folder)
        raise StoreFault(refused.message, help=f"{_UNDO} {refused.help}", code=refused.code) from fault
    return batch


def undo(store: Store, at: float) -> Undone | None:
    """Bring everything back that the last `gc` moved; None when the trash is empty. The store is the caller's alone.

    Raises:
        StoreFault: the disk or the database refused; it can be repeated.
    """
    found = batches(store)
    if not found:
        return None
    batch = found[-1]
    try:
        count = sum(_brought_back(store, batch, item) for item in batch.items)
        bring_back(store.ledger, batch.rows, at, has=store.blobs.has)
        with store.fs.folder(batch.folder) as folder:
            store.fs.unlink(folder, JOURNAL)
        _remove(batch.folder, store.fs)
    except OSError as fault:
        raise faults.of_os(fault, "bring files back from the store's trash", batch.folder) from fault
    gone = tuple(item for item in batch.items if not _somewhere(store, item))
    return Undone(batch=batch, files=count, gone=gone)


def empty(store: Store, chosen: Iterable[Batch]) -> int:
    """Delete batches for good; returns how many files went. The store is the caller's alone.

    Raises:
        StoreFault: the disk refused; the rest goes the next time.
    """
    try:
        for batch in chosen:
            with store.fs.folder(store.layout.trash) as trash:
                # From here on it is no trash any more: half of it is never brought back.
                store.fs.replace(trash, batch.folder.name, trash, batch.folder.name + _EMPTYING)
                store.fs.fsync_folder(trash)
        doomed = [path for path in _entries(store.layout.trash) if path.name.endswith(_EMPTYING)]
        return sum(_remove(folder, store.fs) for folder in doomed)
    except OSError as fault:
        raise faults.of_os(fault, "empty the store's trash", store.layout.trash) from fault


def free_bytes_thrown(found: Iterable[Batch]) -> set[str]:
    """SHA-256 of rehearsals that a `gc` forgot: if it was killed before it moved them, no record names them."""
    return {item.sha256 for batch in found for item in batch.items if item.kind is Kind.REHEARSAL and item.sha256}


# -- inside ------------------------------------------------------------------------------------------------------


def _journal(batch: Batch) -> bytes:
    items = [asdict(item) for item in batch.items]
    content = {"format": FORMAT, "at": batch.at, "items": items, "rows": batch.rows}
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "surrogatepass")


def _read(folder: Path) -> Batch:
    try:
        content: dict[str, Any] = json.loads((folder / JOURNAL).read_bytes().decode("utf-8", "surrogatepass"))
        if content["format"] != FORMAT:
            raise StoreFault(
                f"the trash {folder} is of another version of kling-render", help="Use that version.", code="trash"
            )
        items = tuple(_item(each) for each in content["items"])
        return Batch(folder=folder, at=float(content["at"]), items=items, rows=content["rows"])
    except OSError as fault:
        raise faults.of_os(fault, "read the store's trash", folder) from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        help_ = f"Its files lie in the folders beside it, under their old names; move {folder} away to go on without."
        raise StoreFault(f"the journal of the trash {folder} is damaged", help=help_, code="trash") from fault


def _item(fields: dict[str, Any]) -> Item:
    made = Item(**fields)
    parts = made.path.split("/")
    if made.path.startswith("/") or "\\" in made.path or {"", ".", ".."} & set(parts):
        raise ValueError(made.path)
    return replace(made, kind=Kind(made.kind), jobs=tuple(made.jobs), forget=tuple(made.forget))


def _move_all(pairs: Iterable[tuple[Path, Path]], fs: FileSystem) -> None:
    """Rename, folder by folder; what is not there any more is passed over."""
    for (origin, goal), members in groupby(pairs, key=lambda pair: (pair[0].parent, pair[1].parent)):
        with fs.folder(origin) as source, fs.folder(goal) as target:
            for path, lying in members:
                with contextlib.suppress(FileNotFoundError):
                    fs.replace(source, path.name, target, lying.name)
            fs.fsync_folder(target)
            fs.fsync_folder(source)


def _brought_back(store: Store, batch: Batch, item: Item) -> bool:
    """Whether a file had to be moved."""
    lying, home = batch.lies(item), store.layout.root / item.path
    if not lying.exists():
        return False
    make_folders(home.parent, mode=0o700, fs=store.fs)
    if not home.exists():
        move(lying, home, fs=store.fs)
    elif home.is_relative_to(store.layout.blobs) and item.sha256:
        # What came anew stays. If it is damaged, the trash's copy takes its place.
        if store.blobs.verified(item.sha256) is None:
            move(lying, home, fs=store.fs)
        with contextlib.suppress(FileNotFoundError), store.fs.folder(lying.parent) as folder:
            store.fs.unlink(folder, lying.name)
    else:
        move(lying, _beside(home), fs=store.fs)
    return True


def _beside(path: Path) -> Path:
    """A free name next to one that is taken."""
    number = 2
    while (free := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return free


def _somewhere(store: Store, item: Item) -> bool:
    """Whether an item is in its place, or in what is left of the trash."""
    names = store.layout.trash.glob(f"*/*/{item.path.rpartition('/')[2]}")
    return (store.layout.root / item.path).exists() or any(names)


def _folders(store: Store) -> Iterator[Path]:
    for path in _entries(store.layout.trash):
        if path.name[:4].isdecimal() and not path.name.endswith(_EMPTYING) and path.is_dir():
            yield path


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _clear(store: Store) -> None:
    """Remove what a `gc` made that was killed before its journal stood: nothing was moved then."""
    for folder in list(_folders(store)):
        if not (folder / JOURNAL).exists():
            with contextlib.suppress(OSError):
                for inner in _entries(folder):
                    inner.rmdir() if inner.is_dir() else inner.unlink()
                folder.rmdir()


def _remove(folder: Path, fs: FileSystem) -> int:
    """Delete a folder with everything in it; returns how many files went."""
    count = 0
    with fs.folder(folder) as opened:
        for entry in sorted(os.scandir(folder), key=lambda each: each.name):
            if entry.is_dir(follow_symlinks=False):
                count += _remove(folder / entry.name, fs)
            else:
                fs.unlink(opened, entry.name)
                count += entry.name != JOURNAL
    with fs.folder(folder.parent) as parent:
        fs.rmdir(parent, folder.name)
        fs.fsync_folder(parent)
    return count
