"""Projects as people write them: one meaning, many spellings, real files, and the plan that the real compiler makes."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from kling_render.disk.project_files import DiskFiles
from kling_render.lifecycle.records import Attempt, Result
from kling_render.planning.manifest import InputIdentity
from kling_render.planning.plan import Facts, make_plan
from kling_render.planning.prices import Price
from kling_render.planning.records import Plan, Presence
from kling_render.shotlist.expand import expand
from kling_render.shotlist.reader import read
from kling_render.shotlist.records import InputRef, Project, Request

_PLAIN = re.compile(r"[a-z][a-z ]*[a-z]")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


@dataclass(slots=True)
class Written:
    """A shot list as values, with the bytes of the files it names."""

    document: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> Written:
        """One to be edited."""
        return deepcopy(self)

    def write(self, folder: Path, style: random.Random | None = None) -> Path:
        """Put it on disk, in a spelling that the style chooses; returns the shot list."""
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        text = json.dumps(self.document) if style is None else "\n".join(_block(self.document, 0, style)) + "\n"
        target = folder / "shotlist.yaml"
        target.write_text(text, encoding="utf-8")
        return target


def tiny() -> Written:
    """Two characters, two motions (one of them trimmed), two shots with axes."""
    return Written(
        {
            "version": 1,
            "project": "tiny",
            "defaults": {
                "model": "klingai/video-v3-motion-control",
                "orientation": "image",
                "keep_audio": True,
                "params": {"mode": "std"},
            },
            "characters": {"fox": {"image": "cast/fox.png", "name": "a fox"}, "cat": {"image": "cast/cat.png"}},
            "motions": {
                "wave": {"video": "clips/wave.mp4"},
                "spin": {"video": "clips/spin.mp4", "start": 1, "end": 5.5},
            },
            "shots": [
                {
                    "id": "sc010",
                    "takes": 2,
                    "prompt_file": "prompts/sc010.j2",
                    "matrix": {"place": {"roof": "on a roof", "street": "in a street"}},
                },
                {"id": "sc020", "prompt": "{{ character.name }} {{ light }}", "matrix": {"light": ["dusk", "noon"]}},
            ],
        },
        {
            "cast/fox.png": b"fox",
            "cast/cat.png": b"cat",
            "clips/wave.mp4": b"wave",
            "clips/spin.mp4": b"spin",
            "prompts/sc010.j2": b"{{ character.name }} {{ place }}",
        },
    )


def compiled(path: Path) -> Project:
    """The project by the real reader and the real expansion.

    Raises:
        AssertionError: the list has errors.
    """
    files = DiskFiles()
    declared, found = read(path, files=files, shown=str)
    assert declared is not None, found
    compilation = expand(declared, files=files, shown=str)
    assert compilation.project is not None, compilation.diagnostics
    return compilation.project


def planned(
    project: Project,
    *,
    results: Mapping[str, Result] | None = None,
    latest: Mapping[str, Attempt] | None = None,
    earlier: Mapping[str, str] | None = None,
    files: Mapping[Path, bytes] | None = None,
) -> Plan:
    """The plan by the real planner; inputs are what their bytes are, results stand where `files` says."""

    def identity(ref: InputRef) -> InputIdentity:
        assert ref.path is not None
        return InputIdentity(hashlib.sha256(ref.path.read_bytes()).hexdigest())

    def present(path: str, sha256: str) -> Presence:
        if not path.startswith(f"{project.output_dir}/takes/"):
            return Presence.HERE  # finals are not followed here
        content = (files or {}).get(project.folder / path)
        if content is None:
            return Presence.MISSING
        return Presence.HERE if hashlib.sha256(content).hexdigest() == sha256 else Presence.OTHER

    def price(request: Request) -> Price:
        return Price(request.model, Decimal("0.112"), None, "2026-08-01", "catalogue")

    facts = Facts(
        namespace="sandbox",
        identities=identity,
        seconds=lambda _request: Decimal(4),
        prices=price,
        present=present,
        results=results or {},
        latest=latest or {},
        earlier=earlier or {},
    )
    return make_plan(project, facts)


def fingerprints(path: Path) -> dict[str, str]:
    """Job id → fingerprint."""
    return {one.job.id: one.fingerprint for one in planned(compiled(path)).jobs}


def manifests(path: Path) -> dict[str, str]:
    """Job id → manifest."""
    return {one.job.id: one.manifest_json for one in planned(compiled(path)).jobs}


# -- spelling -------------------------------------------------------------------------------------------------


def _block(value: Mapping[str, Any], depth: int, style: random.Random) -> Iterator[str]:
    """A mapping as block YAML: keys in any order, some parts in flow style, comments and blank lines anywhere."""
    names = list(value)
    if depth != 1 or "image" in value or "video" in value or "id" in value:
        style.shuffle(names)
    indent = "  " * depth
    for name in names:
        yield from _noise(indent, style)
        inner = value[name]
        if isinstance(inner, Mapping) and inner and style.random() < 0.8:
            yield f"{indent}{_scalar(name, style)}:{_comment(style)}"
            yield from _block(inner, depth + 1, style)
        elif isinstance(inner, list) and inner and style.random() < 0.8:
            yield f"{indent}{_scalar(name, style)}:{_comment(style)}"
            for item in inner:
                yield f"{indent}  - {_flow(item, style)}{_comment(style)}"
        else:
            yield f"{indent}{_scalar(name, style)}: {_flow(inner, style)}{_comment(style)}"


def _flow(value: Any, style: random.Random) -> str:
    if isinstance(value, Mapping):
        pairs = list(value.items())
        style.shuffle(pairs)
        return "{" + ", ".join(f"{_scalar(name, style)}: {_flow(inner, style)}" for name, inner in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, style) for item in value) + "]"
    return _scalar(value, style)


def _scalar(value: Any, style: random.Random) -> str:
    if not isinstance(value, str):
        if isinstance(value, float) and style.random() < 0.5:
            return f"{value}0"
        return json.dumps(value)
    spellings = [json.dumps(value)]
    if "\n" not in value:
        spellings.append("'" + value.replace("'", "''") + "'")
    if _PLAIN.fullmatch(value) and value not in _WORDS:
        spellings.append(value)
    return style.choice(spellings)


def _noise(indent: str, style: random.Random) -> Iterator[str]:
    if style.random() < 0.2:
        yield style.choice(["", f"{indent}# a: remark", "# {{ not }} a template", "   "])


def _comment(style: random.Random) -> str:
    return style.choice(["", "", "", "  # why", " #"])
