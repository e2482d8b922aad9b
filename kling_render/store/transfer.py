"""The whole store into one file, and back: into a new store, or merged into one that is in use.

Not in the file: the cache, owners, temporary files, the spool, quarantine and trash. It holds what the store holds,
prompts, paths and links to results among it, so it is written for the user alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kling_render.disk.publish import publish, write_all
from kling_render.errors import StoreFault, UsageError
from kling_render.store import faults
from kling_render.store.archive import Damaged, Manifest, Part, Reader, write
from kling_render.store.exclusive import exclusive
from kling_render.store.foreign import Refused, foreign_ledger
from kling_render.store.hashing import sha256_of
from kling_render.store.layout import FORMAT
from kling_render.store.ledger import SqliteLedger
from kling_render.store.merging import Merged, merge
from kling_render.store.migrations import MIGRATIONS, Migration
from kling_render.store.opening import Store, back_up
from kling_render.store.snapshot import registered, snapshot

ReportProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    path: Path
    #: Bytes of the file.
    size: int
    files: int
    attempts: int
    #: Results whose bytes the store does not have.
    missing: int


@dataclass(slots=True, kw_only=True)
class Imported:
    """What came in."""

    merged: Merged = field(default_factory=Merged)
    #: Results whose bytes were not here before, and how many bytes those are.
    files: int = 0
    size: int = 0


def export_store(store: Store, target: Path, progress: ReportProgress, *, token: str) -> Exported:
    """Write the whole store to a new file: complete, or not at all. Safe beside a run.

    Raises:
        UsageError: something stands there already, or there is no such folder.
        StoreFault: a result is damaged, or a disk refused.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already", help="name a new file: nothing is overwritten")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", help="make it first, or name a file in another one")
    with registered(store, token), snapshot(store) as ledger:
        ledger.check(thorough=True)
        # After the ledger: bytes come before their record, so whatever it names is listed.
        blobs = tuple(Part(name, size) for name, size in store.blobs.everything())
        manifest = Manifest(FORMAT, Part(sha256_of(ledger.path), ledger.path.stat().st_size), blobs)
        with ledger.reading():
            attempts = ledger.connection.execute("SELECT COUNT(*) FROM attempts").fetchone()[0]
            named = {row[0] for row in ledger.connection.execute("SELECT blob FROM results")}
        _write(store, target, manifest, ledger.path, progress)
    missing = len(named - {blob.sha256 for blob in blobs})
    size = target.stat().st_size
    return Exported(path=target, size=size, files=len(blobs), attempts=attempts, missing=missing)


def import_store(
    store: Store,
    source: Path,
    at: float,
    progress: ReportProgress,
    *,
    token: str,
    version: int = FORMAT,
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> Imported:
    """Bring everything in a file into the store; a file that is not sound changes nothing.

    The whole file is read and checked first. Then the results take their names, and last of all the ledger is
    changed, in one transaction: whoever dies on the way leaves the store as it was, save for a few bytes more.

    Raises:
        UsageError: there is no such file.
        StoreFault: the file is not sound, another process works on the store, or the disk refused.
    """
    if not source.exists():
        raise UsageError(f"there is no file {source}", help="name one that `kling-render store export` wrote")
    owner = store.register(token)
    try:
        with exclusive(store.layout, keep=(token,), fs=store.fs), _Staging(store) as staging:
            reader = Reader(source, known_format=version)
            try:
                staging.take(reader, progress)
            finally:
                reader.close()
            ledger = _sound(staging.ledger, source, version, migrations)
            try:
                return _bring_in(store, staging, ledger, at)
            finally:
                ledger.close()
    except OSError as fault:
        raise faults.of_os(fault, "import into the store", store.layout.root) from fault
    finally:
        owner.release()


def _write(store: Store, target: Path, manifest: Manifest, ledger: Path, progress: ReportProgress) -> None:
    def place(part: Part) -> Path:
        return ledger if part is manifest.ledger else store.blobs.path(part.sha256)

    def fill(fd: int) -> None:
        write(fd, manifest, place, store.fs, progress)

    try:
        with store.fs.folder(target.parent) as folder:
            publish(folder, target.name, fill, mode=0o600, fs=store.fs)
    except Damaged as damaged:
        help_ = "Run `kling-render verify --read-data`, which mends it where that is free; then export again."
        raise StoreFault(f"the stored result {damaged} is damaged", help=help_, code="store-damaged") from damaged
    except OSError as fault:
        raise faults.of_os(fault, "write the export", target) from fault


def _sound(ledger: Path, source: Path, version: int, migrations: Mapping[int, Migration]) -> SqliteLedger:
    try:
        return foreign_ledger(ledger, version, migrations)
    except Refused as refused:
        help_ = "Export the store again, or take another copy of the file. Nothing was changed."
        raise StoreFault(f"{source} is no sound export of a store: {refused}", help=help_, code="archive") from refused


def _bring_in(store: Store, staging: _Staging, ledger: SqliteLedger, at: float) -> Imported:
    """From here on the store is changed: results first, the ledger last."""
    _back_up_if_used(store)
    for sha256, temporary in staging.blobs.items():
        store.blobs.adopt(temporary, sha256)
    return Imported(merged=merge(ledger, store.ledger, at), files=len(staging.blobs), size=staging.size)


def _back_up_if_used(store: Store) -> None:
    with store.ledger.reading():
        used = store.ledger.connection.execute("SELECT 1 FROM attempts LIMIT 1").fetchone()
    if used:
        back_up(store.ledger, store.layout, FORMAT, store.fs)


class _Staging:
    """What was read, under temporary names inside the store; gone afterwards, unless it took its name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ledger = store.blobs.temporary()
        #: SHA-256 → temporary file, of results that the store does not have.
        self.blobs: dict[str, Path] = {}
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        journal = self.ledger.with_name(self.ledger.name + "-journal")
        for path in (self.ledger, journal, *self.blobs.values()):
            path.unlink(missing_ok=True)

    def take(self, reader: Reader, progress: ReportProgress) -> None:
        """Read the whole file."""
        store, manifest = self._store, reader.manifest
        missing = [blob for blob in manifest.blobs if store.blobs.verified(blob.sha256) is None]
        self._check_room(manifest.ledger.size + sum(blob.size for blob in missing))
        with self._filling(self.ledger) as write_chunk:
            reader.ledger(write_chunk)
        self.blobs = {blob.sha256: store.blobs.temporary() for blob in missing}
        self.size = sum(blob.size for blob in missing)
        opened: list[_File] = []

        def writer(blob: Part) -> Callable[[memoryview], object]:
            if blob.sha256 not in self.blobs:
                return lambda _chunk: None  # the store has it; what the file says is checked all the same
            opened.append(_File(store, self.blobs[blob.sha256]))
            return opened[-1].write

        try:
            for number, _ in enumerate(reader.blobs(writer), 1):
                while opened:
                    opened.pop().close()
                progress(number, len(manifest.blobs))
        finally:
            while opened:
                opened.pop().close()

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._store.layout.root).free
        if size > free:
            raise StoreFault(
                f"the import needs {size / 1e6:.0f} MB, and the store's disk has {free / 1e6:.0f} MB left",
                help="Free some space there, then run the command again. Nothing was changed.",
                code="store-full",
            )

    @contextmanager
    def _filling(self, path: Path) -> Iterator[Callable[[memoryview], object]]:
        file = _File(self._store, path)
        try:
            yield file.write
        finally:
            file.close()


class _File:
    """A temporary file that is being written."""

    def __init__(self, store: Store, path: Path) -> None:
        self._fs = store.fs
        with self._fs.folder(path.parent) as folder:
            self._fd = self._fs.open(folder, path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, chunk: memoryview) -> None:
        write_all(self._fd, bytes(chunk), fs=self._fs)

    def close(self) -> None:
        self._fs.close(self._fd)
