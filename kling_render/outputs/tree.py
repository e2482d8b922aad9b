"""The output tree: finished files under stable names, never through a planted symlink, never over somebody's work.

A file that stands in the way and is not ours, or was edited since, goes to `.trash/` inside the output folder and is
reported. An unchanged file is not touched, so its mtime stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from kling_render.disk.filesystem import REAL, FileSystem, Folder
from kling_render.disk.publish import CopyKind, make_folders, publish_bytes, publish_copy
from kling_render.outputs import sidecar as sidecars

TRASH = ".trash"
_HOPS = 8


class RememberingDigests(Protocol):
    """`ports.Digests` that can be told about a file that was just published."""

    def sha256(self, path: Path) -> str:
        """64 hex; OSError as usual."""
        ...

    def remember(self, path: Path, sha256: str) -> None:
        """Note the digest of a file that was just published there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What became of one file."""

    path: Path
    sha256: str
    #: `unchanged`: the same bytes stood there and were not touched.
    action: Literal["written", "unchanged"]
    how: CopyKind | None = None
    #: What was in the way, where it lies now, relative to the output folder.
    trashed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTree:
    """An output folder and what is needed to write there. Every method raises OSError as usual."""

    #: Absolute. It may be reached through symlinks; inside it none may lead elsewhere.
    root: Path
    digests: RememberingDigests
    #: Names the folder of this run inside the trash (a UTC time such as `20260801T120000Z`).
    stamp: str
    #: Whether the store holds bytes under this SHA-256: only then a file may be replaced without keeping a copy.
    stored: Callable[[str], bool] | None = None
    #: Path relative to the root → SHA-256 of every file that the last `index.json` lists.
    listed: Mapping[str, str] = field(default_factory=dict)
    fs: FileSystem = REAL
    #: Two threads must not both find a file in the way: the second would move the folder the first one made.
    _clearing: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def publish_take(self, blob: Path, target: Path, sidecar: Mapping[str, Any]) -> Published:
        """A take and its sidecar; `sidecar["sha256"]` names the blob's bytes."""
        relative, sha256 = self.relative(target), str(sidecar["sha256"])
        with self.parent(relative) as (folder, trashed):
            how = self._put(blob, folder, relative, sha256, trashed)
            written = True
            try:
                written = self._put_sidecar(folder, relative, sidecars.text(sidecar), trashed)
            finally:
                if how or written:  # one sync for both files: neither counts as published before
                    self.fs.fsync_folder(folder)
        return self._published(target, sha256, how, trashed)

    def publish_final(self, blob: Path, target: Path, sha256: str) -> Published:
        """A copy of a blob without a sidecar: the stable path of a cell."""
        relative = self.relative(target)
        with self.parent(relative) as (folder, trashed):
            how = self._put(blob, folder, relative, sha256, trashed)
            if how:
                self.fs.fsync_folder(folder)
        return self._published(target, sha256, how, trashed)

    def relative(self, target: Path) -> PurePosixPath:
        """A path inside the output folder, relative to it.

        Raises:
            OSError: it lies outside.
        """
        try:
            relative = PurePosixPath(target.relative_to(self.root).as_posix())
        except ValueError:
            raise _refused(target, "outside the output folder") from None
        if not relative.parts or ".." in relative.parts:
            raise _refused(target, "outside the output folder")
        return relative

    @contextlib.contextmanager
    def parent(self, relative: PurePosixPath, *, make: bool = True) -> Iterator[tuple[Folder, list[str]]]:
        """The open folder of a path inside the tree, and what had to go to the trash for it."""
        trashed: list[str] = []
        if make:
            make_folders(self.root, fs=self.fs)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(self.fs.folder(self.root))
            walked = PurePosixPath()
            for part in relative.parent.parts:
                walked /= part
                folder = self._step(stack, folder, walked, trashed, make=make)
            yield folder, trashed

    def to_trash(self, folder: Folder, relative: PurePosixPath) -> str:
        """Move what stands at a path to the trash; returns where it lies, relative to the output folder."""
        goal = PurePosixPath(TRASH, self.stamp, *relative.parts)
        with self.parent(goal) as (target, _):
            name, number = goal.name, 1
            while self.fs.lstat(target, name) is not None:
                number += 1
                name = f"{goal.name}~{number}"
            self.fs.replace(folder, relative.name, target, name)
            self.fs.fsync_folder(target)
        self.fs.fsync_folder(folder)
        return str(goal.with_name(name))

    # -- inside --------------------------------------------------------------------------------------------

    def _put(
        self, blob: Path, folder: Folder, relative: PurePosixPath, sha256: str, trashed: list[str]
    ) -> CopyKind | None:
        """Copy a blob to its name; the caller syncs the folder. None: the same bytes stand there already."""
        standing = self.fs.lstat(folder, relative.name)
        if standing is not None:
            digest = self._digest(self.root / relative, standing)
            if digest == sha256:
                return None
            if not self._replaceable(relative, standing, digest):
                trashed.append(self.to_trash(folder, relative))
                trashed.extend(self._sidecar_to_trash(folder, relative))
        return publish_copy(folder, relative.name, blob, settle=False, fs=self.fs)

    def _published(self, target: Path, sha256: str, how: CopyKind | None, trashed: list[str]) -> Published:
        if how:
            self.digests.remember(target, sha256)
        action: Literal["written", "unchanged"] = "written" if how else "unchanged"
        return Published(path=target, sha256=sha256, action=action, how=how, trashed=tuple(trashed))

    def _step(
        self, stack: contextlib.ExitStack, folder: Folder, walked: PurePosixPath, trashed: list[str], *, make: bool
    ) -> Folder:
        """Open one more component; make it, or move a file that stands there away."""
        name = walked.name
        with contextlib.suppress(OSError):  # most often it is there; a link is never followed here
            child = self.fs.open_child(folder, name)
            stack.callback(self.fs.close_folder, child)
            return child
        standing = self.fs.lstat(folder, name)
        if standing is not None and stat.S_ISLNK(standing.st_mode):
            return self._inside(stack, walked)
        if standing is not None and not stat.S_ISDIR(standing.st_mode) and make:
            standing = self._cleared(folder, walked, trashed)
        if standing is None and make:
            with contextlib.suppress(FileExistsError):
                self.fs.mkdir(folder, name)
            self.fs.fsync_folder(folder)
        try:
            child = self.fs.open_child(folder, name)
        except OSError as fault:
            if fault.errno in {errno.ELOOP, errno.ENOTDIR}:  # swapped for a link since we looked
                raise _refused(self.root / walked, "a symlink leads out of the output folder") from fault
            raise
        stack.callback(self.fs.close_folder, child)
        return child

    def _cleared(self, folder: Folder, walked: PurePosixPath, trashed: list[str]) -> os.stat_result | None:
        """Move a file that stands where a folder has to be; what stands there then."""
        with self._clearing:
            standing = self.fs.lstat(folder, walked.name)
            if standing is None or stat.S_ISDIR(standing.st_mode):
                return standing  # another thread was faster
            trashed.append(self.to_trash(folder, walked))
            return None  # whoever comes first makes the folder

    def _inside(self, stack: contextlib.ExitStack, walked: PurePosixPath) -> Folder:
        """The folder behind a symlink that stays inside the tree, opened from the root without following any."""
        link = self.root / walked
        try:
            inner = link.resolve(strict=True).relative_to(self.root.resolve())
        except (ValueError, OSError, RuntimeError):
            raise _refused(link, "a symlink leads out of the output folder") from None
        folder = stack.enter_context(self.fs.folder(self.root))
        for part in inner.parts:
            folder = self.fs.open_child(folder, part)
            stack.callback(self.fs.close_folder, folder)
        return folder

    def _digest(self, path: Path, standing: os.stat_result) -> str | None:
        """The SHA-256 of a regular file; None for anything else, or when it cannot be read."""
        if not stat.S_ISREG(standing.st_mode):
            return None
        try:
            return self.digests.sha256(path)
        except OSError:
            return None

    def _replaceable(self, relative: PurePosixPath, standing: os.stat_result, digest: str | None) -> bool:
        """Whether replacing the file loses nothing: we wrote it, nobody edited it, and its bytes are in the store."""
        if digest is None or not stat.S_ISREG(standing.st_mode):
            return False
        if self.stored is not None:
            return self.stored(digest)
        if self.listed.get(str(relative)) == digest:
            return True
        return sidecars.sha256_in(self._read_sidecar(relative)) == digest

    def _read_sidecar(self, relative: PurePosixPath) -> bytes | None:
        path = self.root / relative.with_name(relative.name + sidecars.SUFFIX)
        try:
            return path.read_bytes()
        except OSError:
            return None

    def _put_sidecar(self, folder: Folder, take: PurePosixPath, data: bytes, trashed: list[str]) -> bool:
        """Write the sidecar beside its take, unless it is the same; whether it was written."""
        relative = take.with_name(take.name + sidecars.SUFFIX)
        standing = self.fs.lstat(folder, relative.name)
        if standing is not None:
            plain = stat.S_ISREG(standing.st_mode)
            old = self._read_sidecar(take) if plain else None
            if sidecars.same(old, data):
                return False
            if not sidecars.is_ours(old):
                trashed.append(self.to_trash(folder, relative))
        publish_bytes(folder, relative.name, data, settle=False, fs=self.fs)
        return True

    def _sidecar_to_trash(self, folder: Folder, relative: PurePosixPath) -> list[str]:
        """An edited take keeps its sidecar in the trash."""
        beside = relative.with_name(relative.name + sidecars.SUFFIX)
        if self.fs.lstat(folder, beside.name) is None:
            return []
        return [self.to_trash(folder, beside)]


def check_writable(root: Path, project: Path, allowed: Iterable[Path] = ()) -> None:
    """Refuse, before anything is paid, an output folder that cannot take results; makes the folder.

    Raises:
        OSError: see `check_root`; or nothing can be written there.
    """
    check_root(root, project, allowed)
    make_folders(root)
    with tempfile.TemporaryFile(dir=root):
        return


def check_root(root: Path, project: Path, allowed: Iterable[Path] = ()) -> None:
    """Refuse an output folder that a symlink leads out of the project (a shared project must not write elsewhere).

    Args:
        root: the output folder, absolute.
        project: the folder of the shot list.
        allowed: further folders the user allowed it to lead to.

    Raises:
        OSError: it leads elsewhere.
    """
    resolved, home = root.resolve(), project.resolve()
    as_written = Path(os.path.normpath(home / os.path.relpath(root, project)))
    if resolved == as_written or any(resolved.is_relative_to(each.resolve()) for each in (home, *allowed)):
        return
    raise _refused(root, f"it is a symlink out of the project, to {resolved}")


def _refused(path: Path, why: str) -> OSError:
    return OSError(errno.EPERM, f"refused: {why}", os.fspath(path))
