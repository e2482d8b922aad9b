"""Whether a store is whole, and what becomes of what is not; nothing of it ever costs anything."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import Event, State
from kling_render.store.integrity import damaged, survey
from kling_render.store.opening import Store
from kling_render.store.trash import throw
from kling_render.workspace.times import SystemClock
from kling_render.workspace.upkeep.verifying import Finding, Grade, Verdict, verify
from tests.store.test_garbage import NOW, found
from tests.store.upkeep import NAMESPACE, WAYS, digest, done, keep, rehearsal, spoil, walk


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def silent(_what: str, _done: int, _all: int) -> None:
    return


def look(store: Store, *, read_data: bool = True, provider: dict[str, bytes] | None = None) -> Verdict:
    """Verify with a provider that still has these results, by attempt."""

    def fetch(attempts: list[Attempt]) -> str:
        for attempt in attempts:
            data = (provider or {}).get(attempt.id)
            if data is not None:
                with store.ledger.writing() as ledger:
                    if attempt.state in (State.FETCHED, State.DONE):
                        ledger.record(attempt.id, Event.REFETCH, NOW)
                    ledger.record(attempt.id, Event.FETCH, NOW, blob=keep(store, data), size=len(data))
        return "The provider has none."

    return verify(store, SystemClock(), read_data=read_data, progress=silent, fetch=fetch)


def graded(verdict: Verdict, grade: Grade) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.grade is grade]


def test_a_store_with_attempts_in_every_state_is_sound(store: Store) -> None:
    """None of them is damage."""
    for number, state in enumerate(WAYS, 1):
        walk(store, number, state, b"result %d" % number, **({"namespace": "previz"} if state == "made" else {}))
    verdict = look(store)
    assert (verdict.sound, verdict.exit_code, verdict.findings) == (True, 0, [])
    assert (verdict.survey.attempts, verdict.survey.results) == (len(WAYS), 3)


@pytest.mark.parametrize("read_data", [False, True])
@pytest.mark.parametrize("damage", [None, b"short", b"result X"])
def test_a_damaged_or_missing_result_is_fetched_again_and_the_bytes_go_to_quarantine(
    store: Store, read_data: bool, damage: bytes | None
) -> None:
    """A wrong size is seen without reading, a wrong byte only by reading."""
    held = done(store, 1, b"result 1")
    assert held.blob is not None
    path = store.blobs.path(held.blob)
    spoil(path, damage or b"")
    if damage is None:
        path.unlink()
    verdict = look(store, read_data=read_data, provider={held.id: b"result 1"})
    if damage == b"result X" and not read_data:
        assert verdict.findings == []
        return
    assert verdict.sound
    (mended,) = graded(verdict, Grade.MENDED)
    assert ("fetched again" in mended.text, mended.credits, mended.jobs) == (True, 100, (held.job,))
    assert [each.name for each in store.layout.quarantine.iterdir()] == ([] if damage is None else [held.blob])
    assert path.read_bytes() == b"result 1"
    assert look(store).sound


def test_what_nobody_has_stays_damage_and_its_record_stays_too(store: Store) -> None:
    """Exit 7, with what it cost; nothing is rendered again for it."""
    held = done(store, 1, b"result")
    assert held.blob is not None
    spoil(store.blobs.path(held.blob))
    for _ in range(2):
        verdict = look(store)
        (damage,) = graded(verdict, Grade.DAMAGE)
        assert (verdict.exit_code, damage.credits, damage.sha256) == (7, 100, held.blob)
        assert "The provider has none." in damage.help
        with store.ledger.reading() as ledger:
            assert ledger.attempt(held.id) == held
            assert set(ledger.results(NAMESPACE)) == {held.fingerprint}


def test_whole_bytes_at_hand_are_taken_before_anybody_is_asked(store: Store, tmp_path: Path) -> None:
    """From the output folder, from the trash; never bytes that are not exactly those."""
    out = tmp_path / "project" / "renders" / "1.mp4"
    out.parent.mkdir(parents=True)
    out.write_bytes(b"resulT")
    held = done(store, 1, b"result", output=str(out))
    assert held.blob is not None
    spoil(store.blobs.path(held.blob))
    assert not look(store).sound
    out.write_bytes(b"result")
    verdict = look(store)
    assert (verdict.sound, str(out) in graded(verdict, Grade.MENDED)[0].text) == (True, True)
    throw(store, list(found(store).values()), NOW)
    verdict = look(store)
    assert (verdict.sound, "trash" in graded(verdict, Grade.MENDED)[0].text) == (True, True)
    assert out.read_bytes() == store.blobs.path(held.blob).read_bytes() == b"result"


def test_a_damaged_rehearsal_is_drawn_again(store: Store) -> None:
    """It cost nothing, so its record goes."""
    held = rehearsal(store, 1, b"drawn")
    assert held.blob is not None
    spoil(store.blobs.path(held.blob))
    verdict = look(store)
    assert (verdict.sound, "drawn again" in graded(verdict, Grade.MENDED)[0].text) == (True, True)
    with store.ledger.reading() as ledger:
        assert (ledger.attempts("previz"), ledger.results("previz")) == ([], {})
    assert look(store).findings == []


def test_a_result_that_another_process_fetches_again_is_left_to_it(store: Store) -> None:
    """Its attempt is ready, not finished: its bytes are not expected yet."""
    held = done(store, 1, b"result")
    assert held.blob is not None
    store.blobs.path(held.blob).unlink()
    with store.ledger.writing() as ledger:
        ledger.record(held.id, Event.REFETCH, NOW)
    assert look(store).sound


def test_what_lies_about_is_named_with_its_cost_and_is_no_damage(store: Store) -> None:
    """Bytes without a record, strange files, leftovers, quarantine."""
    held = done(store, 1, b"result")
    assert held.blob is not None
    spoil(store.blobs.path(held.blob))
    store.blobs.verified(held.blob)
    keep(store, b"result")
    keep(store, b"nobody knows")
    (store.layout.blobs / "thesis.txt").write_text("x")
    (store.layout.tmp / ".lost").write_bytes(b"x")
    verdict = look(store)
    notes = {(note.kind, note.sha256, note.credits) for note in graded(verdict, Grade.NOTE)}
    assert notes == {
        ("orphan", digest(b"nobody knows"), None),
        ("stray", None, None),
        ("leftover", None, None),
        ("quarantine", held.blob, 100),
    }
    assert verdict.sound


CONTRADICTIONS = {
    "holds a result without": "UPDATE attempts SET blob = NULL",
    "has no result": "DELETE FROM results",
    "other bytes than its result": "UPDATE results SET size = 3",
    "several that live": "DROP INDEX one_live_attempt; INSERT INTO attempts (id, namespace, fingerprint, "
    "client_request_id, account, state, owner, run, job, project, folder, output, final, root, manifest, model, "
    "reserved_at) SELECT 'B', namespace, fingerprint, '', '', 'accepted', '', '', '', '', '', '', '', '', '', '', 1 "
    "FROM attempts",
    "constraint that allows one": "DROP INDEX one_live_attempt",
    "named by a result and does not exist": "UPDATE results SET attempt = 'B'",
    "step of the history and does not exist": "UPDATE transitions SET attempt = 'B'",
    "which does not exist": "UPDATE attempts SET state = 'free'",
    "no SHA-256": "UPDATE attempts SET blob = 'x'; UPDATE results SET blob = 'x'",
}


@pytest.mark.parametrize(("said", "change"), CONTRADICTIONS.items(), ids=CONTRADICTIONS.keys())
def test_a_ledger_that_contradicts_itself_is_damage(store: Store, said: str, change: str) -> None:
    """Each promise of the ledger is looked at, the constraint of one live attempt first of all."""
    done(store, 1, b"result")
    connection = sqlite3.connect(store.layout.ledger)
    connection.executescript(f"PRAGMA foreign_keys = OFF; {change}")
    connection.close()
    verdict = look(store)
    texts = [finding.text for finding in graded(verdict, Grade.DAMAGE) if finding.kind == "ledger"]
    assert [text for text in texts if said in text], texts
    assert verdict.exit_code == 7


def test_without_a_sound_ledger_the_bytes_are_looked_at_all_the_same(tmp_path: Path) -> None:
    """And nothing is taken for an orphan that it is not."""
    with Store.open(tmp_path / "store") as store:
        path = _broken(store)
    with Store.open(path) as store:
        verdict = look(store)
    assert [finding.kind for finding in graded(verdict, Grade.DAMAGE)] == ["ledger"]
    assert "backups" in graded(verdict, Grade.DAMAGE)[0].help
    assert [note.kind for note in graded(verdict, Grade.NOTE)] == ["damaged", "quarantine"]


def _broken(store: Store) -> Path:
    """A damaged ledger and a damaged result."""
    for number in range(60):
        walk(store, 100 + number, "accepted", manifest="m" * 3000)
    held = done(store, 1, b"result")
    path = store.layout.ledger
    data = bytearray(path.read_bytes())
    data[100_000:160_000] = b"\xa5" * 60_000
    path.write_bytes(data)
    assert held.blob is not None
    spoil(store.blobs.path(held.blob))
    return store.layout.root


@pytest.mark.parametrize("error", [errno.EROFS, errno.ENOSPC, errno.EIO])
def test_a_store_that_cannot_be_written_is_verified_all_the_same(store: Store, error: int) -> None:
    """Damage is found and said; it stays where it is."""
    held = done(store, 1, b"result")
    whole = look(store)
    store.fs = store.blobs._fs = FaultyFiles(1, error, persistent=True)
    assert look(store).findings == whole.findings == []
    assert held.blob is not None
    spoil(store.blobs.path(held.blob))
    verdict = look(store)
    assert [(finding.kind, finding.sha256) for finding in graded(verdict, Grade.DAMAGE)] == [("damaged", held.blob)]
    assert store.blobs.has(held.blob)


def test_every_byte_is_read_in_parallel_with_progress_and_in_order(store: Store) -> None:
    """Damage is found wherever it is."""
    names = sorted(keep(store, b"%d" % number) for number in range(40))
    for name in (names[3], names[39]):
        spoil(store.blobs.path(name))
    store.blobs.path(names[7]).unlink()  # another process was faster
    told: list[tuple[int, int]] = []
    assert list(damaged(store, names, lambda done_, of: told.append((done_, of)), threads=3)) == [names[3], names[39]]
    assert told[-1] == (40, 40)
    assert [done_ for done_, _ in told] == sorted({done_ for done_, _ in told})


def test_a_look_leaves_nothing_behind_and_changes_nothing_that_is_sound(store: Store) -> None:
    """Not even a temporary copy."""
    done(store, 1, b"result")
    before = store.layout.ledger.read_bytes()
    look(store)
    assert store.layout.ledger.read_bytes() == before
    assert list(store.layout.tmp.iterdir()) == list(store.layout.owners.iterdir()) == []
    assert survey(store, store.ledger).contradictions == []
