"""A run as plain lines, for pipes and logs: one line per change that matters, never wrapped, no colours."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from kling_render.cli.job_words import ENDED, LOOKS, TROUBLE, look_text, one_line, outcome
from kling_render.engine.work import JobReport, JobState, Progress

WIDTH = max(len(look.word) for look in LOOKS.values())
_FIGURES = re.compile(r"[0-9]+")
_SILENT = frozenset({JobState.FETCHING, JobState.UP_TO_DATE})


class PlainProgress:
    """Writes lines as a run goes on.

    Args:
        write: takes one whole line, its newline included.
        quiet: only failures, doubts and stops.
        base: output paths are shown relative to this folder.
    """

    def __init__(self, write: Callable[[str], None], *, quiet: bool = False, base: Path | None = None) -> None:
        self._write = write
        self._quiet = quiet
        self._base = base
        #: What was said of each job since its last end.
        self._said: dict[str, set[str]] = {}
        #: Sentences about running jobs that were said once: an outage concerns every job alike.
        self._sentences: set[str] = set()

    def tell(self, progress: Progress) -> None:
        """Print what happened, unless it was said already."""
        if progress.event == "job":
            report: JobReport = progress.facts["report"]
            if report.state in TROUBLE or not (self._quiet or report.state in _SILENT):
                self._job(report, progress.facts.get("generation_id"))
        elif progress.event == "stop":
            self._line("stopped", one_line(str(progress.facts.get("text", ""))))
        elif progress.event == "look" and not self._quiet:
            self._line("warning", look_text(progress))
        elif progress.event == "note" and not self._quiet:
            self._line("note", one_line(str(progress.facts.get("text", ""))))

    def _job(self, report: JobReport, generation_id: str | None) -> None:
        said = self._said.setdefault(report.job, set())
        running = report.state is JobState.RUNNING
        text = (
            self._running(report, generation_id, said) if running else _news(report, outcome(report, self._base), said)
        )
        if text is None:
            return
        if report.state in ENDED:
            said.clear()
        else:  # on its way again: the next end is news, even the same one
            said -= {key for key in said if key.partition(" ")[0] in ENDED}
        said.add(_key(report.state, "" if running else text))
        self._line(LOOKS[report.state].word, f"{report.job}  {text}".rstrip())

    def _running(self, report: JobReport, generation_id: str | None, said: set[str]) -> str | None:
        """A job's first line with its id; later a provider's one-word status is noise, a sentence is not."""
        sentence = one_line(report.detail) if " " in report.detail else ""
        if _key(report.state, "") in said:
            if not sentence or sentence in self._sentences:
                return None
            self._sentences.add(sentence)
        return "  ".join(filter(None, (generation_id, sentence)))

    def _line(self, word: str, text: str) -> None:
        self._write(f"{word.ljust(WIDTH)}  {text}\n")


def _news(report: JobReport, text: str, said: set[str]) -> str | None:
    """The text if it was not said yet; a job that merely waits is none."""
    idle = report.state is JobState.WAITING and not text
    return None if idle or _key(report.state, text) in said else text


def _key(state: JobState, text: str) -> str:
    """What makes a line the same as another: figures that change each time do not."""
    return f"{state.value} {_FIGURES.sub('#', text)}"
