"""The identity of a request: one walk over it that is both hashed (the fingerprint) and shown (explain).

What stands in the manifest changes the pixels; what does not stand there never does. Paths, ids, output paths,
mtimes, priority, tags, the key and the tool's version are absent on purpose: renaming, moving, touching and
upgrading must cost nothing.

The canonical form, each choice because a fingerprint that moves bills the user again:

* JSON, because the stored manifest is read by people and by other programs years later.
* Keys sorted and no blanks, so that there is exactly one text for one request.
* ASCII with escapes, so that no encoding or locale can change the bytes.
* `format` carries the version; a new version keeps computing the old one for results that exist.
* A field with its neutral value is left out (no trim, no prompt, no further parameter), so that a field added
  later leaves all existing fingerprints as they are.
* Trims are decimal texts in one spelling (`2`, `7.5`), never floats.
* The prompt is the exact text that is sent, not normalised: two texts that differ in Unicode form are two requests
  to the provider, and calling them one would be a guess.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any

from kling_render.models import MODELS
from kling_render.shotlist.records import Request

FORMAT = "kling-render.manifest/1"
_PROMPT, _PARAMS = ',"prompt":', ',"params":'
_DECODER, _EXACT = json.JSONDecoder(), json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)


@dataclass(frozen=True, slots=True)
class InputIdentity:
    """What an input is: the SHA-256 (64 hex) of its bytes, or the URL of a remote input without a pin."""

    sha256: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if not self.sha256 and not self.url:
            raise ValueError("an input needs a digest or a URL to have an identity")

    def __str__(self) -> str:
        """`sha256:…` or the URL; a pin beats the URL, so a pinned remote equals the same bytes on disk."""
        return f"sha256:{self.sha256.lower()}" if self.sha256 else str(self.url)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The canonical record of an effective request."""

    #: Canonical JSON, ASCII.
    json: str

    @property
    def entries(self) -> Mapping[str, Any]:
        """Field → value, parameters as `params.NAME`; empty when the text is not a manifest."""
        return _fields(self.json, _DECODER)


def _fields(text: str, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        fields = decoder.decode(text)
    except ValueError:
        return {}
    if not isinstance(fields, dict):
        return {}
    params = fields.pop("params", None)
    if isinstance(params, dict):
        fields |= {f"params.{name}": value for name, value in params.items()}
    return fields


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs between two manifests; None stands for "absent"."""

    field: str
    old: Any
    new: Any


def manifest(request: Request, image: InputIdentity, video: InputIdentity) -> Manifest:
    """The manifest of a request with these inputs."""
    return Manifest(Manifests().text(request, image, video))


class Manifests:
    """Writes the manifests of many requests: what jobs share (an image and its options, a clip) is written once."""

    def __init__(self) -> None:
        self._heads: dict[Hashable, str] = {}
        self._tails: dict[Hashable, str] = {}

    def text(self, request: Request, image: InputIdentity, video: InputIdentity) -> str:
        """A manifest's JSON: the walk, in the order of the names.

        Every field of `Request` is here: all of them change the pixels.
        """
        end = "" if request.end is None else f'"end":"{decimal_text(request.end)}",'
        like = (image.sha256, image.url, request.keep_audio, request.model, request.orientation)
        head = self._heads.get(like)
        if head is None:
            head = self._heads[like] = _head(request, image)
        params = f',"params":{{{params}}}' if request.params and (params := _params(request)) else ""
        prompt = f',"prompt":{encode_basestring_ascii(request.prompt)}' if request.prompt else ""
        end_like = (video.sha256, video.url, request.start, request.take)
        tail = self._tails.get(end_like)
        if tail is None:
            tail = self._tails[end_like] = _tail(request, video)
        return f"{{{end}{head}{params}{prompt}{tail}}}"


def fingerprint(of: Manifest) -> str:
    """The SHA-256 of the canonical form, 64 hex: the name of every result of this request."""
    return fingerprint_of(of.json)


def fingerprint_of(text: str) -> str:
    """The same for the canonical JSON itself."""
    return sha256(text.encode("ascii")).hexdigest()


def differences(old: Manifest, new: Manifest) -> list[Difference]:
    """The fields that differ, by name."""
    before, after = _fields(old.json, _EXACT), _fields(new.json, _EXACT)
    names = sorted(name for name in {*before, *after} if _differ(before.get(name, before), after.get(name, after)))
    if any(type(side.get(name, "")) is not str for name in names for side in (before, after)):
        before, after = dict(old.entries), dict(new.entries)  # numbers as they were written
    return [Difference(name, before.get(name), after.get(name)) for name in names]


def _differ(one: Any, other: Any) -> bool:
    """Whether two values are two in the manifest, as 1, true and 1.0000000000000000001 are."""
    if type(one) is str and type(other) is str:
        return one != other
    return repr(one) != repr(other)


def prompt_in(text: str) -> str:
    """The prompt in the canonical JSON of a manifest; empty without one."""
    at = text.find(_PROMPT)
    if at < 0:
        return ""
    if _PARAMS in text:  # which may hold a text of any name
        found = Manifest(text).entries.get("prompt")
        return found if isinstance(found, str) else ""
    prompt, _ = _DECODER.raw_decode(text, at + len(_PROMPT))
    return str(prompt)


def decimal_text(number: Decimal) -> str:
    """The one spelling of a decimal number: no exponent, no trailing zeros, no negative zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _head(request: Request, image: InputIdentity) -> str:
    keep_audio = "true" if request.keep_audio else "false"
    return (
        f'"format":"{FORMAT}","image":{encode_basestring_ascii(str(image))},"keep_audio":{keep_audio}'
        f',"model":{encode_basestring_ascii(request.model)},"orientation":{encode_basestring_ascii(request.orientation)}'
    )


def _tail(request: Request, video: InputIdentity) -> str:
    start = f',"start":"{decimal_text(request.start)}"' if request.start else ""
    return f'{start},"take":{request.take:d},"video":{encode_basestring_ascii(str(video))}'


def _params(request: Request) -> str:
    """The parameters that differ from the model's defaults."""
    model = MODELS.get(request.model)
    known = model.params if model else {}
    kept = {n: v for n, v in request.params if n not in known or v != known[n].default}
    return ",".join(f"{encode_basestring_ascii(name)}:{_canonical(kept[name])}" for name in sorted(kept))


def _canonical(value: Any) -> str:
    """Canonical JSON of a plain YAML value; 1, 1.0 and 1e0 are one number."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float, Decimal)):
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError("a parameter must be a finite number")
        return decimal_text(number)
    if isinstance(value, Mapping):
        named = {str(name): _canonical(inner) for name, inner in value.items()}
        return "{" + ",".join(f"{encode_basestring_ascii(name)}:{named[name]}" for name in sorted(named)) + "}"
    return "[" + ",".join(_canonical(inner) for inner in value) + "]"
