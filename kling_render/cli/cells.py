"""Terminal cells: what fits, and what the terminal can show. Imported only where rich is."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from kling_render.cli.job_words import Look


def symbol_of(look: Look, console: Console) -> str:
    """The state's symbol, or its stand-in where the terminal's encoding has no such character."""
    return look.plain_symbol if console.options.ascii_only else look.symbol


def cut_middle(text: str, width: int) -> str:
    """The text in at most so many cells: an id's beginning and end tell more than its middle."""
    if cell_len(text) <= width:
        return text
    if width < 5:
        return set_cell_size(text, max(width, 0))
    tail, size = "", (width - 1) * 2 // 3
    for char in reversed(text):
        if cell_len(char + tail) > size:
            break
        tail = char + tail
    return f"{set_cell_size(text, width - 1 - cell_len(tail))}…{tail}"
