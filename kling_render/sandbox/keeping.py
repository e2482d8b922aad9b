"""Keeps a world in a folder, so that it outlives its process: every change is there before the answer leaves.

Counts of requests and polls, and the limits on their rate, start anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kling_render.errors import StoreFault


class Keeping:
    """A small SQLite file with the JSON records of a world."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(folder / "sandbox.sqlite", isolation_level=None)
            # A killed process loses nothing; a power cut may, which is fine for a stand-in.
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute("CREATE TABLE IF NOT EXISTS records (kind TEXT, id TEXT, record TEXT, UNIQUE (kind, id))")
        except (OSError, sqlite3.Error) as error:
            raise StoreFault(f"the sandbox cannot keep its state in {folder}: {error}") from None
        self._changes: list[tuple[str, str, str]] = []

    def write(self, kind: str, key: str, record: Mapping[str, Any]) -> None:
        """Take a change of the world (its journal)."""
        self._changes.append((kind, key, json.dumps(record)))

    def commit(self) -> None:
        """Put all changes since the last time on disk, in one transaction."""
        if not self._changes:
            return
        changes, self._changes = self._changes, []
        self._db.execute("BEGIN")
        for kind, key, record in changes:
            if kind == "reset":
                self._db.execute("DELETE FROM records")
            else:
                self._db.execute(
                    "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
                    (kind, key, record),
                )
        self._db.execute("COMMIT")

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """Everything kept, by kind, in the order it was first written."""
        found: dict[str, list[dict[str, Any]]] = {}
        for kind, record in self._db.execute("SELECT kind, record FROM records ORDER BY rowid"):
            found.setdefault(kind, []).append(json.loads(record))
        return found

    def close(self) -> None:
        """Write what is left and close the file."""
        self.commit()
        self._db.close()
