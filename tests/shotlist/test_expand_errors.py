"""What is wrong with a selection, a matrix or its rules is said once, at its place, with the nearest name."""

from __future__ import annotations

import pytest

from tests.shotlist.build import (
    added,
    axis,
    character,
    expanded,
    fields,
    match,
    messages,
    override,
    project,
    shot,
)

PLACES = {"roof": "on a roof", "metro": "in a metro car"}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"characters": ["foxx"]}, "KR0130 1:5 no character matches 'foxx'; did you mean 'fox'?"),
        ({"motions": ["x*"]}, "KR0130 1:5 no motion matches 'x*'"),
        ({"characters": ["tag:animals"]}, "KR0130 1:5 no character has the tag 'animals'; did you mean 'animal'?"),
        ({"cast": {"fox": ["wafe"]}}, "KR0130 1:5 no motion matches 'wafe'; did you mean 'wave'?"),
        (
            {"exclude": [match(9, character="robbot")]},
            "KR0130 9:5 no character of this shot matches 'robbot'; did you mean 'robot'?",
        ),
        (
            {"matrix": {"place": PLACES}, "exclude": [match(9, place="rooof")]},
            "KR0130 9:5 no value of 'place' of this shot matches 'rooof'; did you mean 'roof'?",
        ),
        (
            {"matrix": {"place": PLACES}, "exclude": [match(9, plaze="roof")]},
            "KR0131 9:1 no axis is named 'plaze'; did you mean 'place'?",
        ),
        (
            {"cast": {"fox": ["wave"], "robot": ["spin"]}, "exclude": [match(9, character="fox", motion="spin")]},
            "KR0130 9:1 'exclude' matches no cell of the shot 'sc010' (character: fox, motion: spin)",
        ),
        (
            {"overrides": [override(match(9, motion="dance"), takes=2)]},
            "KR0130 9:5 no motion of this shot matches 'dance'",
        ),
        (
            {"matrix": {"place": PLACES, "light": ["day", "dusk", "night"]}, "zips": [["place", "light"]]},
            "KR0132 60:5 zipped axes must have equally many values: place has 2, light has 3",
        ),
        (
            {"matrix": {"place": PLACES}, "zips": [["plase", "place"]]},
            "KR0131 60:5 no matrix axis is named 'plase'; did you mean 'place'?",
        ),
        (
            {"matrix": {"place": PLACES}, "zips": [["place", "character"]]},
            "KR0131 60:5 'character' is not a matrix axis",
        ),
        (
            {"matrix": {"a": ["x"], "b": ["y"]}, "zips": [["a", "b"], ["b"]]},
            "KR0132 60:5 the axis 'b' is zipped twice",
        ),
        ({"matrix": {"take": ["x"]}}, "KR0133 40:1 an axis cannot be named 'take'"),
        ({"add": [added(9, character="fox", motion="wave")]}, "KR0134 9:1 the cell sc010/fox/wave is there already"),
        (
            {"add": [added(9, character="fox")]},
            "KR0134 9:1 a further cell needs one id for every axis; missing: motion",
        ),
        (
            {"add": [added(9, character="r*", motion="wave")]},
            "KR0134 9:5 'r*' is a pattern; 'add' takes one id per axis",
        ),
        (
            {"add": [added(9, character="cat", motion="wave")]},
            "KR0130 9:5 no character matches 'cat'",
        ),
        ({"matrix": {"orientation": ["left"]}}, "KR0108 40:20 'orientation': expected one of image, video, got 'left'"),
        ({"matrix": {"keep_audio": ["no"]}}, "KR0108 40:20 'keep_audio': expected true or false, got 'no'"),
        ({"matrix": {"takes": [0]}}, "KR0108 40:20 'takes': expected a whole number from 1, got 0"),
        (
            {"matrix": {"mode": ["Pro"]}, "model": "klingai/video-v3-motion-control"},
            "KR0108 40:20 'mode': expected one of std, pro, got 'Pro'; did you mean 'pro'?",
        ),
        (
            {"matrix": {"mode": ["pro"]}},
            "KR0108 40:20 klingai/video-v2-6-pro-motion-control has no parameter 'mode'",
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(said, message):
    cast = [character("fox", tags=["animal"]), character("robot")]
    found = expanded(project(shot(**said), characters=cast))
    assert found.project is None
    assert [m for m in messages(found) if "KR0136" not in m] == [message]


def test_two_values_with_one_id_would_be_two_jobs_with_one_id():
    found = expanded(project(shot(matrix={"place": ["on a roof", "on-a-roof"]})))
    first = found.diagnostics[-1]
    assert messages(found)[-1] == (
        "KR0135 40:21 two jobs with one id: the values 'on a roof' and 'on-a-roof' of the axis 'place'"
        " both have the id 'on-a-roof'"
    )
    assert first.related[0][1].column == 20


def test_two_shots_with_one_id_are_an_error_that_names_both_places():
    found = expanded(project(shot("a", line=3), shot("a", line=7)))
    first = found.diagnostics[0]
    assert (first.code, first.place.line, first.related[0][1].line) == ("KR0135", 7, 3)


def test_all_mistakes_are_reported_at_once():
    one = shot("a", characters=["foxx"], line=2)
    two = shot("b", prompt="{{ nobody }}", line=3)
    three = shot("c", exclude=[match(9, motion="x")], line=4)
    found = expanded(project(one, two, three))
    assert [d.code for d in found.diagnostics] == ["KR0130", "KR0404", "KR0130"]


def test_a_wrong_selection_is_not_reported_again_by_the_rules_of_the_shot():
    one = shot(characters=["foxx"], exclude=[match(9, character="fox")])
    assert [d.code for d in expanded(project(one)).diagnostics] == ["KR0130"]


def test_a_rule_that_two_shots_inherit_need_not_fit_both():
    inherited = [match(9, character="fox")]
    one = shot("a", characters=["fox", "robot"], exclude=inherited, line=2)
    two = shot("b", characters=["robot"], exclude=inherited, line=3)
    assert [job.character for job in expanded(project(one, two)).project.jobs] == ["robot"] * 4
    neither = expanded(project(shot("a", exclude=[match(9, motion="x")]), shot("b", exclude=[match(9, motion="x")])))
    assert [d.code for d in neither.diagnostics] == ["KR0130"]


def test_a_shot_without_cells_is_a_warning():
    found = expanded(project(shot("a", exclude=[match(9, character="*")], line=5), shot("b")))
    assert messages(found) == ["KR0137 5:1 the shot 'a' has no cells"]
    assert found.project is not None


def test_an_axis_that_makes_no_difference_is_a_warning():
    found = expanded(project(shot(prompt="{{ character }}", matrix={"place": PLACES})))
    assert messages(found) == [
        "KR0136 40:1 the axis 'place' changes neither the request nor a path: 2 identical videos per cell"
    ]


@pytest.mark.parametrize(
    "one",
    [
        shot(prompt="{{ place }}", matrix={"place": PLACES}),
        shot(prompt="{{ place }}", matrix={"place": PLACES, "light": ["day", "dusk"]}, zips=[["place", "light"]]),
        shot(matrix={"orientation": ["image", "video"]}),
        shot(matrix={"place": ["one"]}),
    ],
)
def test_an_axis_that_changes_the_request_or_has_one_value_is_not_warned_of(one):
    assert messages(expanded(project(one))) == []


def test_an_axis_that_a_path_names_itself_is_there_on_purpose():
    one = shot(matrix={"version": ["a", "b"]})
    paths = "{{ version }}/{{ shot }}{{ character }}{{ motion }}"
    assert messages(expanded(project(one, takes=paths + "_{{ take }}.mp4", final=paths + ".mp4"))) == []


def test_an_unknown_model_on_an_axis_is_a_warning_with_the_nearest_one():
    found = expanded(project(shot(matrix={"model": ["klingai/video-v4-motion-control"]})))
    assert messages(found) == [
        "KR0119 40:20 unknown model 'klingai/video-v4-motion-control'; did you mean 'klingai/video-v3-motion-control'?"
    ]


def test_a_parameter_that_the_model_lacks_names_the_models_that_have_it():
    found = expanded(project(defaults=fields(3, params={"mode": "pro"})))
    assert found.diagnostics[0].help.startswith("models that have it: klingai/video-v2-6-motion-control")
    assert found.diagnostics[0].place.line == 3


def test_the_builder_slugs_scalars_like_the_reader():
    assert [value.id for value in axis("a", ["at dusk", True, 1.5]).values] == ["at-dusk", "true", "1-5"]
