"""Reads the JSON body of a submit as it arrives: an inline clip of 100 MB never lies in memory as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Protocol

_SPACE = b" \t\n\r"
#: Largest text or nested value that is kept, in bytes.
_PLAIN_LIMIT = 1 << 20
_NESTED_LIMIT = 65_536
#: As many whole characters and escape sequences as there are; possessive, so that a long run needs no memory.
_CHARACTERS = rb'(?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+'
_RUN = re.compile(_CHARACTERS, re.DOTALL)
_NAME = re.compile(rb'"' + _CHARACTERS + rb'"', re.DOTALL)
_DECODER = json.JSONDecoder()


class Malformed(Exception):
    """The body is not one JSON object."""


class TextSink(Protocol):
    """Takes the raw characters of a JSON string (escapes unresolved) piece by piece."""

    def write(self, raw: bytes) -> None:
        """A further piece; an escape sequence is never split."""
        ...

    def finish(self) -> Any:
        """The value once the string has ended."""
        ...


class PlainText:
    """The ordinary sink: the text itself."""

    def __init__(self) -> None:
        self._raw = bytearray()

    def write(self, raw: bytes) -> None:
        """Collect."""
        self._raw += raw
        if len(self._raw) > _PLAIN_LIMIT:
            raise Malformed("a text of more than 1 MiB")

    def finish(self) -> str:
        """The text, escapes resolved."""
        return str(_loads(b'"%b"' % bytes(self._raw)))


class BodyReader:
    """A push parser for one flat JSON object. `sink_of(field)` may take a text field's characters as they come."""

    def __init__(self, sink_of: Callable[[str], TextSink | None]) -> None:
        self._sink_of = sink_of
        self._held = bytearray()
        self._step: Callable[[], bool] = self._start
        self._key = ""
        self._sink: TextSink = PlainText()
        self.fields: dict[str, Any] = {}

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Malformed: this cannot become a JSON object any more.
        """
        self._held += chunk
        while self._step():
            pass

    def close(self) -> dict[str, Any]:
        """The fields once the body has ended; of a repeated field the last one counts.

        Raises:
            Malformed: the object is not complete.
        """
        if self._step == self._other:
            raise Malformed(f"cannot read the value of '{self._key}'")
        if self._step != self._after_end:
            raise Malformed("it ends in the middle")
        return self.fields

    # Each step consumes from the held bytes; False: more bytes are needed.

    def _next(self) -> int | None:
        stripped = self._held.lstrip(_SPACE)
        if len(stripped) != len(self._held):
            self._held = stripped
        return self._held[0] if self._held else None

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def _go(self, step: Callable[[], bool]) -> bool:
        self._step = step
        return True

    def _expect(self, wanted: bytes, then: Callable[[], bool]) -> bool:
        found = self._next()
        if found is None:
            return False
        if found != wanted[0]:
            raise Malformed(f"expected '{wanted.decode()}', found {chr(found)!r}")
        self._take(1)
        return self._go(then)

    def _start(self) -> bool:
        return self._expect(b"{", self._first_key)

    def _first_key(self) -> bool:
        if self._next() == ord("}"):
            self._take(1)
            return self._go(self._after_end)
        return self._name()

    def _name(self) -> bool:
        found = self._next()
        if found is None:
            return False
        if found != ord('"'):
            raise Malformed(f"expected a field name, found {chr(found)!r}")
        match = _NAME.match(self._held)
        if match is None:
            if len(self._held) > _NESTED_LIMIT:
                raise Malformed("a field name without end")
            return False
        self._key = str(_loads(self._take(match.end())))
        return self._go(self._colon)

    def _colon(self) -> bool:
        return self._expect(b":", self._value)

    def _value(self) -> bool:
        found = self._next()
        if found is None:
            return False
        if found == ord('"'):
            self._take(1)
            self._sink = self._sink_of(self._key) or PlainText()
            return self._go(self._text)
        return self._go(self._other)

    def _text(self) -> bool:
        match = _RUN.match(self._held)
        assert match is not None
        self._sink.write(self._take(match.end()))
        if not self._held:
            return False
        if self._held[0] == ord("\\"):
            return self._await_escape()
        self._take(1)
        self.fields[self._key] = self._sink.finish()
        return self._go(self._after_value)

    def _await_escape(self) -> bool:
        if len(self._held) >= 6 or bytes(self._held[1:2]) not in (b"", b"u"):
            raise Malformed(f"cannot read the escape {bytes(self._held[:6])!r}")
        return False

    def _other(self) -> bool:
        """A number, a word or something nested: rare and small, so read again whenever more arrives."""
        # A network read may bring much more than this value: only the part it may fill is looked at.
        text = self._held[:_NESTED_LIMIT].decode("utf-8", "ignore")
        try:
            value, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            if len(self._held) >= _NESTED_LIMIT:
                raise Malformed(f"cannot read the value of '{self._key}'") from None
            return False
        if text[end : end + 1] not in (",", "}", " ", "\t", "\n", "\r"):  # a number may go on
            return False
        self._take(len(text[:end].encode()))
        self.fields[self._key] = value
        return self._go(self._after_value)

    def _after_value(self) -> bool:
        if self._next() == ord("}"):
            self._take(1)
            return self._go(self._after_end)
        return self._expect(b",", self._name)

    def _after_end(self) -> bool:
        if self._next() is not None:
            raise Malformed("something follows the object")
        return False


def _loads(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed(f"cannot read {text[:40].decode('utf-8', 'replace')!r}") from None
