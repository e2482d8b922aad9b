"""Locks that the operating system drops when their process dies, however it dies."""

from __future__ import annotations

import os
import sys
import time

_PROBES = 5
_PROBE_PAUSE_S = 0.01

if sys.platform == "win32":
    import msvcrt

    def try_lock(fd: int) -> bool:
        """Take the exclusive lock of an open file; False when another open file has it."""
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(fd: int) -> None:
        """Drop the lock."""
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

    def is_locked(fd: int) -> bool:
        """Whether another open file holds the exclusive lock."""
        for _ in range(_PROBES):  # two who look at the same time disturb each other here
            if try_lock(fd):
                unlock(fd)
                return False
            time.sleep(_PROBE_PAUSE_S)
        return True

else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Take the exclusive lock of an open file; False when another open file has it.

        `flock` belongs to the open file: it is not lost when another part of the process opens and closes
        the same path, and it ends with the process.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(fd: int) -> None:
        """Drop the lock."""
        fcntl.flock(fd, fcntl.LOCK_UN)

    def is_locked(fd: int) -> bool:
        """Whether another open file holds the exclusive lock."""
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not disturb each other
        except BlockingIOError:
            return True
        unlock(fd)
        return False
