"""What a store could do without, what it cost, and whether it may go unasked. Nothing here changes anything.

A result that a shot list still uses is no garbage, and bytes that may have cost something are garbage only for those
who ask for them: see `Item.paid`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from kling_render.disk.publish import PART_SUFFIX, is_part
from kling_render.lifecycle.states import State
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store
from kling_render.store.snapshot import snapshot
from kling_render.store.worth import NOTHING, UNKNOWN, Worth, Worths, worths

_DAY_S = 86_400.0
_INPUTS_KEPT_S = 7 * _DAY_S
_BACKUPS_KEPT_S = 30 * _DAY_S
_BACKUPS_KEPT = 2
_PREVIEW = re.compile(r"([0-9a-f]{64})\.(?:poster|preview)-[0-9]+\.webp")
_LEFT_WITHOUT_RESULT = (State.PAID_LOST, State.ABANDONED)


class Kind(StrEnum):
    """Why something could go."""

    #: A free rehearsal that stands in no output folder any more; it is drawn again when it is wanted.
    REHEARSAL = "rehearsal"
    #: A fetched input or a trimmed clip, more than a week old; it is fetched or made again when it is wanted.
    INPUT = "input"
    #: Damaged bytes.
    QUARANTINE = "quarantine"
    #: What a killed process was writing.
    TEMPORARY = "temporary"
    #: A poster or preview of a film that the store does not hold any more; it is made again when it is wanted.
    PREVIEW = "preview"
    #: A picture for warnings about a clip that is not where it was; the clip is watched again when it is wanted.
    STRIP = "strip"
    #: A copy of the ledger, more than 30 days old and not among the two newest.
    BACKUP = "backup"
    #: A result that no output folder holds any more; asked for again, it comes from the trash or from the provider.
    SUPERSEDED = "superseded"
    #: Bytes of an attempt whose result is another one now, or was given up.
    UNREFERENCED = "unreferenced"
    #: Bytes that no record names.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file that could go."""

    kind: Kind
    #: POSIX, relative to the store.
    path: str
    #: Bytes.
    size: int
    #: What it cost in credits; None when that is not known.
    credits: int | None = 0
    #: Whether it may have cost something that nothing else in the store makes up for.
    paid: bool = False
    sha256: str | None = None
    #: The jobs it was rendered for.
    jobs: tuple[str, ...] = ()
    #: Free attempts that are forgotten with it, so that their jobs are drawn again.
    forget: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An attempt that holds bytes as its result."""

    id: str
    namespace: str
    state: State
    #: Absolute paths of take, final and output folder.
    output: str
    final: str
    root: str
    blob: str
    size: int


@dataclass(slots=True)
class _Held:
    """What the ledger says about one SHA-256."""

    holders: list[Holder] = field(default_factory=list)
    #: Attempts named by results with these bytes.
    results: set[str] = field(default_factory=set)


def garbage(
    store: Store,
    *,
    now: float,
    free: Collection[str],
    in_use: Callable[[Holder], bool],
    inputs: Collection[str],
    strips: Collection[str] = (),
    thrown: Collection[str] = (),
) -> list[Item]:
    """Everything that could go, blobs first, each sorted by path.

    Args:
        store: open.
        now: seconds since the epoch.
        free: namespaces in which nothing costs anything.
        in_use: whether an output folder holds the result of an attempt that is done.
        inputs: SHA-256 of bytes that are copies of inputs.
        strips: names of the strips that findings refer to.
        thrown: SHA-256 of free bytes whose records a `gc` that was killed has forgotten already.

    Raises:
        StoreFault: the ledger cannot be read or is damaged.
    """
    with snapshot(store) as ledger:
        ledger.check()  # a damaged ledger would make results look like garbage
        known, held = worths(ledger, free), _held(ledger)
    items = []
    for sha256, size in store.blobs.everything():
        path = store.blobs.path(sha256)
        one = Item(kind=Kind.UNKNOWN, path=_relative(store, path), size=size, sha256=sha256)
        if sha256 in held:
            found = _of_held(one, held[sha256], known, in_use)
        elif sha256 in thrown:
            found = replace(one, kind=Kind.REHEARSAL)
        elif sha256 in inputs:
            found = replace(one, kind=Kind.INPUT) if _older(path, now - _INPUTS_KEPT_S) else None
        else:
            worth = known.of(sha256)
            found = _priced(replace(one, kind=Kind.UNREFERENCED) if worth else one, worth or UNKNOWN)
        if found is not None:
            items.append(found)
    derived = [*_previews(store), *_strips(store, strips, now), *_temporary(store, now), *_backups(store, now)]
    return [*items, *_quarantined(store, known, inputs), *derived]


def _held(ledger: SqliteLedger) -> dict[str, _Held]:
    """SHA-256 → who holds it as a result."""
    found: dict[str, _Held] = {}
    with ledger.reading():
        connection = ledger.connection
        for blob, attempt in connection.execute("SELECT blob, attempt FROM results"):
            found.setdefault(blob, _Held()).results.add(attempt)
        rows = connection.execute(
            "SELECT id, namespace, state, output, final, root, blob, size FROM attempts "
            "WHERE blob IS NOT NULL AND state NOT IN (?, ?)",
            [state.value for state in _LEFT_WITHOUT_RESULT],
        )
        for id_, namespace, state, output, final, root, blob, size in rows:
            holder = Holder(
                id=id_,
                namespace=namespace,
                state=State(state),
                output=output,
                final=final,
                root=root,
                blob=blob,
                size=size or 0,
            )
            found.setdefault(blob, _Held()).holders.append(holder)
    return found


def _of_held(one: Item, held: _Held, known: Worths, in_use: Callable[[Holder], bool]) -> Item | None:
    """A result that stands nowhere: a free one may go with its record, a paid one only when that is asked for."""
    if held.results - {holder.id for holder in held.holders}:
        return None  # the ledger contradicts itself: `verify` reports it
    if any(holder.state is not State.DONE or in_use(holder) for holder in held.holders):
        return None
    if all(holder.namespace in known.free for holder in held.holders):
        forget = tuple(sorted(holder.id for holder in held.holders))
        return _priced(replace(one, kind=Kind.REHEARSAL, forget=forget), known.of(one.sha256 or "") or NOTHING)
    return _priced(replace(one, kind=Kind.SUPERSEDED), replace(known.of(one.sha256 or "") or UNKNOWN, paid=True))


def _quarantined(store: Store, known: Worths, inputs: Collection[str]) -> Iterator[Item]:
    """Damaged bytes; those that are all that is left of something paid for are paid."""
    for path, size in _files(store.layout.quarantine):
        sha256 = path.name.partition(".")[0]
        worth = NOTHING if sha256 in inputs else known.of(sha256) or UNKNOWN
        whole = known.now_held_by(sha256)
        if whole and all(store.blobs.has(each) for each in whole):
            worth = replace(worth, paid=False)
        item = Item(kind=Kind.QUARANTINE, path=_relative(store, path), size=size, sha256=sha256)
        yield _priced(item, worth)


def _temporary(store: Store, now: float) -> Iterator[Item]:
    """What dead processes left. A file without an owner's name may be in use by a plan, for a while."""
    for path, size in _files(store.layout.tmp):
        token = path.name.partition(".")[0]
        if not store.is_alive(token) if token else _older(path, now - _DAY_S):
            yield Item(kind=Kind.TEMPORARY, path=_relative(store, path), size=size)
    layout = store.layout
    derived = {*layout.previews.glob("??"), layout.warnings}
    for folder in (layout.root, *sorted(layout.blobs.glob("??")), layout.quarantine, layout.backups, *sorted(derived)):
        for path, size in _files(folder):
            half = is_part(path.name) or (folder in derived and path.suffix == PART_SUFFIX)
            if half and _older(path, now - _DAY_S):
                yield Item(kind=Kind.TEMPORARY, path=_relative(store, path), size=size)


def _previews(store: Store) -> Iterator[Item]:
    for folder in sorted(store.layout.previews.glob("??")):
        for path, size in _files(folder):
            film = _PREVIEW.fullmatch(path.name)
            if film and not store.blobs.has(film[1]):
                yield Item(kind=Kind.PREVIEW, path=_relative(store, path), size=size)


def _strips(store: Store, wanted: Collection[str], now: float) -> Iterator[Item]:
    """A fresh one may be of a `check` that runs: it tells the cache what it found when it ends."""
    for path, size in _files(store.layout.warnings):
        if path.suffix == ".png" and path.name not in wanted and _older(path, now - _DAY_S):
            yield Item(kind=Kind.STRIP, path=_relative(store, path), size=size)


def _backups(store: Store, now: float) -> Iterator[Item]:
    found = [(path.stat().st_mtime, path, size) for path, size in _files(store.layout.backups)]
    copies = sorted(each for each in found if each[1].suffix == ".sqlite3")
    for written, path, size in copies[:-_BACKUPS_KEPT]:
        if written < now - _BACKUPS_KEPT_S:
            yield Item(kind=Kind.BACKUP, path=_relative(store, path), size=size)


def _priced(item: Item, worth: Worth) -> Item:
    return replace(item, credits=worth.credits, paid=worth.paid, jobs=worth.jobs)


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The plain files of a folder, with their sizes."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.is_symlink():
            yield path, path.stat().st_size


def _older(path: Path, than: float) -> bool:
    return path.stat().st_mtime < than


def _relative(store: Store, path: Path) -> str:
    return path.relative_to(store.layout.root).as_posix()
