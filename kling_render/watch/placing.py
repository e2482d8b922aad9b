"""Which folders get a watch of their own, and where one has to do for a whole tree: pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

FEW = 32
"""Each watch is a thread."""
MANY = 256
"""What is still better than a tree that holds outputs too."""


def place(
    folders: Collection[str], unwanted: Callable[[str], bool], few: int = FEW, many: int = MANY
) -> dict[str, bool] | None:
    """Folder → whether its whole tree is watched. None when the folders are too scattered.

    `unwanted` says that the tree of a folder is better left alone, because outputs are written in it.
    """
    if len(folders) <= few:
        return dict.fromkeys(folders, False)
    depths = sorted({_depth(folder) for folder in folders}, reverse=True)
    cuts = [_cut(folders, depth) for depth in range(depths[0], depths[-1] - 1, -1)]
    for limit in (few, many):
        for cut in cuts:
            if len(cut) <= limit and not any(unwanted(root) for root, tree in cut.items() if tree):
                return cut
    return next((cut for cut in cuts if len(cut) <= many), None)


def _cut(folders: Collection[str], depth: int) -> dict[str, bool]:
    """All that lies deeper is left to a watch of the tree at that depth."""
    placed: dict[str, bool] = {}
    for folder in folders:
        root = _above(folder, depth)
        placed[root] = placed.get(root, False) or root != folder
    return placed


def _depth(folder: str) -> int:
    return len([name for name in folder.split(os.sep) if name])


def _above(folder: str, depth: int) -> str:
    for _ in range(_depth(folder) - depth):
        folder = os.path.dirname(folder)
    return folder
