"""The output tree: never half a file, never outside, never over somebody's work."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kling_render.disk.faults import FaultyFiles
from kling_render.outputs.sidecar import sidecar
from kling_render.outputs.tree import OutputTree, check_root
from kling_render.store.digests import StatDigests
from tests.disk.power import Tree, prove
from tests.disk.recording import RecordingFiles

SCHEMAS = Path(__file__).parents[2] / "schemas"


class Stored:
    """What the store holds: a set of digests."""

    def __init__(self, *digests: str) -> None:
        self.digests = set(digests)

    def __call__(self, sha256: str) -> bool:
        return sha256 in self.digests


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def document(data: bytes, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "job": "sc010/fox/wave/t01",
        "manifest": {"image": "sha256:" + "a" * 64, "video": "https://example.com/v.mp4", "prompt": "é"},
        "fingerprint": "f" * 64,
        "namespace": "https://api.example",
        "generation_id": "g1",
        "usd": Decimal("0.4480"),
        "sha256": sha(data),
        "size": len(data),
        "rendered_at": 1_785_000_000.7,
        "tool_version": "1.0.0",
    }
    return sidecar(**(values | changes))


def blob(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / f"blob-{sha(data)[:8]}"
    path.write_bytes(data)
    return path


def tree_of(tmp_path: Path, **options: Any) -> OutputTree:
    values: dict[str, Any] = {"root": tmp_path / "renders", "digests": StatDigests(None), "stamp": "20260801T120000Z"}
    return OutputTree(**(values | options))


def publish(tree: OutputTree, tmp_path: Path, data: bytes, name: str = "takes/sc010/fox/wave_t01.mp4") -> Any:
    return tree.publish_take(blob(tmp_path, data), tree.root / name, document(data))


def files(root: Path) -> Mapping[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_take_lies_beside_its_sidecar_which_agrees_with_the_schema(tmp_path: Path) -> None:
    """The schema is a promise to other programs."""
    tree = tree_of(tmp_path)
    published = publish(tree, tmp_path, b"one")
    assert published.action == "written"
    assert published.path.read_bytes() == b"one"
    content = json.loads(published.path.with_name("wave_t01.mp4.json").read_text())
    schema = json.loads((SCHEMAS / "sidecar.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(content)
    assert content["usd"] == "0.448"
    assert content["inputs"] == {"image": "sha256:" + "a" * 64, "video": "https://example.com/v.mp4"}
    assert content["rendered_at"] == "2026-07-25T17:20:00Z"


def test_an_unchanged_take_keeps_its_mtime_and_so_does_its_sidecar(tmp_path: Path) -> None:
    """Editors reload what changed and nothing else; a new version of this program is no change."""
    tree = tree_of(tmp_path)
    path = publish(tree, tmp_path, b"one").path
    both = [path, path.with_name(path.name + ".json")]
    for each in both:
        os.utime(each, (1000, 1000))
    again = tree.publish_take(blob(tmp_path, b"one"), path, document(b"one", tool_version="2.0.0"))
    assert again.action == "unchanged"
    assert [each.stat().st_mtime for each in both] == [1000, 1000]


def test_a_renamed_job_gets_its_sidecar_rewritten_and_keeps_its_take(tmp_path: Path) -> None:
    """The sidecar tells the truth."""
    tree = tree_of(tmp_path)
    path = publish(tree, tmp_path, b"one").path
    tree.publish_take(blob(tmp_path, b"one"), path, document(b"one", job="sc011/fox/wave/t01"))
    assert json.loads(path.with_name(path.name + ".json").read_text())["job"] == "sc011/fox/wave/t01"


@pytest.mark.parametrize("stored", [None, Stored(sha(b"one"))])
def test_our_own_file_is_replaced(tmp_path: Path, stored: Stored | None) -> None:
    """Nobody edited it; with a store, its bytes are there."""
    tree = tree_of(tmp_path, stored=stored)
    publish(tree, tmp_path, b"one")
    published = publish(tree, tmp_path, b"two")
    assert published.trashed == ()
    assert published.path.read_bytes() == b"two"


def test_our_own_file_goes_to_the_trash_when_the_store_has_lost_its_bytes(tmp_path: Path) -> None:
    """It may be the only copy of something that was paid for."""
    tree = tree_of(tmp_path, stored=Stored())
    publish(tree, tmp_path, b"one")
    trashed = publish(tree, tmp_path, b"two").trashed
    assert (tree.root / trashed[0]).read_bytes() == b"one"


def test_an_edited_take_is_kept_in_the_trash_with_its_sidecar_and_reported(tmp_path: Path) -> None:
    """Somebody graded it by hand."""
    tree = tree_of(tmp_path, stored=Stored(sha(b"one")))
    path = publish(tree, tmp_path, b"one").path
    path.write_bytes(b"graded by hand")
    published = publish(tree, tmp_path, b"two")
    assert published.trashed == (
        ".trash/20260801T120000Z/takes/sc010/fox/wave_t01.mp4",
        ".trash/20260801T120000Z/takes/sc010/fox/wave_t01.mp4.json",
    )
    assert (tree.root / published.trashed[0]).read_bytes() == b"graded by hand"
    assert path.read_bytes() == b"two"
    path.write_bytes(b"graded again")
    second = publish(tree, tmp_path, b"two").trashed[0]
    assert second.endswith("wave_t01.mp4~2")
    assert (tree.root / second).read_bytes() == b"graded again"


def test_a_file_of_the_user_is_never_overwritten(tmp_path: Path) -> None:
    """Neither under a take, nor a final, nor a sidecar, nor where a folder is needed."""
    tree = tree_of(tmp_path)
    theirs = {"a.mp4": b"1", "b.mp4.json": b'{"mine": 1}', "c": b"3", "f.mp4": b"4"}
    tree.root.mkdir()
    for name, data in theirs.items():
        (tree.root / name).write_bytes(data)
    (tree.root / "d.mp4").mkdir()
    (tree.root / "d.mp4" / "note").write_bytes(b"5")
    for name in ("a.mp4", "b.mp4", "c/x.mp4", "d.mp4"):
        publish(tree, tmp_path, b"new", name)
    tree.publish_final(blob(tmp_path, b"new"), tree.root / "f.mp4", sha(b"new"))
    trash = files(tree.root / ".trash" / "20260801T120000Z")
    assert trash == theirs | {"d.mp4/note": b"5"}
    assert {name: files(tree.root)[name] for name in ("a.mp4", "b.mp4", "c/x.mp4", "d.mp4", "f.mp4")} == dict.fromkeys(
        ("a.mp4", "b.mp4", "c/x.mp4", "d.mp4", "f.mp4"), b"new"
    )


def test_a_final_that_the_last_index_lists_is_ours(tmp_path: Path) -> None:
    """Finals have no sidecar; the index names them with their digest."""
    tree = tree_of(tmp_path)
    final = tree.root / "sc010.mp4"
    tree.publish_final(blob(tmp_path, b"one"), final, sha(b"one"))
    known = replace(tree, listed={"sc010.mp4": sha(b"one")})
    assert known.publish_final(blob(tmp_path, b"two"), final, sha(b"two")).trashed == ()
    assert known.publish_final(blob(tmp_path, b"six"), final, sha(b"six")).trashed != ()


class TestSymlinks:
    @pytest.mark.parametrize("planted", ["takes", "takes/sc010", "takes/sc010/fox", ".trash"])
    def test_a_folder_link_that_leads_elsewhere_is_refused(self, tmp_path: Path, planted: str) -> None:
        """A shared project must not write into the user's home."""
        outside = tmp_path / "home"
        outside.mkdir()
        tree = tree_of(tmp_path)
        link = tree.root / planted
        link.parent.mkdir(parents=True)
        link.symlink_to(outside, target_is_directory=True)
        if planted == ".trash":
            (tree.root / "takes/sc010/fox").mkdir(parents=True)
            (tree.root / "takes/sc010/fox/wave_t01.mp4").write_bytes(b"theirs")
        with pytest.raises(OSError, match="symlink") as caught:
            publish(tree, tmp_path, b"one")
        assert caught.value.errno == errno.EPERM
        assert list(outside.iterdir()) == []

    def test_a_link_under_the_files_name_is_moved_away_and_not_followed(self, tmp_path: Path) -> None:
        """The file it points to stays as it is."""
        victim = tmp_path / "bashrc"
        victim.write_bytes(b"alias ll")
        tree = tree_of(tmp_path)
        path = tree.root / "takes/sc010/fox/wave_t01.mp4"
        path.parent.mkdir(parents=True)
        path.symlink_to(victim)
        path.with_name(path.name + ".json").symlink_to(victim)
        published = publish(tree, tmp_path, b"one")
        assert victim.read_bytes() == b"alias ll"
        assert not path.is_symlink()
        assert len(published.trashed) == 2
        assert (tree.root / published.trashed[0]).is_symlink()

    def test_a_link_that_stays_inside_is_followed(self, tmp_path: Path) -> None:
        """Some like their tree arranged."""
        tree = tree_of(tmp_path)
        (tree.root / "elsewhere").mkdir(parents=True)
        (tree.root / "takes").symlink_to("elsewhere", target_is_directory=True)
        publish(tree, tmp_path, b"one")
        assert (tree.root / "elsewhere/sc010/fox/wave_t01.mp4").read_bytes() == b"one"

    def test_a_path_outside_the_output_folder_is_refused(self, tmp_path: Path) -> None:
        """Whatever the caller computed."""
        tree = tree_of(tmp_path)
        for target in (tmp_path / "x.mp4", tree.root / ".." / "x.mp4", tree.root):
            with pytest.raises(OSError, match="outside"):
                tree.publish_final(blob(tmp_path, b"one"), target, sha(b"one"))

    @pytest.mark.skipif(sys.platform == "win32", reason="no open folders there")
    def test_a_folder_swapped_for_a_link_during_the_run_writes_nothing_outside(self, tmp_path: Path) -> None:
        """Between the look and the write somebody may be quick."""
        outside = tmp_path / "home"
        outside.mkdir()
        tree = tree_of(tmp_path)
        takes = tree.root / "takes"
        takes.mkdir(parents=True)
        stop = threading.Event()

        def swap() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                with contextlib.suppress(OSError):  # the publisher makes the folder again meanwhile
                    takes.rename(tree.root / f"aside{number}")
                    takes.symlink_to(outside, target_is_directory=True)
                    time.sleep(0.0005)
                    takes.unlink()
                    time.sleep(0.0005)

        swapper = threading.Thread(target=swap)
        swapper.start()
        source, outcomes = blob(tmp_path, b"one"), set()
        try:
            for number in range(150):
                outcomes.add(outcome_of(tree, source, takes / f"{number}.mp4"))
        finally:
            stop.set()
            swapper.join()
        assert list(outside.iterdir()) == []
        assert None in outcomes

    def test_an_output_folder_that_leads_out_of_the_project_needs_the_users_word(self, tmp_path: Path) -> None:
        """A link inside the project, or one the user allowed, is fine."""
        project, disk = tmp_path / "project", tmp_path / "disk"
        for folder in (project / "real", disk):
            folder.mkdir(parents=True)
        (project / "out").symlink_to(disk, target_is_directory=True)
        (project / "in").symlink_to("real", target_is_directory=True)
        with pytest.raises(OSError, match="out of the project"):
            check_root(project / "out", project)
        check_root(project / "out", project, [disk])
        check_root(project / "in", project)
        check_root(project / "new", project)
        (tmp_path / "link").symlink_to(project, target_is_directory=True)
        check_root(tmp_path / "link" / "new", tmp_path / "link")


def outcome_of(tree: OutputTree, source: Path, target: Path) -> int | None:
    try:
        tree.publish_final(source, target, sha(b"one"))
    except OSError as fault:
        return fault.errno
    return None


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_whatever_call_fails_no_part_stands_under_a_name_and_the_next_run_heals(tmp_path: Path, error: int) -> None:
    """Take and sidecar are each the old one or the new one; nothing of the user's is lost."""
    failed = 0
    for at in range(1, 80):
        work = tmp_path / str(at)
        work.mkdir()
        tree = tree_of(work)
        path = publish(tree, work, b"one").path
        path.write_bytes(b"edited")
        fs = FaultyFiles(at, error)
        try:
            publish(replace(tree, fs=fs), work, b"two")
        except OSError:
            failed += 1
        standing = files(tree.root)
        assert b"edited" in standing.values()
        assert {data for name, data in standing.items() if name.endswith(".mp4")} <= {b"edited", b"two"}
        assert not [name for name in standing if name.endswith(".part")]
        publish(tree, work, b"two")
        assert path.read_bytes() == b"two"
        assert b"edited" in files(tree.root / ".trash").values()
        if len(fs.calls) < at:
            break
    assert failed > 20


@pytest.mark.parametrize("sidecar_fails", [False, True], ids=["both written", "no room for the sidecar"])
def test_a_take_that_was_reported_survives_a_power_loss_with_its_sidecar(tmp_path: Path, sidecar_fails: bool) -> None:
    """One sync of their folder serves both; before it, each is whole or absent."""

    class Full(RecordingFiles):
        def write(self, fd: int, data: bytes | memoryview) -> int:
            if sidecar_fails and bytes(data).startswith(b"{"):
                raise OSError(errno.ENOSPC, "no space left")
            return super().write(fd, data)

    source = blob(tmp_path, b"film" * 2_000)
    (tmp_path / "renders").mkdir()
    fs = Full(tmp_path / "renders")
    tree, name = tree_of(tmp_path, fs=fs), "takes/a.mp4"
    with pytest.raises(OSError, match="space") if sidecar_fails else contextlib.nullcontext():
        tree.publish_take(source, tree.root / name, document(source.read_bytes()))
    whole = files(tree.root)
    assert set(whole) == {name} if sidecar_fails else {name, f"{name}.json"}

    def complete(state: Tree) -> None:
        assert all(state.get(each) in (None, data) for each, data in whole.items()), sorted(state)

    def there(state: Tree) -> None:
        assert {each: state.get(each) for each in whole} == whole

    fs.promise(there)
    assert prove(fs, complete).states > 10
