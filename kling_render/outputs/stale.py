"""Files of ours that no job wants any more: listed always, moved to the trash on request, never deleted."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from kling_render.disk.publish import is_part
from kling_render.outputs import sidecar as sidecars
from kling_render.outputs.contact_sheet.shelf import is_ours as is_sheet
from kling_render.outputs.index import NAME, listed_files, read_index
from kling_render.outputs.tree import TRASH, OutputTree


def stale_outputs(output_dir: Path, wanted_paths: Iterable[str]) -> list[str]:
    """Takes with a sidecar of ours, and finals of the last index, that are not wanted; relative POSIX paths, sorted.

    `wanted_paths` are relative to the output folder. A sidecar is opened only where its take is not wanted, so that an
    up-to-date tree costs one listing.
    """
    wanted = set(wanted_paths)
    if not all(map(str.isascii, wanted)):
        wanted = set(map(_normal, wanted))
    names = set(_files(output_dir))
    unwanted = {name for name in names - wanted - {NAME} if not _belongs(name, wanted) and not is_sheet(name)}
    if not unwanted:
        return []
    stale = {path for path in listed_files(read_index(output_dir)) if path in unwanted}
    for name in unwanted:
        if name.endswith(sidecars.SUFFIX) and sidecars.is_ours(_bytes(output_dir / name)):
            media = name.removesuffix(sidecars.SUFFIX)
            stale.add(media if media in names else name)
    return sorted(stale)


def prune(tree: OutputTree, paths: Iterable[str]) -> list[str]:
    """Move stale files with their sidecars to the trash and remove folders left empty; returns where they lie now."""
    moved: list[str] = []
    emptied: set[PurePosixPath] = set()
    for path in paths:
        relative = tree.relative(tree.root / path)
        with tree.parent(relative, make=False) as (folder, _):
            both = (relative, relative.with_name(relative.name + sidecars.SUFFIX))
            standing = [each for each in both if tree.fs.lstat(folder, each.name) is not None]
            moved.extend(tree.to_trash(folder, each) for each in standing)
        emptied.update(parent for parent in relative.parents if parent.parts)
    for folder_path in sorted(emptied, key=lambda each: len(each.parts), reverse=True):
        _remove_if_empty(tree, folder_path)
    return moved


def leftovers(output_dir: Path, older_than: float) -> list[str]:
    """Temporary files of killed runs, last written before a time (seconds since the epoch); relative paths."""
    found = []
    for folder, _, files in os.walk(output_dir):
        for name in files:
            path = Path(folder, name)
            if is_part(name) and path.lstat().st_mtime < older_than:
                found.append(path.relative_to(output_dir).as_posix())
    return sorted(found)


def _remove_if_empty(tree: OutputTree, relative: PurePosixPath) -> None:
    try:
        with tree.parent(relative, make=False) as (folder, _):
            tree.fs.rmdir(folder, relative.name)
    except OSError:
        return  # not empty, or not ours to remove


def _files(output_dir: Path) -> list[str]:
    """Every file below a folder, relative and POSIX; symlinks and the trash are not entered."""
    found: list[str] = []
    pending = [("", os.fspath(output_dir))]
    while pending:
        prefix, folder = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            name = prefix + entry.name
            if not entry.is_dir(follow_symlinks=False):
                found.append(name)
            elif name != TRASH:
                pending.append((name + "/", entry.path))
    return found


def _belongs(name: str, wanted: set[str]) -> bool:
    """Whether it is a wanted file, or the sidecar of one."""
    if not name.isascii():
        name = _normal(name)
    return name in wanted or name.removesuffix(sidecars.SUFFIX) in wanted


def _normal(path: str) -> str:
    """One spelling: some disks return names decomposed."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
