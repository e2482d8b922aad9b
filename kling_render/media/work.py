"""What the parts that write media share in the parent process."""

from __future__ import annotations

from pathlib import Path

from kling_render.errors import KlingRenderError


class WorkError(KlingRenderError):
    """A trimmed copy or a rehearsal could not be made."""


def part_path(target: Path) -> Path:
    """Where a file grows until it is whole."""
    return target.with_name(target.name + ".part")
