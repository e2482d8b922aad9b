"""The store's files when the power goes at any moment: what was reported as durable is there, nothing is half there."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from kling_render.store.blobs import DiskBlobs
from kling_render.store.garbage import garbage
from kling_render.store.layout import Layout
from kling_render.store.opening import Store
from kling_render.store.spool import Spool, recover
from kling_render.store.trash import throw, undo
from tests.disk.power import Tree, lay, prove
from tests.disk.recording import Died, RecordingFiles
from tests.store.support import attempt
from tests.store.upkeep import keep

DATA = b"a paid video " * 1_000
SHA = hashlib.sha256(DATA).hexdigest()
BLOB = f"blobs/{SHA[:2]}/{SHA}"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "store")
    for folder in made.folders():
        folder.mkdir(parents=True)
    return made


def blob_is_whole(tree: Tree) -> None:
    assert tree.get(BLOB) in {None, DATA}


def blob_is_there(tree: Tree) -> None:
    assert tree.get(BLOB) == DATA


def adopt(layout: Layout, fs: RecordingFiles) -> None:
    blobs = DiskBlobs(layout, fs=fs)
    blobs.owner = "me"
    temporary = blobs.temporary()
    temporary.write_bytes(DATA)
    blobs.adopt(temporary, SHA)


def test_an_adopted_blob_survives_a_power_loss(layout: Layout) -> None:
    """Paid bytes are never half there under their name, and are safe when `adopt` returns."""
    fs = RecordingFiles(layout.root)
    adopt(layout, fs)
    fs.promise(blob_is_there)
    assert prove(fs, blob_is_whole).states > 10


def test_a_blob_that_a_killed_process_left_is_as_safe_as_ones_own(layout: Layout) -> None:
    """Killed at any change; the next process finds folder or blob there already, and the power goes then."""
    for at in count(1):
        root = Layout(layout.root.parent / str(at))
        for folder in root.folders():
            folder.mkdir(parents=True)
        fs = RecordingFiles(root.root, die_at=at)
        try:
            adopt(root, fs)
        except Died:
            fs.revive()
        else:
            break
        adopt(root, fs)
        fs.promise(blob_is_there)
        prove(fs, blob_is_whole)
    assert at > 6


def test_a_damaged_blob_in_quarantine_is_lost_in_no_state(layout: Layout) -> None:
    """Even rotten bytes were paid for: they lie in the one place or in the other."""
    path = layout.root / BLOB
    path.parent.mkdir()
    path.write_bytes(b"rotten")
    fs = RecordingFiles(layout.root)
    blobs = DiskBlobs(layout, fs=fs)
    assert blobs.verified(SHA) is None
    fs.promise(lambda tree: _is(tree.get(f"quarantine/{SHA}") == b"rotten"))
    adopt(layout, fs)
    fs.promise(blob_is_there)

    def kept(tree: Tree) -> None:
        assert b"rotten" in {tree.get(BLOB), tree.get(f"quarantine/{SHA}")}
        assert tree.get(BLOB) in {None, b"rotten", DATA}

    assert prove(fs, kept).states > 10


def test_an_id_in_the_spool_survives_a_power_loss(layout: Layout, tmp_path: Path) -> None:
    """From the moment `put` returns the id is found, and no other id is ever found in a slot that is used again."""
    fs = RecordingFiles(layout.root, chunk=512)
    spool = Spool(layout.spool, "me", fs=fs)
    names = count()
    allowed: set[tuple[str, str]] = set()

    def read(tree: Tree) -> set[tuple[str, str]]:
        real = lay(tree, tmp_path / "state" / str(next(names)))
        return {(each.attempt, each.generation_id) for each in recover(real / "spool", lambda _: False)}

    for number in (1, 2):
        fact = (f"A{number}", f"gen-{number}")
        allowed.add(fact)
        spool.prepare(fact[0])
        spool.put(*fact)
        fs.promise(_finds(read, fact))
        if number == 1:
            break
        spool.release(fact[0])
    proof = prove(fs, lambda tree: _is(read(tree) <= allowed))
    assert proof.states > 10


def test_a_slot_that_is_used_again_holds_the_new_id_or_none(layout: Layout, tmp_path: Path) -> None:
    """The old id is wiped before the next request may be sent."""
    fs = RecordingFiles(layout.root, chunk=1024)
    spool = Spool(layout.spool, "me", fs=fs)
    names = count()

    def read(tree: Tree) -> set[tuple[str, str]]:
        real = lay(tree, tmp_path / "state" / str(next(names)))
        return {(each.attempt, each.generation_id) for each in recover(real / "spool", lambda _: False)}

    spool.prepare("A1")
    spool.put("A1", "gen-1")
    spool.release("A1")
    fs.promise(lambda tree: _is(("A1", "gen-1") not in read(tree)))
    spool.prepare("A2")
    spool.put("A2", "gen-2")
    fs.promise(_finds(read, ("A2", "gen-2")))
    proof = prove(fs, lambda tree: _is(read(tree) <= {("A1", "gen-1"), ("A2", "gen-2")}))
    assert proof.states > 10


def test_the_backup_is_safe_before_the_migration_changes_anything(tmp_path: Path) -> None:
    """A ledger that is half migrated when the power goes can be put back."""
    with Store.open(tmp_path / "store") as store, store.ledger.writing() as ledger:
        ledger.reserve(attempt(1), ())
    fs = RecordingFiles(tmp_path / "store")
    backup = "backups/ledger-format1.sqlite3"
    names = count()

    def holds(tree: Tree) -> None:
        data = tree.get(backup)
        assert data is not None
        copy = tmp_path / f"copy{next(names)}.sqlite3"
        copy.write_bytes(data)
        connection = sqlite3.connect(copy)
        assert connection.execute("SELECT id FROM attempts").fetchall() == [("A00001",)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()

    def migrate(connection: sqlite3.Connection) -> None:
        del connection
        fs.promise(holds)

    Store.open(tmp_path / "store", version=2, migrations={1: migrate}, fs=fs).close()
    whole = (tmp_path / "store" / backup).read_bytes()
    assert prove(fs, lambda tree: _is(tree.get(backup) in {None, whole})).states > 5


def _finds(read: Callable[[Tree], set[tuple[str, str]]], fact: tuple[str, str]) -> Callable[[Tree], None]:
    return lambda tree: _is(fact in read(tree))


def _is(true: bool) -> None:
    assert true


def test_what_gc_moves_and_brings_back_is_lost_in_no_state(tmp_path: Path) -> None:
    """Bytes that may have been paid for lie in their place or in the trash, with the journal that says which."""
    with Store.open(tmp_path / "store") as store:
        for number in range(2):
            keep(store, DATA + bytes([number]))
        fs = RecordingFiles(store.layout.root)
    with Store.open(tmp_path / "store", fs=fs) as store:
        items = list(garbage(store, now=1e10, free=(), in_use=lambda _: False, inputs=set(), thrown=set()))
        assert len(items) == 2
        throw(store, items, 1.0)
        fs.promise(lambda tree: _is(not any(path.startswith("blobs/") and tree[path] for path in tree)))
        thrown = len(fs.journal)
    always = _lies_somewhere([DATA + b"\0", DATA + b"\1"])
    assert prove(fs, always).states > 10
    del fs.journal[thrown - 1]
    with Store.open(tmp_path / "store", fs=fs) as store:
        undo(store, 2.0)
    fs.promise(lambda tree: _is(sum(path.startswith("blobs/") and bool(tree[path]) for path in tree) == 2))
    assert prove(fs, always).states > 15


def _lies_somewhere(wanted: list[bytes]) -> Callable[[Tree], None]:
    def check(tree: Tree) -> None:
        for data in wanted:
            places = [path for path, content in tree.items() if content == data]
            assert places
            folder = places[0].split("/")[:2]
            assert places[0].startswith("blobs/") or "/".join([*folder, "journal.json"]) in tree, sorted(tree)

    return check
