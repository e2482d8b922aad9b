"""JSON documents for stdout: readable, one line per job, and quick for ten thousand of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def json_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The text of a document in pieces: its fields indented, and each entry of a list of objects on one line.

    The standard encoder's `indent` would take a path in plain Python, many times slower.
    """
    yield "{"
    before = "\n"
    for name, value in document.items():
        yield f"{before}  {_text(name)}: "
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield "[\n    "
            yield _text(value[0])
            for entry in value[1:]:
                yield f",\n    {_text(entry)}"
            yield "\n  ]"
        else:
            yield _text(value)
        before = ",\n"
    yield "\n}\n"


_encode = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` would make an encoder for every entry
_LONE = re.compile("[\ud800-\udfff]")
"""Bytes of a file name that are no UTF-8, as Python holds them: JSON is UTF-8, so they are written as escapes."""


def _text(value: Any) -> str:
    text = _encode(value)
    return text if text.isascii() else _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
