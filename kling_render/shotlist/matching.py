"""Patterns of the shot list: an id, a glob or `tag:NAME`, matched against ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from kling_render.errors import did_you_mean
from kling_render.shotlist.declarations import Pattern
from kling_render.shotlist.records import Character, Motion
from kling_render.shotlist.reports import Report, listed

TAG = "tag:"


def is_glob(text: str) -> bool:
    """Whether the text stands for several ids."""
    return any(c in text for c in "*?[")


def matching(text: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    """The ids that a pattern stands for, in the order known; `known` gives each id's tags."""
    if text in known:
        return [text]
    if text.startswith(TAG):
        return [i for i, tags in known.items() if text[len(TAG) :] in tags]
    return [i for i in known if fnmatchcase(i, text)] if is_glob(text) else []


def select(
    patterns: Sequence[Pattern] | None,
    entries: Mapping[str, Character] | Mapping[str, Motion],
    kind: str,
    report: Report,
) -> list[str]:
    """The characters or motions that the patterns stand for, each once; all of them without patterns."""
    if patterns is None:
        return list(entries)
    known = {i: entry.tags for i, entry in entries.items()}
    chosen: dict[str, None] = {}
    for pattern in patterns:
        hits = matching(pattern.text, known)
        chosen.update(dict.fromkeys(hits))
        if not hits:
            report_no_match(pattern, kind, known, report)
    return list(chosen)


def report_no_match(pattern: Pattern, kind: str, known: Mapping[str, Sequence[str]], report: Report) -> None:
    """Say that a pattern matches nothing, with the nearest ids (or tags)."""
    text = pattern.text
    if text.startswith(TAG):
        wanted = text[len(TAG) :]
        tags = sorted({tag for own in known.values() for tag in own})
        message = f"no {kind} has the tag '{wanted}'{did_you_mean(wanted, tags)}"
        report.error("KR0130", message, pattern.place, help=f"tags: {listed(tags) or 'none'}")
        return
    message = f"no {kind} matches '{text}'{did_you_mean(text, known)}"
    report.error("KR0130", message, pattern.place, help=f"there is: {listed(known) or 'nothing'}")
