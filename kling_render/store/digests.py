"""SHA-256 of files, remembered by their stat signature, as git does it.

An entry is believed when modification and change time, size and inode are the same **and** the file was last
changed before it was read: a file changed in the tick of the clock in which it was hashed could have changed
once more unseen.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kling_render.store.cache import Cache, DigestRow
from kling_render.store.hashing import hash_and_stat

_Signature = tuple[int, int, int, int]
_Entry = tuple[_Signature, int, str]

_TICK_NS = 20_000_000
"""Kernels stamp files with a clock that is up to 10 ms behind."""
_COARSE_TICK_NS = 2_000_000_000
"""FAT counts two seconds, some others one."""
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_READS = 3
_THREADS = 4


class StatDigests:
    """`ports.Digests`, thread-safe. Loads what it knows in one read at the first question."""

    def __init__(
        self, cache: Cache | None, *, under: Path | None = None, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """`under` limits what is loaded to the files of one folder; others are hashed each time a process asks."""
        self._cache = cache
        self._prefix = b"" if under is None else os.fsencode(under).rstrip(b"/\\") + os.fsencode(os.sep)
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._loaded: dict[bytes, DigestRow] | None = None
        self._fresh: dict[bytes, _Entry] = {}

    def sha256(self, path: Path | str) -> str:
        """64 hex.

        Raises:
            OSError: as usual; EINVAL when it is not a regular file.
        """
        name = os.fsencode(path)
        return self._remembered(name, _signature(name)) or self._hashed(name)

    def holds(self, path: Path | str, sha256: str) -> bool:
        """Whether the file's digest is this one; quicker than to ask for it.

        What is remembered is not checked for damage where it agrees with both the file's signature and the digest
        expected: damage does not make that up.

        Raises:
            OSError: as for `sha256`.
        """
        name = str(path).encode(_ENCODING, _ERRORS)
        loaded = self._loaded if self._loaded is not None else self._load()
        row = loaded.get(name)
        if row is not None and row[6] == sha256 and name not in self._fresh:
            signature = _signature(name)
            if row[1:5] == signature and isinstance(row[5], int) and not _racy(signature, row[5]):
                return True
        return self.sha256(path) == sha256

    def sha256_many(
        self, paths: Iterable[Path], progress: Callable[[int, int], None] | None = None
    ) -> Mapping[Path, str | OSError]:
        """The digest of each path, or the error that met it. Files that must be read are read in threads.

        `progress` gets the number of files done and of all files, from the calling thread.
        """
        found: dict[Path, str | OSError] = {}
        unread = []
        for path in dict.fromkeys(paths):
            name = os.fsencode(path)
            try:
                known = self._remembered(name, _signature(name))
            except OSError as fault:
                found[path] = fault
                continue
            if known is None:
                unread.append(path)
            else:
                found[path] = known
        self._read_all(unread, found, progress)
        return found

    def remember(self, path: Path, sha256: str) -> None:
        """Note the digest of a file that this process has just published there by a rename."""
        name = os.fsencode(path)
        try:
            signature = _signature(name)
        except OSError:
            return
        with self._lock:
            self._fresh[name] = (signature, 0, sha256)  # 0: seen when saved, nobody writes into it meanwhile

    def save(self) -> None:
        """Write what is new, in one batch. Never fails: without it the next run is slower, not wrong."""
        with self._lock:
            fresh, now = dict(self._fresh), self._now_ns()
            rows = [_row(name, signature, seen or now, sha) for name, (signature, seen, sha) in fresh.items()]
            if self._loaded is not None:
                self._loaded.update({row[0]: row for row in rows})
            self._fresh.clear()
        if rows and self._cache is not None:
            self._cache.put_digests(rows)

    # -- inside --------------------------------------------------------------------------------------------

    def _remembered(self, name: bytes, signature: _Signature) -> str | None:
        loaded = self._loaded if self._loaded is not None else self._load()  # the commonest run is only look-ups
        fresh = self._fresh.get(name)
        row = loaded.get(name)
        if fresh is not None and fresh[0] == signature and not (fresh[1] and _racy(signature, fresh[1])):
            return fresh[2]
        if row is None or row[1:5] != signature or not _sound(row) or _racy(signature, row[5]):
            return None
        return row[6]

    def _load(self) -> dict[bytes, DigestRow]:
        with self._lock:
            if self._loaded is None:
                rows = [] if self._cache is None else self._cache.digest_rows(self._prefix)
                self._loaded = {row[0]: row for row in rows}
            return self._loaded

    def _hashed(self, name: bytes) -> str:
        sha256 = ""
        for _ in range(_READS):
            seen = self._now_ns()
            sha256, before, after = hash_and_stat(os.fsdecode(name))
            signature = _signature_of(after)
            if _signature_of(before) == signature:
                with self._lock:
                    self._fresh[name] = (signature, seen, sha256)
                break
        return sha256  # changed during each read: true for now, and not remembered

    def _read_all(
        self,
        unread: list[Path],
        found: dict[Path, str | OSError],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        total = len(found) + len(unread)
        if not unread:
            if progress is not None:
                progress(total, total)
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            for path, outcome in zip(unread, pool.map(self._outcome, unread), strict=True):
                found[path] = outcome
                if progress is not None:
                    progress(len(found), total)

    def _outcome(self, path: Path) -> str | OSError:
        try:
            return self._hashed(os.fsencode(path))
        except OSError as fault:
            return fault


def _signature(name: bytes) -> _Signature:
    return _signature_of(os.stat(name))  # noqa: PTH116 - a third of the time of Path.stat, once per file and run


def _signature_of(status: os.stat_result) -> _Signature:
    inode = status.st_ino & 0x7FFF_FFFF_FFFF_FFFF  # some disks count beyond what a database column takes
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, inode)


def _racy(signature: _Signature, seen_ns: int) -> bool:
    """Whether the file may have changed unseen in the tick in which it was read."""
    changed_ns = max(signature[0], signature[1])
    if changed_ns < seen_ns - _COARSE_TICK_NS:
        return False  # long ago, on any disk
    tick = _COARSE_TICK_NS if signature[0] % 1_000_000_000 == 0 else _TICK_NS
    return changed_ns >= seen_ns - tick


def _row(name: bytes, signature: _Signature, seen_ns: int, sha256: str) -> DigestRow:
    fields = (name, *signature, seen_ns, sha256)
    return (*fields, zlib.crc32(repr(fields).encode()))


def _sound(row: DigestRow) -> bool:
    return zlib.crc32(repr(row[:7]).encode()) == row[7]
