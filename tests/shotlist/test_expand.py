"""What a shot list means: cells, ids, settings and the order of jobs."""

from __future__ import annotations

import time

import pytest

from kling_render.models import DEFAULT_MODEL
from tests.shotlist.build import (
    added,
    character,
    expanded,
    fields,
    jobs_of,
    match,
    messages,
    motion,
    override,
    project,
    shot,
    with_provider,
)

SIBLING = "klingai/video-v3-motion-control"
PLACES = {"roof": "on a roof", "metro": "in a metro car"}


def cells(*args, **options):
    """The ids of the first takes, without the shot and the take."""
    jobs = jobs_of(project(shot(*args, **options)))
    return [job.cell.partition("/")[2] for job in jobs.values() if job.take == 1]


def test_a_shot_without_a_selection_has_every_character_with_every_motion():
    assert list(jobs_of(project())) == [
        "sc010/fox/wave/t01",
        "sc010/fox/spin/t01",
        "sc010/robot/wave/t01",
        "sc010/robot/spin/t01",
    ]


def test_the_defaults_are_those_of_the_model_and_of_the_format():
    request = jobs_of(project())["sc010/fox/wave/t01"].request
    assert (request.model, request.orientation, request.keep_audio) == (DEFAULT_MODEL, "image", True)
    assert (request.params, request.prompt, request.take) == ((), "", 1)


def test_ids_globs_and_tags_select_characters_each_once_in_the_order_named():
    cast = [character("fox", tags=["animal"]), character("robot"), character("raven", tags=["animal"])]
    found = jobs_of(project(shot(characters=["r*", "tag:animal", "fox"], motions=["spin"]), characters=cast))
    assert [job.character for job in found.values()] == ["robot", "raven", "fox"]


def test_a_cast_pairs_characters_with_motions():
    assert cells(cast={"fox": ["wave", "spin"], "robot": ["spin"]}) == ["fox/wave", "fox/spin", "robot/spin"]


def test_a_pair_that_a_cast_names_twice_is_one_cell():
    assert cells(cast={"*": ["spin"], "fox": ["s*"]}) == ["fox/spin", "robot/spin"]


def test_matrix_axes_multiply_and_the_last_one_changes_fastest():
    found = cells(characters=["fox"], motions=["wave"], matrix={"place": PLACES, "light": ["day", "night"]})
    assert [cell.rpartition("/")[2] for cell in found] == ["roof.day", "roof.night", "metro.day", "metro.night"]


def test_zipped_axes_go_together_and_values_stay_in_the_order_declared():
    matrix = {"place": PLACES, "light": ["day", "night"], "orientation": ["image", "video"]}
    found = cells(characters=["fox"], motions=["wave"], matrix=matrix, zips=[["orientation", "place"]])
    assert [cell.rpartition("/")[2] for cell in found] == [
        "roof.day.image",
        "roof.night.image",
        "metro.day.video",
        "metro.night.video",
    ]


def test_values_are_recorded_by_axis_and_their_ids_make_the_job_id():
    job = next(iter(jobs_of(project(shot(matrix={"place": PLACES, "keep_audio": [False]}))).values()))
    assert job.id == "sc010/fox/wave/roof.false/t01"
    assert job.values == (("place", "roof"), ("keep_audio", "false"))


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("orientation", ["video"], {"orientation": "video"}),
        ("character_orientation", ["video"], {"orientation": "video"}),
        ("keep_audio", [False], {"keep_audio": False}),
        ("model", [SIBLING], {"model": SIBLING}),
        ("prompt", {"a": "{{ character }} waves"}, {"prompt": "fox waves"}),
    ],
)
def test_an_axis_named_like_a_shot_field_sets_it(name, values, expected):
    request = next(iter(jobs_of(project(shot(matrix={name: values}))).values())).request
    assert {key: getattr(request, key) for key in expected} == expected


def test_an_axis_named_like_a_parameter_sets_it_and_the_default_is_left_out():
    jobs = jobs_of(project(shot(model=SIBLING, characters=["fox"], motions=["wave"], matrix={"mode": ["std", "pro"]})))
    assert [job.request.params for job in jobs.values()] == [(), (("mode", "pro"),)]


def test_axes_may_set_takes_priority_and_tags():
    matrix = {"takes": [1, 2], "priority": [7]}
    jobs = jobs_of(project(shot(characters=["fox"], motions=["wave"], matrix=matrix)))
    assert list(jobs) == ["sc010/fox/wave/1.7/t01", "sc010/fox/wave/2.7/t01", "sc010/fox/wave/2.7/t02"]
    assert {job.priority for job in jobs.values()} == {7}


def test_excluded_cells_are_left_out():
    found = cells(exclude=[match(2, character="robot", motion="w*"), match(3, motion="spin", character="fox")])
    assert found == ["fox/wave", "robot/spin"]


def test_a_value_may_be_excluded_as_it_is_written_in_the_matrix():
    found = cells(
        characters=["fox"], motions=["wave"], matrix={"pace": ["1.5", "at dawn"]}, exclude=[match(pace="at dawn")]
    )
    assert found == ["fox/wave/1-5"]


def test_added_cells_come_last_and_may_leave_the_shot_s_own_selection():
    one = shot(
        characters=["fox"],
        motions=["wave"],
        matrix={"place": PLACES},
        add=[added(character="robot", motion="spin", place="roof")],
    )
    assert list(jobs_of(project(one)))[-1] == "sc010/robot/spin/roof/t01"


def test_an_excluded_cell_may_be_added_again():
    assert cells(exclude=[match(motion="*")], add=[added(character="fox", motion="spin")]) == ["fox/spin"]


def test_added_cells_may_break_a_zip():
    one = {"place": PLACES, "orientation": ["image", "video"]}
    found = cells(
        characters=["fox"],
        motions=["wave"],
        matrix=one,
        zips=[["place", "orientation"]],
        add=[added(character="fox", motion="wave", place="roof", orientation="video")],
    )
    assert found[-1] == "fox/wave/roof.video"


def test_overrides_reach_added_cells_and_later_ones_win():
    one = shot(
        characters=["fox"],
        motions=["wave"],
        add=[added(character="robot", motion="spin")],
        overrides=[
            override(match(2, character="*"), takes=2, priority=1),
            override(match(3, character="robot"), takes=3),
        ],
    )
    jobs = jobs_of(project(one)).values()
    assert [(job.character, job.take) for job in jobs] == [
        ("fox", 1),
        ("fox", 2),
        ("robot", 1),
        ("robot", 2),
        ("robot", 3),
    ]
    assert {job.priority for job in jobs} == {1}


def test_an_override_beats_the_axis_and_the_axis_beats_the_shot():
    one = shot(
        orientation="image",
        matrix={"orientation": ["video"]},
        overrides=[override(match(character="robot"), orientation="image")],
    )
    jobs = jobs_of(project(one, defaults=fields(orientation="image")))
    assert {job.character: job.request.orientation for job in jobs.values()} == {"fox": "video", "robot": "image"}


def test_a_shot_s_prompt_beats_the_inherited_one_and_an_empty_one_removes_it():
    found = expanded(
        project(shot("a", line=2), shot("b", prompt="own"), shot("c", prompt=""), defaults=fields(prompt="all"))
    )
    assert {job.shot: job.request.prompt for job in found.project.jobs} == {"a": "all", "b": "own", "c": ""}
    assert messages(found) == []


def test_parameters_of_several_levels_are_merged_and_sorted_by_name():
    one = shot(params={"mode": "pro"})
    job = next(iter(jobs_of(project(one, defaults=fields(model=SIBLING))).values()))
    assert job.request.params == (("mode", "pro"),)


def test_parameters_of_an_unknown_model_are_taken_as_they_are():
    one = shot(model="klingai/next", params={"zeal": 3, "camera": "x"})
    job = next(iter(jobs_of(project(one)).values()))
    assert job.request.params == (("camera", "x"), ("zeal", 3))


def test_tags_and_priority_are_the_shot_s_or_else_the_defaults():
    jobs = jobs_of(
        project(shot("a"), shot("b", tags=("hero",), priority=5), defaults=fields(tags=("test",), priority=1))
    )
    assert {job.shot: (job.tags, job.priority) for job in jobs.values()} == {"a": (("test",), 1), "b": (("hero",), 5)}


def test_take_numbers_have_two_digits_and_grow_to_three():
    jobs = jobs_of(project(shot(characters=["fox"], motions=["wave"], takes=100)))
    assert list(jobs)[8::91] == ["sc010/fox/wave/t09", "sc010/fox/wave/t100"]


def test_the_trim_and_the_inputs_come_from_character_and_motion():
    from dataclasses import replace
    from decimal import Decimal

    turn = replace(motion("turn"), start=Decimal(2), end=Decimal("7.5"))
    request = jobs_of(project(characters=[character("fox")], motions=[turn]))["sc010/fox/turn/t01"].request
    assert (request.image.shown, request.video.shown) == ("fox.png", "turn.mp4")
    assert (request.start, request.end) == (Decimal(2), Decimal("7.5"))


def test_the_default_paths_are_those_of_the_format():
    job = jobs_of(project(shot(matrix={"place": PLACES}, takes=2)))["sc010/fox/wave/roof/t02"]
    assert (job.output, job.final) == ("takes/sc010/fox/wave_roof_t02.mp4", "sc010/fox/wave_roof.mp4")


def test_paths_see_value_ids_where_prompts_see_values():
    one = shot(prompt="{{ place }}", matrix={"place": PLACES})
    job = next(iter(jobs_of(project(one, takes="{{ place }}/{{ character }}{{ motion }}{{ take }}.mp4")).values()))
    assert (job.request.prompt, job.output) == ("on a roof", "roof/foxwave01.mp4")


def test_rehearsals_have_an_output_folder_of_their_own():
    declared = project()
    assert expanded(declared).project.output_dir == "renders"
    assert expanded(declared, provider="previz").project.output_dir == "renders.previz"
    rehearsal = with_provider(declared, "previz")
    assert expanded(rehearsal).project.output_dir == "renders.previz"
    assert expanded(rehearsal, provider="aimlapi").project.output_dir == "renders"


def test_a_billion_jobs_are_refused_before_anything_is_expanded():
    axes = {name: [f"{name}{n}" for n in range(1000)] for name in ("a", "b", "c")}
    declared = project(shot(characters=["fox"], motions=["wave"], matrix=axes))
    start = time.process_time()
    found = expanded(declared)
    assert time.process_time() - start < 0.1
    assert messages(found) == ["KR0107 1:1 the shot list expands to 1,000,000,000 jobs (limit 100,000)"]
    assert "--max-jobs" in found.diagnostics[0].help


def test_a_product_of_nobody_is_not_walked():
    axes = {name: [f"{name}{n}" for n in range(1000)] for name in ("a", "b", "c")}
    found = expanded(project(shot(characters=[], matrix=axes)))
    assert messages(found) == ["KR0137 1:1 the shot 'sc010' has no cells"]


def test_takes_count_towards_the_limit():
    found = expanded(project(shot(overrides=[override(match(character="fox"), takes=10**9)])))
    assert messages(found) == ["KR0107 1:1 the shot list expands to 2,000,000,002 jobs (limit 100,000)"]


def test_what_is_excluded_does_not_count_towards_the_limit():
    one = shot(exclude=[match(character="fox")])
    assert len(jobs_of(project(one), max_jobs=2)) == 2
    assert expanded(project(one), max_jobs=1).project is None
