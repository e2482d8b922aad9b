"""Characters and motions: the entries of one file, its `from` globs, and the whole cast of all files.

=======  ===========================================================
KR0108   a trim that ends before it starts
KR0112   no image or clip
KR0113   a file name that gives no id
KR0114   the same id twice
KR0118   (warning) a free field that nearly equals a known one
=======  ===========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from kling_render.errors import Place, Problems
from kling_render.shotlist import scalars
from kling_render.shotlist.explain import quoted
from kling_render.shotlist.fields import scalar_text, texts
from kling_render.shotlist.inputs import Inputs
from kling_render.shotlist.names import is_slug, slug
from kling_render.shotlist.records import Character, InputRef, Motion
from kling_render.shotlist.tree import Node

_SIMILAR = 0.8
_COMMON = ("name", "tags", "sha256", "allow")
Entry = TypeVar("Entry", Character, Motion)


@dataclass(frozen=True, slots=True)
class Kind:
    """What tells characters and motions apart."""

    section: str
    noun: str
    #: The field of the file, and what it holds.
    field: str
    holds: str
    known: tuple[str, ...]


CHARACTER = Kind("characters", "character", "image", "an image", ("image", *_COMMON))
MOTION = Kind("motions", "motion", "video", "a clip", ("video", "start", "end", *_COMMON))


def characters(roots: Iterable[Node], inputs: Inputs) -> dict[str, Character]:
    """The characters of all files."""
    return _all(CHARACTER, roots, inputs, _character)


def motions(roots: Iterable[Node], inputs: Inputs) -> dict[str, Motion]:
    """The motions of all files."""
    return _all(MOTION, roots, inputs, _motion)


@dataclass(frozen=True, slots=True)
class _Draft:
    """One id of one file, before its input was looked up."""

    id: str
    place: Place
    #: The long form's mapping, if that is how it is written.
    mapping: Node | None
    #: The scalar that names the file.
    file: Node | None
    #: The file that a glob found.
    found: tuple[Path, Node] | None


def _all(
    kind: Kind,
    roots: Iterable[Node],
    inputs: Inputs,
    build: Callable[[_Draft, InputRef, Inputs], Entry],
) -> dict[str, Entry]:
    drafts: dict[str, _Draft] = {}
    for root in roots:
        section = root.get(kind.section)
        if section is None or section.kind != "mapping":
            continue
        for draft in _drafts(kind, section, inputs):
            first = drafts.setdefault(draft.id, draft)
            if first is not draft:
                twice(inputs.problems, f"{kind.noun} {quoted(draft.id)}", first.place, draft.place)
    entries = {}
    for draft in drafts.values():
        reference = _reference(kind, draft, inputs)
        if draft.mapping is not None:
            _warn_of_near_misses(kind, draft.mapping, inputs.problems)
        if reference is not None:
            entries[draft.id] = build(draft, reference, inputs)
    return entries


def twice(problems: Problems, what: str, first: Place, second: Place) -> None:
    """Report an id that is declared a second time."""
    problems.error(
        "KR0114",
        f"{what} is declared twice: here and at {first}",
        second,
        help="rename or remove one of the two",
        related=(("it is declared here first", first),),
    )


def _drafts(kind: Kind, section: Node, inputs: Inputs) -> list[_Draft]:
    written = {key: entry for key, entry in section.entries.items() if key != "from" and is_slug(key)}
    found = _found(kind, section, inputs, {key for key, (_, value) in written.items() if _file_of(kind, value)})
    drafts = []
    for key, (name, value) in written.items():
        mapping = value if value.kind == "mapping" else None
        drafts.append(_Draft(key, name.place, mapping, _file_of(kind, value), found.pop(key, None)))
    drafts += [_Draft(key, node.place, None, None, (path, node)) for key, (path, node) in found.items()]
    return drafts


def _file_of(kind: Kind, value: Node) -> Node | None:
    return value.get(kind.field) if value.kind == "mapping" else value if isinstance(value.value, str) else None


def _found(kind: Kind, section: Node, inputs: Inputs, settled: set[str]) -> dict[str, tuple[Path, Node]]:
    """The files of `from`, by id; ids in `settled` say their own file."""
    globs = section.get("from")
    nodes = [] if globs is None else globs.items if globs.kind == "sequence" else [globs]
    found: dict[str, tuple[Path, Node]] = {}
    for node in nodes:
        for path in inputs.glob(node) if isinstance(node.value, str) else ():
            name = slug(path.stem)
            if not name:
                text = f"the file name {quoted(path.name)} gives no id"
                inputs.problems.error("KR0113", text, node.place, help="rename it, or declare it as 'id: path'")
            elif name in found and found[name][0] != path and name not in settled:
                inputs.problems.error(
                    "KR0114",
                    f"two files give the {kind.noun} {quoted(name)}: "
                    f"{inputs.shown(found[name][0])} and {inputs.shown(path)}",
                    node.place,
                    help=f"rename one, or say which: {name}: …",
                )
            else:
                found.setdefault(name, (path, node))
    return found


def _reference(kind: Kind, draft: _Draft, inputs: Inputs) -> InputRef | None:
    pin = draft.mapping.get("sha256") if draft.mapping is not None else None
    reference = None
    if draft.file is not None:
        reference = inputs.reference(draft.file, pin)
    elif draft.found is not None:
        reference = inputs.found(*draft.found)
    if draft.file is not None or draft.found is not None:
        allowed = texts(draft.mapping.get("allow")) if draft.mapping is not None else ()
        return replace(reference, allow=allowed) if reference is not None and allowed else reference
    near = [key for key in draft.mapping.entries if _near(key, (kind.field,))] if draft.mapping is not None else []
    if draft.mapping is None or kind.field not in draft.mapping.entries or draft.mapping.get(kind.field) is None:
        hint = f"rename '{near[0]}' to '{kind.field}'" if near else f"add '{kind.field}: …' (a path or an https URL)"
        text = f"{kind.noun} {quoted(draft.id)} has no {kind.field}"
        inputs.problems.error("KR0112", text, draft.place, help=hint)
    return None


def _near(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    hits = get_close_matches(word.casefold(), known, n=1, cutoff=_SIMILAR)
    return hits[0] if hits and word not in known else None


def _warn_of_near_misses(kind: Kind, mapping: Node, problems: Problems) -> None:
    for key, (name, _) in mapping.entries.items():
        near = None if key in kind.known else _near(key, kind.known)
        if near is not None:
            problems.warning(
                "KR0118",
                f"free field {quoted(key)} nearly equals '{near}'; did you mean '{near}'?",
                name.place,
                help="a free field is only seen by templates; rename it if that is what you want",
            )


def _free(kind: Kind, mapping: Node | None) -> dict[str, Any]:
    return {} if mapping is None else {key: v for key, v in mapping.value.items() if key not in kind.known}


def _name(draft: _Draft) -> str:
    node = draft.mapping.get("name") if draft.mapping is not None else None
    return scalar_text(node) if node is not None and node.kind == "scalar" else draft.id


def _tags(draft: _Draft) -> tuple[str, ...]:
    return texts(draft.mapping.get("tags")) if draft.mapping is not None else ()


def _character(draft: _Draft, image: InputRef, _: Inputs) -> Character:
    fields = _free(CHARACTER, draft.mapping)
    return Character(id=draft.id, name=_name(draft), image=image, tags=_tags(draft), fields=fields, place=draft.place)


def _motion(draft: _Draft, video: InputRef, inputs: Inputs) -> Motion:
    start, end = _trim(draft, "start"), _trim(draft, "end")
    if end is not None and end <= (start or 0) and draft.mapping is not None:
        node = draft.mapping.entries["end"][1]
        text = f"the clip ends at {end} s, but starts at {start or 0} s"
        inputs.problems.error("KR0108", text, node.place, help="'end' must be later than 'start'")
    return Motion(
        id=draft.id,
        name=_name(draft),
        video=video,
        start=start,
        end=end,
        tags=_tags(draft),
        fields=_free(MOTION, draft.mapping),
        place=draft.place,
        trim_places=_trim_places(draft),
    )


def _trim_places(draft: _Draft) -> dict[str, Place]:
    if draft.mapping is None:
        return {}
    return {key: draft.mapping.key_place(key) for key in ("start", "end") if draft.mapping.get(key) is not None}


def _trim(draft: _Draft, key: str) -> Decimal | None:
    node = draft.mapping.get(key) if draft.mapping is not None else None
    if node is None or node.kind != "scalar" or isinstance(node.value, bool):
        return None
    if not isinstance(node.value, str):
        return scalars.exact(node.raw)
    return scalars.seconds_of(node.value)  # a text that is no time is the schema's to report
