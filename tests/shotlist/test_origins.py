"""A prompt in pieces: together they are the prompt, and each knows its line and the values it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kling_render.errors import Place
from kling_render.shotlist.declarations import reached
from kling_render.shotlist.expand import expand
from kling_render.shotlist.origins import NOWHERE, Pieces, PromptOrigins
from kling_render.shotlist.reader import read
from kling_render.shotlist.records import Job, Project
from tests.shotlist.build import FOLDER, MemoryFiles, expanded, files, project, shot

LIST = """\
version: 1
vars:
  city: Lisbon
  props: [kite, ball]
  crew: {boss: {name: Ann}, others: [Bob]}
characters:
  fox:
    image: fox.png
    name: a fox
    mood: glad
    look: {coat: red, eyes: [green, blue]}
motions:
  wave: {video: wave.mp4, start: 1, verb: waves}
shots:
  - id: sc010
    takes: 2
    tags: [hero]
    matrix:
      place: {roof: on a roof}
    prompt_file: scene.j2
"""


def compiled(scene: str, **others: str) -> Project:
    """A project with this template; further files beside it."""
    texts = {"shotlist.yaml": LIST, "scene.j2": scene, "fox.png": "", "wave.mp4": ""}
    texts |= {f"{name}.j2": text for name, text in others.items()}
    held = MemoryFiles({FOLDER / name: text.encode() for name, text in texts.items()})

    def shown(path: Path) -> str:
        return str(path.relative_to(FOLDER))

    declared, found = read(FOLDER / "shotlist.yaml", files=held, shown=shown)
    assert declared is not None, found
    made = expand(declared, files=held, shown=shown)
    assert made.project is not None, made.diagnostics
    return made.project


def origins_of(of: Project) -> PromptOrigins:
    assert of.origins is not None
    return of.origins()


def first(scene: str, **others: str) -> tuple[Job, Pieces]:
    of = compiled(scene, **others)
    pieces = origins_of(of).pieces(of.jobs[0])
    assert pieces is not None
    return of.jobs[0], pieces


def told(scene: str, **others: str) -> list[tuple[str, str, str]]:
    """Text, line and values of each piece that is not blank or has values."""
    _, pieces = first(scene, **others)
    return [
        (
            text,
            f"{part.line.place.file}:{part.line.place.line}",
            " ".join(origin.name for origin in (*part.values, *part.controls)),
        )
        for text, part in zip(*pieces, strict=True)
        if text.strip() or part.values or part.controls
    ]


@pytest.mark.parametrize(
    "scene",
    [
        "{{ character.name }} {{ motion.verb }} {{ place }} in {{ city }}, take {{ take }}{{ variant }}",
        "  two\n\n lines {{ vars.city }}\n\n",
        "{# nothing #}  plain {{ shot }} {{ shot.tags }} {{ character.look }} {{ motion.start }}",
        "{% for i in range(3) %}{{ loop.index }}{{ ',' if not loop.last }}{% else %}none{% endfor %}!",
        "{% for k, v in vars.items() %}{{ k }}={{ v }};{% endfor %}",
        "{% set n = namespace(sum=0) %}{% for i in range(4) %}{% set n.sum = n.sum + i %}{% endfor %}{{ n.sum }}",
        "{% macro twice(x) %}{{ x }}\n{{ x }}{% endmacro %}{{ twice(character.name) }}",
        "{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}in {{ city }}{% endcall %} end",
        "{% set t %}a{{ city }}{% endset %}{{ t|upper }} {% with c = city %}{{ c }}{% endwith %}",
        "{% filter upper %}x{{ city }}{% include 'part.j2' %}{% endfilter %} y",
        "{%- if character.mood == 'glad' -%}\n smiling \n{%- elif city %} sad {% else %} bored {%- endif %}\n.",
        "{% if not city %}a{% endif %}{% include 'part.j2' %}{% include ['gone.j2', 'part.j2'] %}",
        "{% import 'lib.j2' as l %}{{ l.shout(city) }} {% from 'lib.j2' import shout as s with context %}{{ s('a') }}",
        "{{ 'a' ~ city ~ 1 }} {{ [city, 'b']|join('-') }} {{ props[take - 1] }} {{ character['name'] }} 100%",
        "{{ '{{' }} {{ 2 * 3 }} {{ nothing is defined }} {{ character.none|default('') }}",
    ],
)
def test_the_pieces_are_the_prompt(scene: str) -> None:
    """Whatever the template does, in every take."""
    part, lib = "part {{ motion.verb }}\n", "{% macro shout(x) %}{{ x | upper }}{% endmacro %}\n"
    of = compiled(scene, part=part, lib=lib)
    for job in of.jobs:
        pieces = origins_of(of).pieces(job)
        assert pieces is not None
        assert "".join(pieces.texts) == job.request.prompt


def test_every_piece_knows_its_line_and_its_values() -> None:
    """Values by their whole names, also through filters, loops and names of the template's own."""
    scene = (
        "{{ character.name }} and\n{{ character.look.coat | upper }},\n"
        "{% set boss = vars.crew.boss.name %}{% for prop in props %}{{ prop }} {% endfor %}\n"
        "{% if character.mood == 'glad' %}smiling at {{ boss }}{% endif %}"
    )
    assert told(scene) == [
        ("a fox", "scene.j2:1", "characters.fox.name"),
        (" and\n", "scene.j2:1", ""),
        ("RED", "scene.j2:2", "characters.fox.look.coat"),
        (",\n", "scene.j2:2", ""),
        ("", "scene.j2:3", "vars.props"),
        ("kite", "scene.j2:3", "vars.props"),
        (" ", "scene.j2:3", "vars.props"),
        ("ball", "scene.j2:3", "vars.props"),
        (" ", "scene.j2:3", "vars.props"),
        ("", "scene.j2:4", "characters.fox.mood"),
        ("smiling at ", "scene.j2:4", "characters.fox.mood"),
        ("Ann", "scene.j2:4", "vars.crew.boss.name characters.fox.mood"),
    ]


def test_a_file_that_is_included_only_sometimes_knows_its_own_lines_and_why() -> None:
    """Its lines are those of its own file; what decides about it counts for all of it."""
    pieces = told("{% if character.mood %}{% include 'part.j2' %}{% endif %} {{ city }}", part="one\ntwo {{ place }}")
    assert [piece for piece in pieces if piece[0]] == [
        ("one\n", "part.j2:1", "characters.fox.mood"),
        ("two ", "part.j2:2", "characters.fox.mood"),
        ("on a roof", "part.j2:2", "matrix.place.roof characters.fox.mood"),
        ("Lisbon", "scene.j2:1", "vars.city"),
    ]


def test_values_stand_where_they_are_written() -> None:
    """The line of the value, however deep; of what is not there, the line of its owner."""
    eyes, coat = "{{ character.look.eyes[1] }}", "{{ character.coat | d('-') }}"
    scene = f"{{{{ character.name }}}} {eyes} {{{{ vars.crew.boss.name }}}} {coat} {{{{ shot.tags }}}}"
    _, pieces = first(scene)
    places = {origin.name: origin.place.line for part in pieces.parts for origin in part.values}
    lines = LIST.splitlines()
    assert {name: lines[line - 1].strip() for name, line in places.items()} == {
        "characters.fox.name": "name: a fox",
        "characters.fox.look.eyes.1": "look: {coat: red, eyes: [green, blue]}",
        "vars.crew.boss.name": "crew: {boss: {name: Ann}, others: [Bob]}",
        "characters.fox.coat": "fox:",
        "shots.sc010.tags": "tags: [hero]",
    }


def test_values_are_read_as_templates_read_them() -> None:
    """By name, field and index; nothing where there is nothing."""
    of = compiled("x")
    origins, job = origins_of(of), of.jobs[1]
    paths: dict[tuple[Any, ...], Any] = {
        ("city",): "Lisbon",
        ("vars", "props", 1): "ball",
        ("vars", "props", 7): NOWHERE,
        ("vars", "crew", "boss"): {"name": "Ann"},
        ("vars", "crew", "nobody"): NOWHERE,
        ("character", "look", "coat"): "red",
        ("character", "gone"): NOWHERE,
        ("city", "length"): NOWHERE,
        ("take",): 2,
        ("place",): "on a roof",
        ("nothing",): NOWHERE,
    }
    assert {path: origins.value(job, path) for path in paths} == paths


def test_what_cannot_be_told_is_not_told() -> None:
    """No prompt, no shot list behind it, or a file that is another one by now."""
    bare = expanded(project(shot(prompt="{{ character.name | upper }} {{ motion.verb }}"))).project
    assert bare is not None
    pieces = origins_of(bare).pieces(bare.jobs[0])  # made by hand: its places are those of the records
    assert pieces is not None
    assert [origin.place for part in pieces.parts for origin in part.values] == [Place("shotlist.yaml", 1, 1)] * 2
    none = expanded(project(shot())).project
    assert none is not None
    assert origins_of(none).pieces(none.jobs[0]) is None
    held = files(part="one {{ city }}")
    made = expanded(project(shot(prompt="{% include 'part.j2' %}"), city="Rome"), held).project
    assert made is not None
    held.texts[FOLDER / "part.j2"] = b"two {{ city.gone }}"
    assert origins_of(made).pieces(made.jobs[0]) is None
    held.texts[FOLDER / "part.j2"] = b"{{ broken"
    assert expanded(project(shot(prompt="x"))).project is not None
    again = expanded(project(shot(prompt="one"))).project
    assert again is not None
    assert origins_of(again).pieces(again.jobs[0]) is not None


def test_a_path_is_followed_as_far_as_it_is_written() -> None:
    """Into mappings and lists."""
    of = compiled("x")
    written = origins_of(of).declared.written
    assert written is not None
    nodes = written.variables["crew"]
    assert reached(nodes, ("others", 0))[1] == 2
    assert reached(nodes, ("others", 5))[1] == 1
    assert reached(nodes, ("boss", "name", "upper"))[1] == 2
    assert written.entry("characters", "wolf") is None
