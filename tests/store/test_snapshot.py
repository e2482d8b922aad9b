"""A copy of the ledger to read from, even where the store has no room for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from kling_render.errors import StoreFault
from kling_render.store.opening import Store
from kling_render.store.snapshot import snapshot


class FullStore:
    """A store whose disk has no room left."""

    def __init__(self, store: Store) -> None:
        self.blobs = store.blobs
        self.ledger = self
        self._store = store
        self.refused: list[Path] = []

    def back_up(self, target: Path) -> None:
        """As the ledger does, except on the store's own disk."""
        if self._store.layout.root in target.parents:
            self.refused.append(target)
            raise StoreFault("the disk is full", code="store-full")
        self._store.ledger.back_up(target)


def test_a_full_store_is_read_from_a_copy_elsewhere(tmp_path: Path) -> None:
    """What makes room must not need any there; nothing is left behind."""
    with Store.open(tmp_path / "store") as store:
        full = FullStore(store)
        with snapshot(cast(Any, full)) as copy:
            copy.check()
            assert tmp_path not in copy.path.parents
        assert not copy.path.parent.exists()
        assert [path.exists() for path in full.refused] == [False]
