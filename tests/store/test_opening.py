"""Opening a store: private, whole, of a known format, on a disk where locks hold."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.errors import StoreFault
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
as_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root to give files away")


def fault_of(location: Path, **options: object) -> StoreFault:
    with pytest.raises(StoreFault) as caught:
        Store.open(location, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 7
    assert caught.value.help
    return caught.value


@posix
def test_a_new_store_is_private_whatever_the_umask_allows(tmp_path: Path) -> None:
    """Other users of the machine see nothing of it."""
    old = os.umask(0)
    try:
        with Store.open(tmp_path / "a" / "store") as store:
            store.cache.put("kind", "key", 1)
    finally:
        os.umask(old)
    root = tmp_path / "a" / "store"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (root, *root.iterdir())}
    assert {name: mode for name, mode in modes.items() if mode & 0o077 and "cache" not in name} == {}


@posix
def test_a_store_that_everybody_may_write_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    """Somebody else could plant a result."""
    Store.open(tmp_path / "store").close()
    (tmp_path / "store").chmod(0o777)
    assert "chmod 700" in fault_of(tmp_path / "store").help


@as_root
def test_a_store_of_another_user_is_refused(tmp_path: Path) -> None:
    """Files written by root would lock its owner out."""
    Store.open(tmp_path / "store").close()
    os.chown(tmp_path / "store", 12345, 12345)
    assert "another user" in fault_of(tmp_path / "store").message


def test_a_network_file_system_is_refused_unless_allowed(tmp_path: Path) -> None:
    """Locks there may not hold between machines."""
    mounts = f"30 22 0:44 / {tmp_path.resolve()} rw - nfs4 server:/x rw"
    fault = fault_of(tmp_path / "store", mounts=mounts)
    assert fault.code == "store-network"
    assert "nfs4" in fault.message
    Store.open(tmp_path / "store", mounts=mounts, allow_network=True).close()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    """`--store ~/Documents` is a slip, not a wish."""
    (tmp_path / "thesis.txt").write_text("x")
    fault = fault_of(tmp_path)
    assert "thesis.txt" in fault.message
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_file_in_the_place_of_the_store_is_a_fault(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "store").write_text("x")
    assert fault_of(tmp_path / "store").code == "store-foreign"


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """Its tables are not ours to change."""
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    connection = sqlite3.connect(store / "ledger.sqlite3")
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    assert "another program" in fault_of(store).message


def test_a_ledger_that_is_no_database_is_a_fault_that_names_the_ways_back(tmp_path: Path) -> None:
    """Blobs and the provider's log survive it."""
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    (store / "ledger.sqlite3").write_bytes(b"not a database" * 1000)
    fault = fault_of(store)
    assert fault.code == "store-corrupt"
    assert "pull --lost" in fault.help


def test_a_ledger_with_two_names_is_refused(tmp_path: Path) -> None:
    """Each name would have its own journal."""
    Store.open(tmp_path / "store").close()
    os.link(tmp_path / "store" / "ledger.sqlite3", tmp_path / "other")
    assert "second name" in fault_of(tmp_path / "store").message


def test_a_newer_format_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """An old program must not write into a book it cannot read."""
    Store.open(tmp_path / "store", version=2, migrations={1: lambda _: None}).close()
    before = (tmp_path / "store" / "ledger.sqlite3").read_bytes()
    fault = fault_of(tmp_path / "store")
    assert fault.code == "store-newer"
    assert "Upgrade" in fault.help
    assert (tmp_path / "store" / "ledger.sqlite3").read_bytes() == before


def test_an_older_format_is_backed_up_before_it_is_migrated(tmp_path: Path) -> None:
    """The copy opens with the old program and holds everything."""
    with Store.open(tmp_path / "store") as store, store.ledger.writing() as ledger:
        ledger.reserve(attempt(1), ())

    def migrate(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE attempts ADD COLUMN colour TEXT")

    for _ in range(2):
        Store.open(tmp_path / "store", version=2, migrations={1: migrate}).close()
    (backup,) = (tmp_path / "store" / "backups").iterdir()
    restored = tmp_path / "restored"
    restored.mkdir(mode=0o700)
    backup.rename(restored / "ledger.sqlite3")
    with Store.open(restored) as store, store.ledger.reading() as view:
        assert view.attempt("A00001") == attempt(1)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """All steps share one transaction."""
    Store.open(tmp_path / "store").close()

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE results")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Store.open(tmp_path / "store", version=2, migrations={1: broken})
    with Store.open(tmp_path / "store") as store, store.ledger.reading() as view:
        assert view.results(NAMESPACE) == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [(errno.ENOSPC, "store-full"), (errno.EROFS, "store-read-only"), (errno.EIO, "store-io")],
)
def test_every_failing_call_of_the_first_opening_is_a_fault_and_the_next_opening_heals(
    tmp_path: Path, error: int, code: str
) -> None:
    """Half a store is no store, and no obstacle."""
    for at in range(1, 60):
        location = tmp_path / str(at)
        fs = FaultyFiles(at, error, only={"open_folder", "open", "write", "fsync", "fsync_folder", "replace", "mkdir"})
        try:
            Store.open(location, fs=fs).close()
        except StoreFault as fault:
            code_found = fault.code
        else:
            break
        assert code_found == code
        Store.open(location).close()
    assert at > 10


def test_two_processes_may_create_a_store_at_once(tmp_path: Path) -> None:
    """The second finds what the first has made."""
    from tests.store.support import start

    script = """
import sys
from pathlib import Path
from kling_render.store.opening import Store
sys.stdin.readline()
Store.open(Path(sys.argv[1])).close()
print("done")
"""
    children = [start(script, tmp_path / "store") for _ in range(4)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate(timeout=30)[0] for child in children] == ["done\n"] * 4


def test_an_opened_store_survives_the_loss_of_its_cache(tmp_path: Path) -> None:
    """Derived data may go at any time."""
    with Store.open(tmp_path / "store") as store:
        store.cache.put("k", "a", 1)
    (tmp_path / "store" / "cache.sqlite3").unlink()
    with Store.open(tmp_path / "store") as store:
        assert store.cache.get("k", "a") is None
