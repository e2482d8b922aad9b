"""The output tree when the power goes at any moment: what is ours is whole, what is yours is never lost."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kling_render.lifecycle.records import Result
from kling_render.outputs import sidecar
from kling_render.outputs.index import NAME, document, read_index, write_index
from kling_render.outputs.publisher import TreePublisher
from kling_render.outputs.tree import OutputTree
from kling_render.store.opening import Store
from tests.disk.power import Tree, lay, prove
from tests.disk.recording import RecordingFiles
from tests.outputs.test_publisher import Target, target

DATA = b"take 1 " * 1_500
SHA = hashlib.sha256(DATA).hexdigest()
MINE = b"a file of the user " * 300
TAKE, FINAL = "renders/takes/t01.mp4", "renders/w.mp4"


def publish(tmp_path: Path, fs: RecordingFiles) -> Target:
    wanted = target(tmp_path, 1)
    with Store.open(tmp_path / "store") as store:
        temporary = store.blobs.temporary()
        temporary.write_bytes(DATA)
        store.blobs.adopt(temporary, SHA)
        result = Result(
            namespace="https://api.example",
            fingerprint="f" * 64,
            blob=SHA,
            size=len(DATA),
            attempt="A1",
            charge=100,
            generation_id="g1",
            made_at=1_785_000_000.0,
        )
        tree = TreePublisher(
            store.blobs, store.digests(), now=lambda: 1_785_000_000.0, tool_version="1.0.0", finished=None, fs=fs
        )
        tree.publish(wanted, result, "{}")
    return wanted


def published(tree: Tree) -> None:
    assert tree.get(TAKE) == DATA
    assert tree.get(FINAL) == DATA
    assert sidecar.sha256_in(tree.get(f"{TAKE}.json")) == SHA


def whole(tree: Tree) -> None:
    for path in (TAKE, FINAL):
        assert tree.get(path) in {None, DATA, MINE}
    data = tree.get(f"{TAKE}.json")
    assert data is None or sidecar.sha256_in(data) == SHA or json.loads(data) == {"mine": True}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def test_take_sidecar_and_final_are_whole_and_there_once_published(tmp_path: Path, project: Path) -> None:
    """An attempt is called done only when its files, and the folders that they needed, are safe."""
    fs = RecordingFiles(project, chunk=8192)
    publish(tmp_path, fs)
    fs.promise(published)
    assert prove(fs, whole).states > 40


def test_what_is_in_the_way_is_lost_in_no_state(tmp_path: Path, project: Path) -> None:
    """Files of the user go to the trash: at every moment they lie in one of the two places, whole."""
    for path in (TAKE, FINAL):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_bytes(MINE)
    (project / f"{TAKE}.json").write_text('{"mine": true}')
    fs = RecordingFiles(project)
    publish(tmp_path, fs)
    fs.promise(published)

    def kept(tree: Tree) -> None:
        whole(tree)
        for path in (TAKE, FINAL):
            name = path.partition("/")[2]
            lying = {content for place, content in tree.items() if place == path or place.endswith(f"Z/{name}")}
            assert MINE in lying, sorted(tree)

    assert prove(fs, kept).states > 25


def test_a_killed_publisher_s_next_run_makes_it_whole(tmp_path: Path, project: Path) -> None:
    """What one process left at a power loss, the next one completes: every state is a good start."""
    fs = RecordingFiles(project)
    publish(tmp_path, fs)
    states: list[Tree] = []
    prove(fs, lambda tree: states.append(dict(tree)))
    for number, state in enumerate(states[:: max(1, len(states) // 25)]):
        again = tmp_path / str(number)
        lay(state, again / "project")
        publish(again, RecordingFiles(again / "project"))
        assert (again / "project" / TAKE).read_bytes() == DATA
        assert (again / "project" / FINAL).read_bytes() == DATA


def test_the_index_is_the_old_one_or_the_new_one(tmp_path: Path, project: Path) -> None:
    """Programs that read it never see half of it."""
    with Store.open(tmp_path / "store") as store:
        root = project / "renders"

        def write(provider: str, fs: RecordingFiles) -> None:
            tree = OutputTree(root=root, digests=store.digests(), stamp="s", fs=fs)
            write_index(tree, document("tiny", provider, ()))

        write("previz", RecordingFiles(project))
        old = (root / NAME).read_bytes()
        fs = RecordingFiles(project, chunk=64)
        write("aimlapi", fs)
    new = (root / NAME).read_bytes()
    assert read_index(root) is not None

    def check(tree: Tree) -> None:
        assert tree[f"renders/{NAME}"] in {old, new}

    def there(tree: Tree) -> None:
        assert tree[f"renders/{NAME}"] == new

    fs.promise(there)
    assert prove(fs, check).states > 10
