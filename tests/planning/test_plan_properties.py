"""Laws of the whole way from text to plan, with the real reader, expansion, planner and engine."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.models import MODELS
from kling_render.planning.explanation import changes
from kling_render.planning.manifest import Manifest
from kling_render.planning.plan import Facts
from kling_render.planning.records import Action, Plan
from kling_render.shotlist.records import Character, Motion, Project
from kling_render.store.opening import Store
from kling_render.workspace.works import works_of
from tests.engine.studio import Bench
from tests.planning.written import Written, compiled, fingerprints, manifests, planned, tiny

ROOT = Path(__file__).parents[2]
LAWS = settings(derandomize=True, database=None, max_examples=25, deadline=None)
FEW = settings(derandomize=True, database=None, max_examples=5, deadline=None)
styles = st.integers(0, 10**6).map(random.Random)


@contextmanager
def folder() -> Iterator[Path]:
    """A project's folder for one example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name).resolve()


# -- adding ---------------------------------------------------------------------------------------------------


def _character(w: Written) -> None:
    w.files["cast/owl.png"] = b"owl"
    w.document["characters"]["owl"] = {"image": "cast/owl.png"}


def _motion(w: Written) -> None:
    w.files["clips/bow.mp4"] = b"bow"
    w.document["motions"]["bow"] = {"video": "clips/bow.mp4"}


def _shot(w: Written, name: str) -> dict[str, Any]:
    return next(shot for shot in w.document["shots"] if shot["id"] == name)


def _light(w: Written) -> None:
    lights = _shot(w, "sc020")["matrix"]["light"]
    lights[:0] = [] if "dawn" in lights else ["dawn"]


def _first_shot(w: Written) -> None:
    if w.document["shots"][0]["id"] != "sc000":
        w.document["shots"].insert(0, {"id": "sc000", "prompt": "first"})


#: Each may be made twice, which adds nothing further.
ADDITIONS: dict[str, Callable[[Written], Any]] = {
    "a character": _character,
    "a motion": _motion,
    "a place": lambda w: _shot(w, "sc010")["matrix"]["place"].update(metro="in a metro"),
    "a light": _light,
    "a take": lambda w: _shot(w, "sc010").update(takes=3),
    "a shot": _first_shot,
}


@LAWS
@given(st.lists(st.sampled_from(sorted(ADDITIONS)), min_size=1, max_size=4, unique=True), styles)
def test_what_is_added_leaves_every_other_job_as_it_was(names: list[str], style: random.Random) -> None:
    """A further value of any axis, take or shot: no other id and no other fingerprint moves."""
    with folder() as here:
        before = fingerprints(tiny().write(here))
        more = tiny()
        for name in names:
            ADDITIONS[name](more)
        after = fingerprints(more.write(here, style))
    assert len(after) > len(before)
    assert {job: after.get(job) for job in before} == before


# -- spelling -------------------------------------------------------------------------------------------------


@LAWS
@given(styles, st.text("abc xyz", min_size=1, max_size=20))
def test_spelling_and_place_do_not_matter(style: random.Random, name: str) -> None:
    """Key order, comments, quoting, flow or block, and the folder of the checkout change no fingerprint."""
    with folder() as here:
        before = fingerprints(tiny().write(here))
        elsewhere = here / "deeper" / f"a {name.strip()}"
        elsewhere.mkdir(parents=True)
        assert fingerprints(tiny().write(elsewhere, style)) == before


def test_the_hash_seed_does_not_matter() -> None:
    """Processes that order their sets differently compute one and the same."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.planning.written import fingerprints\n"
        "print(fingerprints(Path(sys.argv[1])))"
    )
    with folder() as here:
        listed = str(tiny().write(here))
        said = {
            subprocess.run(
                [sys.executable, "-c", script, listed],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("0", "1", "4242")
        }
    assert len(said) == 1


@LAWS
@given(styles, st.data())
def test_renaming_and_touching_inputs_does_not_matter(style: random.Random, data: st.DataObject) -> None:
    """Inputs under other names and with other times are the same bytes; a prompt file may move, too."""
    with folder() as here:
        before = fingerprints(tiny().write(here))
        moved = tiny()
        for old in data.draw(st.lists(st.sampled_from(sorted(moved.files)), unique=True)):
            new = f"moved/{old.replace('/', '-')}"
            moved.files[new] = moved.files.pop(old)
            moved.document = _renamed(moved.document, old, new)
        listed = moved.write(here, style)
        for name in moved.files:
            os.utime(here / name, (1, 1))
        assert fingerprints(listed) == before


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(inner, old, new) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, old, new) for inner in value]
    return new if value == old else value


# -- edits ----------------------------------------------------------------------------------------------------


def _bytes(name: str) -> Callable[[Written], Any]:
    return lambda w: w.files.update({name: w.files[name] + b"!"})


def _default(name: str, value: Any) -> Callable[[Written], Any]:
    return lambda w: w.document["defaults"].update({name: value})


def _spin(name: str, value: Any) -> Callable[[Written], Any]:
    return lambda w: w.document["motions"]["spin"].update({name: value})


#: Edit → the manifest's field it changes, and which jobs have it.
EDITS: Mapping[str, tuple[Callable[[Written], Any], str, Callable[[str], bool]]] = {
    "image": (_bytes("cast/fox.png"), "image", lambda job: "/fox/" in job),
    "clip": (_bytes("clips/wave.mp4"), "video", lambda job: "/wave/" in job),
    "start": (_spin("start", 2), "start", lambda job: "/spin/" in job),
    "end": (_spin("end", 6), "end", lambda job: "/spin/" in job),
    "prompt file": (_bytes("prompts/sc010.j2"), "prompt", lambda job: job.startswith("sc010/")),
    "name": (lambda w: w.document["characters"]["cat"].update(name="a cat"), "prompt", lambda job: "/cat/" in job),
    "place": (
        lambda w: _shot(w, "sc010")["matrix"]["place"].update(roof="up on a roof"),
        "prompt",
        lambda job: "/roof/" in job,
    ),
    "orientation": (_default("orientation", "video"), "orientation", lambda _job: True),
    "audio": (_default("keep_audio", False), "keep_audio", lambda _job: True),
    "mode": (_default("params", {"mode": "pro"}), "params.mode", lambda _job: True),
    "model": (_default("model", "klingai/video-v2-6-motion-control"), "model", lambda _job: True),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_the_jobs_that_have_it_and_is_named(name: str) -> None:
    """Every field of the manifest: its jobs get other fingerprints, no other job does, and explain says which field."""
    edit, field, affected = EDITS[name]
    with folder() as here:
        listed = tiny().write(here)
        before, old = fingerprints(listed), manifests(listed)
        edited = tiny()
        edit(edited)
        listed = edited.write(here, random.Random(name))
        project = compiled(listed)
        after, new = fingerprints(listed), manifests(listed)
    assert before.keys() == after.keys()
    assert {job for job in before if before[job] != after[job]} == {job for job in before if affected(job)}
    for job in project.jobs:
        named = [change.field for change in changes(job, Manifest(old[job.id]), Manifest(new[job.id]))]
        assert named == ([field] if affected(job.id) else [])


def test_every_field_of_a_manifest_is_edited_above() -> None:
    """A field that the manifest gains needs an edit here; takes differ by their number, the format by its version."""
    with folder() as here:
        written = tiny()
        _default("params", {"mode": "pro"})(written)
        known = {name for text in manifests(written.write(here)).values() for name in Manifest(text).entries}
    assert known - {"format", "take"} == {field for _, field, _ in EDITS.values()}


# -- plan and render ------------------------------------------------------------------------------------------


def plan_on(bench: Bench, project: Project) -> Plan:
    """The plan for what the bench's store and tree hold."""
    store = Store.open(bench.folder)
    try:
        with store.ledger.reading() as ledger:
            return planned(
                project,
                results=ledger.results("sandbox"),
                latest=ledger.unsettled("sandbox"),
                earlier=ledger.newest_manifests("sandbox", str(project.folder)),
                files=bench.files,
            )
    finally:
        store.close()


@FEW
@given(
    st.lists(st.lists(st.sampled_from(sorted({**EDITS, **ADDITIONS})), max_size=3), min_size=1, max_size=3),
    styles,
)
def test_a_render_does_what_the_plan_says_and_leaves_an_empty_plan(
    rounds: list[list[str]], chance: random.Random
) -> None:
    """Random edits, lost outputs: submitted is exactly what was to render, each fingerprint once; then nothing is."""
    with folder() as here:
        bench, source = Bench(here / "store"), here / "project"
        written = tiny()
        for names in rounds:
            for name in names:
                (EDITS[name][0] if name in EDITS else ADDITIONS[name])(written)
            for path in [path for path in bench.files if chance.random() < 0.2]:
                del bench.files[path]
            project = compiled(written.write(source, chance))
            plan, sent = plan_on(bench, project), len(bench.api.submits)
            expected = [p.fingerprint[:32] for p in plan.jobs if p.action is Action.RENDER]
            bench.run(works_of(plan, project))
            submitted = [str(fingerprint_prefix(name)) for name in bench.api.submits[sent:]]
            assert sorted(submitted) == sorted(expected)
            assert all(count == 1 for count in bench.api.accepted().values())
            after = plan_on(bench, project)
            assert {p.action for p in after.jobs} == {Action.UP_TO_DATE}
            assert works_of(after, project) == []


# -- classes --------------------------------------------------------------------------------------------------

#: Every field of a project, a character and a motion, and whether it can change the pixels of a job.
PROJECT_FIELDS = {
    "name": False,
    "folder": False,
    "provider": False,  # its results lie in a namespace of their own
    "characters": True,  # through the jobs' requests
    "motions": True,
    "shots": False,
    "jobs": True,
    "output_dir": False,
    "origins": False,
    "budget": False,
    "watch": False,
    "sources": False,
}
CHARACTER_FIELDS = {"id": False, "name": True, "image": True, "tags": False, "fields": True, "place": False}
MOTION_FIELDS = {
    "id": False, "name": True, "video": True, "start": True, "end": True, "tags": False, "fields": True, "place": False,
    "trim_places": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("record", "classed"), [(Project, PROJECT_FIELDS), (Character, CHARACTER_FIELDS), (Motion, MOTION_FIELDS)]
)
def test_every_field_is_classed(record: type[Any], classed: dict[str, bool]) -> None:
    """A new field must be declared as changing the pixels or not before it can be used."""
    assert {field.name for field in fields(record)} == set(classed)


def test_no_fact_but_the_inputs_reaches_a_fingerprint() -> None:
    """Of all a plan depends on, only the identities of inputs do; a new fact must be classed here."""
    changes_pixels = {"identities"}
    others = {"namespace", "seconds", "prices", "lessons", "present", "results", "latest", "earlier", "blocked"}
    others |= {"picked", "held_back", "key"}
    assert {field.name for field in fields(Facts)} == changes_pixels | others


def test_the_models_parameters_are_classed() -> None:
    """A parameter whose default is at work is left out of the manifest; a new one needs golden keys."""
    assert {name: sorted(model.params) for name, model in MODELS.items()} == {
        "klingai/video-v2-6-pro-motion-control": [],
        "klingai/video-v2-6-motion-control": ["mode"],
        "klingai/video-v3-motion-control": ["mode"],
    }
