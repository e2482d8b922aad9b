"""Output paths that some file system would refuse, change or confuse are refused on every system."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.shotlist.paths import PathProblem, check_folder, check_path, collision_key
from tests.shotlist.build import expanded, messages, project, shot


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("../x.mp4", "KR0301"),
        ("a/../../x.mp4", "KR0301"),
        ("a/..", "KR0301"),
        ("/etc/x.mp4", "KR0301"),
        ("//server/share/x.mp4", "KR0301"),
        ("\\\\server\\share\\x.mp4", "KR0301"),
        ("~/x.mp4", "KR0301"),
        ("~root/x.mp4", "KR0301"),
        ("C:/x.mp4", "KR0301"),
        ("c:x.mp4", "KR0301"),
        ("a\\..\\x.mp4", "KR0301"),
        ("a\0b.mp4", "KR0302"),
        ("a\nb.mp4", "KR0302"),
        ("a\x7fb.mp4", "KR0302"),
        ("a\u202eb.mp4", "KR0302"),
        ("a\ud800b.mp4", "KR0302"),
        *((f"a{sign}b.mp4", "KR0302") for sign in '<>"|?*'),
        ("takes/a:b.mp4", "KR0302"),
        ("a" * 252 + ".mp4", "KR0303"),
        ("é" * 126 + ".mp4", "KR0303"),
        ("/".join(["a" * 200] * 6) + "/x.mp4", "KR0303"),
        ("CON.mp4", "KR0304"),
        ("con.mp4", "KR0304"),
        ("a/NUL.mp4", "KR0304"),
        ("nul.tar.mp4", "KR0304"),
        ("com1/x.mp4", "KR0304"),
        ("LPT9.x/x.mp4", "KR0304"),
        ("aux /x.mp4", "KR0304"),
        ("COM¹/x.mp4", "KR0304"),
        ("CONIN$/x.mp4", "KR0304"),
        ("a./x.mp4", "KR0304"),
        ("a /x.mp4", "KR0304"),
        ("a/ x.mp4", "KR0304"),
        ("x.mp4.", "KR0304"),
        ("x.mp4 ", "KR0304"),
        ("x", "KR0306"),
        ("x.mov", "KR0306"),
        (".mp4", "KR0306"),
        ("a/.mp4", "KR0306"),
        ("x.mp4/", "KR0306"),
        ("", "KR0306"),
        (".", "KR0306"),
    ],
)
def test_a_bad_path_is_refused_by_the_rule_it_breaks(text, code):
    found = check_path(text)
    assert isinstance(found, PathProblem)
    assert found.code == code


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("takes/sc010/fox/wave_roof.image_t01.mp4", "takes/sc010/fox/wave_roof.image_t01.mp4"),
        ("a//./b.mp4", "a/b.mp4"),
        ("console/common.mp4", "console/common.mp4"),
        ("Straße/é x.MP4", "Straße/é x.MP4"),
        ("a~b/50%00.mp4", "a~b/50%00.mp4"),
        (".hidden/x.mp4", ".hidden/x.mp4"),
    ],
)
def test_a_good_path_passes_without_its_idle_parts(text, path):
    assert check_path(text) == path


@settings(derandomize=True, database=None, max_examples=300, deadline=None)
@given(st.text(alphabet="aC.0_-/ \\:~nuolp\x00é", max_size=12))
def test_whatever_passes_stays_inside_and_is_its_own_normal_form(text):
    found = check_path(text + ".mp4")
    if isinstance(found, str):
        parts = found.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert not any(part.endswith((".", " ")) or "\\" in part or "\0" in part for part in parts)
        assert check_path(found) == found
        assert check_folder(found) == found


def test_letter_case_and_unicode_form_do_not_tell_files_apart():
    assert collision_key("A/Straße.mp4") == collision_key("a/STRASSE.mp4")
    assert collision_key("é.mp4") == collision_key("e\u0301.mp4")
    assert collision_key("a.mp4") != collision_key("b.mp4")


def test_two_takes_on_one_path_are_an_error_that_names_both_jobs_and_the_path():
    found = expanded(
        project(shot(characters=["fox"], motions=["wave"], takes=2), takes="{{ shot }}/{{ character }}_take.mp4")
    )
    assert messages(found) == [
        "KR0305 91:11 two files on one path: sc010/fox/wave/t01 and sc010/fox/wave/t02 have the path sc010/fox_take.mp4"
    ]
    assert "{{ take }}" in found.diagnostics[0].help


def test_two_finals_on_one_path_are_an_error():
    found = expanded(project(shot(characters=["fox"]), final="{{ character }}.mp4"))
    assert messages(found) == [
        (
            "KR0305 92:11 two files on one path: the final of sc010/fox/wave and the final of sc010/fox/spin"
            " have the path fox.mp4"
        )
    ]


def test_a_take_may_not_lie_on_a_final():
    found = expanded(
        project(shot(characters=["fox"], motions=["wave"]), takes="{{ shot }}.mp4", final="{{ shot }}.mp4")
    )
    assert [d.code for d in found.diagnostics] == ["KR0305"]


def test_shots_that_differ_in_letter_case_only_collide():
    found = expanded(
        project(shot("A", characters=["fox"], motions=["wave"]), shot("a", characters=["fox"], motions=["wave"]))
    )
    assert [d.code for d in found.diagnostics] == ["KR0305", "KR0305"]
    assert "up to letter case" in found.diagnostics[0].message


def test_a_file_may_not_stand_where_another_needs_a_folder():
    one = shot(characters=["fox"], motions=["wave"])
    found = expanded(project(one, takes="a.mp4/{{ take }}.mp4", final="a.mp4"))
    assert messages(found) == [
        "KR0305 91:11 sc010/fox/wave/t01 needs the folder a.mp4, which is a file: the final of sc010/fox/wave"
    ]


def test_thousands_of_collisions_are_told_in_a_few_lines():
    one = shot(matrix={"n": [str(n) for n in range(500)]}, prompt="{{ n }}")
    found = expanded(project(one, final="same.mp4"))
    assert len(found.diagnostics) == 4
    assert "1,996 more files collide" in found.diagnostics[-1].message


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        (".", "KR0306"),
        ("", "KR0306"),
        ("./", "KR0306"),
        ("..", "KR0301"),
        ("/srv", "KR0301"),
        ("~/x", "KR0301"),
        ("a|b", "KR0302"),
    ],
)
def test_the_output_folder_lies_inside_the_project_and_is_not_the_project(folder, code):
    found = expanded(project(folder=folder))
    assert [(d.code, d.place.line) for d in found.diagnostics] == [(code, 90)]


def test_the_output_folder_may_be_deeper():
    assert expanded(project(folder="./out/renders/")).project.output_dir == "out/renders"


def test_a_bad_path_names_the_job_and_the_rule_once():
    found = expanded(project(shot(), final="../{{ character }}.mp4"))
    assert messages(found) == ["KR0301 92:11 output path '../fox.mp4' of sc010/fox/wave: the path has a '..'"]
