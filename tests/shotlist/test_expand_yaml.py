"""From the text of a shot list to its jobs, through the real reader and the real disk."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from kling_render.disk.project_files import DiskFiles
from kling_render.shotlist.expand import expand
from kling_render.shotlist.reader import read

MINIMAL = """
    version: 1
    characters: {fox: fox.png, robot: robot.png}
    motions: {wave: clips/wave.mp4, spin: clips/spin.mp4}
    shots: [{id: sc010, takes: 2, prompt: "{{ character.name }} on a roof"}]
"""
FULL = """
    version: 1
    project: street-dance
    provider: aimlapi
    vars: {city: Lisbon}
    defaults:
      model: klingai/video-v2-6-pro-motion-control
      params: {}
      orientation: video
      keep_audio: true
      takes: 1
      prompt: "{{ character.name }} {{ motion.verb }} {{ place }}"
    characters:
      from: "characters/*.png"
      fox:    {image: characters/fox.png, name: a streetwear fox, tags: [animal]}
      robot:  characters/robot.png
    motions:
      wave:   {video: clips/wave.mp4, verb: waves at the camera}
      turn:   {video: clips/dance.mp4, start: 2, end: 7.5, verb: turns}
      spin:   {video: https://example.com/clips/spin.mp4, verb: spins, sha256: SHA}
    shots:
      - id: sc010
        characters: [fox, "r*"]
        motions: "*"
        matrix:
          place: {roof: on a rooftop at dusk, metro: in a metro car}
          orientation: [image, video]
        zip: [[place, orientation]]
        prompt_file: prompts/sc010.j2
        takes: 2
        exclude: [{character: robot, motion: wave}]
        add: [{character: fox, motion: spin, place: roof, orientation: video}]
        override: [{match: {character: fox}, set: {takes: 3}}]
        priority: 10
        tags: [hero]
      - id: sc020
        cast: {fox: [wave, turn], robot: spin}
        prompt: "{{ character.name }} in {{ city }}"
    output:
      dir: renders
      takes: "takes/{{ shot }}/{{ character }}/{{ motion }}{{ variant }}_t{{ take }}.mp4"
      final: "{{ shot }}/{{ character }}/{{ motion }}{{ variant }}.mp4"
    budget: {total_usd: 40, per_day_usd: 25}
""".replace("SHA", "3f7a" * 16)
PROMPT = """{% include 'style.j2' %}
{{ character.name }} {{ motion.verb }} {{ place }}, take {{ take }}
"""


def write(folder, **texts):
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_j2", ".j2").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))


def inputs(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"bytes")


def compiled(folder, **options):
    files = DiskFiles()
    shown = lambda path: Path(path).relative_to(folder.resolve()).as_posix()  # noqa: E731 - short
    declared, found = read(folder / "shotlist.yaml", files=files, shown=shown)
    assert declared is not None, found
    return expand(declared, files=files, shown=shown, **options)


def full(folder):
    write(folder, shotlist_yaml=FULL, prompts__sc010_j2=PROMPT, prompts__style_j2="35mm film.")
    inputs(
        folder,
        "characters/fox.png",
        "characters/robot.png",
        "characters/Old Owl.png",
        "clips/wave.mp4",
        "clips/dance.mp4",
    )
    return compiled(folder)


def test_the_smallest_useful_file_makes_eight_jobs(tmp_path):
    write(tmp_path, shotlist_yaml=MINIMAL)
    inputs(tmp_path, "fox.png", "robot.png", "clips/wave.mp4", "clips/spin.mp4")
    found = compiled(tmp_path)
    assert found.diagnostics == ()
    assert [job.id for job in found.project.jobs][:3] == [
        "sc010/fox/wave/t01",
        "sc010/fox/wave/t02",
        "sc010/fox/spin/t01",
    ]
    assert len(found.project.jobs) == 8
    assert {job.request.prompt for job in found.project.jobs} == {"fox on a roof", "robot on a roof"}


def test_the_full_example_makes_the_jobs_that_its_words_say(tmp_path):
    found = full(tmp_path)
    assert found.diagnostics == ()
    jobs = {job.id: job for job in found.project.jobs}
    fox = 3 * 2 * 3 + 3
    robot = 2 * 2 * 2
    assert len(jobs) == fox + robot + 3
    first = jobs["sc010/fox/wave/roof.image/t01"]
    assert first.request.prompt == "35mm film.\na streetwear fox waves at the camera on a rooftop at dusk, take 01"
    assert (first.request.orientation, first.priority, first.tags) == ("image", 10, ("hero",))
    assert first.output == "takes/sc010/fox/wave_roof.image_t01.mp4"
    assert first.final == "sc010/fox/wave_roof.image.mp4"
    assert "sc010/fox/spin/roof.video/t03" in jobs
    assert "sc010/robot/wave/roof.image/t01" not in jobs
    assert jobs["sc020/robot/spin/t01"].request.prompt == "robot in Lisbon"
    assert jobs["sc020/fox/turn/t01"].request.orientation == "video"
    assert str(jobs["sc020/fox/turn/t01"].request.end) == "7.5"


def test_every_text_file_that_was_read_is_a_source(tmp_path):
    names = [path.relative_to(tmp_path.resolve()).as_posix() for path in full(tmp_path).project.sources]
    assert names == ["shotlist.yaml", "prompts/sc010.j2", "prompts/style.j2"]


def test_mistakes_are_placed_in_the_yaml_to_the_column(tmp_path):
    text = MINIMAL.replace("on a roof", "on {{ rooof }}").replace("takes: 2", "characters: [foxx]")
    text = text.rstrip() + "\n    output: {final: '{{ shot }}/../x.mp4'}\n    vars: {roof: x}\n"
    write(tmp_path, shotlist_yaml=text)
    inputs(tmp_path, "fox.png", "robot.png", "clips/wave.mp4", "clips/spin.mp4")
    text = (tmp_path / "shotlist.yaml").read_text()
    found = compiled(tmp_path)
    assert [(d.code, str(d.place)) for d in found.diagnostics] == [("KR0130", "shotlist.yaml:5:34")]
    (tmp_path / "shotlist.yaml").write_text(text.replace("[foxx]", "[fox]"))
    found = compiled(tmp_path)
    lines = text.replace("[foxx]", "[fox]").split("\n")
    assert [(d.code, str(d.place)) for d in found.diagnostics] == [
        ("KR0404", f"shotlist.yaml:5:{lines[4].index('rooof') + 1}"),
        ("KR0301", f"shotlist.yaml:6:{lines[5].index('{{') + 1}"),
    ]


def test_a_literal_block_and_a_folded_one_are_placed_as_well_as_they_can(tmp_path):
    text = """
        version: 1
        characters: {fox: fox.png}
        motions: {wave: wave.mp4}
        shots:
          - id: a
            prompt: |
              one
                two {{ nobody }}
          - id: b
            prompt: >
              one
              two {{ nobody }}
    """
    write(tmp_path, shotlist_yaml=text)
    inputs(tmp_path, "fox.png", "wave.mp4")
    found = compiled(tmp_path)
    assert [str(d.place) for d in found.diagnostics] == ["shotlist.yaml:9:16", "shotlist.yaml:11:13"]


def test_axes_that_set_fields_come_through_the_reader(tmp_path):
    text = """
        version: 1
        characters: {fox: fox.png}
        motions: {wave: wave.mp4}
        shots:
          - id: a
            model: klingai/video-v3-motion-control
            matrix:
              character_orientation: [image, video]
              mode: [std, pro]
              prompt: {calm: "{{ character }} stands", wild: "{{ character }} jumps"}
              keep_audio: [true, false]
    """
    write(tmp_path, shotlist_yaml=text)
    inputs(tmp_path, "fox.png", "wave.mp4")
    found = compiled(tmp_path)
    assert found.diagnostics == ()
    request = {job.id: job for job in found.project.jobs}["a/fox/wave/video.pro.wild.false/t01"].request
    assert (request.orientation, request.params, request.prompt, request.keep_audio) == (
        "video",
        (("mode", "pro"),),
        "fox jumps",
        False,
    )


def test_rules_in_the_defaults_hold_for_the_shots_that_they_fit(tmp_path):
    text = """
        version: 1
        characters: {fox: fox.png, robot: robot.png}
        motions: {wave: wave.mp4}
        defaults: {exclude: [{character: robot}]}
        shots: [{id: a}, {id: b, characters: fox}]
    """
    write(tmp_path, shotlist_yaml=text)
    inputs(tmp_path, "fox.png", "robot.png", "wave.mp4")
    found = compiled(tmp_path)
    assert found.diagnostics == ()
    assert [job.id for job in found.project.jobs] == ["a/fox/wave/t01", "b/fox/wave/t01"]
