"""What goes wrong, as values and as exceptions.

Bad input is a `Diagnostic`: a value with a place, a code and a remedy; many are gathered and shown at once.
Everything else that can stop a command is one of these (the exit codes are the command line's contract)::

    KlingRenderError          1   an unexpected fault
    ├── UsageError            2   a wrong command line
    ├── InputProblems         2   diagnostics of shot list, templates or media; nothing was submitted
    ├── DecisionNeeded        4   money needs the user's decision or a wait
    ├── SpendingRefused       5   no consent, no cap, or the cap is reached
    ├── AccountRefused        6   key, credits or TLS
    └── StoreFault            7   the store or the disk
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a text file, as a person counts: line and column start at 1."""

    file: str
    line: int
    column: int
    #: The text of that line without its end, for the caret; empty when it is not at hand.
    text: str = ""
    #: How many characters the caret underlines.
    width: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem of the user's input: what is wrong, where, and what to do about it."""

    code: str
    message: str
    place: Place | None = None
    help: str = ""
    severity: Literal["error", "warning"] = "error"
    #: Other places that belong to it, each with a few words ("first declared here").
    related: tuple[tuple[str, Place], ...] = ()
    #: A picture that shows it: the path of a file, or nothing.
    picture: str = ""


class KlingRenderError(Exception):
    """The base of every error this tool raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, help: str = "", code: str = "") -> None:  # noqa: A002 - shown as "help:"
        super().__init__(message)
        self.message = message
        self.help = help
        self.code = code


class UsageError(KlingRenderError):
    """A wrong command line."""

    exit_code = 2


class InputProblems(KlingRenderError):
    """The input has errors; carries every diagnostic found, warnings included."""

    exit_code = 2

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        count = sum(d.severity == "error" for d in self.diagnostics)
        super().__init__(f"{count} error{'s' if count != 1 else ''} in the input")


class DecisionNeeded(KlingRenderError):
    """Money needs the user's decision, or a wait."""

    exit_code = 4


class SpendingRefused(KlingRenderError):
    """Spending lacks consent, a cap, or room under the cap."""

    exit_code = 5


class AccountRefused(KlingRenderError):
    """The provider refuses the account (key, credits) or the connection cannot be trusted (TLS)."""

    exit_code = 6


class StoreFault(KlingRenderError):
    """The store or the disk does not work; nothing new is submitted."""

    exit_code = 7


@dataclass(slots=True)
class Problems:
    """Gathers diagnostics while the input is read, so that all are reported at once."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic."""
        self.found.append(diagnostic)

    def error(
        self,
        code: str,
        message: str,
        place: Place | None = None,
        *,
        help: str = "",  # noqa: A002 - shown as "help:"
        related: Iterable[tuple[str, Place]] = (),
    ) -> None:
        """Add an error."""
        self.add(Diagnostic(code, message, place, help, "error", tuple(related)))

    def warning(
        self,
        code: str,
        message: str,
        place: Place | None = None,
        *,
        help: str = "",  # noqa: A002 - shown as "help:"
        related: Iterable[tuple[str, Place]] = (),
    ) -> None:
        """Add a warning."""
        self.add(Diagnostic(code, message, place, help, "warning", tuple(related)))

    @property
    def errors(self) -> list[Diagnostic]:
        """The errors only, in the order found."""
        return [d for d in self.found if d.severity == "error"]

    def __bool__(self) -> bool:
        return bool(self.errors)


def in_file_order(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file (in the order they came up), then by position; what has no place comes first. Each is said once."""
    found = list(dict.fromkeys(found))
    files: dict[str, int] = {}
    for diagnostic in found:
        if diagnostic.place is not None:
            files.setdefault(diagnostic.place.file, len(files))

    def position(diagnostic: Diagnostic) -> tuple[int, int, int]:
        place = diagnostic.place
        return (-1, 0, 0) if place is None else (files[place.file], place.line, place.column)

    return sorted(found, key=position)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    from difflib import get_close_matches

    folded = {k.casefold(): k for k in known}
    hits = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[hits[0]] if hits else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'prompt'?"`, or an empty string."""
    hit = nearest(word, known)
    return f"; did you mean '{hit}'?" if hit else ""
