"""Owners: a dead one is noticed at once, a living one never doubted."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from kling_render.store.opening import Store
from kling_render.store.owners import clean, is_alive, register
from tests.store.support import start

CHILD = """
import sys, threading
from pathlib import Path
from kling_render.store.owners import register
owner = register(Path(sys.argv[1]), "child")
print("ready", flush=True)
sys.stdin.readline()
"""


def test_an_owner_lives_until_it_lets_go(tmp_path: Path) -> None:
    """Within its own process too."""
    owner = register(tmp_path, "me")
    assert is_alive(tmp_path, "me")
    owner.release()
    owner.release()
    assert not is_alive(tmp_path, "me")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_owner_is_dead_at_once_and_its_file_is_cleaned_away(tmp_path: Path) -> None:
    """No time-out: the operating system dropped its lock."""
    child = start(CHILD, tmp_path)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    assert is_alive(tmp_path, "child")
    assert clean(tmp_path) == []
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=10)
    assert not is_alive(tmp_path, "child")
    assert clean(tmp_path, keep=("child",)) == []
    assert clean(tmp_path) == ["child"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_process_that_stands_still_is_alive(tmp_path: Path) -> None:
    """A laptop that sleeps keeps its jobs."""
    child = start(CHILD, tmp_path)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGSTOP)
    assert is_alive(tmp_path, "child")
    child.send_signal(signal.SIGCONT)
    child.communicate("\n", timeout=10)


def test_a_token_is_taken_once(tmp_path: Path) -> None:
    """A token that came back would make a dead owner live."""
    owner = register(tmp_path, "me")
    with pytest.raises(ValueError, match="taken before"):
        register(tmp_path, "me")
    assert is_alive(tmp_path, "me")
    owner.release()


def test_looking_does_not_disturb_others_who_look(tmp_path: Path) -> None:
    """Many processes may ask about one dead owner."""
    from concurrent.futures import ThreadPoolExecutor

    (tmp_path / "dead").touch()
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: is_alive(tmp_path, "dead"), range(400)))


@pytest.mark.parametrize("token", ["", "../ledger.sqlite3", "a/b", "x" * 65])
def test_a_token_that_cannot_be_one_is_dead_and_opens_nothing(tmp_path: Path, token: str) -> None:
    """Tokens come from the ledger, and a ledger may be somebody else's."""
    assert not is_alive(tmp_path, token)
    with pytest.raises(ValueError, match="token"):
        register(tmp_path, token)


def test_a_process_that_registers_cleans_up_behind_dead_ones(tmp_path: Path) -> None:
    """Their lock files and their temporary files."""
    with Store.open(tmp_path / "store") as store:
        (store.layout.owners / "dead").touch()
        (store.layout.tmp / "dead.1234").touch()
        owner = store.register("me")
        mine = store.blobs.temporary()
        mine.touch()
        assert mine.name.startswith("me.")
        assert [path.name for path in store.layout.owners.iterdir()] == ["me"]
        assert list(store.layout.tmp.iterdir()) == [mine]
        owner.release()
