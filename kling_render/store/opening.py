"""Opening a store: the checks that keep it private, whole and of a known format."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kling_render.disk import places
from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.disk.publish import make_folders, publish_bytes
from kling_render.errors import StoreFault
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import Event, State
from kling_render.store import faults, owners
from kling_render.store.blobs import DiskBlobs
from kling_render.store.cache import Cache
from kling_render.store.digests import StatDigests
from kling_render.store.exclusive import refuse_if_taken
from kling_render.store.layout import FORMAT, MARKER_TEXT, Layout
from kling_render.store.ledger import BUSY_TIMEOUT_S, SqliteLedger, connect, create_schema, version_of
from kling_render.store.migrations import MIGRATIONS, Migration
from kling_render.store.spool import Spool, Spooled, forget, recover

_MAY_BE_ACCEPTED = frozenset({State.INTENT, State.IN_DOUBT, State.NEEDS_USER})


@dataclass(slots=True)
class Store:
    """An open store. Close it, or use it as a context manager."""

    layout: Layout
    ledger: SqliteLedger
    cache: Cache
    blobs: DiskBlobs
    fs: FileSystem = REAL
    _digests: list[StatDigests] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        location: Path,
        *,
        allow_network: bool = False,
        timeout_s: float = BUSY_TIMEOUT_S,
        max_pages: int | None = None,
        version: int = FORMAT,
        migrations: Mapping[int, Migration] = MIGRATIONS,
        mounts: str | None = None,
        fs: FileSystem = REAL,
    ) -> Store:
        """Open the store at a folder; it is made when it does not exist.

        Args:
            location: the folder.
            allow_network: accept a network file system, where locks may not hold between machines.
            timeout_s: how long to wait for another process's lock on the ledger.
            max_pages: a size limit for the ledger, in database pages.
            version: the newest format this program knows.
            migrations: the steps that lead to `version`.
            mounts: the table of mounts, instead of the kernel's.
            fs: the disk.

        Raises:
            StoreFault: what is wrong and what helps.
        """
        layout = Layout(Path(os.path.abspath(location)))  # noqa: PTH100 - `resolve` would follow a planted symlink
        try:
            _prepare_folder(layout, allow_network, places.mounts() if mounts is None else mounts, fs)
        except OSError as fault:
            raise faults.of_os(fault, "open the store", layout.root) from fault
        ledger = connect(layout.ledger, timeout_s=timeout_s, max_pages=max_pages)
        try:
            _bring_to(version, ledger, layout, migrations, fs)
        except BaseException:
            ledger.close()
            raise
        return cls(layout, ledger, Cache(layout.cache), DiskBlobs(layout, fs=fs), fs)

    def digests(self, under: Path | None = None) -> StatDigests:
        """Digests remembered in this store's cache; saved when the store is closed."""
        made = StatDigests(self.cache, under=under)
        self._digests.append(made)
        return made

    def register(self, token: str) -> owners.Owner:
        """Take a token for this process, clean up behind dead ones, and name temporary files after it."""
        owner = owners.register(self.layout.owners, token, fs=self.fs)
        try:
            refuse_if_taken(self.layout)
        except StoreFault:
            owner.release()
            raise
        self.blobs.owner = token
        self.blobs.sweep(self.is_alive)
        owners.clean(self.layout.owners, keep=(token,), fs=self.fs)
        return owner

    def is_alive(self, token: str) -> bool:
        """Whether the process that took the token still runs."""
        return owners.is_alive(self.layout.owners, token)

    def process_of(self, token: str) -> int | None:
        """The process id behind a token, for messages; None when it is not known."""
        return owners.process_of(self.layout.owners, token)

    def spool(self, token: str) -> Spool:
        """The slots of this process; see `store.spool`."""
        return Spool(self.layout.spool, token, fs=self.fs)

    def record_spooled(self, at: float) -> tuple[list[Attempt], list[Spooled]]:
        """Record the ids that dead processes could only save in the spool; do so before anything is recovered.

        Returns the attempts that are accepted now, and what belongs to no attempt of this ledger (its slot stays).
        """
        recorded, unknown = [], []
        for spooled in recover(self.layout.spool, self.is_alive):
            with self.ledger.writing() as ledger:
                attempt = ledger.attempt(spooled.attempt)
                if attempt is not None and attempt.state in _MAY_BE_ACCEPTED:
                    facts = {"generation_id": spooled.generation_id, "detail": {"from": "spool"}}
                    attempt = ledger.record(attempt.id, Event.ACCEPT, at, **facts)
                    recorded.append(attempt)
            if attempt is not None and attempt.generation_id == spooled.generation_id:
                forget(spooled)
            else:
                unknown.append(spooled)
        return recorded, unknown

    def close(self) -> None:
        """Save what is remembered and close the files."""
        for digests in self._digests:
            digests.save()
        self.cache.save()
        self.cache.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _prepare_folder(layout: Layout, allow_network: bool, mounts: str, fs: FileSystem) -> None:
    """Make or check the folder and what must lie in it."""
    root = layout.root
    make_folders(root, mode=0o700, fs=fs)
    _check_owner(root)
    kind = places.file_system(root.resolve(), mounts)
    if places.is_network(kind) and not allow_network:
        raise StoreFault(
            f"the store {root} lies on a network file system ({kind}), where locks do not hold",
            help="Name a folder on a local disk with --store or KLING_RENDER_STORE; or, when only this machine "
            "uses it, allow it with the setting 'allow_network_store'.",
            code="store-network",
        )
    if not layout.marker.is_file():
        _begin(layout, fs)
    _check_file(layout.ledger)
    for folder in layout.folders():
        if not folder.is_dir():
            make_folders(folder, mode=0o700, fs=fs)


def _begin(layout: Layout, fs: FileSystem) -> None:
    """Turn an empty folder into a store; one with other things in it is left alone."""
    foreign = sorted(entry.name for entry in layout.root.iterdir() if not layout.is_ours(entry.name))
    if foreign:
        raise StoreFault(
            f"{layout.root} is not a store: it holds other files ({', '.join(foreign[:3])})",
            help="Name an empty or a new folder with --store or KLING_RENDER_STORE.",
            code="store-foreign",
        )
    if sys.platform != "win32":
        layout.root.chmod(0o700)
    with fs.folder(layout.root) as root:
        publish_bytes(root, layout.marker.name, MARKER_TEXT.encode(), mode=0o600, fs=fs)


def _check_owner(root: Path) -> None:
    status = root.stat()
    if places.foreign_owner(status):
        raise StoreFault(
            f"the store {root} belongs to another user (uid {status.st_uid})",
            help="Run as that user, or name a folder of your own with --store or KLING_RENDER_STORE.",
            code="store-owner",
        )
    if places.world_writable(status):
        raise StoreFault(
            f"every user of this machine may write to the store {root}",
            help=f"Make it private: chmod 700 '{root}'",
            code="store-permission",
        )


def _check_file(ledger: Path) -> None:
    """A ledger with two names could be opened under two locks."""
    try:
        status = ledger.lstat()
    except FileNotFoundError:
        return
    if ledger.is_symlink() or not ledger.is_file() or status.st_nlink > 1:
        raise StoreFault(
            f"the ledger is a link or has a second name ({ledger})",
            help="Put the file itself there: two names for one ledger defeat its locks.",
            code="store-foreign",
        )


def _bring_to(
    version: int, ledger: SqliteLedger, layout: Layout, migrations: Mapping[int, Migration], fs: FileSystem
) -> None:
    found = version_of(ledger)
    if found > version:
        raise StoreFault(
            f"the store {layout.root} has format {found}; this kling-render knows formats up to {version}",
            help="Upgrade kling-render, or name another folder with --store or KLING_RENDER_STORE.",
            code="store-newer",
        )
    if found == 0:
        create_schema(ledger)
        found = version_of(ledger)
    if found < version:
        back_up(ledger, layout, found, fs)
        migrate(ledger, version, migrations)


def back_up(ledger: SqliteLedger, layout: Layout, found: int, fs: FileSystem) -> None:
    """Copy the ledger to `backups/` and check the copy, before anything is changed."""
    try:
        make_folders(layout.backups, mode=0o700, fs=fs)
        number, target = 1, layout.backups / f"ledger-format{found}.sqlite3"
        while target.exists():
            number += 1
            target = layout.backups / f"ledger-format{found}-{number}.sqlite3"
        part = target.with_name(f".kling-render-{os.getpid()}.part")
        part.unlink(missing_ok=True)
        ledger.back_up(part)
        with contextlib.closing(connect(part)) as copy:
            copy.check()
        part.with_name(part.name + "-journal").unlink(missing_ok=True)
        with fs.folder(layout.backups) as folder:
            fd = fs.open(folder, part.name, os.O_RDWR)
            try:
                fs.chmod(fd, 0o600)
                fs.fsync(fd)
            finally:
                fs.close(fd)
            fs.replace(folder, part.name, folder, target.name)
            fs.fsync_folder(folder)
    except OSError as fault:
        raise faults.of_os(fault, "back the ledger up before its migration", layout.backups) from fault


def migrate(ledger: SqliteLedger, version: int, migrations: Mapping[int, Migration]) -> None:
    """Take every step in one transaction; another process may have been faster."""
    with ledger.writing():
        found = int(ledger.connection.execute("PRAGMA user_version").fetchone()[0])
        while found < version:
            if found not in migrations:
                raise StoreFault(
                    f"the store's format {found} cannot be brought to format {version}",
                    help="Use the kling-render version that last opened it.",
                    code="store-older",
                )
            migrations[found](ledger.connection)
            found += 1
            ledger.connection.execute(f"PRAGMA user_version = {found}")
