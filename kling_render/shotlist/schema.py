"""The JSON Schema of the shot list, in two gears.

`Schema.holds` is the schema file compiled to closures: it decides the happy path, without the validator library
(which costs more to import than a no-op run may take). Only when it says no, `Schema.errors` asks the library
what exactly is wrong; the library has the last word. Both read the one published file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from kling_render import schemas_at

Check = Callable[[Any], bool]

NAME = "shotlist.schema.json"
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$schema", "$id", "$defs", "$comment"})
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "object": dict,
    "array": list,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
#: Keyword groups that say nothing about values of another type.
_OBJECT_KEYWORDS = ("properties", "additionalProperties", "propertyNames", "required", "minProperties", "maxProperties")
_ARRAY_KEYWORDS = ("items", "minItems")
_TEXT_KEYWORDS = ("pattern", "minLength", "maxLength")
_NUMBER_KEYWORDS = ("minimum", "maximum")


class Schema:
    """A JSON Schema (of the subset that the shot list's uses)."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._compiled: dict[str, Check] = {}

    def part(self, pointer: str) -> Mapping[str, Any]:
        """The subschema of a local reference (`#/$defs/shot`; `#` is all of it)."""
        found: Any = self.document
        for step in pointer.removeprefix("#").strip("/").split("/"):
            found = found[step] if step else found
        part: Mapping[str, Any] = found
        return part

    def holds(self, value: Any, pointer: str = "#") -> bool:
        """Whether the value fits; False may be wrong in rare cases (`2.0` for an integer), True never is."""
        return self._at(pointer)(value)

    def errors(self, value: Any, pointer: str = "#") -> Iterator[Any]:
        """Every violation, as the validator library's error objects."""
        from jsonschema import Draft202012Validator

        whole = self.document
        wanted = whole if pointer == "#" else {"$ref": pointer, "$defs": whole["$defs"]}
        yield from Draft202012Validator(wanted).iter_errors(value)

    def _at(self, pointer: str) -> Check:
        check = self._compiled.get(pointer)
        if check is None:
            check = self._compiled[pointer] = self._compile(self.part(pointer))
        return check

    def _compile(self, part: Mapping[str, Any] | bool) -> Check:
        if isinstance(part, bool):
            return _anything if part else lambda _: False
        tests: list[Check] = []
        known = {*_ANNOTATIONS, "$ref", "type", "enum", "const"}
        known |= {*_OBJECT_KEYWORDS, *_ARRAY_KEYWORDS, *_TEXT_KEYWORDS, *_NUMBER_KEYWORDS}
        if unknown := part.keys() - known:
            raise ValueError(f"schema keywords {sorted(unknown)} have no compiled form")
        if "$ref" in part:
            tests.append(self._at(part["$ref"]))
        if "type" in part:
            tests.append(_of_type(part["type"]))
        if "enum" in part:
            tests.append(_one_of(part["enum"]))
        if "const" in part:
            tests.append(_one_of([part["const"]]))
        groups: tuple[tuple[type | tuple[type, ...], tuple[str, ...], Callable[[Any], Check]], ...] = (
            (dict, _OBJECT_KEYWORDS, self._object),
            (list, _ARRAY_KEYWORDS, self._array),
            (str, _TEXT_KEYWORDS, _text),
            ((int, float), _NUMBER_KEYWORDS, _number),
        )
        for kind, keywords, compiled in groups:
            if any(keyword in part for keyword in keywords):
                tests.append(_only_for(kind, compiled(part)))
        return _all(tests)

    def _object(self, part: Mapping[str, Any]) -> Check:
        properties = {key: self._compile(inner) for key, inner in part.get("properties", {}).items()}
        other = self._compile(part.get("additionalProperties", True))
        names = self._compile(part["propertyNames"]) if "propertyNames" in part else _anything
        required = frozenset(part.get("required", ()))
        least, most = part.get("minProperties", 0), part.get("maxProperties", float("inf"))

        def check(value: dict[str, Any]) -> bool:
            if not (required <= value.keys() and least <= len(value) <= most):
                return False
            return all(properties.get(key, other)(inner) and names(key) for key, inner in value.items())

        return check

    def _array(self, part: Mapping[str, Any]) -> Check:
        item = self._compile(part.get("items", True))
        least = part.get("minItems", 0)
        return lambda value: len(value) >= least and all(map(item, value))


def _anything(_: Any) -> bool:
    return True


def _of_type(wanted: str | list[str]) -> Check:
    names = [wanted] if isinstance(wanted, str) else wanted
    kinds: set[type] = set()
    for name in names:
        kind = _TYPES[name]
        kinds.update(kind if isinstance(kind, tuple) else (kind,))
    return lambda value: type(value) in kinds


def _one_of(choices: list[Any]) -> Check:
    # 1 == True in Python, not in JSON.
    allowed = {(type(choice), choice) for choice in choices}
    return lambda value: not isinstance(value, list | dict) and (type(value), value) in allowed


def _only_for(kind: type | tuple[type, ...], check: Check) -> Check:
    return lambda value: not isinstance(value, kind) or check(value)


def _text(part: Mapping[str, Any]) -> Check:
    found = re.compile(part.get("pattern", "")).search
    least, most = part.get("minLength", 0), part.get("maxLength", float("inf"))
    return lambda value: least <= len(value) <= most and found(value) is not None


def _number(part: Mapping[str, Any]) -> Check:
    least, most = part.get("minimum", float("-inf")), part.get("maximum", float("inf"))
    return lambda value: least <= value <= most


def _all(tests: list[Check]) -> Check:
    """One check of many; the commonest counts are unrolled (half the time at 2,400 shots)."""
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) and second(value)
    return lambda value: all(test(value) for test in tests)


@cache
def shot_list_schema() -> Schema:
    """The published schema of the shot list."""
    return Schema(schemas_at.load(NAME))


@cache
def file_schema() -> Schema:
    """The same for one file of several: what must be there is asked of the merged whole."""
    document = dict(shot_list_schema().document)
    document.pop("required")
    return Schema(document)
