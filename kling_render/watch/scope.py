"""What a plan looked at: the files it read or missed, and the folders whose entries it went through."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.disk.project_files import searched
from kling_render.ports import FileKind, ProjectFiles
from kling_render.watch.stamps import MISSING, Stamp, is_folder, listed_at, stamp


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be watched."""

    #: Absolute paths as the project names them: read, or asked for and missing.
    files: frozenset[Path] = frozenset()
    #: Folders whose entries matter, because a glob or a folder of inputs looked into them.
    folders: frozenset[Path] = frozenset()
    #: Path of `files` → how it looked just before it was first read. What is not in here counts from `look_at` on.
    stamps: Mapping[Path, Stamp] = field(default_factory=dict, compare=False, repr=False)
    #: Folder of `folders` → when it had last changed just before it was first listed.
    listed: Mapping[Path, int] = field(default_factory=dict, compare=False, repr=False)

    def __or__(self, other: Scope) -> Scope:
        """Both; where both saw a path, the earlier look of `self` counts."""
        return Scope(
            self.files | other.files,
            self.folders | other.folders,
            {**other.stamps, **self.stamps},
            {**other.listed, **self.listed},
        )


class RecordedFiles:
    """`ports.ProjectFiles` that remembers all that was asked of it."""

    def __init__(self, files: ProjectFiles) -> None:
        self._files = files
        self._stamps: dict[Path, Stamp] = {}
        self._listed: dict[Path, int] = {}

    def scope(self) -> Scope:
        """What was asked for so far."""
        stamps, listed = dict(self._stamps), dict(self._listed)
        return Scope(frozenset(stamps), frozenset(listed), stamps, listed)

    def read_text_bytes(self, path: Path, limit: int) -> bytes:
        """See `ports.ProjectFiles`."""
        self._note(path)
        return self._files.read_text_bytes(path, limit)

    def read_small(self, path: Path, limit: int) -> bytes | None:
        """See `ports.ProjectFiles`."""
        self._note(path)
        return self._files.read_small(path, limit)

    def kind(self, path: Path) -> FileKind:
        """See `ports.ProjectFiles`."""
        self._note(path)
        return self._files.kind(path)

    def resolve(self, path: Path) -> Path:
        """See `ports.ProjectFiles`."""
        self._note(path)
        return self._files.resolve(path)

    def glob(self, folder: Path, pattern: str) -> list[Path]:
        """See `ports.ProjectFiles`.

        What matches and is a file is noted when somebody asks for it: a glob may find outputs that nobody wants.
        """
        looked = searched(folder, pattern)
        for each in looked.folders:
            if each not in self._listed:
                self._listed[each] = listed_at(each)
        for match in looked.candidates:
            if match not in self._stamps:
                seen = stamp(match)
                if seen == MISSING or (is_folder(seen) and os.path.islink(match)):  # a file may come to be there
                    self._stamps[match] = seen
        return self._files.glob(folder, pattern)

    def _note(self, path: Path) -> None:
        if path not in self._stamps:
            self._stamps[path] = stamp(path)
