"""Small edits of a shot list as text: what a person would type, shown as a diff. Nothing is written here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import PurePosixPath
from typing import Any

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./ -]*[A-Za-z0-9_./]")
_FIELDS = {"characters": "image", "motions": "video"}


@dataclass(frozen=True, slots=True)
class Change:
    """An edit of a shot list."""

    #: The file, as the user would type it, and the line of the entry.
    file: str
    line: int
    #: A unified diff; empty when the entry cannot be edited where it stands.
    diff: str
    #: What to write then, and under which key.
    write: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A file name in a shot list."""

    #: `characters` or `motions`, the id, and `image` or `video` in the long form.
    path: tuple[str, ...]
    value: Any
    #: The mapping of the long form.
    mapping: Any | None


def renamed(name: str) -> Callable[[str, Any], str]:
    """The edit that names another file in the same folder."""

    def edit(text: str, found: _Found) -> str:
        return _replaced(text, found.value, _spelt(_raw(text, found.value), _beside(found.value.value, name)))

    return edit


def trimmed(start: str, end: str) -> Callable[[str, Any], str]:
    """The edit that sets `start` and `end`."""

    def edit(text: str, found: _Found) -> str:
        raw = _raw(text, found.value)
        if found.mapping is None:
            return _replaced(text, found.value, f"{{video: {raw}, start: {start}, end: {end}}}")
        return _with_fields(text, found, {"start": start, "end": end})

    return edit


def change(text: str, file: str, line: int, column: int, *edits: Callable[[str, Any], str]) -> Change | None:
    """The edits, one after the other, of the file name at a place; None when it cannot be edited there."""
    import yaml

    try:
        before, after = yaml.compose(text, Loader=yaml.SafeLoader), text
        for edit in edits:
            found = _find(yaml.compose(after, Loader=yaml.SafeLoader), line - 1, column - 1)
            if found is None:
                return None
            after = edit(after, found)
            if not _is_sound(before, yaml.compose(after, Loader=yaml.SafeLoader), found.path):
                return None
    except (yaml.YAMLError, RecursionError):
        return None
    lines = unified_diff(text.splitlines(), after.splitlines(), file, file, n=1, lineterm="")
    return Change(file, line, "\n".join(lines), "")


def written(file: str, line: int, section: str, name: str, fields: Mapping[str, str], *, entire: bool = True) -> Change:
    """What to write where no diff can be shown.

    Args:
        file: the shot list.
        line: of the entry, or of the pattern that made it.
        section: `characters` or `motions`.
        name: the entry's id.
        fields: what it is to say.
        entire: whether that is all it says; False: it stands there, and its other fields stay.
    """
    inner = ", ".join(f"{key}: {_spelt('', value)}" for key, value in fields.items())
    return Change(
        file, line, "", f"under {section}:  {name}: {{{inner}}}" if entire else f"in {section}.{name}:  {inner}"
    )


def _find(root: Any, line: int, column: int) -> _Found | None:
    """The file name whose text begins there."""
    for section, entries in _pairs(root):
        field = _FIELDS.get(section.value)
        for name, entry in _pairs(entries) if field else ():
            if _stands_at(entry, line, column):
                return None if name.value == "from" else _Found((section.value, name.value), entry, None)
            for key, value in _pairs(entry):
                if key.value == field and _stands_at(value, line, column):
                    return _Found((section.value, name.value, key.value), value, entry)
    return None


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return list(node.value) if getattr(node, "id", "") == "mapping" else []


def _stands_at(node: Any, line: int, column: int) -> bool:
    mark = node.start_mark
    return node.id == "scalar" and (mark.line, mark.column) == (line, column)


def _raw(text: str, node: Any) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def _replaced(text: str, node: Any, new: str) -> str:
    return text[: node.start_mark.index] + new + text[node.end_mark.index :]


def _with_fields(text: str, found: _Found, fields: Mapping[str, str]) -> str:
    """The long form with these fields set; those that are there are replaced, from the last one on."""
    there = {key.value: value for key, value in _pairs(found.mapping)}
    edits = [
        (there[name].start_mark.index, there[name].end_mark.index, value)
        for name, value in fields.items()
        if name in there
    ]
    fresh = [f"{name}: {value}" for name, value in fields.items() if name not in there]
    if fresh:
        assert found.mapping is not None
        at = found.value.end_mark.index
        if found.mapping.flow_style:
            edits.append((at, at, "".join(f", {field}" for field in fresh)))
        else:
            key = next(key for key, value in _pairs(found.mapping) if value is found.value)
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
            edits.append((at, at, "".join(f"\n{' ' * key.start_mark.column}{field}" for field in fresh)))
    for first, last, new in sorted(edits, reverse=True):
        text = text[:first] + new + text[last:]
    return text


def _is_sound(before: Any, after: Any, path: tuple[str, ...]) -> bool:
    """Whether nothing but the one entry changed."""
    old, new = _plain(before), _plain(after)
    if not isinstance(new, dict) or not isinstance(old, dict):
        return False
    section, name = path[:2]
    if not isinstance(new.get(section), dict) or name not in new[section]:
        return False
    new[section][name] = old[section][name]
    return bool(new == old)


def _plain(node: Any) -> Any:
    """Mappings, lists and the text of scalars."""
    if node.id == "mapping":
        return {str(key.value): _plain(value) for key, value in node.value}
    return [_plain(item) for item in node.value] if node.id == "sequence" else node.value


def _beside(old: str, name: str) -> str:
    return (PurePosixPath(old).parent / name).as_posix()


def _spelt(raw: str, value: str) -> str:
    """A text as YAML, quoted as it was before, or where it must be."""
    if raw[:1] == "'":
        return "'" + value.replace("'", "''") + "'"
    if raw[:1] == '"' or not (_PLAIN.fullmatch(value) or _is_number(value)):
        return json.dumps(value, ensure_ascii=False)
    return value


def _is_number(value: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", value) is not None
