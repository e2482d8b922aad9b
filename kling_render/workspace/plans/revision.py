"""A git revision of the user's project, read as if it were checked out: nothing is written, and no file is touched."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Self

from kling_render.config.secrets import KEY_VARIABLES
from kling_render.disk.project_files import DiskFiles
from kling_render.errors import UsageError
from kling_render.ports import Digests, FileKind

_FILE, _LINK = frozenset({"100644", "100755"}), "120000"
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_POINTER_BYTES = 1024
_LINKS = 40
"""Symlinks followed for one path, as the kernel does."""
_CHUNK = 1 << 20
_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"})
"""Set inside git's hooks, and relative to another folder than ours."""


def _environment() -> dict[str, str]:
    """Without keys, and so that git answers in English, asks nobody and leaves its index alone."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in KEY_VARIABLES and name not in _ELSEWHERE and not name.startswith("KLING_RENDER_")
    }
    return kept | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def _command(folder: Path, *words: str) -> list[str]:
    return ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]


def git(folder: Path, *words: str) -> tuple[int, bytes, str]:
    """Run git in a folder: exit code, output, and the first line of what it complains about.

    Raises:
        UsageError: there is no git.
    """
    try:
        done = subprocess.run(  # noqa: S603 - git with words of ours; a user's word never begins an option
            _command(folder, *words), capture_output=True, check=False, env=_environment(), stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise UsageError(
            "git was not found", help="--base compares with a git revision: install git", code="git"
        ) from None
    complaint = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
    return done.returncode, done.stdout, complaint.removeprefix("fatal: ")


def _answer(folder: Path, *words: str) -> bytes:
    code, out, complaint = git(folder, *words)
    if code:
        raise UsageError(f"git {words[0]} failed: {complaint}", help="`git status` may say more", code="git")
    return out


def _paths(out: bytes) -> list[str]:
    return [os.fsdecode(path) for path in out.split(b"\0") if path]


@dataclass(slots=True)
class _Blobs:
    """Reads objects through one git process."""

    process: subprocess.Popen[bytes]

    def chunks(self, oid: str) -> Iterator[bytes]:
        """The bytes of a blob, which must all be taken.

        Raises:
            OSError: the repository does not have it.
        """
        talk, listen = self.process.stdin, self.process.stdout
        assert talk is not None
        assert listen is not None
        talk.write(f"{oid}\n".encode())
        talk.flush()
        head = listen.readline().split()
        if len(head) != 3 or head[1] != b"blob":
            raise OSError(f"git has no file {oid}")
        left = int(head[2])
        while left:
            chunk = listen.read(min(left, _CHUNK))
            if not chunk:
                raise OSError("git ended early")
            left -= len(chunk)
            yield chunk
        listen.read(1)


@dataclass
class Revision:
    """`ports.ProjectFiles` and `ports.Digests` of a commit. Use it as a context manager.

    What git does not keep (files outside the repository, ignored and untracked ones) is taken from the disk, and
    named in `borrowed`: it is the same for every revision as far as anybody can tell.
    """

    #: The top folder of the work tree, symlinks resolved.
    root: Path
    commit: str
    #: Digests of files on disk.
    digests: Digests
    borrowed: set[Path] = field(default_factory=set)
    _disk: DiskFiles = field(default_factory=DiskFiles)
    _blobs: _Blobs | None = None
    _sums: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        command = _command(self.root, "cat-file", "--batch")
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603 - git with words of ours
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=_environment(), bufsize=-1
        )
        self._blobs = _Blobs(process)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._blobs is not None
        process = self._blobs.process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()

    # -- ports.ProjectFiles --------------------------------------------------------------------------------

    def read_text_bytes(self, path: Path, limit: int) -> bytes:
        """See `ports.ProjectFiles`."""
        entry = self._entry(path)
        if entry is None:
            self.borrowed.add(path)
            return self._disk.read_text_bytes(path, limit)
        return self._bytes(entry[1])[: limit + 1]

    def read_small(self, path: Path, limit: int) -> bytes | None:
        """See `ports.ProjectFiles`."""
        entry = self._entry(path)
        if entry is None:
            self.borrowed.add(path)
            return self._disk.read_small(path, limit)
        data = self._bytes(entry[1])
        return data if len(data) <= limit else None

    def kind(self, path: Path) -> FileKind:
        """See `ports.ProjectFiles`."""
        name = self._name(path)
        if name is None or self._is_borrowed(name):
            return self._disk.kind(path)
        if name in self._folders or not name:
            return "folder"
        mode = self._entries.get(name, ("", ""))[0]
        return "file" if mode in _FILE else "other" if mode else "missing"

    def resolve(self, path: Path) -> Path:
        """See `ports.ProjectFiles`; symlinks are those of the commit."""
        for _ in range(_LINKS):
            name = self._name(path)
            if name is None:
                real = Path(os.path.realpath(path))
                if self._name(real) is None or real == path:
                    return real
                path = real
                continue
            followed = self._followed(PurePosixPath(name).parts)
            if followed is None:
                return path
            path = followed
        return path

    def glob(self, folder: Path, pattern: str) -> list[Path]:
        """See `ports.ProjectFiles`; ignored files of the work tree count, other untracked ones do not."""
        name = self._name(folder)
        if name is None:
            return self._disk.glob(folder, pattern)
        parts = tuple(part for part in pattern.split("/") if part not in ("", "."))
        below = f"{name}/" if name else ""
        kept = [entry for entry, (mode, _) in self._entries.items() if mode in _FILE or mode == _LINK]
        found = {
            folder / entry[len(below) :]
            for entry in (*kept, *self._ignored)
            if entry.startswith(below) and _fits(tuple(entry[len(below) :].split("/")), parts)
        }
        return sorted((p for p in found if self.kind(self.resolve(p)) == "file"), key=lambda path: path.as_posix())

    # -- ports.Digests, as far as it is needed ---------------------------------------------------------------

    def sha256(self, path: Path) -> str:
        """64 hex of what a checkout would hold. A Git LFS pointer says it itself."""
        name, entry = self._name(path), self._entry(path)
        if name is None or entry is None or name not in self._differing:
            if entry is None:
                self.borrowed.add(path)
            return self.digests.sha256(path)
        oid = entry[1]
        if oid not in self._sums:
            self._sums[oid] = self._digest(oid)
        return self._sums[oid]

    def has(self, path: Path) -> bool:
        """Whether the commit has this file."""
        return self._entry(path) is not None

    def earlier_name(self, path: Path) -> Path | None:
        """What a file of the work tree was called in the commit, if git finds that it was renamed."""
        out = _answer(self.root, "diff-index", "-M", "--diff-filter=R", "--name-status", "-z", self.commit)
        fields = _paths(out)
        renamed = dict(zip(fields[2::3], fields[1::3], strict=False))
        old = renamed.get(self._name(path) or "")
        return self.root / old if old else None

    # -- inside --------------------------------------------------------------------------------------------

    def _name(self, path: Path) -> str | None:
        """The path inside the repository, POSIX style; None outside."""
        try:
            inner = Path(os.path.normpath(path)).relative_to(self.root).as_posix()
        except ValueError:
            return None
        return "" if inner == "." else inner

    def _entry(self, path: Path) -> tuple[str, str] | None:
        name = self._name(path)
        entry = self._entries.get(name) if name is not None else None
        return entry if entry is not None and entry[0] in _FILE else None

    def _is_borrowed(self, name: str) -> bool:
        """Whether git keeps neither then nor now what stands there."""
        return name not in self._entries and name not in self._folders and name not in self._tracked

    def _followed(self, parts: tuple[str, ...]) -> Path | None:
        """Where the first symlink of a path leads; None if there is none."""
        for count in range(1, len(parts) + 1):
            mode, oid = self._entries.get("/".join(parts[:count]), ("", ""))
            if mode == _LINK:
                target = self.root.joinpath(*parts[: count - 1]) / os.fsdecode(self._bytes(oid))
                return Path(os.path.normpath(target.joinpath(*parts[count:])))
        return None

    def _bytes(self, oid: str) -> bytes:
        assert self._blobs is not None
        return b"".join(self._blobs.chunks(oid))

    def _digest(self, oid: str) -> str:
        assert self._blobs is not None
        digest, head, size = hashlib.sha256(), b"", 0
        for chunk in self._blobs.chunks(oid):
            head = head or chunk[:_POINTER_BYTES]
            size += len(chunk)
            digest.update(chunk)
        pointer = _POINTER.match(head) if size <= _POINTER_BYTES else None
        return pointer[1].decode() if pointer else digest.hexdigest()

    @cached_property
    def _entries(self) -> dict[str, tuple[str, str]]:
        """Path → mode and object, of every file, symlink and submodule of the commit."""
        found = {}
        for line in _answer(self.root, "ls-tree", "-r", "-z", "--full-tree", self.commit).split(b"\0"):
            if line:
                facts, _, path = line.partition(b"\t")
                mode, _, oid = facts.decode().split(" ")
                found[os.fsdecode(path)] = (mode, oid)
        return found

    @cached_property
    def _folders(self) -> set[str]:
        return {parent.as_posix() for path in self._entries for parent in PurePosixPath(path).parents} - {"."}

    @cached_property
    def _tracked(self) -> set[str]:
        """What git keeps now."""
        return set(_paths(_answer(self.root, "ls-files", "-z")))

    @cached_property
    def _ignored(self) -> list[str]:
        return _paths(_answer(self.root, "ls-files", "-z", "-o", "-i", "--exclude-standard"))

    @cached_property
    def _differing(self) -> set[str]:
        """Files of the commit that the work tree has otherwise, or not at all."""
        return set(_paths(_answer(self.root, "diff-index", "--name-only", "--no-renames", "-z", self.commit)))


def find_revision(folder: Path, ref: str) -> tuple[Path, str]:
    """The repository's top folder, symlinks resolved, and the commit that a name stands for.

    Raises:
        UsageError: no git, no repository, or no such revision.
    """
    code, out, complaint = git(folder, "rev-parse", "--show-toplevel")
    if code:
        raise UsageError(
            f"--base needs a git repository: {complaint}", help="run it inside the project's repository", code="git"
        )
    root = Path(os.path.realpath(os.fsdecode(out.rstrip(b"\r\n"))))
    code, out, complaint = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if code or "\0" in ref:
        raise UsageError(
            f"no such git revision: {ref}",
            help="name a branch, tag or commit; in a shallow clone fetch it first: git fetch --depth=1 origin BRANCH",
            code="git",
        )
    return root, out.decode().split()[-1]


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path matches a glob, with the rules of `DiskFiles.glob`."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        rest = pattern[1:] or ("*",)
        return _fits(path, rest) or (len(path) > 1 and not path[0].startswith(".") and _fits(path[1:], pattern))
    if not path or (path[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(path[0], pattern[0]) and _fits(path[1:], pattern[1:])
