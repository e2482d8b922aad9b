"""What is wrong with a text before it is a tree: its bytes, its characters, its syntax."""

from __future__ import annotations

import re

from yaml import MarkedYAMLError

from kling_render.errors import Diagnostic, Place, Problems
from kling_render.shotlist.tree import Source

MAX_BYTES = 16 * 1024 * 1024
BOM = b"\xef\xbb\xbf"

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_PLAIN_WORDS = (
    # (what the library says, what we say, what to do)
    ("mapping values are not allowed", "a ':' is not expected here", "a text that contains ': ' needs quotes"),
    ("could not find expected ':'", "a ':' is missing after the key", "every line of a mapping is 'key: value'"),
    (
        "did not find expected ',' or ']'",
        "a list in [ ] is not closed",
        "separate its values with ',', end it with ']'",
    ),
    ("expected ',' or ']'", "a list in [ ] is not closed", "separate its values with ',', end it with ']'"),
    (
        "did not find expected ',' or '}'",
        "a mapping in { } is not closed",
        "separate its entries with ',', end it with '}'",
    ),
    ("expected ',' or '}'", "a mapping in { } is not closed", "separate its entries with ',', end it with '}'"),
    ("did not find expected key", "a key is expected here", "check the indentation of this line and the one before"),
    ("expected <block end>", "a key is expected here", "check the indentation of this line and the one before"),
    ("did not find expected '-' indicator", "a '- ' is expected here", "check the indentation of this line"),
    ("unexpected end of stream", "a quoted text is not closed", "end it with the quote it starts with"),
    ("block sequence entries are not allowed", "a list is not expected here", "put '- ' on a line of its own"),
    (
        "unknown escape character",
        "unknown escape after '\\' in a double-quoted text",
        "write '\\\\', or use single quotes",
    ),
    ("that cannot start any token", "this character cannot start a value", "put the text in quotes"),
    (
        "expected alphabetic or numeric character",
        "the name of an alias or anchor is missing",
        "a text that starts with '*' or '&' needs quotes",
    ),
    ("undefined tag handle", "this tag is not defined", "a text that starts with '!' needs quotes"),
)


def decoded(data: bytes, file: str, problems: Problems) -> str | None:
    """The text of a file, without its byte order mark; None after a report."""
    if len(data) > MAX_BYTES:
        problems.error(
            "KR0103",
            f"{file} is larger than {MAX_BYTES // 1024 // 1024} MiB",
            Place(file, 1, 1),
            help="split it with 'imports', or describe the shots with a matrix",
        )
        return None
    try:
        text = data.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as fault:
        problems.found.append(_not_utf8(data, file, fault.start + len(data) - len(data.removeprefix(BOM))))
        return None
    bad = _FORBIDDEN.search(text)
    if bad is None:
        return text
    line = text.count("\n", 0, bad.start()) + 1
    start = text.rfind("\n", 0, bad.start()) + 1
    place = Place(file, line, bad.start() - start + 1, text[start:].partition("\n")[0])
    problems.error(
        "KR0110",
        f"character U+{ord(bad[0]):04X} is not allowed in YAML",
        place,
        help='remove it, or write it as an escape inside double quotes ("\\x1b")',
    )
    return None


def _not_utf8(data: bytes, file: str, offset: int) -> Diagnostic:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Diagnostic("KR0110", "the file is UTF-16, not UTF-8", Place(file, 1, 1), "save it as UTF-8")
    start = data.rfind(b"\n", 0, offset) + 1
    end = data.find(b"\n", offset)
    text = data[start : end if end >= 0 else len(data)].decode("utf-8", "replace")
    column = len(data[start:offset].decode("utf-8", "replace")) + 1
    place = Place(file, data.count(b"\n", 0, offset) + 1, column, text)
    return Diagnostic("KR0110", f"not UTF-8 at byte {offset} (0x{data[offset]:02X})", place, "save it as UTF-8")


def bare_braces(place: Place) -> Diagnostic:
    """The commonest mistake: a template without quotes is a mapping to YAML."""
    return Diagnostic("KR0111", "a text that starts with '{{' needs quotes", place, 'write it as "{{ … }}"')


def syntax_error(source: Source, fault: MarkedYAMLError) -> Diagnostic:
    """A syntax error of the library in our words, where it begins."""
    mark = fault.problem_mark or fault.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    first = fault.context_mark.line + 1 if fault.context_mark else line
    tab = _indenting_tab(source, min(first, line), line)
    if tab is not None:
        return Diagnostic("KR0101", "tab used for indentation", tab, "indent with spaces")
    problem = str(fault.problem or fault.context or "cannot be read")
    message, hint = next(
        ((ours, hint) for theirs, ours, hint in _PLAIN_WORDS if theirs in problem),
        (f"not valid YAML: {problem}", ""),
    )
    if line > len(source.lines):  # the end of the file; show the last line that is there
        line = max(1, len(source.lines))
        column = len(source.lines[-1]) + 1 if source.lines else 1
    related: tuple[tuple[str, Place], ...] = ()
    if first < line and fault.context_mark:
        related = (("it begins here", source.place(first, fault.context_mark.column + 1)),)
    for number in range(first, line + 1):
        at = re.search(r"[:\-,\[]\s*(\{\{)", source.lines[number - 1])
        if at:
            return bare_braces(source.place(number, at.start(1) + 1, 2))
    return Diagnostic("KR0111", message, source.place(line, column), hint, related=related)


def _indenting_tab(source: Source, first: int, last: int) -> Place | None:
    for number in range(last, first - 1, -1):
        if number <= len(source.lines):
            text = source.lines[number - 1]
            indent = text[: len(text) - len(text.lstrip(" \t"))]
            if "\t" in indent:
                return source.place(number, indent.index("\t") + 1)
    return None
