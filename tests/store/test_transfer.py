"""A store in one file: out, in, merged; what is not sound changes nothing, and nothing is paid again for it."""

from __future__ import annotations

import errno
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.errors import StoreFault, UsageError
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt, Result, Taken
from kling_render.lifecycle.states import Event
from kling_render.store.integrity import survey
from kling_render.store.opening import Store
from kling_render.store.transfer import Imported, export_store, import_store
from tests.store.dying import killed_at_every_call, posix
from tests.store.upkeep import (
    NAMESPACE,
    WAYS,
    attempt,
    digest,
    done,
    fault_of,
    keep,
    listing,
    rehearsal,
    spoil,
    walk,
)

AT = 5_000_000.0


def silent(_done: int, _all: int) -> None:
    return


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def export(store: Store, name: str = "store.tar") -> Path:
    made = export_store(store, store.layout.root.parent / name, silent, token=os.urandom(8).hex())
    return made.path


def bring(store: Store, source: Path, **options: object) -> Imported:
    token = os.urandom(8).hex()
    return import_store(store, source, AT, silent, token=token, **options)  # type: ignore[arg-type]


def fill(store: Store) -> None:
    """Attempts in every state, a rehearsal, and bytes without a record."""
    for number, state in enumerate(WAYS, 1):
        if state != "made":
            walk(store, number, state, b"result %d" % number)
    rehearsal(store, 90, b"drawn")
    keep(store, b"nobody knows")


def content(store: Store) -> object:
    """Everything that the ledger says, and the bytes."""
    with store.ledger.reading() as ledger:
        names = ledger.namespaces()
        attempts = [each for name in names for each in ledger.attempts(name)]
        history = [ledger.history(each.id) for each in attempts]
        return attempts, [ledger.results(name) for name in names], history, listing(store.layout.blobs)


def records(store: Store) -> tuple[list[Attempt], Mapping[str, Result]]:
    """What the ledger says about attempts and results."""
    with store.ledger.reading() as ledger:
        return ledger.attempts(NAMESPACE), ledger.results(NAMESPACE)


def sound(store: Store) -> bool:
    found = survey(store, store.ledger)
    return not (found.contradictions or found.missing or found.misshapen or found.leftovers)


def test_a_store_goes_into_one_file_and_comes_out_the_same(store: Store, tmp_path: Path) -> None:
    """All but the claims for which nothing was sent."""
    fill(store)
    with Store.open(tmp_path / "other") as other:
        imported = bring(other, export(store))
        with store.ledger.writing() as ledger:
            ledger.record("A00001", Event.RELEASE, AT)
        assert content(other) == content(store)
        assert (imported.merged.left_out, imported.merged.new, imported.files) == (1, 14, 4)
        assert sound(other)


def test_the_same_store_gives_the_same_file_for_its_user_alone(store: Store) -> None:
    """An ordinary tar, whose every name and sum is listed at its beginning."""
    fill(store)
    one, two = export(store, "one.tar"), export(store, "two.tar")
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_mode & 0o777 == 0o600
    with tarfile.open(one, "r:") as archive:
        names = archive.getnames()
        table = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert names[:2] == ["manifest.json", "ledger.sqlite3"]
    assert [Path(name).name for name in names[2:]] == [blob["sha256"] for blob in table["blobs"]]
    assert names == [names[0], names[1], *sorted(names[2:])]


def test_nothing_is_overwritten_and_nothing_half_written_stays(store: Store) -> None:
    """Neither what stands there already, nor after a full disk, nor after damage."""
    held = done(store, 1, b"result")
    path = export(store)
    with pytest.raises(UsageError):
        export(store)
    path.unlink()
    store.fs = FaultyFiles(6, errno.ENOSPC, only={"write"})
    with pytest.raises(StoreFault) as caught:
        export(store)
    assert caught.value.code == "store-full"
    store.fs = FaultyFiles(0, 0)
    assert held.blob is not None
    spoil(store.blobs.path(held.blob), b"dam ed")
    with pytest.raises(StoreFault, match="damaged") as caught:
        export(store)
    assert "verify --read-data" in caught.value.help
    assert sorted(each.name for each in store.layout.root.parent.iterdir()) == ["store"]
    assert list(store.layout.tmp.iterdir()) == []


def test_an_import_merges_and_does_so_once(store: Store, tmp_path: Path) -> None:
    """What both know stays; a second import of the same file changes nothing."""
    done(store, 1, b"both")
    path = export(store, "both.tar")
    with Store.open(tmp_path / "other") as other:
        done(other, 2, b"only there")
        first, before = bring(other, path), content(other)
        again = bring(other, path)
        assert (first.merged.new, again.merged.new, again.merged.known) == (1, 0, 1)
        assert content(other) == before
        assert sound(other)
        assert len(list(other.layout.backups.iterdir())) == 2
        with other.ledger.reading() as ledger:
            assert set(ledger.results(NAMESPACE)) == {attempt(1).fingerprint, attempt(2).fingerprint}


@pytest.mark.parametrize(
    ("here", "there", "stands"),
    [
        ("in-doubt", "done", "done"),
        ("done", "in-doubt", "done"),
        ("accepted", "remote-failed", "remote-failed"),
        ("in-doubt", "absent", "absent"),
        ("absent", "accepted", "accepted"),
        ("ready", "fetched", "fetched"),
        ("intent", "reserved", "intent"),
    ],
)
def test_of_one_attempt_the_later_state_is_kept(
    store: Store, tmp_path: Path, here: str, there: str, stands: str
) -> None:
    """Each ledger may know more than the other."""
    walk(store, 1, there, b"result")
    with Store.open(tmp_path / "other") as other:
        walk(other, 1, here, b"result")
        bring(other, export(store))
        with other.ledger.reading() as ledger:
            kept = ledger.attempt("A00001")
            assert kept is not None
            assert kept.state == stands
            history = ledger.history("A00001")
            assert len({(step.at, step.event) for step in history}) == len(history)
        assert sound(other)


@pytest.mark.parametrize(
    ("here", "there", "holder"),
    [
        ("accepted", "done", "there"),
        ("done", "accepted", "here"),
        ("done", "done", "here"),
        ("in-doubt", "ready", "there"),
        ("abandoned", "in-doubt", "there"),
        ("fetched", "done", "there"),
        ("reserved", "accepted", "there"),
    ],
)
def test_two_payments_for_one_fingerprint_are_both_kept_and_one_holds_it(
    store: Store, tmp_path: Path, here: str, there: str, holder: str
) -> None:
    """Never two live attempts; the one that is nearer to a result wins, and nothing can be paid a third time."""
    same = attempt(1).fingerprint
    walk(store, 2, there, b"from there", fingerprint=same)
    with Store.open(tmp_path / "other") as other:
        walk(other, 1, here, b"from here")
        imported = bring(other, export(store))
        winner, loser = ("A00002", "A00001") if holder == "there" else ("A00001", "A00002")
        assert imported.merged.set_aside == [(loser, winner)]
        with other.ledger.writing() as ledger:
            again = ledger.reserve(attempt(3, fingerprint=same), ())
            assert isinstance(again, Taken)
            assert again.attempt.id == winner
            assert {each.id for each in ledger.attempts(NAMESPACE)} == {"A00001", "A00002"}
            assert ledger.spent(NAMESPACE).committed >= 100
            assert ledger.history(loser)[-1].detail == {"by": "import", "holder": winner}
        assert sound(other)


def test_the_account_s_log_is_read_from_scratch_after_an_import(store: Store, tmp_path: Path) -> None:
    """Neither ledger's reads count: nobody knows what was paid between the two."""
    read = LogRead(namespace=NAMESPACE, account="acc", start=0.0, end=10.0, at=10.0, newest_own=None)
    for one in (store, other := Store.open(tmp_path / "other")):
        with one.ledger.writing() as ledger:
            ledger.add_log_read(read)
            ledger.learn(f"log-showed:{NAMESPACE}:acc:{'a' * 32}")
            ledger.learn("log-lists-running:x:acc")
    bring(other, export(store))
    with other.ledger.reading() as ledger:
        assert ledger.log_reads(NAMESPACE, "acc") == []
        assert not ledger.knows(f"log-showed:{NAMESPACE}:acc:{'a' * 32}")
        assert ledger.knows("log-lists-running:x:acc")
    other.close()


# -- files that are not sound ------------------------------------------------------------------------------------------


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def _members(good: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(good)) as archive:
        return [(_member(info.name), archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]


def _rebuilt(good: bytes, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]) -> bytes:
    members = _members(good)
    change(members)
    return _tar(*members)


def _swap(member: int, info: tarfile.TarInfo) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]:
    return lambda members: members.__setitem__(member, (info, members[member][1]))


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "another file": lambda _: b"GIF89a" * 400,
    "cut in the middle": lambda good: good[: len(good) // 2],
    "cut at its end": lambda good: good[:-600],
    "something behind its end": lambda good: good + b"x",
    "a flipped bit": lambda good: good[:-3000] + bytes([good[-3000] ^ 1]) + good[-2999:],
    "compressed": lambda good: __import__("gzip").compress(good),
    "a way out": lambda good: _rebuilt(good, _swap(2, _member("../../outside"))),
    "an absolute name": lambda good: _rebuilt(good, _swap(2, _member("/etc/passwd"))),
    "a symlink": lambda good: _rebuilt(good, _swap(2, _member("blobs/aa/x", tarfile.SYMTYPE, "/etc/passwd"))),
    "a hard link": lambda good: _rebuilt(good, _swap(2, _member("blobs/aa/x", tarfile.LNKTYPE, "ledger.sqlite3"))),
    "a device": lambda good: _rebuilt(good, _swap(2, _member("blobs/aa/x", tarfile.CHRTYPE))),
    "a pipe": lambda good: _rebuilt(good, _swap(2, _member("blobs/aa/x", tarfile.FIFOTYPE))),
    "a sparse file": lambda good: _rebuilt(good, _swap(2, _member("blobs/aa/x", tarfile.GNUTYPE_SPARSE))),
    "a file twice": lambda good: _rebuilt(good, lambda members: members.append(members[2])),
    "a file too few": lambda good: _rebuilt(good, lambda members: members.pop()),
    "no table of contents": lambda good: _rebuilt(good, lambda members: members.pop(0)),
    "other bytes": lambda good: _rebuilt(good, lambda m: m.__setitem__(2, (m[2][0], b"X" * len(m[2][1])))),
    "a table that is no table": lambda good: _rebuilt(good, lambda m: m.__setitem__(0, (m[0][0], b"[" * 100_000))),
    "a size that is a lie": lambda good: good[:124] + b"77777777777\0" + good[136:],
}


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_is_not_sound_is_refused_and_changes_nothing(
    store: Store, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Nothing outside the store either."""
    done(store, 1, b"one")
    done(store, 2, b"two")
    path = export(store)
    path.write_bytes(damage(path.read_bytes()))
    with Store.open(tmp_path / "inner" / "other") as other:
        done(other, 3, b"three")
        before = listing(other.layout.root)
        with pytest.raises(StoreFault) as caught:
            bring(other, path)
        assert (caught.value.exit_code, caught.value.code) == (7, "archive")
        assert "Nothing was changed" in caught.value.help
        assert listing(other.layout.root) == before
    assert sorted(each.name for each in (tmp_path / "inner").iterdir()) == ["other"]


def _with_ledger(store: Store, change: str, name: str = "bad.tar") -> Path:
    """An export whose ledger was changed by hand, with the sums put right."""
    members = _members(export(store, "good.tar").read_bytes())
    scratch = store.layout.root.parent / "scratch.sqlite3"
    scratch.write_bytes(members[1][1])
    connection = sqlite3.connect(scratch, isolation_level=None)
    connection.executescript(change)
    connection.close()
    data = scratch.read_bytes()
    table = json.loads(members[0][1]) | {"ledger": {"sha256": digest(data), "size": len(data)}}
    path = store.layout.root.parent / name
    path.write_bytes(_tar((members[0][0], json.dumps(table).encode()), (members[1][0], data), *members[2:]))
    return path


LIES = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON attempts BEGIN DELETE FROM results; END",
    "a view": "CREATE VIEW v AS SELECT * FROM attempts",
    "another table": "CREATE TABLE more (x)",
    "a table too few": "DROP TABLE log_reads",
    "another program": "PRAGMA application_id = 7",
    "no format": "PRAGMA user_version = 0",
    "a state that is none": "PRAGMA ignore_check_constraints = ON; UPDATE attempts SET state = 'free'",
    "an id with a slash": "PRAGMA foreign_keys = OFF; UPDATE attempts SET id = '../x'; "
    "UPDATE results SET attempt = '../x'; UPDATE transitions SET attempt = '../x'",
    "bytes that have no name": "UPDATE attempts SET blob = '../../x'",
    "a result of nobody": "PRAGMA foreign_keys = OFF; UPDATE results SET attempt = 'A99999'",
    "an output elsewhere": "UPDATE attempts SET output = '/home/you/.bashrc.mp4'",
    "a way out of the project": "UPDATE attempts SET output = '/project/renders/../../x.mp4'",
    "an output folder elsewhere": "UPDATE attempts SET root = '/', output = '/x.mp4', final = '/y.mp4'",
    "no video": "UPDATE attempts SET final = '/project/renders/.bashrc'",
    "a number as text": "UPDATE attempts SET manifest = x'00ff'",
    "a negative charge": "UPDATE attempts SET charge = -100",
    "no end of time": "UPDATE attempts SET reserved_at = 9e999",
    "a history that is none": "UPDATE transitions SET detail = 'x'",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_ledger_that_is_not_one_of_ours_is_refused(store: Store, tmp_path: Path, lie: str) -> None:
    """The sums are right, and yet not a row of it is believed."""
    done(store, 1, b"one")
    path = _with_ledger(store, lie)
    with Store.open(tmp_path / "other") as other:
        before = listing(other.layout.root)
        with pytest.raises(StoreFault) as caught:
            bring(other, path)
        assert caught.value.code == "archive"
        assert "ledger" in caught.value.message or "attempt" in caught.value.message
        assert listing(other.layout.root) == before


def test_an_attempt_that_is_another_one_there_is_refused(store: Store, tmp_path: Path) -> None:
    """Two stores cannot have used one id for two things."""
    done(store, 1, b"one")
    with Store.open(tmp_path / "other") as other:
        walk(other, 1, "accepted", fingerprint="f" * 64)
        before = content(other)
        with pytest.raises(StoreFault, match="another in this store"):
            bring(other, export(store))
        assert content(other) == before or listing(other.layout.blobs)
        with other.ledger.reading() as ledger:
            assert [each.fingerprint for each in ledger.attempts(NAMESPACE)] == ["f" * 64]


def test_a_file_of_a_newer_format_is_refused_with_7(store: Store, tmp_path: Path) -> None:
    """By the archive's own format, or by its ledger's."""
    done(store, 1, b"one")
    path = export(store)
    newer = _rebuilt(
        path.read_bytes(), lambda m: m.__setitem__(0, (m[0][0], m[0][1].replace(b"archive/1", b"archive/2")))
    )
    path.write_bytes(newer)
    for each in (path, _with_ledger(store, "PRAGMA user_version = 2")):
        with Store.open(tmp_path / "other") as other, pytest.raises(StoreFault) as caught:
            bring(other, each)
        assert (caught.value.exit_code, caught.value.code) == (7, "store-newer")
        assert "Upgrade" in caught.value.help


def test_a_file_of_an_older_format_is_migrated_on_the_way(store: Store, tmp_path: Path) -> None:
    """The steps run on the copy."""
    done(store, 1, b"one")
    path = export(store)

    def widen(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE facts ADD COLUMN since REAL")

    with Store.open(tmp_path / "other") as other, pytest.raises(StoreFault, match="other tables"):
        bring(other, path, version=2, migrations={1: widen})
    with Store.open(tmp_path / "other") as other:
        assert bring(other, path, version=2, migrations={1: lambda _: None}).merged.new == 1


# -- faults ------------------------------------------------------------------------------------------------------------


def two_stores(folder: Path) -> tuple[Path, Path]:
    """An export of one store, and another store."""
    with Store.open(folder / "store") as store:
        done(store, 1, b"one")
        walk(store, 2, "accepted")
        path = export(store)
    with Store.open(folder / "other") as other:
        done(other, 3, b"three")
    return path, folder / "other"


@posix
def test_a_killed_import_leaves_the_store_as_it_was_and_can_be_repeated(tmp_path: Path) -> None:
    """SIGKILL at every call of the disk in turn; at most some bytes without a record are left behind."""
    path, template = two_stores(tmp_path)
    killed = killed_at_every_call("import", template, path)
    for location in killed:
        with Store.open(location) as other:
            committed = len(records(other)[0]) == 3
            assert bring(other, path).merged.new == (0 if committed else 2)
            assert sound(other)
            assert set(listing(other.layout.blobs).values()) == {b"one", b"three"}
    assert len(killed) > 30


@pytest.mark.parametrize(
    ("error", "code"),
    [(errno.ENOSPC, "store-full"), (errno.EROFS, "store-read-only"), (errno.EIO, "store-io")],
)
def test_every_failing_call_is_a_fault_and_leaves_the_store_as_it_was(tmp_path: Path, error: int, code: str) -> None:
    """Full, read-only, broken, from then on."""
    for at in range(1, 200, 6):
        path, location = two_stores(tmp_path / str(at))
        with Store.open(location) as other:
            before = records(other)
            other.fs = other.blobs._fs = FaultyFiles(at, error, persistent=True)
            fault = fault_of(lambda: bring(other, path))  # noqa: B023 - called at once
            if fault is None:
                break
        assert (fault.code, fault.exit_code) == (code, 7)
        with Store.open(location) as other:
            assert records(other) == before
    assert 20 < at < 190
