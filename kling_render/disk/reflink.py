"""Copies that share blocks where the file system can, and copies inside the kernel where it cannot."""

from __future__ import annotations

import errno
import os
import sys

_FICLONE = 0x40049409
"""linux/fs.h: `_IOW(0x94, 9, int)`."""

_CANNOT = frozenset(
    {
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOTTY,
        errno.ENOSYS,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.ETXTBSY,
    }
)


def clone(target: int, source: int) -> bool:
    """Make the empty open file `target` share the blocks of `source`; False where that is not possible."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as fault:
        if fault.errno in _CANNOT:
            return False
        raise
    return True


def copy_range(target: int, source: int, count: int) -> int | None:
    """Copy up to `count` bytes at the files' positions; None where the kernel does not offer it."""
    if sys.platform != "linux":
        return None
    try:
        return os.copy_file_range(source, target, count)
    except OSError as fault:
        if fault.errno in _CANNOT:
            return None
        raise
