"""Diagnostics of an expansion: each is said once, however many jobs it would hit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kling_render.errors import Diagnostic, Place, Problems

#: Codes of patterns and axis names that match nothing.
_PATTERNS = frozenset({"KR0130", "KR0131"})


@dataclass(slots=True)
class Report(Problems):
    """Problems without repetitions: the same code and words at the same place count once.

    What several shots inherit need not fit each of them: a pattern at a shared place is wrong only when as many
    shots as share it have found it wrong.
    """

    #: Places that belong to several shots, and to how many.
    shared: Mapping[Place, int] = field(default_factory=dict)
    _missed: Counter[Place] = field(default_factory=Counter)
    _said: set[tuple[str, str, Place | None]] = field(default_factory=set)

    def add(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic, unless it was said before."""
        place = diagnostic.place
        if place is not None and place in self.shared and diagnostic.code in _PATTERNS:
            self._missed[place] += 1
            if self._missed[place] != self.shared[place]:
                return
        key = (diagnostic.code, diagnostic.message, place)
        if key not in self._said:
            self._said.add(key)
            self.found.append(diagnostic)


def listed(names: Iterable[str], limit: int = 12) -> str:
    """`a, b, c`, cut short with a count when there are many."""
    names = list(names)
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
