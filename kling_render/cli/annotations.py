"""Diagnostics as workflow commands of GitHub Actions, which become annotations of a pull request.

Foreign texts can neither end a command nor begin another one: what has a meaning there is written as `%XX`.
"""

from __future__ import annotations

import os
from pathlib import Path

from kling_render.cli.diagnostics import escaped
from kling_render.errors import Diagnostic, Place


def annotation(diagnostic: Diagnostic, cwd: Path, root: Path | None) -> str:
    """One line.

    Args:
        diagnostic: what was found.
        cwd: the folder that its file is relative to.
        root: the folder that files of annotations are relative to (`GITHUB_WORKSPACE`); None: the same.
    """
    where = _where(diagnostic.place, cwd, root) if diagnostic.place else ""
    help_ = f" — {diagnostic.help}" if diagnostic.help else ""
    title = f"title={_property(diagnostic.code)}"
    return f"::{diagnostic.severity} {where}{title}::{_data(escaped(diagnostic.message + help_))}"


def _where(place: Place, cwd: Path, root: Path | None) -> str:
    file = place.file
    if root is not None:
        shown = os.path.relpath(cwd / file, root)
        file = file if shown.startswith("..") else Path(shown).as_posix()
    return f"file={_property(escaped(file))},line={place.line},col={place.column},"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
