"""Every way the store can fail, said to the user: what is wrong, where, and the step that helps."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from kling_render.errors import StoreFault

NOTHING_LOST = "Nothing is lost: what was paid stays in the store and in the provider's log."

_BY_ERRNO: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("store-full", "the disk is full"),
    errno.EDQUOT: ("store-full", "your disk quota is used up"),
    errno.EFBIG: ("store-full", "the file is larger than the disk or a limit allows"),
    errno.EROFS: ("store-read-only", "the disk is read-only"),
    errno.EACCES: ("store-permission", "permission denied"),
    errno.EPERM: ("store-permission", "permission denied"),
    errno.ENOTDIR: ("store-foreign", "a file stands where a folder is needed"),
    errno.EIO: ("store-io", "the disk reports an input/output error"),
    errno.EMFILE: ("store-io", "too many files are open"),
    errno.ENFILE: ("store-io", "too many files are open on this machine"),
}

_BY_SQLITE: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("store-full", "the disk is full"),
    sqlite3.SQLITE_READONLY: ("store-read-only", "the file or its disk is read-only"),
    sqlite3.SQLITE_BUSY: ("store-locked", "another process keeps it locked"),
    sqlite3.SQLITE_LOCKED: ("store-locked", "another process keeps it locked"),
    sqlite3.SQLITE_CORRUPT: ("store-corrupt", "the file is damaged"),
    sqlite3.SQLITE_NOTADB: ("store-corrupt", "the file is not a database"),
    sqlite3.SQLITE_PERM: ("store-permission", "permission denied"),
    sqlite3.SQLITE_AUTH: ("store-permission", "permission denied"),
    sqlite3.SQLITE_CANTOPEN: ("store-permission", "the file cannot be opened"),
    sqlite3.SQLITE_IOERR: ("store-io", "the disk reports an input/output error"),
}

_HELP = {
    "store-full": "Free some space there, then run the command again.",
    "store-read-only": "Mount the disk writable, or name another folder with --store or KLING_RENDER_STORE.",
    "store-permission": "Check who owns the folder and its permissions ('kling-render doctor'), or name another "
    "folder with --store.",
    "store-foreign": "Move the file away, or name another folder with --store or KLING_RENDER_STORE.",
    "store-locked": "Wait for the other kling-render to finish, or end it, then run the command again.",
    "store-corrupt": "Copy the folder away first. Then put the newest copy from its 'backups' folder in the file's "
    "place, or remove the file and run 'kling-render pull --lost', which finds paid generations in the "
    "provider's log; the rendered files themselves lie in 'blobs'.",
    "store-io": "Check the disk ('kling-render doctor', the system's log), then run the command again.",
}


def of_os(fault: OSError, doing: str, path: Path | str | None = None) -> StoreFault:
    """The fault for a failed system call; `doing` completes "cannot …"."""
    code, what = _BY_ERRNO.get(fault.errno or 0, ("store-io", os.strerror(fault.errno) if fault.errno else str(fault)))
    where = path if path is not None else fault.filename
    message = f"cannot {doing}: {what}" + (f" ({where})" if where else "")
    return StoreFault(message, help=f"{_HELP[code]} {NOTHING_LOST}", code=code)


def of_sqlite(fault: sqlite3.Error, doing: str, path: Path | str) -> StoreFault:
    """The fault for a failed database call; `doing` completes "cannot …"."""
    primary = (getattr(fault, "sqlite_errorcode", 0) or 0) & 0xFF
    unknown = ("store-io" if isinstance(fault, sqlite3.OperationalError) else "store-corrupt", str(fault))
    code, what = _BY_SQLITE.get(primary, unknown)
    return StoreFault(f"cannot {doing}: {what} ({path})", help=f"{_HELP[code]} {NOTHING_LOST}", code=code)


def corrupt(path: Path, finding: str) -> StoreFault:
    """The fault for damage that a check found."""
    return StoreFault(f"the ledger is damaged: {finding} ({path})", help=_HELP["store-corrupt"], code="store-corrupt")
