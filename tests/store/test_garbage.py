"""What could go from a store, the way to its trash and back, and what dies on that way."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.disk.publish import part_name
from kling_render.errors import StoreFault
from kling_render.lifecycle.states import Event
from kling_render.store.exclusive import exclusive
from kling_render.store.garbage import Holder, Item, Kind, garbage
from kling_render.store.opening import Store
from kling_render.store.trash import batches, empty, free_bytes_thrown, throw, undo
from tests.store.dying import killed_at_every_call, posix
from tests.store.upkeep import NAMESPACE, digest, done, fault_of, keep, listing, rehearsal, spoil, walk

NOW = 10_000_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def found(
    store: Store, in_use: Callable[[Holder], bool] = lambda _: False, inputs: set[str] | None = None
) -> dict[str, Item]:
    """What could go, by its path."""
    thrown = free_bytes_thrown(batches(store))
    items = garbage(store, now=NOW, free=("previz",), in_use=in_use, inputs=inputs or set(), thrown=thrown)
    return {item.path: item for item in items}


def unasked(store: Store) -> list[Item]:
    return [item for item in found(store).values() if not item.paid]


def test_a_result_that_stands_in_an_output_folder_is_no_garbage(store: Store) -> None:
    """Neither a paid one nor a rehearsal."""
    done(store, 1, b"paid")
    rehearsal(store, 2, b"drawn")
    assert found(store, in_use=lambda _: True) == {}


def test_each_kind_is_named_with_what_it_cost_and_paid_bytes_are_marked(store: Store) -> None:
    """What was paid for goes only when that is asked for."""
    done(store, 1, b"superseded")
    rehearsal(store, 2, b"drawn")
    walk(store, 3, "ready")
    keep(store, b"nobody knows")
    keep(store, b"an input")
    lost = done(store, 4, b"lost")
    with store.ledger.writing() as ledger:
        ledger.record(lost.id, Event.REFETCH, 1.0)
        ledger.record(lost.id, Event.LOSE, 2.0)
    kinds = {
        item.kind.value: (item.credits, item.paid, item.jobs)
        for item in found(store, inputs={digest(b"an input")}).values()
    }
    assert kinds == {
        "superseded": (100, True, ("sc010/fox/wave/t01",)),
        "rehearsal": (0, False, ("sc010/fox/wave/t02",)),
        "unknown": (None, True, ()),
        "input": (0, False, ()),
        "unreferenced": (100, True, ("sc010/fox/wave/t04",)),
    }


@pytest.mark.parametrize("state", ["ready", "fetched", "in-doubt", "accepted"])
def test_what_is_under_way_is_no_garbage(store: Store, state: str) -> None:
    """Its bytes, if there are any yet, are still to be published."""
    walk(store, 1, state, b"bytes")
    assert found(store) == {}


def test_damaged_bytes_may_go_once_a_whole_copy_is_there(store: Store) -> None:
    """Until then they are all that is left of what was paid."""
    held = done(store, 1, b"result")
    assert held.blob is not None
    spoil(store.blobs.path(held.blob))
    assert store.blobs.verified(held.blob) is None
    (item,) = found(store).values()
    assert (item.kind, item.credits, item.paid) == (Kind.QUARANTINE, 100, True)
    keep(store, b"result")
    (item,) = found(store, in_use=lambda _: True).values()
    assert (item.credits, item.paid) == (100, False)


def test_leftovers_and_old_backups_go_the_living_ones_stay(store: Store) -> None:
    """A file of a process that runs is being written."""
    owner = store.register("alive")
    (store.layout.tmp / "alive.0001").write_bytes(b"x")
    (store.layout.tmp / "dead.0001").write_bytes(b"x")
    store.layout.backups.mkdir()
    for number in range(4):
        backup = store.layout.backups / f"ledger-format1-{number}.sqlite3"
        backup.write_bytes(b"x")
        os.utime(backup, (1000.0 + number, 1000.0 + number))
    names = {Path(path).name for path in found(store)}
    assert names == {"dead.0001", "ledger-format1-0.sqlite3", "ledger-format1-1.sqlite3"}
    owner.release()


def test_strips_of_no_finding_go_and_so_does_what_was_half_written(store: Store) -> None:
    """Fresh ones may be of a `check` that runs; what is thrown comes back."""
    previews = store.layout.previews / "ab"
    for folder in (previews, store.layout.warnings):
        folder.mkdir(parents=True)
    names = ("used-cuts.png", "old-cuts.png", "new-cuts.png", "old-cuts.png.part")
    paths = [store.layout.warnings / name for name in names] + [previews / part_name(), previews / ".DS_Store"]
    for path in paths:
        path.write_bytes(b"x")
        if "new" not in path.name:
            os.utime(path, (1000.0, 1000.0))
    os.utime(paths[2], (NOW, NOW))
    items = garbage(store, now=NOW, free=("previz",), in_use=lambda _: False, inputs=set(), strips={"used-cuts.png"})
    kinds = {Path(item.path).name: (item.kind, item.paid) for item in items}
    assert kinds == {
        "old-cuts.png": (Kind.STRIP, False),
        "old-cuts.png.part": (Kind.TEMPORARY, False),
        paths[-2].name: (Kind.TEMPORARY, False),
    }
    throw(store, items, NOW)
    assert [path.name for path in paths if path.exists()] == ["used-cuts.png", "new-cuts.png", ".DS_Store"]
    assert undo(store, NOW) is not None
    assert all(path.exists() for path in paths)


def test_a_store_that_lost_its_marker_is_one_all_the_same(tmp_path: Path) -> None:
    """Whatever folders of ours it holds."""
    with Store.open(tmp_path / "store") as opened:
        for folder in (opened.layout.previews, opened.layout.warnings):
            folder.mkdir()
        opened.layout.marker.unlink()
    with Store.open(tmp_path / "store") as opened:
        assert opened.layout.marker.is_file()


def test_what_was_thrown_comes_back_as_it_was(store: Store) -> None:
    """Files, results and history, byte for byte."""
    rehearsal(store, 1, b"drawn")
    done(store, 2, b"paid")
    keep(store, b"nobody knows")
    before, held = listing(store.layout.blobs), _records(store)
    throw(store, list(found(store).values()), NOW)
    assert listing(store.layout.blobs) == {}
    with store.ledger.reading() as ledger:
        assert ledger.results("previz") == {}
        assert ledger.attempts("previz") == []
        assert len(ledger.attempts(NAMESPACE)) == len(ledger.results(NAMESPACE)) == 1
    undone = undo(store, NOW)
    assert undone is not None
    assert (undone.files, undone.gone) == (3, ())
    assert (listing(store.layout.blobs), _records(store)) == (before, held)
    assert undo(store, NOW) is None


def _records(store: Store) -> object:
    with store.ledger.reading() as ledger:
        names = ledger.namespaces()
        attempts = [each for name in names for each in ledger.attempts(name)]
        return attempts, [ledger.results(name) for name in names], [ledger.history(each.id) for each in attempts]


def test_the_last_batch_comes_back_first(store: Store) -> None:
    """Undo, undo: the state before both."""
    for number in (1, 2):
        rehearsal(store, number, b"%d" % number)
        throw(store, unasked(store), NOW - number)  # the clock may run backwards
    for number in (2, 1):
        undone = undo(store, NOW)
        assert undone is not None
        assert [item.sha256 for item in undone.batch.items] == [digest(b"%d" % number)]


def test_a_rehearsal_that_was_drawn_again_meanwhile_keeps_its_place(store: Store) -> None:
    """The older one comes back as a record that holds nothing."""
    rehearsal(store, 1, b"drawn")
    throw(store, unasked(store), NOW)
    rehearsal(store, 1, b"drawn again", id="A00099")
    assert undo(store, NOW) is not None
    with store.ledger.reading() as ledger:
        (result,) = ledger.results("previz").values()
        assert result.attempt == "A00099"
        assert {each.id for each in ledger.attempts("previz")} == {"A00001", "A00099"}
    assert [item.kind for item in unasked(store)] == [Kind.REHEARSAL, Kind.REHEARSAL]


def test_trashed_bytes_that_are_wanted_come_back_by_themselves(store: Store) -> None:
    """Nothing is fetched, and nothing is paid."""
    held = done(store, 1, b"paid")
    throw(store, list(found(store).values()), NOW)
    assert held.blob is not None
    assert not store.blobs.has(held.blob)
    path = store.blobs.verified(held.blob)
    assert path is not None
    assert path.read_bytes() == b"paid"
    undone = undo(store, NOW)
    assert undone is not None
    assert (undone.files, undone.gone) == (0, ())


def test_bytes_that_came_anew_stay_and_the_trash_gives_up_its_copy(store: Store) -> None:
    """Same name, same bytes; if what came is damaged, the trash's copy takes its place."""
    held = done(store, 1, b"paid")
    assert held.blob is not None
    for damage in (None, b"damaged"):
        throw(store, [item for item in found(store).values() if item.kind is Kind.SUPERSEDED], NOW)
        home = store.blobs.path(held.blob)
        home.write_bytes(b"paid" if damage is None else damage)
        assert undo(store, NOW) is not None
        assert home.read_bytes() == b"paid"
        assert batches(store) == []


def test_an_emptied_trash_is_gone_for_good(store: Store) -> None:
    """Only batches that were chosen."""
    for number in (1, 2):
        rehearsal(store, number, b"%d" % number)
        throw(store, unasked(store), NOW)
    assert empty(store, batches(store)[:1]) == 1
    assert [batch.items[0].sha256 for batch in batches(store)] == [digest(b"2")]
    undone = undo(store, NOW)
    assert undone is not None
    assert undone.files == 1


def prepared(location: Path) -> tuple[dict[str, bytes], object]:
    """A store with something of most kinds; what it holds."""
    with Store.open(location) as store:
        rehearsal(store, 1, b"drawn")
        done(store, 2, b"paid")
        keep(store, b"nobody knows")
        (store.layout.tmp / "dead.0001").write_bytes(b"x")
        return listing(location / "blobs"), _records(store)


def _all_blobs(location: Path) -> set[bytes]:
    return {data for name, data in listing(location).items() if "blobs/" in name}


@posix
@pytest.mark.parametrize("step", ["throw", "undo", "empty"])
def test_a_kill_at_any_call_loses_nothing_and_can_be_finished_or_undone(tmp_path: Path, step: str) -> None:
    """SIGKILL at every call of the disk in turn: afterwards everything comes back, or goes for good."""
    template = tmp_path / "store"
    before = prepared(template)
    if step != "throw":
        with Store.open(template) as store:
            throw(store, list(found(store).values()), NOW)
    killed = killed_at_every_call(step, template)
    for location in killed:
        with Store.open(location) as store:
            if step == "empty":
                whole = undo(store, NOW) is not None
                empty(store, batches(store))
                assert _all_blobs(location) == (set(before[0].values()) if whole else set())
                assert list(store.layout.trash.iterdir()) == []
                continue
            assert _all_blobs(location) == set(before[0].values())
            undo(store, NOW)
            assert (listing(location / "blobs"), _records(store)) == before
            assert not undo(store, NOW)
            throw(store, list(found(store).values()), NOW)
            assert listing(location / "blobs") == {}
    assert len(killed) > 10


def test_a_gc_that_was_killed_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """Rehearsals whose records were forgotten already are still known to have cost nothing."""
    prepared(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        store.fs = FaultyFiles(2, errno.EIO, only={"replace"}, persistent=True)  # the first rename is the journal's
        assert fault_of(lambda: throw(store, unasked(store), NOW)) is not None
    with Store.open(tmp_path / "store") as store:
        assert Kind.REHEARSAL in {item.kind for item in unasked(store)}
        throw(store, unasked(store), NOW)
        assert unasked(store) == []
        while undo(store, NOW):
            pass
        with store.ledger.reading() as ledger:
            assert len(ledger.results("previz")) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(errno.ENOSPC, "store-full"), (errno.EROFS, "store-read-only"), (errno.EIO, "store-io")],
)
@pytest.mark.parametrize("lasting", [False, True])
def test_every_failing_call_is_a_fault_and_nothing_is_lost(
    tmp_path: Path, error: int, code: str, lasting: bool
) -> None:
    """Full, read-only, broken: what was moved can be brought back."""
    for at in range(1, 60, 5):
        location = tmp_path / str(at)
        before = prepared(location)
        with Store.open(location) as store:
            items = list(found(store).values())
            store.fs = FaultyFiles(at, error, persistent=lasting)
            fault = fault_of(lambda: throw(store, items, NOW))  # noqa: B023 - called at once
        assert fault is None or (fault.code, fault.exit_code, "gc --undo" in fault.help) == (code, 7, True)
        assert _all_blobs(location) == set(before[0].values())
        with Store.open(location) as store:
            undo(store, NOW)
            assert (listing(location / "blobs"), _records(store)) == before
        if fault is None and lasting:
            break
    assert at > 10


def test_a_damaged_journal_is_a_fault_that_names_the_files(store: Store) -> None:
    """And it never leads out of the store."""
    rehearsal(store, 1, b"drawn")
    batch = throw(store, unasked(store), NOW)
    journal = batch.folder / "journal.json"
    text = journal.read_text()
    for wrong in ("", "{}", text.replace("blobs/", "../blobs/"), text.replace('"path": "blobs', '"path": "/blobs')):
        journal.write_text(wrong)
        with pytest.raises(StoreFault, match="damaged"):
            undo(store, NOW)


def test_nothing_is_thrown_while_a_run_is_at_work_and_no_run_begins_meanwhile(store: Store) -> None:
    """Of two that meet, one goes away."""
    owner = store.register("run")
    with pytest.raises(StoreFault, match="at work"), exclusive(store.layout):
        pass
    owner.release()
    with exclusive(store.layout):
        with pytest.raises(StoreFault, match="to itself"):
            store.register("another")
        with pytest.raises(StoreFault, match="to itself"), exclusive(store.layout):
            pass
    store.register("another").release()
