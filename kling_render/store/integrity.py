"""Whether a store is whole: what the ledger promises, and the bytes. Changes nothing, and is safe beside a run.

The ledger is read before the blobs are listed: bytes come before their record, so what a record names must be there.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.disk.publish import is_part
from kling_render.lifecycle.states import State
from kling_render.store.forgetting import LIVE
from kling_render.store.hashing import sha256_of
from kling_render.store.ledger import SqliteLedger
from kling_render.store.opening import Store

_THREADS = 4
_NAMED = 5
_NAME = re.compile(r"[0-9a-f]{64}")

_RULES: dict[str, str] = {
    "holds a result without naming its bytes":
        "SELECT id FROM attempts WHERE state IN ('fetched', 'done') AND (blob IS NULL OR size IS NULL)",
    "is finished, but its fingerprint has no result":
        "SELECT id FROM attempts AS a WHERE state IN ('fetched', 'done') AND set_aside_at IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM results AS r WHERE r.namespace = a.namespace AND r.fingerprint = a.fingerprint)",
    "names other bytes than its result":
        "SELECT a.id FROM results AS r JOIN attempts AS a ON a.id = r.attempt "
        "WHERE a.state IN ('fetched', 'done') AND (r.blob IS NOT a.blob OR r.size IS NOT a.size)",
    "is one of several that live for one fingerprint":
        "SELECT id FROM live WHERE (namespace, fingerprint) IN "
        "(SELECT namespace, fingerprint FROM live GROUP BY namespace, fingerprint HAVING COUNT(*) > 1)",
    "is named by a result and does not exist":
        "SELECT attempt FROM results WHERE attempt NOT IN (SELECT id FROM attempts)",
    "is named by a step of the history and does not exist":
        "SELECT DISTINCT attempt FROM transitions WHERE attempt NOT IN (SELECT id FROM attempts)",
}  # fmt: skip
"""What an attempt must not be → those that are."""
_LIVE = f"CREATE TEMP VIEW live AS SELECT id, namespace, fingerprint FROM attempts WHERE {LIVE}"  # noqa: S608 - our own


@dataclass(slots=True)
class Survey:
    """A store as it was found."""

    #: Whether the ledger could be read: without it nobody knows what is expected.
    ledger_read: bool = False
    attempts: int = 0
    results: int = 0
    #: SHA-256 → size of every blob that is there.
    blobs: dict[str, int] = field(default_factory=dict)
    #: SHA-256 → size, of what finished attempts hold.
    expected: dict[str, int] = field(default_factory=dict)
    #: Where the ledger contradicts itself, a sentence each.
    contradictions: list[str] = field(default_factory=list)
    #: Files that are no blobs but lie among them, relative to the store.
    strays: list[str] = field(default_factory=list)
    #: What dead processes were writing, relative to the store.
    leftovers: list[str] = field(default_factory=list)
    #: Files in quarantine and their sizes.
    quarantined: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Bytes that should be there, sorted."""
        return sorted(self.expected.keys() - self.blobs.keys())

    @property
    def misshapen(self) -> list[str]:
        """Blobs of another size than was stored, sorted."""
        return sorted(name for name, size in self.expected.items() if self.blobs.get(name, size) != size)

    @property
    def orphans(self) -> list[str]:
        """Blobs that no finished attempt holds, sorted."""
        return sorted(self.blobs.keys() - self.expected.keys())


def survey(store: Store, ledger: SqliteLedger) -> Survey:
    """Look at everything but the bytes; `ledger` is a snapshot of the store's.

    Raises:
        StoreFault: the ledger's file is damaged; what lies in the folders can be listed all the same.
    """
    found = Survey()
    ledger.check(thorough=True)
    with ledger.reading():
        connection = ledger.connection
        found.attempts = connection.execute("SELECT COUNT(*) FROM attempts").fetchone()[0]
        found.results = connection.execute("SELECT COUNT(*) FROM results").fetchone()[0]
        found.contradictions = list(_contradictions(connection))
        rows = connection.execute(
            "SELECT blob, size FROM attempts WHERE state IN ('fetched', 'done') AND blob IS NOT NULL"
        )
        found.expected = {blob: size for blob, size in rows if isinstance(blob, str) and _NAME.fullmatch(blob)}
    found.ledger_read = True
    list_files(store, found, besides=ledger.path)
    return found


def list_files(store: Store, found: Survey, *, besides: Path) -> None:
    """Fill in what lies in the store's folders; `besides` is a temporary file of the caller."""
    layout = store.layout
    found.blobs = dict(store.blobs.everything())
    for path in sorted(layout.blobs.rglob("*")):
        shelved = _NAME.fullmatch(path.name) and path.parent == layout.blobs / path.name[:2]
        if not path.is_dir() and not shelved:
            place = found.leftovers if is_part(path.name) else found.strays
            place.append(path.relative_to(layout.root).as_posix())
    for path in sorted(layout.tmp.iterdir()):
        if not path.name.startswith(besides.name) and not store.is_alive(path.name.partition(".")[0]):
            found.leftovers.append(path.relative_to(layout.root).as_posix())
    found.quarantined = {path.name: path.stat().st_size for path in sorted(layout.quarantine.iterdir())}


def damaged(
    store: Store, names: Sequence[str], progress: Callable[[int, int], None], *, threads: int = 0
) -> Iterator[str]:
    """The blobs whose bytes do not match their name or cannot be read, sorted as they came.

    One that another process takes away meanwhile is passed over. Memory does not grow with the files.
    """
    count = threads or min(_THREADS, os.cpu_count() or 1)
    step = 4 * count
    with ThreadPoolExecutor(count) as pool:
        for start in range(0, len(names), step):
            chunk = names[start : start + step]
            for name, whole in zip(chunk, pool.map(lambda each: _is_whole(store.blobs.path(each)), chunk), strict=True):
                if not whole:
                    yield name
            progress(start + len(chunk), len(names))


def _is_whole(path: Path) -> bool:
    try:
        return sha256_of(path) == path.name
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _contradictions(connection: sqlite3.Connection) -> Iterator[str]:
    known = {state.value for state in State}
    states = {row[0] for row in connection.execute("SELECT DISTINCT state FROM attempts")}
    for state in sorted(map(str, states - known)):
        yield f"attempts have the state '{state}', which does not exist"
    connection.execute(_LIVE)
    for what, query in _RULES.items():
        ids = [str(row[0]) for row in connection.execute(query)]
        if ids:
            yield _sentence(what, ids)
    names = connection.execute("SELECT blob FROM attempts WHERE blob IS NOT NULL UNION SELECT blob FROM results")
    wrong = [str(row[0]) for row in names if not _NAME.fullmatch(str(row[0]))]
    if wrong:
        yield f"bytes are named '{wrong[0][:80]}', which is no SHA-256"
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'one_live_attempt'").fetchone():
        yield "the constraint that allows one live attempt for each fingerprint is gone"


def _sentence(what: str, ids: Collection[str]) -> str:
    listed = sorted(ids)
    more = f" (and {len(listed) - _NAMED} more)" if len(listed) > _NAMED else ""
    return f"attempt {', '.join(listed[:_NAMED])}{more} {what}"
