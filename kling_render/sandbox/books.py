"""The books: everything the simulated API saw and did, as one JSON document for assertions."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Any

from kling_render.sandbox.polling import status_of
from kling_render.sandbox.records import CREDITS_PER_USD, plain
from kling_render.sandbox.world import World

FORMAT = "kling-render.sandbox-books/1"
#: `kr1:<first 32 hex of a fingerprint>:<ULID>`
_OURS = re.compile(r"kr1:([0-9a-f]{32}):[0-9A-Z]{26}")


def fingerprint_of(client_request_id: str | None) -> str | None:
    """The fingerprint's prefix inside a client request id of this tool."""
    match = _OURS.fullmatch(client_request_id or "")
    return match[1] if match else None


def books(world: World, now: float) -> dict[str, Any]:
    """All records and a few sums over them."""
    world.advance(now)
    charges = [m for m in world.movements if m.type == "MODEL_USAGE"]
    paid: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for generation in world.generations.values():
        prefix = fingerprint_of(generation.client_request_id)
        if prefix:
            accepted[prefix] += 1
    for movement in charges:
        prefix = fingerprint_of(world.generations[movement.reference_id or ""].client_request_id)
        if prefix:
            paid[prefix] += 1
    return {
        "format": FORMAT,
        "now": now,
        "submits": [plain(s) for s in world.submits],
        "generations": [
            {**plain(g), "status": status_of(g, now), "polls": world.polls[g.id]} for g in world.generations.values()
        ],
        "charges": [plain(m) for m in charges],
        "movements": [plain(m) for m in world.movements],
        "cdn": [plain(d) for d in world.downloads],
        "polls": world.polls.total(),
        "requests": dict(world.requests),
        "accepted": dict(accepted),
        "paid": dict(paid),
        "charged_credits": sum(m.credits for m in charges),
        "charged_usd": str(Decimal(sum(m.credits for m in charges)) / CREDITS_PER_USD),
        "balances": {account: owned / CREDITS_PER_USD for account, owned in world.balances.items()},
        "keys_sent_to_cdn": sum(d.had_authorization for d in world.downloads),
        "faults": world.faults.plain(),
    }
