"""Watch mode as a process of its own, on real files and against the sandbox, in a pipe."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness import PAY, Ended, Studio, finished, wait_until

QUICK = {"settle_seconds": 0.1, "hold_seconds": 0.3}


@dataclass(slots=True)
class Watcher:
    """A session that goes on."""

    studio: Studio
    process: subprocess.Popen[str]
    log: Path

    def events(self, kind: str = "") -> list[dict[str, object]]:
        """What was told so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = []
        for line in lines:
            with suppress(ValueError):  # half a line
                found.append(json.loads(line))
        return [event for event in found if kind in ("", event["event"])]

    def ready(self) -> None:
        """The first plan was made."""
        wait_until(lambda: self.events("planned") or self.events("broken") or self.process.poll() is not None)

    def end(self, how: signal.Signals = signal.SIGINT) -> Ended:
        """Ctrl-C."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return finished(self.process)


@contextmanager
def watching(studio: Studio, *words: str, **extra: str) -> Iterator[Watcher]:
    """A session in a pipe; ends with the block."""
    log = studio.folder / "watch.jsonl"
    log.unlink(missing_ok=True)
    process = studio.start("watch", "--events", str(log), *words, **extra)
    watcher = Watcher(studio, process, log)
    try:
        watcher.ready()
        yield watcher
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def edit(studio: Studio, prompt: str, **watch: float) -> None:
    """Save the list with another prompt."""
    studio.write_list(shots=[{"id": "sc010", "prompt": prompt}], watch={**QUICK, **watch})


def test_a_save_is_rendered_and_nothing_else_is(studio: Studio) -> None:
    """One edit of the prompt, two jobs; a save without an effect; another picture of one character."""
    edit(studio, "on a roof")
    assert studio.render().code == 0
    with watching(studio, *PAY) as session:
        edit(studio, "on a boat")
        wait_until(lambda: studio.accepted() == 4)
        wait_until(lambda: len(session.events("run-over")) == 1)
        os.utime(studio.project / "shotlist.yaml")
        wait_until(lambda: len(session.events("planned")) >= 4)
        data = (studio.project / "fox.png").read_bytes()
        (studio.project / "fox.png.new").write_bytes(data[:-12] + _comment() + data[-12:])
        (studio.project / "fox.png.new").replace(studio.project / "fox.png")
        wait_until(lambda: len(session.events("run-over")) == 2)
        ended = session.end()
    assert ended.code == 130
    assert studio.accepted() == 5
    assert len(studio.videos()) == 4
    assert studio.run("plan", "--exit-code").code == 0


def _comment() -> bytes:
    body = b"tEXtComment\0another"
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def test_without_a_terminal_it_needs_consent_and_a_cap(studio: Studio) -> None:
    """As `render` does; a rehearsal needs neither."""
    for words in ((), ("--yes",), ("--max-usd", "5")):
        ended = studio.run("watch", *words)
        assert ended.code == 5, ended.text
        assert "--yes and a cap" in ended.err
    assert studio.accepted() == 0


def test_what_the_allowance_does_not_cover_is_not_paid_for(studio: Studio) -> None:
    """It waits, however long; the reason is told."""
    edit(studio, "on a roof", per_save_usd=0.01)
    with watching(studio, *PAY) as session:
        edit(studio, "on a boat", per_save_usd=0.01)
        wait_until(lambda: any("per_save_usd" in str(event) for event in session.events("holding")))
        edit(studio, "on a boat", per_save_usd=5)
        wait_until(lambda: studio.accepted() == 2)
        session.end()


def test_a_broken_list_is_told_and_mended_without_a_restart(studio: Studio) -> None:
    """The place of the error is told; nothing is paid for meanwhile."""
    edit(studio, "on a roof")
    with watching(studio, *PAY) as session:
        wait_until(lambda: studio.accepted() == 2)
        path = studio.project / "shotlist.yaml"
        good = path.read_text()
        path.write_text(good.replace("characters:", "characters: ["))
        wait_until(lambda: session.events("broken"))
        path.write_text(good.replace("on a roof", "in the snow"))
        wait_until(lambda: studio.accepted() == 4)
        wait_until(lambda: len(session.events("run-over")) == 2)
        ended = session.end()
    assert "shotlist.yaml" in ended.err


def test_a_cap_holds_over_all_saves_of_a_session(studio: Studio) -> None:
    """One job at $0.448 fits under $0.60, the next one does not."""
    one = {"characters": {"fox": {"image": "fox.png"}}}
    studio.write_list(**one, watch=QUICK)
    with watching(studio, "--yes", "--max-usd", "0.60") as session:
        wait_until(lambda: len(session.events("run-over")) == 1, 30)
        studio.write_list(**one, watch=QUICK, shots=[{"id": "sc010", "prompt": "on a boat"}])
        wait_until(lambda: any("--max-usd leaves" in str(event) for event in session.events("holding")))
        session.end()
    assert studio.accepted() == 1


def test_a_price_that_rose_is_known_before_the_next_save_is_paid_for(studio: Studio) -> None:
    """The first charge shows it; the next save is judged by the new price, not by the one of ten minutes ago."""
    one = {"characters": {"fox": {"image": "fox.png"}}, "watch": {**QUICK, "per_save_usd": 1}}
    studio.write_list(**one)
    with watching(studio, *PAY) as session:
        wait_until(lambda: len(session.events("run-over")) == 1, 30)
        studio.sandbox.config(price_per_s="1.12")
        for prompt in ("on a boat", "in the snow"):
            studio.write_list(**one, shots=[{"id": "sc010", "prompt": prompt}])
            wait_until(lambda: len(session.events("run-over")) == 2, 30)
        wait_until(lambda: any("per_save_usd" in str(event) for event in session.events("holding")))
        session.end()
    assert studio.accepted() == 2


def test_two_sessions_do_not_watch_one_project(studio: Studio) -> None:
    """The second one says who and where, also by a symlink and with another store; the lock goes with its process."""
    with watching(studio, "--provider", "previz") as session:
        (studio.folder / "other").symlink_to(studio.project)
        second = studio.run("watch", "--provider", "previz", cwd=studio.folder / "other")
        assert second.code == 2
        assert f"process {session.process.pid}" in second.err
        elsewhere = studio.run("watch", "--provider", "previz", KLING_RENDER_STORE=str(studio.folder / "store2"))
        assert elsewhere.code == 2
        session.process.kill()
        session.process.communicate()
    with watching(studio, "--provider", "previz") as session:
        assert session.process.poll() is None
        session.end()


def test_what_runs_when_the_session_ends_is_resumable(studio: Studio) -> None:
    """Ctrl-C leaves it; `pull` brings it, and nothing is paid twice."""
    studio.sandbox.config(generation_seconds=3.0)
    edit(studio, "on a roof")
    with watching(studio, *PAY) as session:
        wait_until(lambda: studio.accepted() == 2)
        ended = session.end()
    assert ended.code == 130
    assert studio.run("pull").code == 0
    assert studio.accepted() == 2
    assert len(studio.videos()) == 4


def test_a_refused_key_is_told_once_and_the_next_save_tries_again(studio: Studio) -> None:
    """Watching goes on; no flag, no restart."""
    edit(studio, "on a roof")
    studio.sandbox.faults("submit:status,status=401")
    with watching(studio, *PAY) as session:
        wait_until(lambda: session.events("run-over"))
        edit(studio, "on a boat")
        wait_until(lambda: len(session.events("run-over")) >= 2)
        session.end()


def test_a_save_while_jobs_run_keeps_what_was_paid(studio: Studio) -> None:
    """The cell of a running job was edited: its result is kept, and going back to the old prompt is free."""
    studio.sandbox.config(generation_seconds=1.0)
    edit(studio, "on a roof")
    with watching(studio, *PAY) as session:
        wait_until(lambda: studio.accepted() == 2)
        edit(studio, "on a boat")
        wait_until(lambda: studio.accepted() == 4)
        wait_until(lambda: studio.run("plan", "--exit-code").code == 0, 30)
        edit(studio, "on a roof")
        wait_until(lambda: studio.run("plan", "--exit-code").code == 0, 30)
        session.end()
    assert studio.accepted() == 4


def test_a_list_from_standard_input_cannot_be_watched(studio: Studio) -> None:
    """There is nothing to watch."""
    ended = studio.run("watch", "-f", "-", stdin=b"version: 1")
    assert ended.code == 2
    assert "cannot be watched" in ended.err


def test_a_selection_that_matches_nothing_ends_the_session_at_its_start_only(studio: Studio) -> None:
    """A mistyped word is told at once; a shot that is being renamed is waited for."""
    studio.write_list(watch=QUICK)
    mistyped = studio.run("watch", "--provider", "previz", "sc999")
    assert mistyped.code == 2
    assert "sc999" in mistyped.err
    with watching(studio, "--provider", "previz", "sc010") as session:
        studio.write_list(watch=QUICK, shots=[{"id": "sc011", "prompt": "elsewhere"}])
        wait_until(lambda: session.events("broken"))
        studio.write_list(watch=QUICK, shots=[{"id": "sc010", "prompt": "late"}])
        wait_until(lambda: len(studio.videos("renders.previz")) >= 2, 30)
        session.end()


def test_from_rehearsals_to_the_real_thing_is_no_save(studio: Studio) -> None:
    """Nobody agreed to pay when the session began, and nobody is here to agree now."""
    studio.write_list(watch=QUICK, provider="previz")
    assert studio.run("plan", "--provider", "aimlapi").code == 0
    with watching(studio) as session:
        wait_until(lambda: len(session.events("run-over")) == 1, 30)
        studio.write_list(watch=QUICK)
        wait_until(lambda: any("nobody is here" in str(event) for event in session.events("holding")))
        ended = session.end(signal.SIGHUP)
    assert ended.code == 130
    assert studio.accepted() == 0


def test_what_the_lock_file_names_is_fetched_for_nothing(studio: Studio) -> None:
    """Another clone with an empty store watches: nothing is paid again."""
    edit(studio, "on a roof")
    assert studio.render().code == 0
    assert studio.accepted() == 2
    shutil.rmtree(studio.project / "renders")
    with watching(studio, *PAY, KLING_RENDER_STORE=str(studio.folder / "empty")) as session:
        wait_until(lambda: len(studio.videos()) == 4, 30)
        session.end()
    assert studio.accepted() == 2
