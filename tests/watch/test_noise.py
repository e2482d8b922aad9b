"""Which names are nobody's input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_render.watch.noise import is_noise

NOISE = [
    ".shotlist.yaml.swp", ".x.swo", ".x.yaml.swx", "4913", "x.yaml~", ".x.un~",
    "#x.yaml#", ".#x.yaml",
    "x.yaml___jb_tmp___", "x.yaml___jb_old___",
    ".goutputstream-7AB2Q1", "x.yaml.tmp.12345", "x.yaml.tmp.1a2b.0", "x.yaml.vsctmp",
    "~$plan.docx", "~WRD0001.tmp", "~WRL2034.tmp", ".~lock.plan.odt#",
    ".DS_Store", "._clip.mp4", "Thumbs.db", "desktop.ini",
    "clip.mp4.crdownload", "clip.mp4.part", "clip.mp4.partial", "clip.mp4.download", "clip.tmp", "Clip.TMP",
    ".clip.mp4.Ab3dE9", ".syncthing.clip.mp4.tmp", "~syncthing~clip.mp4.tmp",
    ".git", "index.lock", ".nfs00000000001a2b3c00000012", ".fuse_hidden0000001c00000001",
    "x.yaml.sb-1a2b3c4d-Xy12Z9", "package.lock",
]  # fmt: skip

INPUTS = [
    "shotlist.yaml", "clip.mp4", "clip 1.MP4", "fox.png", "prompt.j2", "part.mp4", "tmp.mp4", "download.png",
    "~fox.png", "a~b.png", "#1.png", ".hidden.png", "4913.png", "49131", "swp", "x.swap.mp4", "clip.v2.mp4",
    "git.png", ".github.png", "thumbs.png", "clip.parts.mp4", "fox.tmp.png", "wr.png", "clip\n.mp4", "Ünïcode.png",
    "clip\udcff.mp4", "lock.png", "",
]  # fmt: skip


@pytest.mark.parametrize("name", NOISE)
def test_what_programs_make_for_themselves_is_noise(name: str) -> None:
    """Editors, browsers, file managers, sync tools, version control."""
    assert is_noise(name)


@pytest.mark.parametrize("name", INPUTS)
def test_what_a_person_may_have_made_is_not(name: str) -> None:
    """Also when it looks a little like the above."""
    assert not is_noise(name)


@given(st.text(max_size=40))
def test_every_name_has_an_answer(name: str) -> None:
    """Whatever stands in it, and quickly."""
    assert is_noise(name) in (True, False)
