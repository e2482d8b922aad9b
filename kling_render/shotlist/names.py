"""Ids: which texts are ids, and how a scalar becomes one."""

from __future__ import annotations

import re
import unicodedata

SLUG_PATTERN = "^[A-Za-z0-9_-]+$"
_SLUG = re.compile(r"[A-Za-z0-9_-]+")
_OUTER = re.compile(r"^[^A-Za-z0-9_-]+|[^A-Za-z0-9_-]+$")
_INNER = re.compile(r"[^A-Za-z0-9_-]+")
#: Letters that Unicode does not decompose into a Latin letter and a mark.
_LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"}
    | {"Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i"}
)


def is_slug(text: str) -> bool:
    """Whether the text is an id as it stands: letters a–z and A–Z, digits, `_` and `-`."""
    return _SLUG.fullmatch(text) is not None


def slug(text: str) -> str:
    """The id of a text: accents dropped, every other run of foreign characters one `-`, none at the ends.

    The case is kept. Empty when nothing of the text can stand in an id (`"日本"`): the caller asks for an id then.
    """
    if is_slug(text):
        return text
    plain = unicodedata.normalize("NFKD", text.translate(_LATIN))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return _INNER.sub("-", _OUTER.sub("", plain))
