"""Names that editors, browsers, file managers and sync tools make for a moment, or for themselves.

They never count as new entries of a watched folder. A file that the project names itself always counts: nobody asks
here for it.
"""

from __future__ import annotations

import re

_EXACT = frozenset(
    {
        "4913",  # vim tries whether it may write here
        ".ds_store",
        "thumbs.db",
        "desktop.ini",
        ".git",
        ".hg",
        ".svn",
        ".stfolder",
        "__pycache__",
        "index.lock",
    }
)
_PREFIXES = (
    "._",  # macOS, on drives without its attributes
    ".#",  # emacs' lock
    "~$",  # Office's owner file
    ".~",  # LibreOffice's lock .~lock.x#, Syncthing's ~syncthing~
    "~syncthing~",
    ".syncthing.",
    ".goutputstream-",  # GLib: gedit, GNOME Text Editor
    ".fuse_hidden",
    ".nfs0",
    ".sb-",  # macOS' safe save
    ".trash-",
)
_SUFFIXES = (
    "~",  # backups of vim, emacs, gedit, kate
    ".tmp",
    ".temp",
    ".crdownload",
    ".part",
    ".partial",
    ".download",
    ".opdownload",
    ".bak~",
    "___jb_tmp___",
    "___jb_old___",
    ".kate-swp",
    ".un~",
    ".lock",
)
_SHAPES = re.compile(
    r"""
    \..*\.sw[a-z]                      # vim: .x.swp, then .x.swo, …; .x.swx to try the drive
    | \#.*\#                           # emacs autosave
    | \..+\.[a-zA-Z0-9]{6}             # rsync: .x.mp4.Ab3dE9
    | .+\.tmp\.[0-9a-f.]+            # atomic writers: x.yaml.tmp.1234
    | .+\.sb-[0-9a-f]{8}-[0-9A-Za-z]{6}  # macOS: x.sb-1a2b3c4d-Xy12Z9
    | .+\.vsctmp
    """,
    re.VERBOSE | re.DOTALL,
)


def is_noise(name: str) -> bool:
    """Whether a new entry with this name is nobody's input."""
    low = name.lower()
    return (
        low in _EXACT
        or low.startswith(_PREFIXES)
        or low.endswith(_SUFFIXES)
        or (
            (name[:1] in ".#" or ".tmp." in low or ".sb-" in low or ".vsctmp" in low)
            and _SHAPES.fullmatch(name) is not None
        )
    )
