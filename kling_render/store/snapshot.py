"""A copy of the ledger to read at leisure: a long read of the ledger itself would keep other processes waiting."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kling_render.errors import StoreFault
from kling_render.store.ledger import SqliteLedger, connect
from kling_render.store.opening import Store


@contextlib.contextmanager
def snapshot(store: Store) -> Iterator[SqliteLedger]:
    """The ledger as it stands now, page for page; gone afterwards.

    Raises:
        StoreFault: it cannot be read, or there is no room for a copy.
    """
    with contextlib.ExitStack() as places:
        path = places.enter_context(_place(store))
        try:
            store.ledger.back_up(path)
        except StoreFault as fault:
            if fault.code != "store-full":
                raise
            places.close()  # what makes room must work on a full disk
            path = places.enter_context(_place_elsewhere())
            store.ledger.back_up(path)
        copy = connect(path)
        try:
            yield copy
        finally:
            copy.close()


@contextlib.contextmanager
def registered(store: Store, token: str) -> Iterator[bool]:
    """While inside, `gc` stays away; False where the store can only be read, so that nobody could move anything.

    Raises:
        StoreFault: another command has the store to itself.
    """
    try:
        owner = store.register(token)
    except StoreFault as fault:
        if fault.code == "store-locked":
            raise
        yield False
        return
    try:
        yield True
    finally:
        owner.release()


@contextlib.contextmanager
def _place(store: Store) -> Iterator[Path]:
    """A file name in the store; outside of it where the store cannot be written."""
    path = store.blobs.temporary()
    try:
        path.touch(mode=0o600)
    except OSError:
        with _place_elsewhere() as path:
            yield path
        return
    try:
        yield path
    finally:
        for suffix in ("", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _place_elsewhere() -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="kling-render-"))
    except OSError as fault:
        raise StoreFault("there is no room for a copy of the ledger", code="store-full") from fault
    try:
        yield folder / "ledger.sqlite3"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
