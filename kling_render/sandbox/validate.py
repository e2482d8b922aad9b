"""What the API accepts as a submit: the body's fields and the client request id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from kling_render.sandbox.catalogue import MODELS, CatalogueModel, find
from kling_render.sandbox.records import Upload

#: Stated by other sellers of the same model.
PROMPT_LIMIT = 2500
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_MEDIA = {"image_url": "image/", "video_url": "video/"}


@dataclass(slots=True)
class Checked:
    """The outcome: a model and values when `problems` is empty."""

    problems: list[str] = field(default_factory=list)
    model: CatalogueModel | None = None
    prompt: str = ""
    orientation: str = ""
    keep_audio: bool = True
    mode: str | None = None
    media: dict[str, Upload | str] = field(default_factory=dict)


def client_request_id(header: str | None) -> str | None:
    """The header if it has the documented form, else None: the API drops it without a word."""
    return header if header is not None and _CLIENT_REQUEST_ID.fullmatch(header) else None


def check(fields: Mapping[str, Any]) -> Checked:
    """Hold a submit's fields against the documentation. Unknown fields are ignored, as the API does."""
    found = Checked()
    _check_model(found, fields)
    for name, family in _MEDIA.items():
        _check_media(found, name, family, fields.get(name))
    found.prompt = _text(found, fields, "prompt", None, "")
    if len(found.prompt) > PROMPT_LIMIT:
        found.problems.append(f"prompt: expected at most {PROMPT_LIMIT} characters, received {len(found.prompt)}")
    orientation = found.model.orientation if found.model else "image"
    found.orientation = _text(found, fields, "character_orientation", ("image", "video"), orientation)
    if found.model is not None and found.model.modes is not None:
        found.mode = _text(found, fields, "mode", tuple(found.model.modes), "std")
    found.keep_audio = fields.get("keep_audio", True)
    if not isinstance(found.keep_audio, bool):
        found.problems.append(f"keep_audio: expected boolean, received {_kind(fields['keep_audio'])}")
    return found


def described(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for the books: uploads by digest, long texts shortened."""
    return {name: _described(value) for name, value in fields.items()}


def _check_model(found: Checked, fields: Mapping[str, Any]) -> None:
    name = fields.get("model")
    if not isinstance(name, str):
        found.problems.append(f"model: expected string, received {_kind(name, 'model' in fields)}")
        return
    found.model = find(name)
    if found.model is None or not found.model.renders:
        known = " | ".join(f"'{model.id}'" for model in MODELS if model.renders)
        found.problems.append(f"model: invalid enum value, expected {known}, received '{name[:200]}'")


def _check_media(found: Checked, name: str, family: str, value: Any) -> None:
    if isinstance(value, Upload):
        if value.problem:
            found.problems.append(f"{name}: invalid data URI, {value.problem}")
        elif not value.mime.startswith(family):
            found.problems.append(f"{name}: expected a data URI of {family}*, received {value.mime or 'no type'}")
        elif value.size == 0:
            found.problems.append(f"{name}: expected a data URI with content, received an empty one")
        else:
            found.media[name] = value
    elif not isinstance(value, str):
        found.problems.append(
            f"{name}: expected string, received {_kind(value)}" if value is not None else f"{name}: required"
        )
    elif not _is_link(value, https_only=name == "video_url"):
        form = "an https URL or a data URI" if name == "video_url" else "a URL or a data URI"
        found.problems.append(f"{name}: invalid uri, expected {form}, received '{value[:60]}'")
    else:
        found.media[name] = value


def _is_link(text: str, *, https_only: bool) -> bool:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    schemes = ("https",) if https_only else ("https", "http")
    return parts.scheme in schemes and bool(host) and " " not in text


def _text(found: Checked, fields: Mapping[str, Any], name: str, choices: tuple[str, ...] | None, default: str) -> str:
    value = fields.get(name, default)
    expected = " | ".join(f"'{choice}'" for choice in choices) if choices else "string"
    if not isinstance(value, str):
        found.problems.append(f"{name}: expected {expected}, received {_kind(value)}")
        return default
    if choices and value not in choices:
        found.problems.append(f"{name}: invalid enum value, expected {expected}, received '{value[:60]}'")
        return default
    return value


def _kind(value: Any, present: bool = True) -> str:
    if not present:
        return "undefined"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", type(None): "null"}
    return names.get(type(value), "object")


def _described(value: Any) -> Any:
    if isinstance(value, Upload):
        return {"sha256": value.sha256, "size": value.size, "mime": value.mime}
    if isinstance(value, str) and len(value) > 4000:
        return value[:4000]
    return value
