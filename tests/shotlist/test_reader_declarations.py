"""A good shot list becomes declarations, whole and in place."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kling_render.disk.project_files import DiskFiles
from kling_render.errors import Diagnostic
from kling_render.shotlist.declarations import Declarations, Template
from kling_render.shotlist.reader import read
from kling_render.shotlist.records import Budget, WatchAllowance

HEAD = "version: 1\ncharacters: {fox: fox.png}\nmotions: {wave: wave.mp4}\n"
ALL = """\
version: 1
project: street-dance
imports: [lib/cast.yaml]
vars: {city: Lisbon}
defaults:
  orientation: video
  prompt: "{{ character.name }} {{ motion.verb }}"
characters:
  from: "people/*.png"
  fox: {image: fox.png, name: a streetwear fox, tags: [animal], coat: {color: red}}
motions:
  wave: {video: wave.mp4, verb: waves}
  turn: {video: wave.mp4, start: 2, end: 0:07.50}
  spin: {video: https://example.com/clips/spin.mp4, sha256: AA6}
shots:
  - id: sc010
    characters: [fox, "r*"]
    motions: "*"
    matrix:
      place: {roof: on a rooftop at dusk, metro: in a metro car}
      orientation: [image, video]
      speed: [1.5, 2, true, Über schnell]
    zip: [[place, orientation]]
    prompt_file: prompts/sc010.j2
    takes: 2
    exclude: [{character: robot, motion: wave}]
    add: [{character: fox, motion: spin, place: roof, orientation: video, speed: 1.5}]
    override: [{match: {character: fox, place: [roof, "m*"]}, set: {takes: 3, params: {mode: pro}}}]
    priority: 10
    tags: hero
  - id: sc020
    cast: {fox: [wave, turn], robot: spin}
output: {dir: out}
budget: {total_usd: 40, per_day_usd: 25.50}
watch: {per_save_usd: 0}
""".replace("AA6", "A" * 64)


def loaded(root: Path, text: str, **files: str) -> tuple[Declarations | None, list[Diagnostic]]:
    for name, content in {"fox.png": "x", "wave.mp4": "x", "shotlist.yaml": text, **files}.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return read(root / "shotlist.yaml", files=DiskFiles(), shown=lambda p: p.relative_to(root.resolve()).as_posix())


def declared(root: Path, text: str, **files: str) -> Declarations:
    declarations, found = loaded(root, text, **files)
    assert found == []
    assert declarations is not None
    return declarations


@pytest.fixture
def whole(tmp_path: Path) -> Declarations:
    lib = "characters: {robot: robot.png}\nvars: {city: Porto, mood: calm}\n"
    extra = {"lib/cast.yaml": lib, "lib/robot.png": "x", "people/Old Owl.png": "x", "people/fox.png": "x"}
    return declared(tmp_path, ALL, **extra, **{"prompts/sc010.j2": "a\r\nb {{ place }}"})


def test_characters_come_from_imports_globs_and_entries(whole: Declarations) -> None:
    """Every source adds; an entry beats the file a glob found under the same id."""
    folder = whole.folder
    found = {c.id: (c.image.path, c.image.shown) for c in whole.characters.values()}
    assert found == {
        "robot": (folder / "lib/robot.png", "robot.png"),
        "fox": (folder / "fox.png", "fox.png"),
        "Old-Owl": (folder / "people/Old Owl.png", "people/Old Owl.png"),
    }
    fox = whole.characters["fox"]
    assert (fox.name, fox.tags, fox.fields, str(fox.place)) == (
        "a streetwear fox",
        ("animal",),
        {"coat": {"color": "red"}},
        "shotlist.yaml:10:3",
    )
    assert whole.characters["robot"].name == "robot"


def test_motions_carry_trims_pins_and_free_fields(whole: Declarations) -> None:
    """Trims are exact seconds, a pin is lower case, the rest is for templates."""
    turn, spin = whole.motions["turn"], whole.motions["spin"]
    assert (turn.start, str(turn.end)) == (Decimal(2), "7.5")
    assert (spin.video.url, spin.video.path, spin.video.pin) == (
        "https://example.com/clips/spin.mp4",
        None,
        "a" * 64,
    )
    assert whole.motions["wave"].fields == {"verb": "waves"}


def test_a_shot_is_declared_with_places(whole: Declarations) -> None:
    """Axes, zips, matches and settings arrive as written, each where it stands."""
    shot = whole.shots[0]
    assert shot.characters is not None
    assert [(p.text, str(p.place)) for p in shot.characters] == [
        ("fox", "shotlist.yaml:17:18"),
        ("r*", "shotlist.yaml:17:23"),
    ]
    assert [(axis.name, [(v.id, v.value) for v in axis.values]) for axis in shot.axes] == [
        ("place", [("roof", "on a rooftop at dusk"), ("metro", "in a metro car")]),
        ("orientation", [("image", "image"), ("video", "video")]),
        ("speed", [("1-5", 1.5), ("2", 2), ("true", True), ("Uber-schnell", "Über schnell")]),
    ]
    assert [[name.text for name in group] for group in shot.zips] == [["place", "orientation"]]
    assert [(axis, [p.text for p in ps]) for axis, ps in shot.exclude[0].items] == [
        ("character", ["robot"]),
        ("motion", ["wave"]),
    ]
    assert {axis: p.text for axis, p in shot.add[0].items}["speed"] == "1-5"
    override = shot.override[0]
    assert (override.fields.takes, override.fields.params) == (3, {"mode": "pro"})
    assert str(override.fields.places["params.mode"]) == f"shotlist.yaml:28:{ALL.splitlines()[27].index('mode') + 1}"
    assert (shot.fields.takes, shot.fields.priority, shot.fields.tags) == (2, 10, ("hero",))
    assert shot.fields.orientation is None


def test_a_cast_stands_instead_of_characters_and_motions(whole: Declarations) -> None:
    """Pairs are kept as patterns, one or many motions each."""
    shot = whole.shots[1]
    assert shot.cast is not None
    assert [(c.text, [m.text for m in ms]) for c, ms in shot.cast] == [("fox", ["wave", "turn"]), ("robot", ["spin"])]
    assert (shot.characters, shot.motions) == (None, None)


def test_settings_of_the_whole(whole: Declarations) -> None:
    """The importing file beats what it imports; what nobody says has its default."""
    assert (whole.name, whole.provider, whole.vars) == ("street-dance", "aimlapi", {"city": "Lisbon", "mood": "calm"})
    assert whole.budget == Budget(total_usd=Decimal(40), per_day_usd=Decimal("25.5"))
    assert whole.watch == WatchAllowance(per_save_usd=Decimal(0))
    assert (whole.output.dir, whole.output.final.text) == (
        "out",
        "{{ shot }}/{{ character }}/{{ motion }}{{ variant }}.mp4",
    )
    assert [path.relative_to(whole.folder).as_posix() for path in whole.sources] == [
        "shotlist.yaml",
        "lib/cast.yaml",
        "prompts/sc010.j2",
    ]


def test_a_prompt_file_is_a_template_of_its_own(whole: Declarations) -> None:
    """Its lines have their places in it, and its line ends do not depend on the checkout."""
    prompt = whole.shots[0].fields.prompt
    assert prompt is not None
    assert (prompt.text, prompt.file, prompt.path) == (
        "a\nb {{ place }}",
        "prompts/sc010.j2",
        whole.folder / "prompts/sc010.j2",
    )
    assert [str(place) for place in prompt.lines] == ["prompts/sc010.j2:1:1", "prompts/sc010.j2:2:1"]


#: A prompt as YAML that begins in line 6, and where each line of its text stands.
PROMPTS = {
    "prompt: on a roof": ["6:11"],
    "prompt: 'on a roof'": ["6:12"],
    'prompt: "on a roof"': ["6:12"],
    'prompt: "a\\nb"': ["6:11", "6:11"],
    "prompt: |\n    a\n\n      b\n": ["7:5", "8:5", "9:5", "10:5"],
    "prompt: |-\n    a\n    b\n": ["7:5", "8:5"],
    "prompt: |2-\n     a\n    b\n": ["7:5", "8:5"],
    "prompt: >\n    a\n    b\n": ["6:11", "6:11"],
}


@pytest.mark.parametrize("yaml", PROMPTS)
def test_inline_prompts_know_where_their_lines_stand(yaml: str, tmp_path: Path) -> None:
    """Line n of the text maps to its line of the file where that can be told, else to the scalar."""
    prompt = declared(tmp_path, HEAD + f"shots: [{{id: a}}]\ndefaults:\n  {yaml}\noutput:\n").defaults.prompt
    assert prompt is not None
    assert len(prompt.lines) == len(prompt.text.split("\n"))
    assert [f"{place.line}:{place.column}" for place in prompt.lines] == PROMPTS[yaml]


def test_null_means_not_said(tmp_path: Path) -> None:
    """A field without a value leaves the inherited one alone."""
    text = HEAD + "defaults: {takes: , prompt: ~}\nshots: [{id: a, motions: , tags: null}]\noutput:\nbudget:\n"
    whole = declared(tmp_path, text)
    assert (whole.defaults.takes, whole.defaults.prompt, dict(whole.defaults.places)) == (None, None, {})
    assert (whole.shots[0].motions, whole.shots[0].fields.tags) == (None, None)


def test_an_empty_prompt_is_said(tmp_path: Path) -> None:
    """An empty text is a prompt too."""
    prompt = declared(tmp_path, HEAD + "shots: [{id: a, prompt: ''}]\n").shots[0].fields.prompt
    assert prompt is not None
    assert prompt.text == ""


def test_defaults_may_choose_for_every_shot(tmp_path: Path) -> None:
    """Axes and choices under `defaults` hold for shots that do not say their own."""
    text = HEAD + "defaults: {motions: [wave], matrix: {x: [a, b]}, cast: {fox: wave}}\n"
    whole, _ = loaded(
        tmp_path,
        text.replace("motions: [wave], ", "") + "shots: [{id: a}, {id: b, characters: [fox], matrix: {y: [c]}}]\n",
    )
    assert whole is not None
    first, second = whole.shots
    assert first.cast is not None
    assert [axis.name for axis in first.axes] == ["x"]
    assert second.cast is None
    assert [axis.name for axis in second.axes] == ["y"]


def test_an_axis_named_prompt_holds_templates(tmp_path: Path) -> None:
    """Values of a `prompt` or `prompt_file` axis are templates that know their places."""
    text = HEAD + "shots: [{id: a, matrix: {prompt: {x: 'in {{ x }}', none: }, prompt_file: [p.j2]}}]\n"
    whole = declared(tmp_path, text, **{"p.j2": "hello"})
    prompt, file = whole.shots[0].axes
    assert isinstance(prompt.values[0].value, Template)
    assert (prompt.values[0].value.text, prompt.values[1].value) == ("in {{ x }}", None)
    assert isinstance(file.values[0].value, Template)
    assert (file.values[0].id, file.values[0].value.text) == ("p-j2", "hello")


def test_imports_are_read_once_and_relative_to_themselves(tmp_path: Path) -> None:
    """Two ways to one file are one import; its paths mean its own folder."""
    whole = declared(
        tmp_path,
        "version: 1\nimports: [a/a.yaml, b.yaml]\nshots: [{id: top}]\n",
        **{
            "a/a.yaml": "imports: ../base/base.yaml\nmotions: {wave: ../wave.mp4}\nproject: from-a\n",
            "b.yaml": "imports: [base/base.yaml]\nshots: [{id: from-b}]\n",
            "base/base.yaml": "characters: {fox: fox.png}\nproject: from-base\n",
            "base/fox.png": "x",
        },
    )
    assert whole.characters["fox"].image.path == whole.folder / "base/fox.png"
    assert [shot.id for shot in whole.shots] == ["from-b", "top"]
    assert whole.name == "from-a"


def test_two_imports_must_not_set_the_same(tmp_path: Path) -> None:
    """Without an order between two files neither wins: the error names both places."""
    text = "imports: [a.yaml, b.yaml]\n" + HEAD + "shots: [{id: a}]\n"
    libraries = {"a.yaml": "vars: {city: Lisbon}\n", "b.yaml": "vars: {city: Porto}\n"}
    _, found = loaded(tmp_path, text, **libraries)
    assert [(error.code, error.message) for error in found] == [
        ("KR0114", "'vars.city' is declared twice: here and at a.yaml:1:8")
    ]
    declared(tmp_path, text + "vars: {city: Faro}\n", **{**libraries, "b.yaml": "vars: {mood: calm}\n"})


def test_a_root_the_user_allows_may_hold_inputs(tmp_path: Path) -> None:
    """Files outside the project are used when they lie under an input root, also behind a symlink."""
    project, stock = tmp_path / "project", tmp_path / "stock"
    stock.mkdir()
    (stock / "owl.png").write_bytes(b"x")
    text = HEAD.replace("fox: fox.png", "fox: fox.png, owl: ../stock/owl.png, own: link.png") + "shots: [{id: a}]\n"
    _, found = loaded(project, text)
    (project / "link.png").symlink_to("../stock/owl.png")
    _, found = read(project / "shotlist.yaml", files=DiskFiles(), shown=str)
    assert [error.code for error in found] == ["KR0203", "KR0203"]
    whole, found = read(project / "shotlist.yaml", files=DiskFiles(), shown=str, input_roots=[stock])
    assert found == []
    assert whole is not None
    assert whole.characters["own"].image.path == stock.resolve() / "owl.png"


def test_a_list_can_come_from_standard_input(tmp_path: Path) -> None:
    """Given bytes are read instead of the file; paths still mean the folder."""
    (tmp_path / "fox.png").write_bytes(b"x")
    (tmp_path / "wave.mp4").write_bytes(b"x")
    text = (HEAD + "shots: [{id: a}]\n").encode()
    whole, found = read(tmp_path / "-", files=DiskFiles(), shown=lambda p: p.name, text=text)
    assert found == []
    assert whole is not None
    assert (whole.sources, whole.shots[0].place.file) == ((), "-")


def test_a_big_list_is_read_without_the_heavy_libraries(tmp_path: Path) -> None:
    """2,400 shots take well under a second, and neither the validator nor the templates are imported."""
    import subprocess
    import sys

    words = "at night in the rain " * 12
    shots = "".join(
        f"  - id: sc{n:04}\n    matrix: {{place: {{roof: on a rooftop at dusk, metro: in a metro car}}, x: [1, 2]}}\n"
        f'    prompt: "{{{{ character.name }}}} walks {{{{ place }}}} {words}{n}"\n    takes: 2\n'
        for n in range(2400)
    )
    (tmp_path / "fox.png").write_bytes(b"x")
    (tmp_path / "wave.mp4").write_bytes(b"x")
    (tmp_path / "shotlist.yaml").write_text(HEAD + "shots:\n" + shots)
    assert (tmp_path / "shotlist.yaml").stat().st_size > 900_000
    program = (
        "import sys, time; from pathlib import Path; from kling_render.disk.project_files import DiskFiles\n"
        "from kling_render.shotlist.reader import read\n"
        "start = time.process_time()\n"
        "whole, found = read(Path(sys.argv[1]), files=DiskFiles(), shown=str)\n"
        "print(len(whole.shots), len(found), time.process_time() - start < 1.0,\n"
        "      sorted({'jsonschema', 'jinja2', 'httpx', 'av'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "shotlist.yaml")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split(maxsplit=3) == ["2400", "0", "True", "[]\n"]


def test_a_corrected_copy_beside_its_original_is_no_further_character(tmp_path: Path) -> None:
    """`fix` writes it there: picked up by the glob it would be one more row of jobs to pay for."""
    text = "version: 1\ncharacters: {from: 'people/*'}\nmotions: {wave: wave.mp4}\nshots: [{id: sc010}]\n"
    names = ["cat.png", "cat.fixed.png", "dog.png", "dog.2.fixed.png", "owl.fixed.png", "fixed.png", "cat.fixed2.png"]
    found, _ = loaded(tmp_path, text, **{f"people__{name}": "x" for name in names})
    assert found is not None
    assert sorted(found.characters) == ["cat", "cat-fixed2", "dog", "fixed", "owl-fixed"]
