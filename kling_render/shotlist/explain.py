"""What the schema refuses, in a person's words and at the node's place.

=======  ===========================================================
KR0105   a setting that belongs to the user, not into a shared file
KR0106   unknown field
KR0108   wrong value: type, choice, range, form
KR0112   a required field is missing
KR0113   not an id
=======  ===========================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kling_render.errors import Diagnostic, Place, did_you_mean, nearest
from kling_render.shotlist.names import SLUG_PATTERN, slug
from kling_render.shotlist.scalars import YAML11_BOOLEANS, resolve
from kling_render.shotlist.schema import Schema
from kling_render.shotlist.tree import Node

#: What a shared file must not decide, because it could spend, leak or escape.
USER_SETTINGS = frozenset(
    {
        *("base_url", "api_base", "api_url", "url", "origin", "host", "endpoint", "proxy", "aimlapi_base_url"),
        *("api_key", "apikey", "aimlapi_key", "aiml_api_key", "key", "token", "secret", "password"),
        *("authorization", "headers", "store", "kling_render_store", "input_root", "input_roots", "ca_file"),
        *("poll_seconds", "absence_seconds", "max_jobs", "max_usd", "settings", "config", "hooks", "commands"),
    }
)
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
_FIRST_TOLD = ("additionalProperties", "enum", "const", "type", "required", "pattern")
_LONGEST_SHOWN = 60


def quoted(text: str) -> str:
    """A foreign text for a message: in quotes, on one line, not too long."""
    line = text.replace("\r", "\\r").replace("\n", "\\n")
    return f"'{line}'" if len(line) <= _LONGEST_SHOWN else f"'{line[: _LONGEST_SHOWN - 1]}…'"


def described(node: Node) -> str:
    """What stands at a node, as `got …` says it."""
    if node.kind != "scalar":
        return "a list" if node.kind == "sequence" else "a mapping"
    if isinstance(node.value, str):
        return quoted(node.value)
    return "nothing" if node.value is None else node.raw


def problems_of(root: Node, schema: Schema, pointer: str = "#") -> list[Diagnostic]:
    """Everything the schema refuses below a node; one diagnostic for each place and field."""
    if schema.holds(root.value, pointer):
        return []
    found: dict[Place, tuple[int, Diagnostic]] = {}
    for error in schema.errors(root.value, pointer):
        rank = _FIRST_TOLD.index(error.validator) if error.validator in _FIRST_TOLD else len(_FIRST_TOLD)
        for diagnostic in _explained(root, error, schema):
            assert diagnostic.place is not None
            before = found.get(diagnostic.place)
            if before is None or rank < before[0]:
                found[diagnostic.place] = (rank, diagnostic)
    return [diagnostic for _, diagnostic in found.values()]


def _explained(root: Node, error: Any, schema: Schema) -> Iterable[Diagnostic]:
    node = _walk(root, error.absolute_path)
    if "propertyNames" in list(error.absolute_schema_path)[-2:]:
        return [_not_an_id(str(error.instance), error.schema, node.key_place(str(error.instance)))]
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        fields = schema.document["$defs"]["defaults"]["properties"] if node is root else {}
        return [_unknown(node, key, known, fields) for key in node.entries if key not in known]
    if error.validator == "required":
        return [_missing(node, name, error.schema) for name in error.validator_value if name not in node.entries]
    if error.validator in {"minItems", "minProperties"} and error.schema is schema.document["$defs"]["axis"]:
        return []  # the expander speaks of an axis without values, with its name
    return [_wrong(node, error.schema)]


def _walk(root: Node, path: Iterable[str | int]) -> Node:
    node = root
    for step in path:
        node = node.items[step] if isinstance(step, int) else node.entries[step][1]
    return node


def _not_an_id(name: str, part: Mapping[str, Any], place: Place) -> Diagnostic:
    better = slug(name)
    hint = f"write {better}" if better and better != name else ""
    return Diagnostic("KR0113", f"{quoted(name)} is not {part.get('title', 'a name')}", place, hint)


def _unknown(node: Node, key: str, known: list[str], shot_fields: Mapping[str, Any]) -> Diagnostic:
    place = node.key_place(key)
    if key.casefold().replace("-", "_") in USER_SETTINGS:
        return Diagnostic(
            "KR0105",
            f"{quoted(key)} belongs in your user settings, not in a shared file",
            place,
            "remove it here; set it in the environment or in config.toml ('kling-render config' shows where)",
        )
    hint = f"known here: {', '.join(known)}"
    if key in shot_fields:
        hint = f"'{key}' is a shot field: put it under 'defaults', or into a shot"
    return Diagnostic("KR0106", f"unknown field {quoted(key)}{did_you_mean(key, known)}", place, hint)


def _missing(node: Node, name: str, part: Mapping[str, Any]) -> Diagnostic:
    inner = part.get("properties", {}).get(name, {})
    about = inner.get("title", "")
    near = nearest(name, [key for key in node.entries if key not in part.get("properties", {})])
    hint = f"add '{name}: …'" + (f", {about}" if about else "")
    return Diagnostic("KR0112", f"'{name}' is missing", node.place, f"rename '{near}' to '{name}'" if near else hint)


def _wrong(node: Node, part: Mapping[str, Any]) -> Diagnostic:
    if part.get("pattern") == SLUG_PATTERN and isinstance(node.value, str):
        return _not_an_id(node.value, part, node.place)
    choices = part.get("enum", [part["const"]] if "const" in part else [])
    shown = [str(choice) for choice in choices if choice is not None]
    got = described(node)
    if shown:
        expected = f"one of {', '.join(shown)}" if len(shown) > 1 else shown[0]
        near = nearest(str(node.value), shown) if isinstance(node.value, str) else None
        meant = f"; did you mean '{near}'?" if near else ""
        hint = "a newer format needs a newer kling-render" if "const" in part else _type_hint(node, part)
        hint = hint or (f"write {near or shown[0]}" if near or len(shown) == 1 else "write one of them")
        return Diagnostic("KR0108", f"expected {expected}, got {got}{meant}", node.place, hint)
    expected = part.get("title") or " or ".join(_kinds(part))
    return Diagnostic("KR0108", f"expected {expected}, got {got}", node.place, _type_hint(node, part) or _example(part))


def _example(part: Mapping[str, Any]) -> str:
    examples = [*part.get("examples", ()), *([part["default"]] if "default" in part else [])]
    return f"for example: {json.dumps(examples[0], ensure_ascii=False)}" if examples else ""


def _kinds(part: Mapping[str, Any]) -> list[str]:
    wanted = part.get("type", ())
    names = [wanted] if isinstance(wanted, str) else wanted
    return [_KINDS[name] for name in names if name in _KINDS]


def _type_hint(node: Node, part: Mapping[str, Any]) -> str:
    kinds = _kinds(part)
    if isinstance(node.value, str):
        if "true or false" in kinds and node.value.casefold() in YAML11_BOOLEANS:
            return f"'{node.value}' is a text here; write true or false"
        typed = resolve(node.value)
        if node.style is not None and not isinstance(typed, str) and "a text" not in kinds:
            return "remove the quotes"
    elif node.kind == "scalar" and node.value is not None and kinds == ["a text"]:
        return f'put it in quotes: "{node.raw}"'
    return ""
