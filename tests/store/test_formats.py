"""Stores that released versions wrote: read as ever, and nothing becomes payable by opening one."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from kling_render.store.integrity import survey
from kling_render.store.layout import FORMAT
from kling_render.store.opening import Store
from tests.fixtures.make_store import HERE, reading

FORMATS = sorted(int(path.name.rpartition("-")[2]) for path in HERE.glob("store-format-?"))


@pytest.fixture
def fixture(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of a store of some format."""
    location = tmp_path / "store"
    shutil.copytree(HERE / f"store-format-{getattr(request, 'param', FORMATS[-1])}", location)
    location.chmod(0o700)
    return location


def expected(number: int) -> object:
    return json.loads((HERE / f"store-format-{number}.json").read_text())


def test_every_format_has_its_fixture() -> None:
    """A new format comes with a store of its own."""
    assert list(range(1, FORMAT + 1)) == FORMATS


@pytest.mark.parametrize("number", FORMATS)
def test_a_store_of_every_format_reads_as_it_did(tmp_path: Path, number: int) -> None:
    """Attempts, results, money, what is under way, and what may be paid for."""
    location = tmp_path / "store"
    shutil.copytree(HERE / f"store-format-{number}", location)
    location.chmod(0o700)
    before = (location / "ledger.sqlite3").read_bytes()
    with Store.open(location) as store:
        if number == FORMAT:
            assert (location / "ledger.sqlite3").read_bytes() == before
        assert json.loads(json.dumps(reading(store))) == expected(number)
        found = survey(store, store.ledger)
        assert (found.contradictions, found.missing, found.orphans, found.misshapen) == ([], [], [], [])
        assert all(store.blobs.verified(name) for name in found.expected)


def test_a_migration_of_a_whole_store_loses_nothing_and_leaves_a_copy(fixture: Path) -> None:
    """A made-up next format: everything reads the same afterwards, and the backup is a ledger of the old one."""

    def migrate(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE attempts ADD COLUMN colour TEXT NOT NULL DEFAULT 'none'")
        connection.execute("UPDATE attempts SET colour = 'blue' WHERE state = 'done'")

    for _ in range(2):
        with Store.open(fixture, version=FORMAT + 1, migrations={FORMAT: migrate}) as store:
            assert json.loads(json.dumps(reading(store))) == expected(FORMAT)
            colours = store.ledger.connection.execute("SELECT colour, COUNT(*) FROM attempts GROUP BY 1").fetchall()
            assert colours == [("blue", 2), ("none", 14)]
    (backup,) = (fixture / "backups").iterdir()
    shutil.copy(backup, fixture / "ledger.sqlite3")
    with Store.open(fixture) as store:
        assert json.loads(json.dumps(reading(store))) == expected(FORMAT)
    assert not list(fixture.rglob("*.part"))
