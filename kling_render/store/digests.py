"""SHA-256 of files, remembered by their stat signature, as git does it.

An entry is believed when modification and change time, size and inode are the same **and** the file was last
changed before it was read: a file changed in the tick of the clock in which it was hashed could have changed
once more unseen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kling_render.store.cache import Cache
from kling_render.store.hashing import hash_and_stat

_Entry = tuple[bytes, int, str]

#: A record: signature, time of the reading, digest (32 bytes), CRC-32 of the name and all of that.
_SIGNATURE = struct.Struct("<qqqQ")
_SEEN = struct.Struct("<Q")
_DIGEST = slice(40, 72)
_RESIDUE = 0x2144_DF1C
"""The CRC-32 of anything that is followed by its own CRC-32."""

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_TICK_NS = 20_000_000
"""Kernels stamp files with a clock that is up to 10 ms behind."""
_COARSE_TICK_NS = 2_000_000_000
"""FAT counts two seconds, some others one."""
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
        self._loaded: dict[bytes, bytes] | None = None
        self._fresh: dict[bytes, _Entry] = {}

    def sha256(self, path: Path | str) -> str:
        """64 hex.

        Raises:
            OSError: as usual; EINVAL when it is not a regular file.
        """
        name = str(path).encode(_ENCODING, _ERRORS)
        return self._remembered(name) or self._hashed(name)

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
                known = self._remembered(name)
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
            signature, _ = _signature(os.stat(name))  # noqa: PTH116 - see `_remembered`
        except OSError:
            return
        with self._lock:
            self._fresh[name] = (signature, 0, sha256)  # 0: seen when saved, nobody writes into it meanwhile

    def standing(self) -> set[str]:
        """The digest of every file that is remembered and stands there as it was; none is read."""
        found = set()
        for name in self._load():
            with contextlib.suppress(OSError, ValueError):
                found.add(self._remembered(name) or "")
        return found - {""}

    def save(self) -> None:
        """Write what is new, in one batch. Never fails: without it the next run is slower, not wrong."""
        with self._lock:
            fresh, now = dict(self._fresh), self._now_ns()
            records = {
                name: _record(name, signature, seen or now, sha) for name, (signature, seen, sha) in fresh.items()
            }
            if self._loaded is not None:
                self._loaded.update(records)
            self._fresh.clear()
        if records and self._cache is not None:
            self._cache.put_digests(records.items())

    # -- inside --------------------------------------------------------------------------------------------

    def _remembered(self, name: bytes) -> str | None:
        loaded = self._loaded if self._loaded is not None else self._load()  # the commonest run is only look-ups
        signature, sure_ns = _signature(os.stat(name))  # noqa: PTH116 - a third of the time of Path.stat, once per file
        fresh = self._fresh.get(name)
        if fresh is not None and fresh[0] == signature and not 0 < fresh[1] <= sure_ns:
            return fresh[2]
        record = loaded.get(name)
        if record is None or not record.startswith(signature) or zlib.crc32(name + record) != _RESIDUE:
            return None
        (seen_ns,) = _SEEN.unpack_from(record, _SIGNATURE.size)
        return record[_DIGEST].hex() if seen_ns > sure_ns else None

    def _load(self) -> dict[bytes, bytes]:
        with self._lock:
            if self._loaded is None:
                rows = [] if self._cache is None else self._cache.digest_rows(self._prefix)
                self._loaded = dict(rows)
            return self._loaded

    def _hashed(self, name: bytes) -> str:
        sha256 = ""
        for _ in range(_READS):
            seen = self._now_ns()
            sha256, before, after = hash_and_stat(os.fsdecode(name))
            signature, _ = _signature(after)
            if _signature(before)[0] == signature:
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


def _signature(status: os.stat_result) -> tuple[bytes, int]:
    """What must stay the same, and the time up to which a reading may have missed a change in the same tick."""
    mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
    try:
        signature = _SIGNATURE.pack(mtime, ctime, status.st_size, status.st_ino)
    except struct.error:  # beyond the year 2262, or a disk with longer numbers
        signature = hashlib.sha256(repr((mtime, ctime, status.st_size, status.st_ino)).encode()).digest()
    return signature, max(mtime, ctime) + (_TICK_NS if mtime % 1_000_000_000 else _COARSE_TICK_NS)


def _record(name: bytes, signature: bytes, seen_ns: int, digest: str) -> bytes:
    body = signature + _SEEN.pack(max(seen_ns, 0)) + bytes.fromhex(digest)
    return body + zlib.crc32(name + body).to_bytes(4, "little")
