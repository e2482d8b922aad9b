"""How programs save and copy: each step is what the program asks of the file system.

Those of vim, sed, git, cp and ln were recorded on Linux, the others are what the programs are known to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kling_render.watch.settle import What


@dataclass(frozen=True, slots=True)
class Step:
    """`write` makes or empties a file and writes; `append` goes on; `rename` goes from `name` to `other`."""

    do: str
    name: str
    other: str = ""


def _steps(text: str) -> tuple[Step, ...]:
    return tuple(Step(*line.split()) for line in text.strip().splitlines())


#: Way of saving `x.yaml`, which is there before → its steps.
SAVES = {
    "in place (nano, VS Code, Notepad)": _steps("write x.yaml"),
    "in place in portions": _steps("write x.yaml\nappend x.yaml\nappend x.yaml"),
    "vim": _steps(
        "write .x.yaml.swp\nwrite .x.yaml.swx\ndelete .x.yaml.swx\ndelete .x.yaml.swp\nwrite .x.yaml.swp\n"
        "write x.yaml\ntouch x.yaml\nappend .x.yaml.swp\ndelete .x.yaml.swp"
    ),
    "sed -i": _steps("write sedbwRuXY\nrename sedbwRuXY x.yaml"),
    "vim, backup by renaming": _steps(
        "write .x.yaml.swp\nwrite 4913\ndelete 4913\nrename x.yaml x.yaml~\nwrite x.yaml\n"
        "append .x.yaml.swp\ndelete x.yaml~"
    ),
    "vim, backup by copying": _steps("write 4913\ndelete 4913\nwrite x.yaml~\nwrite x.yaml\ndelete x.yaml~"),
    "emacs": _steps(
        "write #x.yaml#\nlink .#x.yaml\nrename x.yaml x.yaml~\nwrite x.yaml\ndelete .#x.yaml\ndelete #x.yaml#"
    ),
    "JetBrains safe write": _steps(
        "write x.yaml___jb_tmp___\nrename x.yaml x.yaml___jb_old___\nrename x.yaml___jb_tmp___ x.yaml\n"
        "delete x.yaml___jb_old___"
    ),
    "GNOME": _steps("write .goutputstream-A1B2C3\nrename .goutputstream-A1B2C3 x.yaml"),
    "atomic writer": _steps("write x.yaml.tmp\nrename x.yaml.tmp x.yaml"),
    "Office safe save": _steps(
        "write ~$x.yaml\nwrite ~WRD0001.tmp\nrename x.yaml ~WRL0002.tmp\nrename ~WRD0001.tmp x.yaml\n"
        "delete ~WRL0002.tmp\ndelete ~$x.yaml"
    ),
    "macOS safe save": _steps(
        "write x.yaml.sb-1a2b3c4d-Xy12Z9\nrename x.yaml.sb-1a2b3c4d-Xy12Z9 x.yaml\nwrite ._x.yaml\nwrite .DS_Store"
    ),
    "rsync": _steps("write .x.yaml.Ab3dE9\nappend .x.yaml.Ab3dE9\nrename .x.yaml.Ab3dE9 x.yaml"),
    "git checkout": _steps("delete x.yaml\nwrite x.yaml"),
    "delete and rename": _steps("write x.yaml.tmp\ndelete x.yaml\nrename x.yaml.tmp x.yaml"),
}

#: Way of making `new.mp4`, which is not there before, in a folder that a glob looks into.
COPIES = {
    "cp": _steps("write new.mp4\nappend new.mp4\nappend new.mp4"),
    "Finder": _steps("write new.mp4\nappend new.mp4\nwrite ._new.mp4\nwrite .DS_Store"),
    "Explorer, over a share": _steps("write new.mp4\ntouch new.mp4\nappend new.mp4\ntouch new.mp4\nwrite Thumbs.db"),
    "Chrome": _steps("write new.mp4.crdownload\nappend new.mp4.crdownload\nrename new.mp4.crdownload new.mp4"),
    "Firefox": _steps(
        "write new.mp4\nwrite new.mp4.part\nappend new.mp4.part\ndelete new.mp4\nrename new.mp4.part new.mp4"
    ),
    "Syncthing": _steps("write .syncthing.new.mp4.tmp\nrename .syncthing.new.mp4.tmp new.mp4"),
    "rsync": _steps("write .new.mp4.Zx81Qr\nappend .new.mp4.Zx81Qr\nrename .new.mp4.Zx81Qr new.mp4"),
}


def announced(steps: Sequence[Step], folder: Path, there: set[str]) -> Iterator[tuple[str, What]]:
    """What Linux announces of these steps, in order."""
    for step in steps:
        path = str(folder / step.name)
        if step.do == "rename":
            yield path, What.GONE
            yield str(folder / step.other), What.RENAMED
            there.discard(step.name)
            there.add(step.other)
        elif step.do == "delete":
            yield path, What.GONE
            there.discard(step.name)
        elif step.do == "touch":
            yield path, What.CHANGED
        else:
            if step.name not in there:
                yield path, What.APPEARED
            there.add(step.name)
            if step.do != "link":
                yield from ((path, What.WRITTEN), (path, What.CLOSED))


def performed(steps: Sequence[Step], folder: Path, between: Callable[[], None] = lambda: None) -> None:
    """The same on the disk."""
    for step in steps:
        path = folder / step.name
        if step.do == "rename":
            os.replace(path, folder / step.other)
        elif step.do == "delete":
            path.unlink()
        elif step.do == "touch":
            path.touch()
        elif step.do == "link":
            path.symlink_to("somebody@somewhere.1234")
        else:
            with path.open("ab" if step.do == "append" else "wb") as file:
                file.write(b"bytes of " + step.name.encode())
        between()
