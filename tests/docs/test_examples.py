"""Every shot list in the pages is one that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_render.disk.project_files import DiskFiles
from kling_render.shotlist.expand import expand
from kling_render.shotlist.reader import read

from .pages import blocks

FILES = (
    "fox.png",
    "robot.png",
    "characters/cat.png",
    "characters/fox.png",
    "characters/robot.png",
    "clips/dance.mp4",
    "clips/spin.mp4",
    "clips/wave.mp4",
    "lib/panda.png",
)
TEXTS = {
    "prompts/sc010.j2": "{{ character.name }} {{ motion.verb }} {{ place }}",
    "lib/cast.yaml": "version: 1\ncharacters: {panda: panda.png}\n",
}
EXAMPLES = [
    pytest.param(page, body, id=f"{page}-{number}")
    for page in ("README.md", "docs/shotlist.md")
    for number, body in enumerate(blocks(page, "yaml"), 1)
]


@pytest.mark.parametrize(("page", "body"), EXAMPLES)
def test_an_example_compiles_without_a_remark(page: str, body: str, tmp_path: Path) -> None:
    """Neither errors nor warnings, and at least one job."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"bytes")
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    source = tmp_path / "shotlist.yaml"
    source.write_text(body, "utf-8")

    def shown(path: Path) -> str:
        return path.name

    declared, found = read(source, files=DiskFiles(), shown=shown, input_roots=(), text=None)
    assert declared is not None, [(d.code, d.message, str(d.place)) for d in found]
    compiled = expand(declared, files=DiskFiles(), shown=shown, max_jobs=1000, provider=None)
    assert [(d.code, d.message, str(d.place)) for d in (*found, *compiled.diagnostics)] == []
    assert compiled.project is not None
    assert compiled.project.jobs


def test_the_readme_and_the_reference_begin_with_the_same_example() -> None:
    """The smallest useful list, once with the line for editors."""
    assert blocks("README.md", "yaml")[0].splitlines() == blocks("docs/shotlist.md", "yaml")[0].splitlines()[1:]
