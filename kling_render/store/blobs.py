"""Results under their own SHA-256, checked against their name before they are used."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.disk.publish import make_folders, move, publish_move
from kling_render.store import faults
from kling_render.store.hashing import sha256_of
from kling_render.store.layout import Layout

_NAME = re.compile(r"[0-9a-f]{64}")
#: Read-only, so that no program edits paid bytes by accident. Windows cannot move such files.
_MODE = 0o600 if sys.platform == "win32" else 0o400


class DiskBlobs:
    """`ports.Blobs` in the store's folder."""

    def __init__(self, layout: Layout, *, fs: FileSystem = REAL) -> None:
        self._layout = layout
        #: The token of the process, once it has one; temporary files carry it, see `sweep`.
        self.owner = ""
        self._fs = fs

    def path(self, sha256: str) -> Path:
        """Where the blob lies if it is there."""
        if not _NAME.fullmatch(sha256):
            raise ValueError(f"not a SHA-256 in hex: {sha256!r}")
        return self._layout.blobs / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether a blob of that name is there (not: whether its bytes are right)."""
        return self.path(sha256).is_file()

    def temporary(self) -> Path:
        """A fresh file name inside the store, on the blobs' file system."""
        return self._layout.tmp / f"{self.owner}.{os.urandom(8).hex()}"

    def adopt(self, temporary: Path, sha256: str) -> Path:
        """Sync a temporary file and move it to its name.

        Raises:
            StoreFault: the disk refused; the temporary file is gone. Fetch it again, that costs nothing.
        """
        target = self.path(sha256)
        there = self.verified(sha256) is not None
        try:
            if there:
                temporary.unlink(missing_ok=True)
                self._sync(target.parent)  # whoever moved it there may have been killed before its sync
            else:
                make_folders(target.parent, mode=0o700, fs=self._fs)
                publish_move(temporary, target, mode=_MODE, fs=self._fs)
            self._sync(self._layout.blobs)  # the same of the folder
        except OSError as fault:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise faults.of_os(fault, "keep a result in the store", target) from fault
        return target

    def verified(self, sha256: str) -> Path | None:
        """The blob's path after its bytes were checked against the name; damaged bytes go to quarantine.

        Bytes that `gc` took to the trash are brought back: what is wanted is no garbage.
        """
        path = self.path(sha256)
        try:
            if sha256_of(path) == sha256:
                return path
        except FileNotFoundError:
            return self._from_trash(sha256)
        except PermissionError as fault:
            raise faults.of_os(fault, "read a result of the store", path) from fault
        except OSError:
            pass  # unreadable is as bad as wrong
        self._quarantine(path)
        return self._from_trash(sha256)

    def everything(self) -> Iterator[tuple[str, int]]:
        """Name and size of every blob, sorted by name."""
        for folder in sorted(self._layout.blobs.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                if _NAME.fullmatch(path.name):
                    with contextlib.suppress(FileNotFoundError):  # another process has just quarantined it
                        yield path.name, path.stat().st_size

    def sweep(self, is_alive: Callable[[str], bool]) -> list[str]:
        """Remove temporary files whose process is dead; returns their names, sorted."""
        gone = []
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self._layout.tmp.iterdir()):
                token = path.name.partition(".")[0]
                if token and not is_alive(token):
                    with contextlib.suppress(OSError):  # it stays behind on a failing disk
                        path.unlink(missing_ok=True)
                        gone.append(path.name)
        return gone

    def _from_trash(self, sha256: str) -> Path | None:
        target = self.path(sha256)
        for lying in sorted(self._layout.trash.glob(f"*/{self._layout.blobs.name}/{sha256}"), reverse=True):
            with contextlib.suppress(OSError):
                if sha256_of(lying) == sha256:
                    make_folders(target.parent, mode=0o700, fs=self._fs)
                    move(lying, target, fs=self._fs)
                    return target
        return None

    def _sync(self, folder: Path) -> None:
        with self._fs.folder(folder) as opened:
            self._fs.fsync_folder(opened)

    def _quarantine(self, path: Path) -> None:
        target = self._layout.quarantine / path.name
        number = 1
        while target.exists():
            number += 1
            target = self._layout.quarantine / f"{path.name}.{number}"
        try:
            make_folders(target.parent, mode=0o700, fs=self._fs)
            move(path, target, fs=self._fs)
        except FileNotFoundError:
            return  # another process was faster
        except OSError as fault:
            raise faults.of_os(fault, "move a damaged result to quarantine", path) from fault
