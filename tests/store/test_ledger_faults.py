"""The ledger when disk, file or process fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_render.errors import StoreFault
from kling_render.store.ledger import statements
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


def test_a_statement_per_table_is_run_from_the_schema() -> None:
    """Comments and line breaks do not hide a statement."""
    assert [s.split()[1] for s in statements("CREATE TABLE a (b);\nCREATE\nINDEX c ON a (b);\n")] == [
        "TABLE",
        "INDEX",
    ]
