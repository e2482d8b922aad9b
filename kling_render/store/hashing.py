"""SHA-256 of files, read into one reused buffer per thread."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from pathlib import Path

_BUFFER = 1 << 20
_OPEN = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(bytearray(_BUFFER))


_BUFFERS = _Buffers()


def sha256_of(path: Path | str) -> str:
    """64 hex.

    Raises:
        OSError: as usual; EINVAL when it is not a regular file (a FIFO is never waited for).
    """
    return hash_and_stat(path)[0]


def hash_and_stat(path: Path | str) -> tuple[str, os.stat_result, os.stat_result]:
    """64 hex, and the file's status before and after the read."""
    descriptor = os.open(path, _OPEN)
    with open(descriptor, "rb", buffering=0) as reader:  # noqa: PTH123 - a descriptor, not a path
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        digest = hashlib.sha256()
        view = _BUFFERS.view
        while count := reader.readinto(view):
            digest.update(view[:count])
        return digest.hexdigest(), before, os.fstat(descriptor)
