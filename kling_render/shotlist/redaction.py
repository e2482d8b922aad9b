"""Keeps keys and passwords that stand in a shot list out of the lines that diagnostics show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from kling_render.errors import Diagnostic, Place
from kling_render.shotlist import urls
from kling_render.shotlist.explain import USER_SETTINGS

_VALUE = r"""(["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}\]][^,}\]]*)"""
#: Values that no excerpt shows, wherever they stand.
_SECRET = re.compile(r"(?i)((?<![A-Za-z])(?:api)?(?:key|token|secret|password|authorization))" + _VALUE)
#: Values that an excerpt of a misplaced setting does not show.
_SETTING = re.compile(rf"(?i)(?<![\w-])({'|'.join(sorted(USER_SETTINGS)).replace('_', '[_-]?')})" + _VALUE)


def redacted(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The same diagnostics without the keys and passwords that the lines they show may hold."""
    settings = {(d.place.file, d.place.line) for d in found if d.code == "KR0105" and d.place is not None}

    def clean(place: Place) -> Place:
        text = urls.masked(_SECRET.sub(_stars, place.text))
        if (place.file, place.line) in settings:
            text = _SETTING.sub(_stars, text)
        return replace(place, text=text) if text != place.text else place

    return [
        replace(
            diagnostic,
            place=clean(diagnostic.place) if diagnostic.place is not None else None,
            related=tuple((words, clean(place)) for words, place in diagnostic.related),
        )
        for diagnostic in found
    ]


def _stars(match: re.Match[str]) -> str:
    return match[1] + match[2] + "*" * len(match[3])
