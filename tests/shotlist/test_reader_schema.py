"""The published schema is complete, and both of its gears agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kling_render.disk.project_files import DiskFiles
from kling_render.shotlist.declarations import ShotFields
from kling_render.shotlist.fields import ALIASES
from kling_render.shotlist.reader import read
from kling_render.shotlist.schema import Schema, shot_list_schema

DOCUMENT = shot_list_schema().document
VALIDATOR = Draft202012Validator(DOCUMENT)


def parts(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property and definition of the schema, with its pointer."""
    for group in ("properties", "$defs"):
        for name, inner in node.get(group, {}).items():
            yield f"{path}/{group}/{name}", inner
            yield from parts(inner, f"{path}/{group}/{name}")


def test_the_schema_is_a_valid_schema() -> None:
    """Editors can load it."""
    Draft202012Validator.check_schema(DOCUMENT)


@pytest.mark.parametrize(("path", "part"), [p for p in parts(DOCUMENT) if "$ref" not in p[1]])
def test_every_part_explains_itself_and_its_examples_hold(path: str, part: dict[str, Any]) -> None:
    """Title, description and examples for the editor; examples and defaults fit the part they explain."""
    assert part["title"]
    assert part["description"]
    assert part["examples"]
    validator = Draft202012Validator({**part, "$defs": DOCUMENT["$defs"]})
    for value in [*part["examples"], *([part["default"]] if "default" in part else [])]:
        assert list(validator.iter_errors(value)) == [], path


def test_every_shot_field_is_in_the_schema() -> None:
    """What a level can say, the schema knows in defaults, in shots and in overrides."""
    fields = {*ShotFields.__slots__, *ALIASES} - {"places"}
    for name in ("defaults", "shot", "set"):
        assert fields <= DOCUMENT["$defs"][name]["properties"].keys()


SCALARS = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.sampled_from(["fox", "image", "video", "left", "a b", "", "1:30", "1:75", "a" * 64, "*", "pro", "aimlapi"])
KEYS = sorted({path.rpartition("/")[2] for path, _ in parts(DOCUMENT)} | {"character", "motion", "from", "a b", "x"})
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
SECTIONS = ["defaults", "shots", "characters", "motions", "output", "budget", "watch"]
OTHERS = ["vars", "imports", "project", "provider"]
POINTERS = [f"#/$defs/{name}" for name in DOCUMENT["$defs"]] + ["#"]


def _has_whole_float(value: Any) -> bool:
    """`2.0` and `1.1e+16` are integers for the library; the fast gear leaves them to it."""
    return re.search(r"\.0|e\+", repr(value)) is not None


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(pointer=st.sampled_from(POINTERS), value=VALUES)
def test_the_fast_gear_accepts_only_what_the_library_accepts(pointer: str, value: Any) -> None:
    """The compiled check never lets a value pass that the validator refuses, and refuses little else."""
    valid = Draft202012Validator(
        {"$ref": pointer, "$defs": DOCUMENT["$defs"]} if pointer != "#" else DOCUMENT
    ).is_valid(value)
    fast = shot_list_schema().holds(value, pointer)
    assert fast == valid or (valid and _has_whole_float(value))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    section=st.sampled_from(["defaults", "shots", "characters", "motions", "output", "budget", "watch"]), value=VALUES
)
def test_the_gears_agree_on_whole_lists(section: str, value: Any) -> None:
    """The same for a list with one arbitrary section."""
    document = {"version": 1, section: [{"id": "a", "matrix": value}] if section == "shots" else value}
    fast = shot_list_schema().holds(document)
    assert fast == VALIDATOR.is_valid(document) or _has_whole_float(value)


def test_an_unknown_keyword_is_not_ignored() -> None:
    """A schema keyword that the fast gear does not know stops the program's tests, not a user's money."""
    with pytest.raises(ValueError, match="oneOf"):
        Schema({"oneOf": []}).holds(1)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    sections=st.dictionaries(st.sampled_from([*SECTIONS, "vars", "imports", "project", "provider"]), VALUES, max_size=4)
)
def test_no_list_makes_the_reader_fail_without_a_diagnostic(sections: dict[str, Any], tmp_path_factory: Any) -> None:
    """However wrong the values: the reader answers with declarations or with errors, never with an exception."""
    folder = tmp_path_factory.getbasetemp()
    shots = [{"id": f"s{n}", key: value} for n, (key, value) in enumerate(sections.items())]
    document = {"version": 1, "shots": shots} | {key: value for key, value in sections.items() if key != "shots"}
    text = yaml.safe_dump(document).encode()
    declared, found = read(folder / "shotlist.yaml", files=DiskFiles(), shown=str, text=text)
    assert declared is not None or any(diagnostic.severity == "error" for diagnostic in found)
    assert all(diagnostic.place is not None for diagnostic in found)
