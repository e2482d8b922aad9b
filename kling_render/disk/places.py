"""What kind of place a path is: its file system, and who may write there."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

NETWORK_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smbfs", "smb3", "smb2", "9p", "afs", "ceph", "lustre", "beegfs", "ncpfs", "coda"}
)
"""File systems on which file locks or a rename may mean something else to another machine."""

_MOUNTS = Path("/proc/self/mountinfo")


def mounts() -> str:
    """The kernel's table of mounts; empty where there is none."""
    if sys.platform != "linux":
        return ""
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def file_system(path: Path, table: str) -> str:
    """The type of the file system that holds an absolute, resolved path, by a table of mounts; or empty."""
    wanted = os.fspath(path)
    best, kind = -1, ""
    for line in table.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _unescaped(fields[4])
        inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # of two mounts on one point the later one covers the earlier
            best, kind = len(point), after.split(" ", 1)[0]
    return kind


def is_network(kind: str) -> bool:
    """Whether a file-system type is one that other machines may write to behind our back."""
    return kind in NETWORK_TYPES or kind == "fuse" or kind.startswith("fuse.")


def foreign_owner(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to another user."""
    return sys.platform != "win32" and status.st_uid != os.geteuid()


def world_writable(status: os.stat_result) -> bool:
    """Whether every user of the machine may write there."""
    return sys.platform != "win32" and bool(status.st_mode & stat.S_IWOTH)


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda hit: chr(int(hit[1], 8)), point)
