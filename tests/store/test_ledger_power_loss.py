"""The ledger when the power goes, or the disk fails, at any call of SQLite: what returned is there, nothing is torn."""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from kling_render.errors import StoreFault
from kling_render.store.ledger import connect, create_schema
from tests.disk.power import Proof, prove
from tests.store.sqlite_power import FILE, Journal, cut_everywhere, deeds, open_ledger, seen
from tests.store.support import start

DYING = """
import os, signal, sys
from pathlib import Path
from kling_render.store.ledger import create_schema
from tests.store.sqlite_power import Journal, deeds, open_ledger

class Killing(Journal):
    def call(self, name):
        self.calls.append(name)
        if len(self.calls) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

ledger = open_ledger(Path(sys.argv[1]), Killing())
create_schema(ledger)
print("done", flush=True)
for deed in deeds():
    with ledger.writing() as transaction:
        deed(transaction)
    print("done", flush=True)
"""


def test_the_settings_that_durability_rests_on_are_in_force(tmp_path: Path) -> None:
    """A rollback journal, cut to nothing by each commit, and a sync wherever SQLite knows one."""
    with closing(connect(tmp_path / FILE)) as ledger:
        values = {
            name: ledger.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "fullfsync", "foreign_keys", "mmap_size")
        }
    extra = 3
    assert values == {
        "journal_mode": "truncate",
        "synchronous": extra,
        "fullfsync": 1,
        "foreign_keys": 1,
        "mmap_size": 0,
    }


def test_a_transaction_that_returned_survives_a_power_loss_at_any_call(tmp_path: Path) -> None:
    """Writes that were not synced are lost, cut, reordered: a fresh process finds what returned, or one more."""
    proof = cut_everywhere(tmp_path, most=6)
    assert proof.moments > 150
    assert proof.states > 300


@pytest.mark.parametrize("pragma", ["synchronous = OFF", "journal_mode = OFF", "journal_mode = MEMORY"])
def test_the_proof_notices_weaker_settings(tmp_path: Path, pragma: str) -> None:
    """Without the journal or its syncs there is a state in which something is lost or torn."""
    kept, proof, names = Journal(), Proof(), count()
    with closing(open_ledger(tmp_path, kept)) as ledger:
        create_schema(ledger)
        list(ledger.connection.execute(f"PRAGMA {pragma}"))
        kept.promise(lambda tree: None)
        for deed in deeds():
            with ledger.writing() as transaction:
                deed(transaction)
            kept.promise(lambda tree: None)

    def always(tree: dict[str, bytes | None]) -> None:
        assert seen(tree, tmp_path / str(next(names))) + 1 in {proof.promised, proof.promised + 1}

    with pytest.raises((AssertionError, StoreFault)):
        prove(kept, always, proof=proof, most=6)


@pytest.mark.parametrize("lasting", [False, True], ids=["transient", "lasting"])
def test_an_error_of_any_call_is_a_fault_and_loses_nothing_that_returned(tmp_path: Path, lasting: bool) -> None:
    """ENOSPC and EIO inside SQLite; what was called failed may be there all the same, what returned is."""
    surprises = 0
    for at in count(1):
        kept = Journal()
        folder = tmp_path / str(at)
        folder.mkdir()
        ledger = open_ledger(folder, kept)
        create_schema(ledger)
        kept.calls.clear()
        kept.fails_at, kept.lasting = at, lasting
        done = 0
        try:
            for deed in deeds():
                with ledger.writing() as transaction:
                    deed(transaction)
                done += 1
        except StoreFault:
            pass
        finally:
            ledger.close()
        tree = {path.name: path.read_bytes() for path in folder.iterdir()}
        found = seen(dict(tree), tmp_path / f"{at}-again")
        assert found in {done, done + 1}
        surprises += found != done
        if len(kept.calls) < at:
            break
    assert at > 100
    assert surprises, "a failed commit can be durable: callers may not take it for undone"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("at", [60, 90, 105, 120, 150, 190])
def test_a_process_killed_inside_a_commit_leaves_what_returned_or_one_more(tmp_path: Path, at: int) -> None:
    """A real SIGKILL between two calls of SQLite; the next process rolls back or goes on."""
    child = start(DYING, tmp_path, str(at))
    printed = child.communicate(timeout=60)[0]
    assert child.returncode == -signal.SIGKILL
    done = printed.count("done") - 1
    tree = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert seen(dict(tree), tmp_path / "again") in {done, done + 1}
    assert sqlite3.connect(tmp_path / FILE).execute("PRAGMA integrity_check").fetchone() == ("ok",)
