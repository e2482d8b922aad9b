"""Declarations by hand: what the reader would make of a shot list, without the YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kling_render.errors import Place
from kling_render.shotlist.declarations import (
    AddedCell,
    Axis,
    AxisValue,
    Declarations,
    Match,
    OutputDeclaration,
    Override,
    Pattern,
    ShotDeclaration,
    ShotFields,
    Template,
)
from kling_render.shotlist.names import slug
from kling_render.shotlist.records import Budget, Character, Compilation, InputRef, Motion, WatchAllowance

FOLDER = Path("/project")
TAKES = "takes/{{ shot }}/{{ character }}/{{ motion }}{{ variant }}_t{{ take }}.mp4"
FINAL = "{{ shot }}/{{ character }}/{{ motion }}{{ variant }}.mp4"


def place(line: int = 1, column: int = 1, text: str = "") -> Place:
    return Place("shotlist.yaml", line, column, text)


def template(text: str, line: int = 1) -> Template:
    """An inline template; each of its lines is a line of the shot list from column 11 on."""
    lines = tuple(Place("shotlist.yaml", line + n, 11, " " * 10 + each) for n, each in enumerate(text.split("\n")))
    return Template(text, "shotlist.yaml", None, lines)


def prompt_file(path: Path, text: str) -> Template:
    lines = tuple(Place(path.name, n, 1, each) for n, each in enumerate(text.split("\n"), 1))
    return Template(text, path.name, path, lines)


def image(name: str) -> InputRef:
    return InputRef(shown=name, path=FOLDER / name, place=place())


def character(id_: str, name: str = "", tags: Sequence[str] = (), line: int = 1, **fields: Any) -> Character:
    return Character(
        id=id_, name=name or id_, image=image(f"{id_}.png"), tags=tuple(tags), fields=fields, place=place(line)
    )


def motion(id_: str, name: str = "", tags: Sequence[str] = (), line: int = 1, **fields: Any) -> Motion:
    return Motion(
        id=id_,
        name=name or id_,
        video=image(f"{id_}.mp4"),
        start=None,
        end=None,
        tags=tuple(tags),
        fields=fields,
        place=place(line),
    )


def axis(name: str, values: Sequence[Any] | Mapping[str, Any], line: int = 1) -> Axis:
    pairs = values.items() if isinstance(values, Mapping) else [(_slug(value), value) for value in values]
    return Axis(
        name, tuple(AxisValue(i, value, place(line, 20 + n)) for n, (i, value) in enumerate(pairs)), place(line)
    )


def _slug(value: object) -> str:
    return slug(str(value).lower() if isinstance(value, bool) else str(value))


def patterns(*texts: str, line: int = 1) -> tuple[Pattern, ...]:
    return tuple(Pattern(text, place(line, 5)) for text in texts)


def match(line: int = 1, **items: str | Sequence[str]) -> Match:
    return Match(
        tuple(
            (name, patterns(*([texts] if isinstance(texts, str) else texts), line=line))
            for name, texts in items.items()
        ),
        place(line),
    )


def added(line: int = 1, **items: str) -> AddedCell:
    return AddedCell(tuple((name, Pattern(text, place(line, 5))) for name, text in items.items()), place(line))


def fields(line: int = 1, prompt: str | Template | None = None, **said: Any) -> ShotFields:
    if isinstance(prompt, str):
        prompt = template(prompt, line)
    return ShotFields(prompt=prompt, places={name: place(line, 7) for name in said}, **said)


def override(matching: Match, line: int = 1, **said: Any) -> Override:
    return Override(matching, fields(line, **said), place(line))


def shot(
    id_: str = "sc010",
    *,
    characters: Sequence[str] | None = None,
    motions: Sequence[str] | None = None,
    cast: Mapping[str, Sequence[str]] | None = None,
    matrix: Mapping[str, Any] | None = None,
    zips: Sequence[Sequence[str]] = (),
    exclude: Sequence[Match] = (),
    add: Sequence[AddedCell] = (),
    overrides: Sequence[Override] = (),
    line: int = 1,
    **said: Any,
) -> ShotDeclaration:
    return ShotDeclaration(
        id=id_,
        place=place(line),
        characters=None if characters is None else patterns(*characters),
        motions=None if motions is None else patterns(*motions),
        cast=None if cast is None else tuple((patterns(who)[0], patterns(*what)) for who, what in cast.items()),
        axes=tuple(axis(name, values, line=40 + n) for n, (name, values) in enumerate((matrix or {}).items())),
        zips=tuple(patterns(*names, line=60) for names in zips),
        fields=fields(line, **said),
        exclude=tuple(exclude),
        add=tuple(add),
        override=tuple(overrides),
    )


@dataclass
class MemoryFiles:
    """Files of a project held in memory; a link is a path that stands for another one."""

    texts: dict[Path, bytes] = field(default_factory=dict)
    links: dict[Path, Path] = field(default_factory=dict)

    def read_text_bytes(self, path: Path, limit: int) -> bytes:
        if path not in self.texts:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return self.texts[path][: limit + 1]

    def read_small(self, path: Path, limit: int) -> bytes | None:
        data = self.read_text_bytes(path, limit)
        return data if len(data) <= limit else None

    def kind(self, path: Path) -> Any:
        return "file" if path in self.texts else "missing"

    def resolve(self, path: Path) -> Path:
        parts: list[str] = []
        for part in path.parts:
            if part == "..":
                parts.pop()
            else:
                parts.append(part)
            parts = list(self.links.get(Path(*parts), Path(*parts)).parts)
        return Path(*parts)

    def glob(self, folder: Path, pattern: str) -> list[Path]:
        raise NotImplementedError


def files(**texts: str) -> MemoryFiles:
    """Files by their path in the project (`prompts__a` is `prompts/a.j2`)."""
    return MemoryFiles({FOLDER / f"{name.replace('__', '/')}.j2": text.encode() for name, text in texts.items()})


def project(
    *shots: ShotDeclaration,
    characters: Sequence[Character] | None = None,
    motions: Sequence[Motion] | None = None,
    defaults: ShotFields | None = None,
    takes: str = TAKES,
    final: str = FINAL,
    folder: str = "renders",
    **variables: Any,
) -> Declarations:
    cast = characters if characters is not None else (character("fox", "a fox"), character("robot"))
    moves = motions if motions is not None else (motion("wave", verb="waves"), motion("spin", verb="spins"))
    return Declarations(
        name="test",
        folder=FOLDER,
        provider="aimlapi",
        vars=variables,
        defaults=defaults or fields(),
        characters={each.id: each for each in cast},
        motions={each.id: each for each in moves},
        shots=shots or (shot(),),
        output=OutputDeclaration(dir=folder, dir_place=place(90), takes=template(takes, 91), final=template(final, 92)),
        budget=Budget(),
        watch=WatchAllowance(),
        sources=(FOLDER / "shotlist.yaml",),
    )


def with_provider(declared: Declarations, provider: str) -> Declarations:
    return replace(declared, provider=provider)


def expanded(declared: Declarations, files: MemoryFiles | None = None, **options: Any) -> Compilation:
    from kling_render.shotlist.expand import expand

    return expand(declared, files=files or MemoryFiles(), shown=lambda path: str(path.relative_to(FOLDER)), **options)


def jobs_of(declared: Declarations, files: MemoryFiles | None = None, **options: Any) -> dict[str, Any]:
    """The jobs by id; fails when there are errors."""
    found = expanded(declared, files, **options)
    assert found.project is not None, found.diagnostics
    return {job.id: job for job in found.project.jobs}


def messages(found: Compilation) -> list[str]:
    """Each diagnostic as `CODE line:column message`."""
    return [
        f"{d.code} {d.place.line}:{d.place.column} {d.message}" if d.place else f"{d.code} {d.message}"
        for d in found.diagnostics
    ]


def prompts(text: str, files: MemoryFiles | None = None, **variables: Any) -> list[str]:
    """The prompt of fox/wave, or what is wrong with it."""
    one = shot(characters=["fox"], motions=["wave"], prompt=text)
    found = expanded(project(one, **variables), files)
    return [job.request.prompt for job in found.project.jobs] if found.project else messages(found)
