"""How a job's state is told to people: a symbol, a word and a colour. Each is enough on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kling_render.cli.diagnostics import escaped
from kling_render.engine.work import JobReport, JobState, Progress
from kling_render.lifecycle.records import usd_of
from kling_render.planning.text import usd_text

MESSAGE_LENGTH = 500
"""Characters of a foreign message that are shown."""


@dataclass(frozen=True, slots=True)
class Look:
    """A state's appearance; the colours are the terminal's own, told apart by brightness and weight too."""

    word: str
    symbol: str
    #: For terminals without these characters.
    plain_symbol: str
    style: str


LOOKS: Mapping[JobState, Look] = MappingProxyType(
    {
        JobState.DONE: Look("done", "✓", "+", "green"),
        JobState.RESTORED: Look("restored", "↺", "<", "green"),
        JobState.UP_TO_DATE: Look("up to date", "=", "=", "dim"),
        JobState.RUNNING: Look("running", "▶", ">", "bold blue"),
        JobState.SUBMITTING: Look("submitting", "↑", "^", "cyan"),
        JobState.FETCHING: Look("fetching", "↓", "v", "cyan"),
        JobState.WAITING: Look("waiting", "·", ".", "dim"),
        JobState.FAILED: Look("failed", "✗", "x", "bold red"),
        JobState.BLOCKED: Look("blocked", "■", "#", "red"),
        JobState.IN_DOUBT: Look("in doubt", "?", "?", "bold yellow"),
        JobState.NEEDS_USER: Look("needs you", "!", "!", "bold magenta"),
    }
)

#: The run has submitted them, or is about to: they are what it waits for.
UNDER_WAY = frozenset({JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING})
#: Nothing more happens to them in this run, except that a doubt may be settled and a failure tried again.
ENDED = frozenset(LOOKS) - UNDER_WAY - {JobState.WAITING}
#: What the user has to do something about.
TROUBLE = frozenset({JobState.FAILED, JobState.BLOCKED, JobState.IN_DOUBT, JobState.NEEDS_USER})


def one_line(text: str) -> str:
    """A foreign text on one line, harmless to a terminal, at most `MESSAGE_LENGTH` characters."""
    text = escaped(" ".join(text.split()))
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"


def duration(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def credits_text(credits: int | None) -> str:  # noqa: A002 - the vendor's word
    """Credits as an amount for people; `$?` when the provider has not said yet."""
    return usd_text(None if credits is None else usd_of(credits))


def shown_path(path: Path, base: Path | None) -> str:
    """A path relative to `base` where it lies below it."""
    if base is not None and path.is_relative_to(base):
        path = path.relative_to(base)
    return escaped(path.as_posix())


def look_text(progress: Progress) -> str:
    """What a look at a result found ("look"), on one line."""
    return f"{progress.job}: {one_line('; '.join(progress.facts['warnings']))}"


def outcome(report: JobReport, base: Path | None = None) -> str:
    """What there is to say about a job besides its id and state, on one line; may be empty."""
    if report.failure is not None:
        failure = report.failure
        return f"{failure.kind}: {one_line(failure.message)}; {one_line(failure.remedy)}"
    if report.state not in (JobState.DONE, JobState.RESTORED):
        return one_line(report.detail)
    parts = [shown_path(report.output, base)] if report.output else []
    if report.credits != 0:
        parts.append(credits_text(report.credits))
    if report.warning:
        parts.append(f"warning: {one_line(report.warning)}")
    return "  ".join(parts)
