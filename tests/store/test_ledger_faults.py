"""The ledger when disk, file or process fail."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kling_render.errors import StoreFault
from kling_render.lifecycle.records import Attempt
from kling_render.store.ledger import SqliteLedger, connect, create_schema, statements, version_of
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt, start


def reserve(store: Store) -> None:
    with store.ledger.writing() as transaction:
        transaction.reserve(attempt(1), ())


def test_a_full_disk_is_a_fault_with_a_remedy_and_nothing_is_durable(tmp_path: Path) -> None:
    """The caller may rely on it: what was refused is not there."""
    with Store.open(tmp_path / "store", max_pages=30) as store:
        with pytest.raises(StoreFault) as caught, store.ledger.writing() as transaction:
            transaction.reserve(attempt(1, manifest="x" * 300_000), ())
        assert caught.value.code == "store-full"
        assert "Free some space" in caught.value.help
        with store.ledger.reading() as view:
            assert view.attempts(NAMESPACE) == []


def test_a_ledger_locked_by_another_process_is_a_fault_after_the_wait(tmp_path: Path) -> None:
    """Waiting has an end, and the end a message."""
    Store.open(tmp_path / "store").close()
    script = """
import sys
from pathlib import Path
from kling_render.store.opening import Store
with Store.open(Path(sys.argv[1])) as store, store.ledger.writing():
    print("locked", flush=True)
    sys.stdin.readline()
"""
    child = start(script, tmp_path / "store")
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with Store.open(tmp_path / "store", timeout_s=0.05) as store:
            with pytest.raises(StoreFault, match="another process") as caught:
                reserve(store)
            assert caught.value.code == "store-locked"
    finally:
        child.communicate("\n", timeout=10)


def test_a_damaged_ledger_is_found_before_the_first_write(tmp_path: Path) -> None:
    """Money is not booked into a broken book."""
    with Store.open(tmp_path / "store") as store:
        with store.ledger.writing() as transaction:
            for number in range(300):
                transaction.reserve(attempt(number), ())
        path = store.layout.ledger
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\xa5" * 4096
    path.write_bytes(data)
    with Store.open(tmp_path / "store") as store, pytest.raises(StoreFault) as caught:
        store.ledger.check()
    assert caught.value.code == "store-corrupt"
    assert "backups" in caught.value.help


def test_a_ledger_is_durable_across_kill_9(tmp_path: Path) -> None:
    """What returned is there, without a close."""
    script = """
import os, signal, sys
from pathlib import Path
from kling_render.store.opening import Store
from tests.store.support import attempt
store = Store.open(Path(sys.argv[1]))
with store.ledger.writing() as ledger:
    ledger.reserve(attempt(1), ())
os.kill(os.getpid(), signal.SIGKILL)
"""
    start(script, tmp_path / "store").communicate(timeout=20)
    with Store.open(tmp_path / "store") as store, store.ledger.reading() as view:
        assert view.attempt("A00001") == attempt(1)


@pytest.mark.parametrize("end", [";\n", ";", "", " -- the end"])
def test_a_statement_per_table_is_run_from_the_schema(end: str) -> None:
    """Neither do line breaks hide a statement, nor the lack of a semicolon after the last."""
    found = list(statements(f"CREATE TABLE a (b);\nCREATE\nINDEX c ON a (b){end}"))
    assert [statement.split()[1] for statement in found] == ["TABLE", "INDEX"]


@pytest.mark.parametrize(
    ("made", "code"), [("folder", "store-permission"), ("nothing", "store-io"), ("text", "store-corrupt")]
)
def test_a_ledger_that_cannot_be_opened_is_a_fault_with_a_remedy(tmp_path: Path, made: str, code: str) -> None:
    """A folder in its place, no folder to lie in, a file that is no database."""
    path = tmp_path / "store" / "ledger.sqlite3"
    if made == "folder":
        path.mkdir(parents=True)
    elif made == "text":
        path.parent.mkdir()
        path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreFault, match="cannot open the ledger") as caught:
        connect(path)
    assert (caught.value.code, bool(caught.value.help)) == (code, True)


def spoil(path: Path) -> None:
    """Damage the text of the schema so that not even SQLite's own message about it can be read."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET name = CAST(x'ff' AS TEXT), sql = 'x' WHERE type = 'index'")
        (version,) = other.execute("PRAGMA schema_version").fetchone()
        other.execute(f"PRAGMA schema_version = {version + 1}")
        other.commit()


def test_a_schema_that_is_no_text_is_damage_before_and_after_the_opening(tmp_path: Path) -> None:
    """Python cannot decode what SQLite says of it; the user is told all the same."""
    path = tmp_path / "ledger.sqlite3"
    with closing(connect(path)) as ledger:
        create_schema(ledger)
        spoil(path)
        with pytest.raises(StoreFault, match="damaged") as met, ledger.reading() as view:
            view.attempts(NAMESPACE)
    with pytest.raises(StoreFault, match="damaged") as opened:
        connect(path)
    assert (met.value.code, opened.value.code) == ("store-corrupt", "store-corrupt")


def test_a_database_of_another_program_is_told_by_its_mark(tmp_path: Path) -> None:
    """Even an empty one: somebody has put their mark on it."""
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 7")
    with closing(connect(path)) as ledger, pytest.raises(StoreFault, match="another program") as caught:
        version_of(ledger)
    assert caught.value.code == "store-foreign"


def test_tables_that_another_process_made_meanwhile_are_left_alone(tmp_path: Path) -> None:
    """Both saw an empty file; what the faster one has written already stays."""
    path = tmp_path / "ledger.sqlite3"
    with closing(connect(path)) as slower, closing(connect(path)) as faster:
        create_schema(faster)
        with faster.writing() as transaction:
            transaction.reserve(attempt(1), ())
        create_schema(slower)
        assert known(slower) == attempt(1)
        assert version_of(slower) == version_of(faster) > 0


def test_a_copy_holds_everything_and_a_copy_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    """Migrations and exports rest on it."""
    with Store.open(tmp_path / "store") as store:
        reserve(store)
        store.ledger.back_up(tmp_path / "copy")
        with closing(connect(tmp_path / "copy")) as copy:
            assert known(copy) == attempt(1)
        with pytest.raises(StoreFault, match="cannot back the ledger up"):
            store.ledger.back_up(tmp_path / "nowhere" / "copy")


def known(ledger: SqliteLedger) -> Attempt | None:
    with ledger.reading() as view:
        return view.attempt("A00001")
