"""Brings a run's results into their output trees: each take with its sidecar, and one final per cell."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.lifecycle.records import Result, usd_of
from kling_render.outputs.index import listed_files, read_index
from kling_render.outputs.sidecar import sidecar, stamp
from kling_render.outputs.tree import OutputTree, Published, RememberingDigests, check_root
from kling_render.ports import Blobs


class Wanted(Protocol):
    """Where a job's result is to appear; `engine.work.Target` fits."""

    @property
    def job(self) -> str:
        """The job's id."""
        ...

    @property
    def take(self) -> int:
        """The take's number."""
        ...

    @property
    def output(self) -> Path:
        """The take's path, absolute."""
        ...

    @property
    def final(self) -> Path:
        """The cell's path, absolute."""
        ...

    @property
    def root(self) -> Path:
        """The output folder, absolute."""
        ...

    @property
    def folder(self) -> Path:
        """The folder of the shot list, absolute."""
        ...

    @property
    def picked(self) -> int | None:
        """The take the user picked."""
        ...


@dataclass(slots=True)
class _Cell:
    """The finished takes of a cell, and the right to write its final."""

    finished: set[int]
    lock: threading.Lock = field(default_factory=threading.Lock)


class TreePublisher:
    """Publishes from any thread. `notices` gathers what went to the trash, for the report."""

    def __init__(
        self,
        blobs: Blobs,
        digests: RememberingDigests,
        *,
        now: Callable[[], float],
        tool_version: str,
        finished: Mapping[Path, Iterable[int]] | None = None,
        allowed: Iterable[Path] = (),
        fs: FileSystem = REAL,
    ) -> None:
        """Prepare for a run.

        Args:
            blobs: the store's files.
            digests: of files in the tree.
            now: seconds since the epoch.
            tool_version: of this program.
            finished: final path → takes of the cell that are up to date already: a higher one does not replace them.
            allowed: folders outside the project that an output folder may be a symlink to.
            fs: the disk.
        """
        self._blobs = blobs
        self._digests = digests
        self._stamp = stamp(now())
        self._version = tool_version
        self._allowed = tuple(allowed)
        self._fs = fs
        self._cells = {path: _Cell(set(takes)) for path, takes in (finished or {}).items()}
        self._trees: dict[Path, OutputTree] = {}
        self._lock = threading.Lock()
        self.notices: list[str] = []

    def publish(self, target: Wanted, result: Result, manifest: str) -> None:
        """The take with its sidecar, and the final when this take is the one.

        Raises:
            OSError: as usual; EPERM for a symlink that leads out of the output folder.
        """
        tree, cell = self._tree(target.root, target.folder), self._cell(target.final)
        blob = self._blobs.path(result.blob)
        self._note(tree, tree.publish_take(blob, target.output, self._sidecar(target, result, manifest)))
        with cell.lock:
            cell.finished.add(target.take)
            if self._is_final(target, cell):
                self._note(tree, tree.publish_final(blob, target.final, result.blob))

    @staticmethod
    def _is_final(target: Wanted, cell: _Cell) -> bool:
        if target.picked is not None and (target.picked in cell.finished or target.take == target.picked):
            return target.take == target.picked
        return target.take == min(cell.finished)

    def _sidecar(self, target: Wanted, result: Result, manifest: str) -> dict[str, Any]:
        content: Any = None
        with contextlib.suppress(ValueError):
            content = json.loads(manifest)
        return sidecar(
            job=target.job,
            manifest=content if isinstance(content, dict) else {},
            fingerprint=result.fingerprint,
            namespace=result.namespace,
            generation_id=result.generation_id,
            usd=None if result.charge is None else usd_of(result.charge),
            sha256=result.blob,
            size=result.size,
            rendered_at=result.made_at,
            tool_version=self._version,
        )

    def _tree(self, root: Path, project: Path) -> OutputTree:
        with self._lock:
            if root not in self._trees:
                check_root(root, project, self._allowed)
                self._trees[root] = OutputTree(
                    root=root,
                    digests=self._digests,
                    stamp=self._stamp,
                    stored=self._blobs.has,
                    listed=listed_files(read_index(root)),
                    fs=self._fs,
                )
            return self._trees[root]

    def _cell(self, final: Path) -> _Cell:
        with self._lock:
            return self._cells.setdefault(final, _Cell(set()))

    def _note(self, tree: OutputTree, published: Published) -> None:
        if published.trashed:
            with self._lock:
                self.notices.extend(f"{path} was in the way and is kept there" for path in published.trashed)
