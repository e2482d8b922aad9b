"""The spool: an id that was paid for survives a full disk."""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.errors import StoreFault
from kling_render.lifecycle.states import Event, State
from kling_render.store.opening import Store
from kling_render.store.spool import SLOT_BYTES, Spool, recover
from tests.store.support import attempt, start


def dead(_: str) -> bool:
    return False


def test_an_id_is_written_into_room_that_was_made_before(tmp_path: Path) -> None:
    """No file is made, grown or renamed for it."""
    fs = FaultyFiles(0, errno.ENOSPC)
    spool = Spool(tmp_path, "me", fs=fs)
    spool.prepare("A1")
    (slot,) = tmp_path.iterdir()
    assert slot.stat().st_blocks * 512 >= SLOT_BYTES
    prepared = len(fs.calls)
    spool.put("A1", "gen-1")
    assert fs.calls[prepared:] == ["write", "fsync"]
    assert slot.stat().st_size == SLOT_BYTES
    spool.close()
    assert [(found.attempt, found.generation_id) for found in recover(tmp_path, dead)] == [("A1", "gen-1")]


def test_no_room_means_no_submit(tmp_path: Path) -> None:
    """A full disk is noticed before anything is sent, at whatever call."""
    for at in range(1, 6):
        spool = Spool(tmp_path, "me", fs=FaultyFiles(at, errno.ENOSPC))
        with pytest.raises(StoreFault, match="disk is full"):
            spool.prepare("A1")
        spool.close()


@pytest.mark.parametrize("call", ["open_folder", "unlink", "close"])
def test_a_slot_that_cannot_be_removed_is_no_fault(tmp_path: Path, call: str) -> None:
    """The run has ended; the next one removes what was left."""
    fs = FaultyFiles(1, errno.EROFS, only={call}, persistent=True)
    spool = Spool(tmp_path, "me", fs=fs)
    if call == "open_folder":
        fs.at = 2
    spool.prepare("A1")
    spool.close()
    assert recover(tmp_path, dead) == []
    assert list(tmp_path.iterdir()) == []


def test_a_slot_is_used_again_and_holds_one_id_at_most(tmp_path: Path) -> None:
    """Thousands of submits need as many slots as are under way at once."""
    spool = Spool(tmp_path, "me")
    for number in range(20):
        spool.prepare(f"A{number}")
        spool.put(f"A{number}", "g")
        spool.release(f"A{number}")
        spool.release(f"A{number}")
    assert len(list(tmp_path.iterdir())) == 1
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_an_id_without_room_is_refused_loudly(tmp_path: Path) -> None:
    """The caller prints it then."""
    with pytest.raises(StoreFault, match="gen-1"):
        Spool(tmp_path, "me").put("A1", "gen-1")


def test_slots_of_the_living_are_left_alone_and_a_torn_one_is_kept_aside(tmp_path: Path) -> None:
    """Only what a dead process wrote completely is believed."""
    for token in ("alive", "torn"):
        spool = Spool(tmp_path, token)
        spool.prepare("A1")
        spool.put("A1", "gen-1")
        spool.close()
    torn = tmp_path / "torn-0000.slot"
    torn.write_bytes(torn.read_bytes()[:70] + bytes(SLOT_BYTES - 70))
    assert recover(tmp_path, lambda token: token == "alive") == []
    assert torn.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_what_a_killed_process_spooled_is_recorded_by_the_next(tmp_path: Path) -> None:
    """Paid, not recorded, killed: the id comes back, and recording twice does no harm."""
    script = """
import os, signal, sys
from pathlib import Path
from kling_render.lifecycle.states import Event
from kling_render.store.opening import Store
from tests.store.support import attempt
store = Store.open(Path(sys.argv[1]))
owner = store.register("first")
spool = store.spool("first")
for number in (1, 2):
    with store.ledger.writing() as ledger:
        ledger.reserve(attempt(number, owner="first"), ())
        ledger.record(f"A0000{number}", Event.SEND, 1.0)
    spool.prepare(f"A0000{number}")
spool.put("A00001", "gen-1")
print("spooled", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    child = start(script, tmp_path / "store")
    assert child.communicate(timeout=20)[0] == "spooled\n"
    assert child.returncode == -signal.SIGKILL
    with Store.open(tmp_path / "store") as store:
        recorded, unknown = store.record_spooled(9.0)
        assert [(found.id, found.state, found.generation_id) for found in recorded] == [
            ("A00001", State.ACCEPTED, "gen-1")
        ]
        assert unknown == []
        assert store.record_spooled(9.0) == ([], [])
        assert list(store.layout.spool.iterdir()) == []


def test_an_id_of_an_unknown_attempt_is_reported_and_kept(tmp_path: Path) -> None:
    """A ledger restored from an old backup does not know what it paid for since."""
    with Store.open(tmp_path / "store") as store:
        spool = store.spool("gone")
        for number in (1, 2):
            spool.prepare(f"A0000{number}")
            spool.put(f"A0000{number}", f"gen-{number}")
        spool.close()
        with store.ledger.writing() as ledger:
            ledger.reserve(attempt(2), ())
            for event in (Event.SEND, Event.REJECT):
                ledger.record("A00002", event, 1.0)
        recorded, unknown = store.record_spooled(9.0)
        assert recorded == []
        assert [found.generation_id for found in unknown] == ["gen-1", "gen-2"]
        assert len(list(store.layout.spool.iterdir())) == 2
