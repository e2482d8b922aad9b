"""YAML text → nodes that know their place.

=======  ===========================================================
KR0100   the file has no content
KR0101   a tab is used for indentation
KR0102   a tag is not allowed
KR0103   a limit: size, depth, aliases, merges
KR0104   a key stands twice in one mapping
KR0109   more than one document
KR0110   not UTF-8, or characters that YAML forbids
KR0111   other syntax errors
=======  ===========================================================
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kling_render.errors import Diagnostic, Problems
from kling_render.shotlist.builder import Builder, RefusedError
from kling_render.shotlist.syntax import decoded, syntax_error
from kling_render.shotlist.tree import Node, Source

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(
    data: bytes, file: str, path: Path | None = None, *, loader: Any = _LOADER
) -> tuple[Node | None, list[Diagnostic]]:
    """Read one YAML document.

    Args:
        data: the file's bytes.
        file: its display name.
        path: where it lies, for paths inside it.
        loader: the library's loader, whose scanner and parser are used; the C one where there is one.

    Returns:
        The root node, or None when there is none; and everything that is wrong with the text.
    """
    problems = Problems()
    text = decoded(data, file, problems)
    if text is None:
        return None, problems.found
    source = Source(file, text.splitlines(), path)
    builder = Builder(source, problems)
    root: Node | None = None
    try:
        with without_gc():
            root = builder.document(yaml.parse(text, Loader=loader))
    except RefusedError as refused:
        problems.found.append(refused.diagnostic)
    except yaml.MarkedYAMLError as fault:
        found = syntax_error(source, fault)
        if found not in problems.found:
            problems.found.append(found)
    if root is None or problems:
        return None, problems.found
    return root, problems.found


@contextmanager
def without_gc() -> Iterator[None]:
    """Many small objects that live: the collector would walk them again and again (2–3 times slower)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
