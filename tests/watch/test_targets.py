"""Where names lead, what an event means, and which folders get a watch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_render.watch.placing import place
from kling_render.watch.settle import What
from kling_render.watch.targets import Meaning, Targets, find_targets
from kling_render.watch.tracing import Tracer


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "project"
    (folder / "clips").mkdir(parents=True)
    (folder / "clips/a.mp4").write_bytes(b"a")
    return folder


def targets(files: set[Path], folders: set[Path] | None = None) -> Targets:
    return find_targets(files, folders or set(), Tracer())


def test_a_file_is_watched_through_its_folder(project: Path) -> None:
    """An atomic save puts another file in its place."""
    found = targets({project / "clips/a.mp4"})
    assert found.folders == {str(project / "clips")}
    assert found.meaning(str(project / "clips/a.mp4"), What.RENAMED).changed == (project / "clips/a.mp4",)
    assert found.meaning(str(project / "clips/b.mp4"), What.RENAMED) == Meaning()


def test_folders_between_are_watched_too(project: Path) -> None:
    """So that moving one of them away is noticed; what lies above the project is left alone."""
    (project / "a/b").mkdir(parents=True)
    found = targets({project / "shotlist.yaml", project / "a/b/c.png"})
    assert found.folders == {str(project), str(project / "a"), str(project / "a/b")}
    assert found.meaning(str(project / "a"), What.GONE).moved


def test_a_missing_folder_is_awaited_where_it_would_be(project: Path) -> None:
    """The nearest folder that is there is watched."""
    found = targets({project / "not/yet/there.png"})
    assert found.folders == {str(project)}
    assert found.meaning(str(project / "not"), What.APPEARED).moved


def test_an_entry_of_a_listed_folder_counts_and_noise_does_not(project: Path) -> None:
    """Named as the project names the folder."""
    found = targets(set(), {project / "clips"})
    assert found.meaning(str(project / "clips/n.mp4"), What.APPEARED).entry == project / "clips/n.mp4"
    assert found.meaning(str(project / "clips/.n.mp4.swp"), What.APPEARED) == Meaning()


def test_a_noisy_name_that_the_project_reads_counts(project: Path) -> None:
    """It said so itself."""
    path = project / "prompt.tmp"
    assert targets({path}, {project}).meaning(str(path), What.CLOSED).changed == (path,)


def test_a_link_counts_by_itself_and_by_what_it_leads_to(project: Path, tmp_path: Path) -> None:
    """Also over several links, each in a folder of its own."""
    real = tmp_path.resolve() / "media/real.mp4"
    real.parent.mkdir()
    real.write_bytes(b"real")
    (tmp_path / "hop").mkdir()
    (tmp_path / "hop/second").symlink_to("../media/real.mp4")
    link = project / "clips/link.mp4"
    link.symlink_to(tmp_path.resolve() / "hop/second")
    found = targets({link, project / "clips/a.mp4"})
    for path in (link, tmp_path.resolve() / "hop/second", real):
        assert found.meaning(str(path), What.RENAMED).changed == (link,)
        assert str(path.parent) in found.folders


def test_a_folder_that_is_a_link_is_followed(project: Path, tmp_path: Path) -> None:
    """Its own name counts too."""
    (tmp_path / "elsewhere").mkdir()
    (project / "media").symlink_to(tmp_path.resolve() / "elsewhere")
    named = project / "media/x.png"
    found = targets({named, project / "shotlist.yaml"})
    assert found.meaning(str(tmp_path.resolve() / "elsewhere/x.png"), What.APPEARED).changed == (named,)
    assert found.meaning(str(project / "media"), What.GONE).moved


def test_links_in_a_circle_lead_nowhere(project: Path) -> None:
    """And end."""
    (project / "one").symlink_to("two")
    (project / "two").symlink_to("one")
    found = targets({project / "one", project / "one/below.png"})
    assert str(project) in found.folders


def test_other_spellings_of_a_name_count(project: Path) -> None:
    """Case and the form of accents differ between what is written and what a file system says."""
    named = project / "clips/Épée.MP4"
    found = targets({named})
    for spelling in ("épée.mp4", "E\u0301pe\u0301e.MP4", "ÉPÉE.mp4"):
        assert found.meaning(str(project / "clips" / spelling), What.CLOSED).changed == (named,)


def test_names_that_are_no_text_count(project: Path) -> None:
    """Bytes that are no UTF-8, and line breaks."""
    for name in (os.fsdecode(b"\xff\xfe.mp4"), "two\nlines.mp4"):
        path = project / "clips" / name
        assert targets({path}).meaning(str(path), What.CLOSED).changed == (path,)


def test_a_path_with_dots_leads_where_the_system_goes(project: Path, tmp_path: Path) -> None:
    """`..` after a link is the parent of where the link leads."""
    (tmp_path / "far/away").mkdir(parents=True)
    (project / "hop").symlink_to(tmp_path.resolve() / "far/away")
    named = Path(f"{project}/hop/../x.png")
    assert targets({named}).meaning(str(tmp_path.resolve() / "far/x.png"), What.CLOSED).changed == (named,)


def test_few_folders_have_a_watch_each() -> None:
    """No tree is watched where it can be avoided."""
    assert place(["/p", "/p/a"], lambda _folder: False) == {"/p": False, "/p/a": False}


def test_many_folders_share_the_lowest_tree_that_holds_them() -> None:
    """The others keep their own watch."""
    deep = [f"/p/clips/s{n}" for n in range(100)]
    assert place(["/p", "/p/clips", "/p/chars", *deep], lambda _f: False) == {
        "/p": False, "/p/clips": True, "/p/chars": False,
    }  # fmt: skip


def test_a_tree_with_outputs_is_avoided_as_long_as_it_goes() -> None:
    """More watches are better than one that hears every output."""
    some, many = ([f"/p/s{n}" for n in range(count)] for count in (100, 1000))
    assert place(["/p", *some], lambda folder: folder == "/p") == dict.fromkeys(["/p", *some], False)
    assert place(["/p", *many], lambda folder: folder == "/p") == {"/p": True}


def test_folders_all_over_the_place_cannot_be_watched() -> None:
    """They are polled."""
    assert place([f"/{n}" for n in range(1000)], lambda _folder: False, few=1, many=10) is None


paths = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=120)


@given(paths, st.integers(1, 10))
def test_every_folder_is_covered(parts: list[list[str]], few: int) -> None:
    """By a watch of its own or by that of a tree."""
    folders = {"/p/" + "/".join(names) for names in parts} | {"/p"}
    placed = place(folders, lambda _folder: False, few=few, many=20)
    assert placed is not None
    for folder in folders:
        assert folder in placed or any(tree and folder.startswith(root + "/") for root, tree in placed.items())
