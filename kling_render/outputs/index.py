"""`index.json`: every cell of the output tree for other programs. Paths are relative to the file's own folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

from kling_render.disk.publish import publish_bytes
from kling_render.outputs.sidecar import usd_text
from kling_render.outputs.tree import OutputTree

FORMAT = "kling-render.index/1"
NAME = "index.json"
FINISHED = "done"
"""The state of a take whose file is in the tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexTake:
    """One take of a cell."""

    #: The job's id.
    id: str
    take: int
    #: POSIX, relative to the output folder.
    path: str
    #: `done` for a finished take; else the job's state as `status` shows it.
    state: str
    sha256: str | None = None
    usd: Decimal | None = None
    #: What a look at the whole of it found.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCell:
    """One cell and its takes."""

    id: str
    #: POSIX, relative to the output folder.
    final: str
    takes: tuple[IndexTake, ...]
    #: The take the user picked.
    picked: int | None = None

    @property
    def chosen(self) -> IndexTake | None:
        """The take whose bytes stand under the final name: the picked one, else the lowest finished one."""
        return chosen(self.takes, self.picked)

    @property
    def state(self) -> str:
        """`done` when every take is; else the state of the lowest take that is not."""
        return next((take.state for take in _sorted(self.takes) if take.state != FINISHED), FINISHED)

    @property
    def usd(self) -> Decimal | None:
        """What its takes cost together; None when no cost is known."""
        known = [take.usd for take in self.takes if take.usd is not None]
        return sum(known, Decimal(0)) if known else None


def chosen(takes: Iterable[IndexTake], picked: int | None) -> IndexTake | None:
    """The picked take when it is finished, else the lowest finished one."""
    finished = [take for take in _sorted(takes) if take.state == FINISHED and take.sha256]
    return next((take for take in finished if take.take == picked), finished[0] if finished else None)


def document(project: str, provider: str, cells: Iterable[IndexCell]) -> dict[str, Any]:
    """The JSON document, cells sorted by id."""
    return {
        "format": FORMAT,
        "project": project,
        "provider": provider,
        "cells": [_cell(cell) for cell in sorted(cells, key=lambda cell: cell.id)],
    }


def write_index(tree: OutputTree, content: Mapping[str, Any]) -> bool:
    """Write the index unless it says the same already; True when it was written."""
    data = _text(content)
    relative = PurePosixPath(NAME)
    with tree.parent(relative) as (folder, _):
        if tree.fs.lstat(folder, NAME) is not None:
            old = _bytes(tree.root / NAME)
            if old == data:
                return False
            if _parsed(old) is None:
                tree.to_trash(folder, relative)
        publish_bytes(folder, NAME, data, fs=tree.fs)
    return True


def says_already(root: Path, content: Mapping[str, Any]) -> bool:
    """Whether the index of an output folder is up to date."""
    return _bytes(root / NAME) == _text(content)


def read_index(root: Path) -> dict[str, Any] | None:
    """The index of an output folder; None when there is none of ours."""
    return _parsed(_bytes(root / NAME))


def listed_files(index: Mapping[str, Any] | None) -> dict[str, str]:
    """Path → SHA-256 of every file that an index lists, takes and finals."""
    cells = (index or {}).get("cells", ())
    finals = {cell["final"]: cell["sha256"] for cell in cells}
    takes = {take["path"]: take["sha256"] for cell in cells for take in cell["takes"]}
    return {path: sha256 for path, sha256 in (finals | takes).items() if sha256}


def _text(content: Mapping[str, Any]) -> bytes:
    """The file: one line per cell, which also lets the quick encoder work (an indented text takes the slow one)."""
    head = {name: value for name, value in content.items() if name != "cells"}
    lines = [json.dumps({name: value}, ensure_ascii=False)[1:-1] for name, value in head.items()]
    cells = ",\n  ".join(json.dumps(cell, ensure_ascii=False) for cell in content["cells"])
    return ("{\n " + ",\n ".join([*lines, f'"cells": [\n  {cells}\n ]' if cells else '"cells": []']) + "\n}\n").encode()


def _cell(cell: IndexCell) -> dict[str, Any]:
    chosen_take = cell.chosen
    return {
        "id": cell.id,
        "final": cell.final,
        "takes": [_take(take) for take in _sorted(cell.takes)],
        "state": cell.state,
        "sha256": chosen_take.sha256 if chosen_take else None,
        "cost": None if cell.usd is None else usd_text(cell.usd),
        "picked": cell.picked,
    }


def _take(take: IndexTake) -> dict[str, Any]:
    document = {
        "id": take.id,
        "take": take.take,
        "path": take.path,
        "state": take.state,
        "sha256": take.sha256,
        "usd": None if take.usd is None else usd_text(take.usd),
    }
    return document | {"warnings": list(take.warnings)} if take.warnings else document


def _sorted(takes: Iterable[IndexTake]) -> list[IndexTake]:
    return sorted(takes, key=lambda take: take.take)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    """An index of ours that can be relied on; an edited or cut one is none."""
    if data is None:
        return None
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            return None
        listed_files(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return dict(content)
