"""A store with attempts in many states, for the tests of its upkeep."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kling_render.errors import StoreFault
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import Event
from kling_render.store.opening import Store
from tests.store.support import NAMESPACE, attempt

#: The events that lead to a state from its reservation.
WAYS: dict[str, tuple[Event, ...]] = {
    "reserved": (),
    "intent": (Event.SEND,),
    "rejected": (Event.SEND, Event.REJECT),
    "in-doubt": (Event.SEND, Event.DOUBT),
    "needs-user": (Event.SEND, Event.DOUBT, Event.ASK),
    "absent": (Event.SEND, Event.DOUBT, Event.PROVE_ABSENT),
    "abandoned": (Event.SEND, Event.DOUBT, Event.ASK, Event.ABANDON),
    "accepted": (Event.SEND, Event.ACCEPT),
    "stalled": (Event.SEND, Event.ACCEPT, Event.STALL),
    "remote-failed": (Event.SEND, Event.ACCEPT, Event.FAIL),
    "ready": (Event.SEND, Event.ACCEPT, Event.COMPLETE),
    "paid-lost": (Event.SEND, Event.ACCEPT, Event.COMPLETE, Event.LOSE),
    "fetched": (Event.SEND, Event.ACCEPT, Event.COMPLETE, Event.FETCH),
    "done": (Event.SEND, Event.ACCEPT, Event.COMPLETE, Event.FETCH, Event.PUBLISH),
    "made": (Event.MAKE, Event.PUBLISH),
}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keep(store: Store, data: bytes) -> str:
    """Put bytes into the store."""
    temporary = store.blobs.temporary()
    temporary.write_bytes(data)
    store.blobs.adopt(temporary, digest(data))
    return digest(data)


def walk(store: Store, number: int, state: str, data: bytes = b"", **changes: Any) -> Attempt:
    """An attempt in a state; `data` are the bytes of its result."""
    new = attempt(number, **({"owner": "dead"} | changes))
    facts: dict[Event, dict[str, Any]] = {
        Event.ACCEPT: {"generation_id": f"gen-{number}"},
        Event.COMPLETE: {"result_url": f"https://cdn.example/{number}.mp4", "charge": 100},
        Event.FAIL: {"charge": 0, "failure": "upstream", "message": "it failed"},
    }
    if Event.FETCH in WAYS[state] or Event.MAKE in WAYS[state]:
        held = {"blob": keep(store, data), "size": len(data)}
        facts |= {Event.FETCH: held, Event.MAKE: held | {"charge": 0}}
    with store.ledger.writing() as ledger:
        ledger.reserve(new, ())
        for step, event in enumerate(WAYS[state]):
            new = ledger.record(new.id, event, 2000.0 + 10 * number + step, **facts.get(event, {}))
    return new


def done(store: Store, number: int, data: bytes, **changes: Any) -> Attempt:
    return walk(store, number, "done", data, **changes)


def rehearsal(store: Store, number: int, data: bytes, **changes: Any) -> Attempt:
    return walk(store, number, "made", data, namespace="previz", **changes)


def spoil(path: Path, data: bytes = b"damaged") -> None:
    """Change a blob's bytes behind the store's back."""
    path.chmod(0o600)
    path.write_bytes(data)


def listing(root: Path) -> dict[str, bytes]:
    """Every file of a store but the lock and the cache, with its bytes."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith((".kling-render-", "cache.", "ledger.sqlite3-"))
    }


def fault_of(act: Callable[[], object]) -> StoreFault | None:
    """The fault that an act ends with, if any."""
    try:
        act()
    except StoreFault as fault:
        return fault
    return None


__all__ = [
    "NAMESPACE",
    "WAYS",
    "attempt",
    "digest",
    "done",
    "fault_of",
    "keep",
    "listing",
    "rehearsal",
    "spoil",
    "walk",
]
