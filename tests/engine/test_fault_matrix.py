"""A disk and a ledger that fail at every single call of a paid run: nothing paid twice, nothing lost, no part shown."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.engine.work import Work
from kling_render.ports import Ledger
from kling_render.store.opening import Store
from tests.engine.failing import ROTTEN, Bench, FailingLedger, Outcome, WatchedFiles, stopped_for_the_store

ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS]
LASTING = pytest.mark.parametrize("lasting", [False, True], ids=["transient", "lasting"])


def failing(**how: Any) -> Callable[[Ledger], Ledger]:
    return lambda inner: FailingLedger(inner, **how)


def survives(
    bench: Bench,
    works: list[Work],
    *,
    fs: FileSystem = REAL,
    max_pages: int | None = None,
    ledger: Callable[[Ledger], Ledger] = lambda inner: inner,
) -> Outcome:
    """One process with the fault, and one after it: what the project promises, whatever failed."""
    first = bench.run(works, fs=fs, max_pages=max_pages, ledger=ledger)
    bench.paid_once()
    bench.whole()
    kept = bench.kept()
    accepted = set(bench.api.generations)
    # Of a lost answer there is the intent, and the account's log.
    lost = accepted - kept - bench.answers_lost - {each for each in accepted if each in first.messages}
    assert not lost, first.messages
    assert bench.intended() >= len(accepted)
    submits = len(bench.api.submits)
    bench.api.log_works = not (submits == len(accepted) and accepted <= kept and len(works) == len(accepted))
    again = bench.run(works)
    assert again.report is not None, again.messages
    assert again.report.exit_code == 0, again.report
    assert len(bench.api.generations) == len(works)
    bench.finished(works)
    return first


def calls_of_a_run(folder: Path) -> list[str]:
    bench = Bench(folder / "counted")
    fs = WatchedFiles(0, 0)
    bench.run([bench.work("fox")], fs=fs)
    return fs.calls


@LASTING
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: errno.errorcode[error])
def test_a_disk_that_fails_at_any_call_costs_and_loses_nothing(quick_path: Path, error: int, lasting: bool) -> None:
    """From the first call that makes the store to the last that writes the index; no failed sync is tried again."""
    calls = calls_of_a_run(quick_path)
    assert len(calls) > 80
    for at in range(1, len(calls) + 1):
        bench = Bench(quick_path / str(at))
        fs = WatchedFiles(at, error, persistent=lasting)
        survives(bench, [bench.work("fox")], fs=fs)
        assert not fs.retried(), (at, calls[at - 1])
        shutil.rmtree(bench.folder)


@LASTING
def test_a_disk_that_fails_while_damage_is_mended_costs_and_loses_nothing(quick_path: Path, lasting: bool) -> None:
    """The stored bytes rot and the output is deleted: quarantine, a fresh download and publishing fail at any call."""
    for at in range(1, 200):
        bench = Bench(quick_path / str(at))
        works = [bench.work("fox")]
        bench.run(works)
        damage(bench, works)
        fs = WatchedFiles(at, errno.EIO, persistent=lasting)
        bench.run(works, fs=fs)
        bench.whole()
        bench.api.log_works = False
        mended = bench.run(works)
        assert mended.report is not None, mended.messages
        assert mended.report.exit_code == 0, mended.report
        bench.finished(works)
        assert len(bench.api.submits) == 1
        assert not fs.retried()
        shutil.rmtree(bench.folder)
        if len(fs.calls) < at:
            break
    else:
        pytest.fail("mending takes fewer than 200 calls")
    assert at > 30


def damage(bench: Bench, works: list[Work]) -> None:
    (blob,) = (path for path in (bench.folder / "store" / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o600)
    blob.write_bytes(ROTTEN)
    for target in works[0].targets:
        target.output.unlink()


@LASTING
@pytest.mark.parametrize("after", [False, True], ids=["refused", "durable and reported as failed"])
@pytest.mark.parametrize("answer", ["ok", "lost", "5xx-id"])
def test_a_ledger_that_fails_at_any_write_costs_and_loses_nothing(
    quick_path: Path, answer: str, after: bool, lasting: bool
) -> None:
    """What was promised is not kept, or was kept and not confirmed: either way the next run knows what to do."""
    stopped = 0
    for at in range(1, 12):
        bench = Bench(quick_path / str(at), script=[answer])
        outcome = survives(bench, [bench.work("fox")], ledger=failing(at=at, lasting=lasting, after=after))
        stopped += stopped_for_the_store(outcome)
        if outcome.ledger_writes < at:
            break
    else:
        pytest.fail("a run takes fewer than 12 writes")
    assert stopped == at - 1, "every failed write stops the submits"


@LASTING
def test_two_jobs_at_once_survive_a_ledger_that_fails_at_any_write(quick_path: Path, lasting: bool) -> None:
    """The fault of one job's write ends the submits of the other; both come to an end later."""
    for at in range(1, 30):
        bench = Bench(quick_path / str(at), script=["ok", "5xx-id"])
        outcome = survives(bench, [bench.work("fox"), bench.work("cat")], ledger=failing(at=at, lasting=lasting))
        if outcome.ledger_writes < at:
            break
    else:
        pytest.fail("a run takes fewer than 30 writes")


def test_an_id_that_can_be_kept_nowhere_is_printed(quick_path: Path) -> None:
    """Neither ledger nor spool can be written any more at the moment of acceptance: the user is given the id."""
    writes = calls_of_a_run(quick_path).count("write")
    printed = 0
    for at in range(1, writes + 1):
        bench = Bench(quick_path / str(at))
        fs = WatchedFiles(at, errno.EIO, only={"write"}, persistent=True)
        outcome = survives(bench, [bench.work("fox")], fs=fs, ledger=failing(full=bench.has_accepted))
        printed += "could not be kept anywhere" in outcome.messages
    assert printed


def test_a_ledger_that_can_grow_no_more_costs_and_loses_nothing(quick_path: Path) -> None:
    """SQLite itself says that the disk is full, at any page it wants."""
    pages = pages_of_a_fresh_ledger(quick_path / "fresh")
    stopped = 0
    for limit in range(pages, pages + 40):
        bench = Bench(quick_path / str(limit))
        bench.run([])
        outcome = survives(bench, [long(bench.work("fox"))], max_pages=limit)
        if outcome.report is not None and outcome.report.exit_code == 0:
            break
        stopped += stopped_for_the_store(outcome)
    else:
        pytest.fail("a run needs fewer than 40 pages")
    assert stopped >= 3


def long(work: Work) -> Work:
    """A manifest that wants pages of its own."""
    return replace(work, manifest='{"prompt": "' + "x" * 9_000 + '"}')


def pages_of_a_fresh_ledger(folder: Path) -> int:
    with Store.open(folder) as store:
        size = os.stat(store.layout.ledger).st_size
        page = int(store.ledger.connection.execute("PRAGMA page_size").fetchone()[0])
    return size // page
