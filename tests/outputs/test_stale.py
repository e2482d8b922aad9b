"""Stale outputs: listed, moved on request, never deleted."""

from __future__ import annotations

from pathlib import Path

from kling_render.outputs.index import document, write_index
from kling_render.outputs.stale import leftovers, prune, stale_outputs
from kling_render.outputs.tree import OutputTree
from tests.outputs.test_index import cell, take
from tests.outputs.test_tree import blob, files, publish, sha, tree_of

TAKES = ["takes/sc010/fox/wave_t01.mp4", "takes/sc010/fox/wave_t02.mp4"]
FINAL = "sc010/fox/wave.mp4"


def built(tmp_path: Path) -> OutputTree:
    """Two takes, a final that the index lists, and files of the user."""
    tree = tree_of(tmp_path)
    for number, name in enumerate(TAKES):
        publish(tree, tmp_path, f"take {number}".encode(), name)
    tree.publish_final(blob(tmp_path, b"take 0"), tree.root / FINAL, sha(b"take 0"))
    write_index(tree, document("dance", "aimlapi", [cell(take(1, sha256=sha(b"take 0")))]))
    (tree.root / "sc010/fox/cut.mp4").write_bytes(b"the user's")
    (tree.root / "takes/sc010/fox/other.mp4.json").write_bytes(b"{}")
    return tree


def test_nothing_is_stale_while_every_file_is_wanted(tmp_path: Path) -> None:
    """Files of the user are none of ours."""
    tree = built(tmp_path)
    assert stale_outputs(tree.root, [*TAKES, FINAL]) == []
    assert stale_outputs(tmp_path / "missing", TAKES) == []


def test_files_of_ours_that_no_job_wants_are_listed(tmp_path: Path) -> None:
    """Takes by their sidecar, finals by the last index."""
    tree = built(tmp_path)
    assert stale_outputs(tree.root, TAKES[:1]) == [FINAL, TAKES[1]]
    assert stale_outputs(tree.root, []) == [FINAL, *TAKES]


def test_a_sidecar_without_its_take_is_stale_itself(tmp_path: Path) -> None:
    """It describes nothing any more."""
    tree = built(tmp_path)
    (tree.root / TAKES[1]).unlink()
    assert stale_outputs(tree.root, [TAKES[0], FINAL]) == [TAKES[1] + ".json"]


def test_pruning_moves_to_the_trash_and_removes_empty_folders_only(tmp_path: Path) -> None:
    """What was paid for can be found again."""
    tree = built(tmp_path)
    (tree.root / "takes/sc010/fox/other.mp4.json").unlink()
    moved = prune(tree, stale_outputs(tree.root, []))
    assert len(moved) == 5
    trash = files(tree.root / ".trash" / tree.stamp)
    assert {trash[name] for name in (*TAKES, FINAL)} == {b"take 0", b"take 1"}
    assert not (tree.root / "takes").exists()
    assert (tree.root / "sc010/fox/cut.mp4").read_bytes() == b"the user's"
    assert stale_outputs(tree.root, []) == []


def test_a_decomposed_name_on_disk_is_the_wanted_one(tmp_path: Path) -> None:
    """Some disks spell é with two characters."""
    tree = tree_of(tmp_path)
    publish(tree, tmp_path, b"one", "takes/e\u0301_t01.mp4")
    assert stale_outputs(tree.root, ["takes/é_t01.mp4"]) == []


def test_temporary_files_of_killed_runs_are_found_by_their_age(tmp_path: Path) -> None:
    """A younger one may be another process's work."""
    tree = built(tmp_path)
    part = tree.root / "sc010" / ".kling-render-0123.part"
    part.write_bytes(b"half")
    written = part.stat().st_mtime
    assert leftovers(tree.root, written - 10) == []
    assert leftovers(tree.root, written + 10) == ["sc010/.kling-render-0123.part"]
