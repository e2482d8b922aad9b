"""Slots that take a generation id when the disk is full: the files exist, have their blocks and are open.

An accepted job whose id could not be kept would be paid for and lost. So before the first submit a process
prepares a slot per job it may have under way; the next start reads what was spooled and records it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kling_render.disk.filesystem import REAL, FileSystem, Folder
from kling_render.disk.publish import write_all
from kling_render.errors import StoreFault
from kling_render.store import faults

SLOT_BYTES = 4096
_SUFFIX = ".slot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """An id that was saved in a slot."""

    attempt: str
    generation_id: str
    path: Path


@dataclass(slots=True)
class _Slot:
    path: Path
    fd: int
    empty: bool = True


class Spool:
    """The slots of this process: one per submit under way, used again when it is recorded."""

    def __init__(self, folder: Path, token: str, *, fs: FileSystem = REAL) -> None:
        self._folder = folder
        self._token = token
        self._fs = fs
        self._lock = threading.Lock()
        self._made = 0
        self._free: list[_Slot] = []
        self._taken: dict[str, _Slot] = {}

    def prepare(self, attempt_id: str) -> None:
        """Make room before the request is sent.

        Raises:
            StoreFault: there is no room for it; nothing may be sent then.
        """
        with self._lock:
            if attempt_id not in self._taken:
                self._taken[attempt_id] = self._free.pop() if self._free else self._new()

    def put(self, attempt_id: str, generation_id: str) -> None:
        """Save an id in the room that was made; durable when this returns. Needs no new block of the disk.

        Raises:
            StoreFault: the disk fails altogether, or no room was made.
        """
        with self._lock:
            slot = self._taken.get(attempt_id)
            if slot is None:
                raise StoreFault(f"no room was made for {generation_id} in the spool", code="store-full")
            slot.empty = False
            self._fill(slot, _record(attempt_id, generation_id))

    def release(self, attempt_id: str) -> None:
        """The room is no longer needed; an id that was saved there is forgotten."""
        with self._lock:
            slot = self._taken.pop(attempt_id, None)
            if slot is None:
                return
            if not slot.empty:
                self._fill(slot, bytes(SLOT_BYTES))
                slot.empty = True
            self._free.append(slot)

    def close(self) -> None:
        """Close the slots; empty ones are removed, the others wait for `recover`."""
        with self._lock:
            for slot in [*self._free, *self._taken.values()]:
                with contextlib.suppress(OSError):
                    self._fs.close(slot.fd)
                if slot.empty:
                    _remove(slot.path, self._fs)
            self._free, self._taken = [], {}

    def _new(self) -> _Slot:
        name = f"{self._token}-{self._made:04d}{_SUFFIX}"
        try:
            with self._fs.folder(self._folder) as folder:
                fd = _prepared(folder, name, self._fs)
                self._fs.fsync_folder(folder)
        except OSError as fault:
            raise faults.of_os(fault, "prepare the store's spool", self._folder) from fault
        self._made += 1
        return _Slot(self._folder / name, fd)

    def _fill(self, slot: _Slot, data: bytes) -> None:
        try:
            os.lseek(slot.fd, 0, os.SEEK_SET)
            write_all(slot.fd, data, fs=self._fs)
            self._fs.fsync(slot.fd)
        except OSError as fault:
            raise faults.of_os(fault, "write the store's spool", slot.path) from fault


def recover(folder: Path, is_alive: Callable[[str], bool]) -> list[Spooled]:
    """Everything that dead processes spooled, by attempt; their empty slots are removed.

    Slots of living processes are left alone. Call `forget` for each one once it is recorded.
    """
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if is_alive(path.name.rpartition("-")[0]):
            continue
        try:
            data = path.read_bytes()
        except OSError as fault:
            raise faults.of_os(fault, "read the store's spool", path) from fault
        spooled = _read(data, path)
        if spooled is not None:
            found.append(spooled)
        elif not data.strip(b"\0"):
            _remove(path, REAL)
    return sorted(found, key=lambda each: each.attempt)


def forget(spooled: Spooled) -> None:
    """Remove a slot whose content is recorded."""
    _remove(spooled.path, REAL)


def _remove(path: Path, fs: FileSystem) -> None:
    """Remove a slot; one that stays behind on a failing disk does no harm."""
    with contextlib.suppress(OSError), fs.folder(path.parent) as folder:
        fs.unlink(folder, path.name)


def _prepared(folder: Folder, name: str, fs: FileSystem) -> int:
    fd = fs.open(folder, name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, SLOT_BYTES)
        write_all(fd, bytes(SLOT_BYTES), fs=fs)  # written, not only promised: no block is wanted later
        fs.fsync(fd)
    except BaseException:
        fs.close(fd)
        fs.unlink(folder, name)
        raise
    return fd


def _record(attempt: str, generation_id: str) -> bytes:
    """One slot: a checksum line and a JSON line, padded."""
    line = json.dumps({"attempt": attempt, "generation_id": generation_id}).encode()
    record = hashlib.sha256(line).hexdigest().encode() + b"\n" + line + b"\n"
    if len(record) > SLOT_BYTES:
        raise ValueError("the generation id is too long for a slot")
    return record.ljust(SLOT_BYTES, b"\0")


def _read(data: bytes, path: Path) -> Spooled | None:
    """The record of a slot; None for an empty one, or one whose writing was cut off."""
    digest, _, rest = data.partition(b"\n")
    line = rest.partition(b"\n")[0]
    if hashlib.sha256(line).hexdigest().encode() != digest:
        return None
    content = json.loads(line)
    return Spooled(attempt=content["attempt"], generation_id=content["generation_id"], path=path)
