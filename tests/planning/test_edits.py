"""Dollars per edit: a changed prompt is put down to the value or the line that was edited, at its own place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.lifecycle.records import Result
from kling_render.planning.comparison import Base, base_jobs, compare
from kling_render.planning.edits import prompt_reasons, with_edits
from kling_render.planning.manifest import InputIdentity, Manifests, fingerprint_of
from kling_render.planning.plan import Facts, make_plan
from kling_render.planning.records import Plan, PlannedJob, Presence, ReasonCode
from kling_render.planning.text import cause_text, plan_text
from kling_render.shotlist.expand import expand
from kling_render.shotlist.reader import read
from kling_render.shotlist.records import InputRef, Job, Project, Request
from tests.planning.build import PRICE
from tests.shotlist.build import FOLDER, MemoryFiles

LIST = """\
version: 1
imports: [lib/cast.yaml]
vars:
  city: Lisbon
  props: [kite, ball]
characters:
  fox: {image: fox.png, name: a fox, mood: glad}
  robot:
    image: robot.png
    name: a robot
motions:
  wave: {video: wave.mp4, verb: waves}
  spin: {video: spin.mp4, verb: spins}
shots:
  - id: sc010
    characters: [fox, robot]
    matrix:
      place:
        roof: on a roof
        metro: in the metro
    prompt_file: prompts/scene.j2
  - id: sc020
    characters: [panda]
    motions: [wave]
    prompt: "{{ character.name }} in {{ city }}"
"""
CAST = """\
version: 1
characters:
  panda:
    image: panda.png
    name: a panda
"""
SCENE = """\
{{ character.name }} {{ motion.verb }} {{ place }},
filmed by hand, in {{ city }}
"""
LOGIC = """\
{% set who = character.name | title -%}
{{ who }} {{ motion.verb | upper }} {{ place }}
{%- if character.mood is defined and character.mood == "glad" %}, smiling{% endif %},
{% for prop in props %}with a {{ prop }}, {% endfor %}{% include "end.j2" %}
"""
END = "filmed by hand\nin {{ city }}"


@dataclass
class Written:
    """The texts of a project."""

    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, scene: str = SCENE, **others: str) -> Written:
        media = {name: name for name in ("fox.png", "robot.png", "panda.png", "wave.mp4", "spin.mp4")}
        texts = {"shotlist.yaml": LIST, "lib/cast.yaml": CAST, "prompts/scene.j2": scene, "prompts/end.j2": END}
        lib = {f"lib/{name}": name for name in media}
        return cls(media | lib | texts | others)

    def edited(self, *edits: tuple[str, str, str]) -> Written:
        """With texts replaced: file, old, new."""
        files = dict(self.files)
        for name, old, new in edits:
            assert files[name].count(old) == 1, (name, old)
            files[name] = files[name].replace(old, new)
        return Written(files)

    def project(self) -> Project:
        files = MemoryFiles({FOLDER / name: text.encode() for name, text in self.files.items()})

        def shown(path: Any) -> str:
            return str(path.relative_to(FOLDER))

        declared, found = read(FOLDER / "shotlist.yaml", files=files, shown=shown)
        assert declared is not None, found
        compiled = expand(declared, files=files, shown=shown)
        assert compiled.project is not None, compiled.diagnostics
        return compiled.project


def identity(ref: InputRef) -> InputIdentity:
    return InputIdentity(url=f"https://example.com/{ref.path.name if ref.path else ref.url}")


def quote(_request: Request) -> Any:
    return PRICE


def facts(before: Project, **others: Any) -> Facts:
    manifests = Manifests()
    earlier = {
        j.id: manifests.text(j.request, identity(j.request.image), identity(j.request.video)) for j in before.jobs
    }
    keys = {fingerprint_of(text) for text in earlier.values()}
    results = {
        key: Result(
            namespace="n", fingerprint=key, blob=key, size=1, attempt="", charge=1, generation_id=None, made_at=1.0
        )
        for key in keys
    }
    return Facts(
        namespace="n",
        identities=identity,
        seconds=lambda _request: Decimal(4),
        prices=quote,
        present=lambda _path, _sha256: Presence.HERE,
        results=results,
        latest={},
        earlier=earlier,
        **others,
    )


def planned(old: Written, new: Written) -> Plan:
    """The plan after an edit, where everything was rendered before."""
    before, after = old.project(), new.project()
    known = facts(before)
    return with_edits(make_plan(after, known), known.earlier, after)


def compared(old: Written, new: Written) -> Plan:
    """The same edit between two revisions, both at hand."""
    before, after = old.project(), new.project()
    base = Base(ref="main", commit="c" * 40, jobs=base_jobs(before.jobs, identity), project=before)
    return compare(
        after, base, namespace="n", identities=identity, seconds=lambda _request: Decimal(4), prices=quote
    ).plan


def rows(plan: Plan) -> dict[str, int]:
    """Place and name of each edit, and how many jobs it costs."""
    found: Counter[str] = Counter()
    for one in plan.jobs:
        if one.action.value == "render":
            found[" — ".join(filter(None, cause_text(one)))] += 1
    assert sum(found.values()) == plan.totals.render
    return dict(found)


def line(text: str, wanted: str) -> int:
    return next(number for number, each in enumerate(text.split("\n"), 1) if wanted in each)


def at(wanted: str, name: str = "", text: str = LIST, file: str = "shotlist.yaml") -> str:
    """What a row says of an edit."""
    said = "the prompt changed" + (f": {name}" if name else "")
    return f"{file}:{line(text, wanted)} — {said}"


#: One edit each: file, old, new, the row, and the jobs.
EDITS = {
    "a character's name": ("shotlist.yaml", "a fox,", "a red fox,", at("fox:", "characters.fox.name"), 4),
    "its own line": ("shotlist.yaml", "name: a robot", "name: a droid", at("a robot", "characters.robot.name"), 4),
    "a motion's field": ("shotlist.yaml", "verb: waves", "verb: is waving", at("verb: waves", "motions.wave.verb"), 4),
    "a value of an axis": ("shotlist.yaml", "on a roof", "on the roof", at("on a roof", "matrix.place.roof"), 4),
    "a variable": ("shotlist.yaml", "city: Lisbon", "city: Porto", at("city: Lisbon", "vars.city"), 9),
    "an imported file": (
        "lib/cast.yaml", "name: a panda", "name: the panda",
        at("a panda", "characters.panda.name", CAST, "lib/cast.yaml"), 1,
    ),
    "an inline prompt": ("shotlist.yaml", "}} in {{", "}} stays in {{", at("}} in {{"), 1),
}  # fmt: skip


@pytest.mark.parametrize("scene", [SCENE, LOGIC], ids=["plain", "logic"])
@pytest.mark.parametrize("edit", EDITS)
def test_the_value_that_was_edited_is_named_at_its_line(edit: str, scene: str) -> None:
    """Whatever the template does with it: one row with the jobs it costs, also against a revision."""
    file, old, new, row, count = EDITS[edit]
    before = Written.of(scene)
    after = before.edited((file, old, new))
    assert rows(planned(before, after)) == {row: count}
    assert rows(compared(before, after)) == {row: count}


@pytest.mark.parametrize("shown", [planned, compared])
@pytest.mark.parametrize(
    ("scene", "edit", "number"),
    [
        (SCENE, ("prompts/scene.j2", "filmed by hand", "filmed from a boat"), 2),
        (SCENE, ("prompts/scene.j2", "}},\n", "}};\n"), 1),
        (SCENE, ("prompts/scene.j2", "filmed by hand, ", ""), 2),
        (LOGIC, ("prompts/scene.j2", "with a ", "holding a "), 4),
        (LOGIC, ("prompts/end.j2", "by hand", "from a boat"), 1),
    ],
)
def test_an_edit_of_the_template_is_named_at_its_line(
    shown: Any, scene: str, edit: tuple[str, str, str], number: int
) -> None:
    """The line that was edited, in a file that is included too; not the template's first."""
    before = Written.of(scene)
    assert rows(shown(before, before.edited(edit))) == {f"{edit[0]}:{number} — the prompt changed": 8}


@pytest.mark.parametrize("shown", [planned, compared])
@pytest.mark.parametrize("scene", [SCENE, LOGIC], ids=["plain", "logic"])
def test_two_edits_of_different_jobs_are_two_rows(shown: Any, scene: str) -> None:
    """Each with its own jobs; nothing is counted twice."""
    before = Written.of(scene)
    after = before.edited(
        ("shotlist.yaml", "a fox,", "a red fox,"), ("shotlist.yaml", "name: a robot", "name: a droid")
    )
    assert rows(shown(before, after)) == {
        at("fox:", "characters.fox.name"): 4,
        at("a robot", "characters.robot.name"): 4,
    }


@pytest.mark.parametrize("shown", [planned, compared])
@pytest.mark.parametrize("scene", [SCENE, LOGIC], ids=["plain", "logic"])
def test_a_job_that_two_edits_changed_stands_in_a_row_of_both(shown: Any, scene: str) -> None:
    """The rows add up to the bill."""
    before = Written.of(scene)
    after = before.edited(("shotlist.yaml", "a fox,", "a red fox,"), ("shotlist.yaml", "on a roof", "beside the sea"))
    fox, roof = line(LIST, "fox:"), line(LIST, "on a roof")
    both = f"shotlist.yaml:{fox}, shotlist.yaml:{roof} — the prompt changed: characters.fox.name, matrix.place.roof"
    assert rows(shown(before, after)) == {
        at("fox:", "characters.fox.name"): 2,
        at("on a roof", "matrix.place.roof"): 2,
        both: 2,
    }


@pytest.mark.parametrize("shown", [planned, compared])
def test_template_and_value_edited_at_once_are_told_apart(shown: Any) -> None:
    """Fox's jobs name both; the others only the template."""
    before = Written.of()
    after = before.edited(
        ("shotlist.yaml", "a fox,", "a vixen,"), ("prompts/scene.j2", "filmed by hand", "shot from a boat")
    )
    fox = line(LIST, "fox:")
    assert rows(shown(before, after)) == {
        f"prompts/scene.j2:2, shotlist.yaml:{fox} — the prompt changed: characters.fox.name": 4,
        "prompts/scene.j2:2 — the prompt changed": 4,
    }


@pytest.mark.parametrize("shown", [planned, compared])
def test_a_value_that_decides_what_is_said_is_named(shown: Any) -> None:
    """The fox smiles no more; nothing else of the list or the template changed."""
    before = Written.of(LOGIC)
    after = before.edited(("shotlist.yaml", "mood: glad", "mood: sad"))
    assert rows(shown(before, after)) == {at("mood: glad", "characters.fox.mood"): 4}
    assert rows(shown(after, before)) == {at("mood: glad", "characters.fox.mood"): 4}


@pytest.mark.parametrize("shown", [planned, compared])
def test_a_field_that_is_gone_or_new_has_a_name_too(shown: Any) -> None:
    """Its character's place stands for a field that is not there."""
    scene = "{{ character.name }}{{ character.coat | default('') }} {{ motion.verb }} {{ place }}"
    bare = Written.of(scene)
    dressed = bare.edited(("shotlist.yaml", "name: a robot", 'name: a robot\n    coat: " in a coat"'))
    coat = line(dressed.files["shotlist.yaml"], "coat")
    assert rows(shown(bare, dressed)) == {f"shotlist.yaml:{coat} — the prompt changed: characters.robot.coat": 4}
    ((row, count),) = rows(shown(dressed, bare)).items()
    robot = line(LIST, "robot:")
    assert count == 4
    if shown is compared:
        assert row == f"shotlist.yaml:{robot} — the prompt changed: characters.robot.coat"
    else:  # the robot's name may have been longer as well
        assert row.endswith(f"characters.robot.name, or characters.robot.coat (shotlist.yaml:{robot})")


def test_a_value_printed_twice_is_one_edit() -> None:
    """Both pieces changed by the same value."""
    before = Written.of("{{ character.name }} {{ motion.verb }}, {{ character.name }} sings {{ place }}")
    after = before.edited(("shotlist.yaml", "a fox,", "the vixen,"))
    assert rows(planned(before, after)) == {at("fox:", "characters.fox.name"): 4}


def test_an_expression_that_was_edited_is_no_edit_of_its_values() -> None:
    """Words that gave way to a field, and a filter that came: the template's line, not every character's."""
    before = Written.of("somebody {{ motion.verb }} {{ place }}")
    after = before.edited(("prompts/scene.j2", "somebody", "{{ character.name }}"))
    assert rows(planned(before, after)) == {"prompts/scene.j2:1 — the prompt changed": 8}
    assert rows(compared(before, after)) == {"prompts/scene.j2:1 — the prompt changed": 8}
    loud = after.edited(("prompts/scene.j2", "motion.verb", "motion.verb | upper"))
    assert rows(planned(after, loud)) == {"prompts/scene.j2:1 — the prompt changed": 8}
    assert rows(compared(after, loud)) == {"prompts/scene.j2:1 — the prompt changed": 8}


def test_what_nobody_can_tell_names_all_that_it_may_be() -> None:
    """One character, and a word less at the border of text and value: without the earlier list two guesses."""
    alone = LIST.replace("[fox, robot]", "[fox]")
    before = Written.of("Scene: {{ character.name }} {{ motion.verb }} {{ place }}", **{"shotlist.yaml": alone})
    after = before.edited(("shotlist.yaml", "name: a fox", "name: fox"))
    (row,) = rows(planned(before, after))
    fox = line(LIST, "fox:")
    assert row == f"prompts/scene.j2:1 — the prompt changed, here or in characters.fox.name (shotlist.yaml:{fox})"
    assert rows(compared(before, after)) == {at("fox:", "characters.fox.name"): 4}


def test_other_jobs_tell_what_one_job_leaves_open() -> None:
    """The same edit with two characters: had the template lost a word, the robot's prompts would be others too."""
    before = Written.of("Scene: {{ character.name }} {{ motion.verb }} {{ place }}")
    after = before.edited(("shotlist.yaml", "name: a fox", "name: fox"))
    assert rows(planned(before, after)) == {at("fox:", "characters.fox.name"): 4}


def test_a_prompt_that_is_new_gone_or_rewritten_is_named_as_a_whole() -> None:
    """Its template's beginning, or the shot's where there is no template any more."""
    before, bare = Written.of(), Written.of().edited(("shotlist.yaml", "    prompt_file: prompts/scene.j2\n", ""))
    assert rows(planned(bare, before)) == {"prompts/scene.j2:1 — the prompt changed": 8}
    assert rows(planned(before, bare)) == {at("- id: sc010"): 4}  # one for each pair of image and clip
    other = Written.of("Nothing at all is as it was, said {{ character.name }} to {{ city }}: {{ motion.verb }}!")
    again = Written.of("{{ place }} -- {{ motion.verb }}; {{ motion.verb }}? {{ character.name }}")
    for row in rows(planned(other, again)):
        assert row.startswith("prompts/scene.j2:1")


def test_places_of_options_and_trims_are_those_of_what_was_said() -> None:
    """A default, an axis, a parameter, a trim: the line it stands in, not the shot's."""
    before = Written.of()
    options = before.edited(
        ("shotlist.yaml", "shots:\n", "defaults:\n  keep_audio: false\nshots:\n"),
        ("shotlist.yaml", "verb: spins}", "verb: spins,\n    end: 3}"),
    )
    text = options.files["shotlist.yaml"]
    found = {reason for one in planned(before, options).jobs for reason in one.reasons}
    places = {(reason.code, reason.at) for reason in found}
    assert places == {
        (ReasonCode.OPTION_CHANGED, f"shotlist.yaml:{line(text, 'keep_audio')}"),
        (ReasonCode.TRIM_CHANGED, f"shotlist.yaml:{line(text, 'end: 3')}"),
    }


def test_a_new_value_and_a_new_take_are_named_where_they_were_written() -> None:
    """Against a revision: the value's own line, and that of `takes`."""
    before = Written.of()
    after = before.edited(
        ("shotlist.yaml", "        metro:", "        dock: on a dock\n        metro:"),
        ("shotlist.yaml", "    characters: [panda]\n", "    characters: [panda]\n    takes: 2\n"),
    )
    text = after.files["shotlist.yaml"]
    assert rows(compared(before, after)) == {
        f"shotlist.yaml:{line(text, 'dock')} — new value place: dock": 4,
        f"shotlist.yaml:{line(text, 'takes')} — new take": 1,
    }


def test_the_rows_of_a_long_plan_add_up() -> None:
    """What is not listed is summed up with its jobs and its money."""
    cast = "".join(f"  c{n:02}: {{image: fox.png, name: number {n}}}\n" for n in range(50))
    listed = LIST.replace("characters:\n", f"characters:\n{cast}", 1).replace("[fox, robot]", "c*")
    before = Written.of("{{ character.name }} {{ motion.verb }} {{ place }}", **{"shotlist.yaml": listed})
    after = Written(dict(before.files) | {"shotlist.yaml": listed.replace("name: number", "name: person")})
    lines = plan_text(planned(before, after)).splitlines()
    assert "  … and 10 more (40 jobs, about $17.92)" in lines


def test_a_single_job_is_explained_by_itself() -> None:
    """Held against another job's prompt."""
    project = Written.of().project()
    job = next(j for j in project.jobs if j.id == "sc010/fox/wave/roof/t01")
    (why,) = prompt_reasons(job, job.request.prompt.replace("Lisbon", "Rome"), project)
    assert (why.text, why.at) == ("the prompt changed: vars.city", f"shotlist.yaml:{line(LIST, 'city:')}")
    assert prompt_reasons(job, "", project) == ()


TEMPLATES = st.sampled_from([SCENE, LOGIC, "{{ character.name }}: {{ motion.verb }}!", "{{ place }}{{ city }}"])
VALUES = {
    "characters.fox.name": ("shotlist.yaml", "a fox,", "fox"),
    "characters.robot.name": ("shotlist.yaml", "name: a robot", "robot"),
    "motions.wave.verb": ("shotlist.yaml", "verb: waves", "wave"),
    "matrix.place.roof": ("shotlist.yaml", "on a roof", "roof"),
    "vars.city": ("shotlist.yaml", "city: Lisbon", ""),
}
WORDS = st.lists(
    st.sampled_from(["a", "the", "red", "old", "fox", "robot", "waves", "roof", "in"]), min_size=1, max_size=4
)


@settings(max_examples=25, deadline=None)
@given(TEMPLATES, st.dictionaries(st.sampled_from(sorted(VALUES)), WORDS, min_size=1, max_size=3))
def test_between_two_revisions_exactly_the_edited_values_are_named(scene: str, edits: dict[str, list[str]]) -> None:
    """Of all edits that reach a job's prompt; the bill of the rows is the whole bill."""
    before = Written.of(scene)
    after = before
    for name, words in edits.items():
        file, old, _ = VALUES[name]
        head = old.rpartition(":")[0]
        after = after.edited(
            (file, old, f"{head + ': ' if head else ''}{' '.join(words)}{',' if old[-1] == ',' else ''}")
        )
    for plan in (compared(before, after), planned(before, after)):
        assert sum(rows(plan).values()) == plan.totals.render
    for one in compared(before, after).jobs:
        named = {n for reason in one.reasons for n in edits if n in reason.text}
        assert bool(named) is (one.action.value == "render")
        assert all(_reads(one, name) for name in named)


def _reads(one: PlannedJob, name: str) -> bool:
    part = VALUES[name][2]
    return not part or part in (one.job.character, one.job.motion, *(value for _, value in one.job.values))


def test_a_job_without_its_shot_list_is_left_as_it_is() -> None:
    """Jobs made by hand know nothing of what their prompts are made of."""
    project = Written.of().project()
    known = facts(Written.of(SCENE.replace("hand", "crane")).project())
    bare = replace(project, origins=None)
    plan = make_plan(bare, known)
    assert with_edits(plan, known.earlier, bare) is plan
    none: list[Job] = []
    assert [p.job for p in make_plan(replace(bare, jobs=tuple(none)), known).jobs] == none
