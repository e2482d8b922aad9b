"""What a store could do without, judged by the output folders it is known in; to its trash, back, or gone for good."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.lifecycle.identity import ulid
from kling_render.media.footage import findings
from kling_render.outputs.index import listed_files, read_index
from kling_render.ports import Clock
from kling_render.store.cache import Cache
from kling_render.store.digests import StatDigests
from kling_render.store.exclusive import exclusive
from kling_render.store.garbage import Holder, Item, garbage
from kling_render.store.opening import Store
from kling_render.store.trash import Batch, Undone, batches, empty, free_bytes_thrown, throw, undo
from kling_render.workspace.inputs.remote import REMOTE
from kling_render.workspace.inputs.uploads import TRIM
from kling_render.workspace.workspace import PREVIZ

FREE = frozenset({PREVIZ})
"""Namespaces in which nothing costs anything."""
TRASH_KEPT_S = 86_400.0
"""Younger trash is deleted only by those who insist."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """A store's garbage, and what is in its trash."""

    store: Store
    clock: Clock

    def found(self) -> list[Item]:
        """Everything that could go; changes nothing."""
        cache = self.store.cache
        inputs = {str(digest) for kind in (REMOTE, TRIM) for digest in cache.all(kind).values()}
        digests = self.store.digests()
        trees = OutputTrees(_roots(self.store), digests)
        return garbage(
            self.store,
            now=self.clock.now(),
            free=FREE,
            in_use=trees.hold,
            inputs=inputs,
            strips=_strips(cache, digests.standing() | inputs),
            thrown=free_bytes_thrown(batches(self.store)),
        )

    def trash(self) -> list[Batch]:
        """What earlier calls moved, oldest first."""
        return batches(self.store)

    def throw(self, agreed: Iterable[Item]) -> Batch | None:
        """Move what was agreed to the trash, as far as it is still garbage; None when nothing of it is.

        Raises:
            StoreFault: another process works on the store, or the disk refused.
        """
        wanted = {(item.kind, item.path) for item in agreed}
        with self._alone():
            items = [item for item in self.found() if (item.kind, item.path) in wanted]
            return throw(self.store, items, self.clock.now()) if items else None

    def undo(self) -> Undone | None:
        """Bring back what the last call moved; None when there is nothing.

        Raises:
            StoreFault: another process works on the store, or the disk refused.
        """
        with self._alone():
            return undo(self.store, self.clock.now())

    def old(self, *, even_fresh: bool, paid: bool) -> list[Batch]:
        """What may be deleted for good: a day old, and without bytes that were paid for, unless that is asked for."""
        before = self.clock.now() - TRASH_KEPT_S
        return [batch for batch in self.trash() if (even_fresh or batch.at < before) and (paid or not batch.paid)]

    def empty(self, agreed: Iterable[Batch]) -> int:
        """Delete batches for good; returns how many files went.

        Raises:
            StoreFault: another process works on the store, or the disk refused.
        """
        names = {batch.folder for batch in agreed}
        with self._alone():
            return empty(self.store, [batch for batch in self.trash() if batch.folder in names])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        owner = self.store.register(ulid(self.clock.now(), random.SystemRandom()))
        try:
            with exclusive(self.store.layout, keep=(owner.token,), fs=self.store.fs):
                yield
        finally:
            owner.release()


@dataclass(slots=True)
class OutputTrees:
    """The output folders that attempts of this store were published to."""

    roots: Iterable[str]
    digests: StatDigests
    _lists: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    def hold(self, holder: Holder) -> bool:
        """Whether a result stands in an output folder. One that cannot be looked at counts too, unless it is free."""
        if any(self._stands(path, holder) for path in (holder.output, holder.final)):
            return True
        if holder.namespace in FREE:
            return False
        if not self._lists:
            self._lists = {root: _listed(root) for root in {*self.roots, holder.root}}
        if self._lists.get(holder.root) is None:
            return True  # no job is known for it, or its folder is not there: perhaps on a disk that is
        return any(holder.blob in listed for listed in self._lists.values() if listed)

    def _stands(self, path: str, holder: Holder) -> bool:
        try:
            standing = Path(path)
            return standing.stat().st_size == holder.size and self.digests.sha256(standing) == holder.blob
        except (OSError, ValueError):
            return False


def _listed(root: str) -> frozenset[str] | None:
    """SHA-256 of all that the index of an output folder lists; None when there is none to be read."""
    try:
        index = read_index(Path(root)) if root else None
    except ValueError:  # a NUL in the name
        return None
    return None if index is None else frozenset(listed_files(index).values())


def _strips(cache: Cache, held: Collection[str]) -> set[str]:
    """The strips of clips that are still at hand where they were last seen, or as copies of remote ones."""
    found: set[str] = set()
    for key, stored in cache.all(findings.VERSION).items():
        if key.partition(":")[0] in held:
            with contextlib.suppress(ValueError):
                found.update(name for _, name in findings.from_json(stored).pictures)
    return found


def _roots(store: Store) -> list[str]:
    with store.ledger.reading():
        return [row[0] for row in store.ledger.connection.execute("SELECT DISTINCT root FROM attempts")]
