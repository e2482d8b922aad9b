"""Puts the files of contact sheets into a folder: unchanged ones stay as they are, nobody else's is overwritten.

`contact-sheets/files.json` lists what was written, with digests. A file that stands in the way and is not as it was
written goes to the folder's `.trash/`; one that is not wanted any more goes, if it is still as it was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kling_render.disk.publish import publish_bytes
from kling_render.outputs.tree import OutputTree

FORMAT = "kling-render.contact-sheets/1"
FOLDER = "contact-sheets"
LIST = f"{FOLDER}/files.json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a contact sheet."""

    #: POSIX, relative to the folder.
    path: str
    #: Names what it is made from: where it is the same, the file need not be made again.
    recipe: str
    make: Callable[[], bytes]
    #: Whether its name says what it holds, so that one with other bytes is a damaged copy and nobody's work.
    derived: bool = False


@dataclass(slots=True)
class Shelved:
    """What became of the files, by their paths."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    #: What was in the way, where it lies now.
    trashed: list[str] = field(default_factory=list)


def recipe(*parts: Any) -> str:
    """A name for values that a file is made from."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def shelve(tree: OutputTree, files: Sequence[Wanted]) -> Shelved:
    """Bring the folder up to date; the list is written before a file goes, and after all have come.

    Raises:
        OSError: as usual; EPERM for a symlink that leads out of the folder.
    """
    listed, done = _listed(tree.root), Shelved()
    now: dict[str, dict[str, str]] = {}
    for file in files:
        written = len(done.written)
        now[file.path] = {"sha256": _put(tree, file, listed.get(file.path), done), "recipe": file.recipe}
        if len(done.written) > written and not file.derived:
            _write_list(tree, listed | now)  # so that after a kill no page of ours is taken for somebody's
    gone = {path: entry for path, entry in listed.items() if path not in now}
    _write_list(tree, now | gone)
    for path, entry in gone.items():
        _remove(tree, path, entry, done)
    _write_list(tree, now)
    return done


def _put(tree: OutputTree, file: Wanted, entry: Mapping[str, str] | None, done: Shelved) -> str:
    """Write a file unless it stands there; its SHA-256."""
    standing = _digest(tree, file.path)
    if entry is not None and standing == entry["sha256"] and file.recipe == entry["recipe"]:
        done.unchanged.append(file.path)
        return standing
    data = file.make()
    sha256 = hashlib.sha256(data).hexdigest()
    if standing == sha256:
        done.unchanged.append(file.path)
        return sha256
    relative = tree.relative(tree.root / file.path)
    with tree.parent(relative) as (folder, trashed):
        if tree.fs.lstat(folder, relative.name) is not None:
            standing = _digest(tree, file.path)
            if standing == sha256:  # another export was faster
                done.unchanged.append(file.path)
                return sha256
            if standing is None or not (file.derived or (entry is not None and standing == entry["sha256"])):
                trashed.append(tree.to_trash(folder, relative))
        publish_bytes(folder, relative.name, data, fs=tree.fs)
        done.trashed.extend(trashed)
    tree.digests.remember(tree.root / file.path, sha256)
    done.written.append(file.path)
    return sha256


def _remove(tree: OutputTree, path: str, entry: Mapping[str, str], done: Shelved) -> None:
    if _digest(tree, path) != entry["sha256"]:
        return  # gone, or edited: then it is somebody's
    relative = tree.relative(tree.root / path)
    with contextlib.suppress(OSError), tree.parent(relative, make=False) as (folder, _):
        tree.fs.unlink(folder, relative.name)
        done.removed.append(path)


def _digest(tree: OutputTree, path: str) -> str | None:
    """The SHA-256 of a plain file; None for anything else."""
    whole = tree.root / path
    try:
        return None if whole.is_symlink() or not whole.is_file() else tree.digests.sha256(whole)
    except OSError:
        return None


def _listed(root: Path) -> dict[str, dict[str, str]]:
    """What the list of an earlier export says; nothing when there is none of ours."""
    try:
        content = json.loads((root / LIST).read_bytes())
        if content["format"] != FORMAT:
            return {}
        files = {
            str(path): {key: str(entry[key]) for key in ("sha256", "recipe")}
            for path, entry in content["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {path: entry for path, entry in files.items() if is_ours(path)}


def is_ours(path: str) -> bool:
    """Whether a path below an output folder is one that contact sheets are written to."""
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/"):
        return False
    if len(parts) == 1:
        return path.startswith("contact-sheet") and path.endswith((".html", ".png"))
    return parts[0] == FOLDER and path.endswith((".html", ".png", ".webp", "/files.json"))


def _write_list(tree: OutputTree, files: Mapping[str, Mapping[str, str]]) -> None:
    text = json.dumps({"format": FORMAT, "files": dict(sorted(files.items()))}, indent=1, ensure_ascii=False)
    data = f"{text}\n".encode()
    relative = PurePosixPath(LIST)
    with tree.parent(relative) as (folder, _):
        if tree.fs.lstat(folder, relative.name) is not None:
            try:
                if (tree.root / LIST).read_bytes() == data:
                    return
            except OSError:
                tree.to_trash(folder, relative)
        publish_bytes(folder, relative.name, data, fs=tree.fs)
