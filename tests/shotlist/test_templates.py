"""Templates: what they see, what they may read, and where their mistakes are shown."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.errors import Place
from kling_render.shotlist.declarations import Template
from tests.shotlist.build import (
    FOLDER,
    MemoryFiles,
    character,
    expanded,
    fields,
    files,
    jobs_of,
    messages,
    motion,
    project,
    prompt_file,
    prompts,
    shot,
    template,
)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("{{ shot }} {{ shot.id }} {{ shot.tags }}", "sc010 sc010 []"),
        ("{{ character }} {{ character.id }} {{ character.name }}", "fox fox a fox"),
        ("{{ motion }} {{ motion.verb }} {{ motion['verb'] }}", "wave waves waves"),
        ("{{ city }} {{ vars.city }} {{ vars['city'] }}", "Lisbon Lisbon Lisbon"),
        ("{{ take }} {{ take + 1 }} {{ take == 1 }} {{ 't%s' ~ take }}", "01 2 True t%s01"),
        ("[{{ variant }}]", "[]"),
        ("{{ character == 'fox' }} {{ character ~ '!' }} {{ character|upper }}", "True fox! FOX"),
        ("{{ motion.verb|capitalize }} {{ [1, 2]|join('-') }} {{ 'a,b'.split(',')|last }}", "Waves 1-2 b"),
        ("{% for i in range(3) %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %}", "1,2,3"),
        ("{% for k, v in vars.items() %}{{ k }}={{ v }};{% endfor %}", "city=Lisbon;"),
        (
            "{% set n = namespace(sum=0) %}{% for i in range(4) %}{% set n.sum = n.sum + i %}{% endfor %}{{ n.sum }}",
            "6",
        ),
        ("{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice('ab') }}", "abab"),
        ("{% set t %}a{{ city }}{% endset %}{{ t|upper }}", "ALISBON"),
        ("{% filter upper %}x{{ city }}{% endfilter %}", "XLISBON"),
        ("{{ nothing is defined }} {{ nothing|default('x') }}", "False x"),
        ("{{ 2 * 3 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 3 }} {{ 'ab' * 2 }} {{ [1] + [2] }}", "6 3 3 8 abab [1, 2]"),
        ("{{ 'aXb'.replace('X', '--') }} {{ 'aXb'|replace('X', '') }} {{ '-'.join(['a', 'b']) }}", "a--b ab a-b"),
        ("{{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 'a' in ['a'] }} {{ 1 < 2 }}", "True True True True"),
        ("{{ 1.25|round(1) }} {{ [3, 1]|sort|first }} {{ [{'a': 1}]|map(attribute='a')|list }}", "1.2 1 [1]"),
        ("{# nothing #}  plain  ", "plain"),
        ("two\nlines\n", "two\nlines"),
        ("100% {{ city }}", "100% Lisbon"),
        ("{{ '{{' }} }}", "{{ }}"),
    ],
)
def test_a_template_sees_names_and_uses_what_is_harmless(text, prompt):
    assert prompts(text, city="Lisbon") == [prompt]


def test_axes_are_seen_by_name_with_their_values_and_the_variant_joins_their_ids():
    one = shot(
        characters=["fox"],
        motions=["wave"],
        prompt="{{ place }}|{{ n + 1 }}|{{ variant }}",
        matrix={"place": {"roof": "on a roof"}, "n": [4]},
    )
    assert [job.request.prompt for job in jobs_of(project(one)).values()] == ["on a roof|5|_roof.4"]


def test_an_axis_hides_a_variable_of_the_same_name():
    one = shot(characters=["fox"], motions=["wave"], prompt="{{ city }} {{ vars.city }}", matrix={"city": ["Porto"]})
    assert [job.request.prompt for job in jobs_of(project(one, city="Lisbon")).values()] == ["Porto Lisbon"]


def test_a_prompt_that_reads_the_take_differs_from_take_to_take():
    one = shot(characters=["fox"], motions=["wave"], prompt="{% if take > 1 %}again {% endif %}{{ take }}", takes=2)
    assert [job.request.prompt for job in jobs_of(project(one)).values()] == ["01", "again 02"]


def test_deep_fields_and_lists_are_read_in_place():
    fox = character("fox", coat={"colour": "red", "parts": ["tail"]})
    one = shot(
        motions=["wave"], prompt="{{ character.coat.colour }} {{ character.coat.parts[0] }} {{ character.coat }}"
    )
    [job] = jobs_of(project(one, characters=[fox])).values()
    assert job.request.prompt == "red tail {'colour': 'red', 'parts': ['tail']}"


PIECES = ["a", "{", "}", "%", "%s", "\n", "\r\n", "}}", "#", " ", "é", "{{ city }}", "{{city}}", "{{\ncity }}"]
FIELDS = ["{{ character.name }}", "{{ take }}", "{{ vars.deep.x }}", "{{ n }}", "{{ none }}", "{{ character }}"]
texts = st.lists(st.sampled_from(PIECES + FIELDS), max_size=7).map("".join)


@settings(derandomize=True, database=None, max_examples=200, deadline=None)
@given(texts)
def test_plain_templates_print_what_jinja_prints(text):
    variables = {"city": "Lisbon", "deep": {"x": 1.5}, "n": True}
    mine = prompts(text, **variables)
    # A comment makes it a template that Jinja renders.
    theirs = prompts("{# #}" + text, **variables)
    assert [m.partition(" ")[0] if m.startswith("KR") else m for m in mine] == [
        m.partition(" ")[0] if m.startswith("KR") else m for m in theirs
    ]


def test_a_plain_project_does_not_load_jinja():
    code = (
        "import sys; from tests.shotlist.build import *\n"
        "jobs_of(project(shot(prompt='{{ character.name }} {{ motion.verb }} in {{ city }}'), city='x'))\n"
        "print('jinja2' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -- included files


def test_includes_are_looked_for_beside_the_template_then_in_the_project():
    path = FOLDER / "prompts" / "main.j2"
    there = files(prompts__part="beside", part="far", common="project")
    one = shot(
        characters=["fox"],
        motions=["wave"],
        prompt=prompt_file(path, "{% include 'part.j2' %} {% include 'common.j2' %}"),
    )
    found = expanded(project(one), there)
    assert found.project.jobs[0].request.prompt == "beside project"
    assert found.project.sources == (FOLDER / "shotlist.yaml", FOLDER / "prompts/part.j2", FOLDER / "common.j2")


def test_macros_can_be_imported_from_other_files():
    there = files(lib="{% macro shout(x) %}{{ x|upper }}!{% endmacro %}")
    assert prompts("{% import 'lib.j2' as lib %}{{ lib.shout('a') }}", there) == ["A!"]
    assert prompts("{% from 'lib.j2' import shout %}{{ shout(city) }}", there, city="b") == ["B!"]


def test_a_missing_file_may_be_ignored_or_replaced():
    there = files(b="found")
    assert prompts("{% include 'a.j2' ignore missing %}x{% include ['a.j2', 'b.j2'] %}", there) == ["xfound"]


def test_an_included_file_may_depend_on_the_job():
    there = files(fox="sly", robot="cold")
    one = shot(motions=["wave"], prompt="{% include character ~ '.j2' %}")
    jobs = jobs_of(project(one), there)
    assert [job.request.prompt for job in jobs.values()] == ["sly", "cold"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nowhere.j2", "KR0201"),
        ("../outside.j2", "KR0203"),
        ("/etc/passwd", "KR0203"),
        ("link.j2", "KR0203"),
        ("a/../../outside.j2", "KR0203"),
        ("broken.j2", "KR0110"),
        ("C:\\\\x.j2", "KR0201"),
    ],
)
def test_files_outside_the_project_missing_or_not_text_are_refused_where_they_are_included(name, code):
    there = MemoryFiles(
        {Path("/outside.j2"): b"secret", Path("/etc/passwd"): b"secret", FOLDER / "broken.j2": b"\xff\xfe"},
        {FOLDER / "link.j2": Path("/outside.j2")},
    )
    [message] = prompts(f"x {{% include '{name}' %}}", there)
    assert message.startswith(f"{code} 1:")
    assert "secret" not in message


def test_a_mistake_in_an_included_file_is_shown_in_that_file():
    found = expanded(project(shot(prompt="{% include 'part.j2' %}")), files(part="fine\n  {{ missing }}"))
    [problem] = found.diagnostics
    assert str(problem.place) == "part.j2:2:6"
    assert problem.place.text == "  {{ missing }}"


def test_a_syntax_error_in_an_included_file_is_shown_in_that_file():
    [problem] = expanded(project(shot(prompt="{% include 'part.j2' %}")), files(part="a\n{% fi x %}")).diagnostics
    assert (problem.code, str(problem.place)) == ("KR0401", "part.j2:2:4")


# -- mistakes and their places


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("on {{ heroo }}", "KR0404 1:17 'heroo' is undefined; did you mean 'hero'?"),
        ("{{ character.nam }}", "KR0404 1:24 the character 'fox' has no field 'nam'; did you mean 'name'?"),
        ("{{ motion['verbs'] }}", "KR0404 1:22 the motion 'wave' has no field 'verbs'; did you mean 'verb'?"),
        ("{{ vars.heroo }}", "KR0404 1:19 a mapping has no 'heroo'; did you mean 'hero'?"),
        ("a\n{{ hero }}\n  {{ heroo }}", "KR0404 3:16 'heroo' is undefined; did you mean 'hero'?"),
        ("{% if x", "KR0401 1:11 template syntax: unexpected end of template, expected '%}'"),
        ("a {{ hero b }}", "KR0401 1:21 template syntax: expected token '}}', got 'b'"),
        ("{% for x in y %}", "KR0401 1:14 template syntax: the block 'for' is never closed"),
        ("x\n{% frob %}", "KR0401 2:14 template syntax: encountered unknown tag 'frob'"),
        ("{{ ? }}", "KR0401 1:14 template syntax: unexpected char '?'"),
        ("{{ hero|uper }}", "KR0402 1:19 the filter 'uper' is not allowed in prompts; did you mean 'upper'?"),
        ("{{ hero is evn }}", "KR0402 1:22 the test 'evn' is not allowed in prompts; did you mean 'even'?"),
        ("{% extends 'x' %}", "KR0402 1:14 'extends' is not allowed in prompts"),
        ("{{ hero.format(1) }}", "KR0402 1:19 'format' is not allowed in prompts"),
        ("{{ hero + 1 }}", "KR0408 1:19 '+' does not work between a text and a number"),
        ("{{ 1 / 0 }}", "KR0408 1:16 division by zero"),
        ("{{ range }}", "KR0408 1:11 a function cannot be printed"),
        ("{{ hero() }}", "KR0402 1:11 a text cannot be called in prompts"),
    ],
)
def test_a_mistake_is_shown_at_its_word(text, message):
    found = prompts(text, hero="x")
    assert len(found) == 1
    assert found[0].startswith(message)


def test_an_undefined_name_lists_the_defined_ones():
    [problem] = expanded(project(shot(prompt="{{ heroo }}"), mood="x")).diagnostics
    assert problem.help == "defined in the shot 'sc010': character, mood, motion, shot, take, variant, vars"


def test_a_missing_field_points_to_the_entity_that_lacks_it():
    moves = [motion("wave", verb="waves"), motion("spin", line=33)]
    found = expanded(project(shot(prompt="{{ motion.verb }}"), motions=moves))
    [problem] = found.diagnostics
    assert problem.message == "the motion 'spin' has no field 'verb'"
    assert [(words, place.line) for words, place in problem.related] == [("the motion is declared here", 33)]


def test_one_mistake_is_told_once_and_different_ones_all_at_once():
    found = expanded(project(shot(prompt="{{ one }}\n{{ two }} {{ three if three is defined }}", takes=5)))
    assert messages(found) == ["KR0404 1:14 'one' is undefined", "KR0404 2:14 'two' is undefined"]


def test_a_prompt_that_two_shots_inherit_is_wrong_in_the_one_that_lacks_the_axis():
    shots = [shot("a", matrix={"place": ["x"]}), shot("b", line=2)]
    [problem] = expanded(project(*shots, defaults=fields(prompt="{{ place }}"))).diagnostics
    assert "in the shot 'b'" in problem.help


def test_a_mistake_in_a_prompt_file_is_shown_in_that_file():
    one = shot(prompt=prompt_file(FOLDER / "main.j2", "line one\nand {{ nobody }}"))
    [problem] = expanded(project(one)).diagnostics
    assert problem.place == Place("main.j2", 2, 8, "and {{ nobody }}", 6)


def test_a_mistake_in_a_text_that_is_folded_is_shown_at_the_text():
    at = Place("shotlist.yaml", 7, 9, "prompt: >")
    folded = Template("one {{ nobody }}\ntwo", "shotlist.yaml", None, (at, at))
    [problem] = expanded(project(shot(prompt=folded))).diagnostics
    assert str(problem.place) == "shotlist.yaml:7:9"


def test_a_mistake_in_a_path_is_shown_at_the_path_template():
    found = expanded(project(final="{{ shot }}/{{ nobody }}.mp4"))
    assert messages(found) == ["KR0404 92:25 'nobody' is undefined"]


def test_the_path_of_a_final_knows_no_take():
    found = expanded(project(final="{{ shot }}/{{ take }}.mp4"))
    assert messages(found) == ["KR0404 92:25 'take' is undefined"]


# -- results


def test_a_blank_prompt_is_a_warning():
    found = expanded(project(shot(characters=["fox"], prompt="{% if character == 'x' %}x{% endif %} ")))
    assert messages(found) == ["KR0405 1:11 the prompt of sc010/fox/wave is blank"]
    assert {job.request.prompt for job in found.project.jobs} == {""}


def test_control_characters_are_refused_by_code_point_and_line_breaks_and_tabs_are_fine():
    assert prompts("a\tb\nc") == ["a\tb\nc"]
    assert prompts("{{ x }}", x="a\x1b[0m") == [
        "KR0406 1:11 the prompt of sc010/fox/wave contains the control character U+001B after 'a'"
    ]


def test_a_lone_surrogate_is_refused():
    assert prompts("{{ x }}", x="\ud800")[0].endswith("U+D800")


def test_a_prompt_beyond_the_limit_is_an_error_with_both_figures():
    assert prompts("{{ x }}", x="a" * 2500) == ["a" * 2500]
    assert prompts("{{ x }}", x="a" * 2501) == [
        "KR0407 1:11 the prompt of sc010/fox/wave is 2,501 characters long (limit 2,500)"
    ]


def test_the_place_of_a_prompt_is_where_its_template_begins():
    jobs = jobs_of(project(shot("a", prompt=template("x", 12)), shot("b", prompt="")))
    assert {job.shot: str(job.prompt_place) for job in jobs.values()} == {
        "a": "shotlist.yaml:12:11",
        "b": "shotlist.yaml:1:11",
    }
    assert {job.prompt_place for job in jobs_of(project()).values()} == {None}


def test_equal_texts_of_many_shots_are_compiled_once():
    import time

    text = "{% if character %}{{ character }}{% endif %}"
    shots = [shot(f"s{n}", characters=["fox"], motions=["wave"], prompt=template(text, n + 1)) for n in range(2000)]
    declared = project(*shots)
    start = time.process_time()
    assert expanded(replace(declared)).project is not None
    assert time.process_time() - start < 1.5
