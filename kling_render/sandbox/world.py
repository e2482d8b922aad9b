"""The simulated API without a wire: accounts, generations, faults and the passage of time.

Every call carries its time; nothing here reads a clock, a file or a socket. What the caller does with an `Answer`
(send it, lose it, cut it) is the caller's business, so one world serves HTTP and a virtual clock alike.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import random
import string
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kling_render.sandbox.config import WorldSettings
from kling_render.sandbox.faults import FaultBook, FaultRule, Standing
from kling_render.sandbox.records import (
    CREDITS_PER_USD,
    Answer,
    Call,
    Download,
    Generation,
    Movement,
    Submitted,
    plain,
    timestamp,
)

Journal = Callable[[str, str, Mapping[str, Any]], None]
"""Takes (kind, id, JSON record) of every change, for whoever keeps the world on disk."""

_ID_ALPHABET = string.ascii_letters + string.digits + "_-"


def no_journal(kind: str, key: str, record: Mapping[str, Any]) -> None:
    """Keep nothing."""


class World:
    """The state of the simulated API. Public attributes are for reading."""

    def __init__(self, settings: WorldSettings, seed: int, journal: Journal = no_journal) -> None:
        self.settings = settings
        self.seed = seed
        #: Grows with every reset, so that ids never come back.
        self.epoch = 0
        self._journal = journal
        self._given = settings
        self._clear()

    def _clear(self) -> None:
        self.faults = FaultBook(self.seed)
        self.generations: dict[str, Generation] = {}
        self.submits: list[Submitted] = []
        self.movements: list[Movement] = []
        self.downloads: list[Download] = []
        #: Account → credits.
        self.balances: dict[str, int] = {}
        #: Account → generations that still run, and the credits they will cost.
        self.running: Counter[str] = Counter()
        self.committed: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        #: Requests by endpoint.
        self.requests: Counter[str] = Counter()
        self.recent_submits: dict[str, list[float]] = {}
        self.log_reads: dict[str, list[float]] = {}
        self._due: list[tuple[float, str]] = []
        self._ids = 0

    # -- time ---------------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """End every generation whose time has come, and book its charge."""
        while self._due and self._due[0][0] <= now:
            at, generation_id = heapq.heappop(self._due)
            self._end(self.generations[generation_id], at)

    def _end(self, generation: Generation, at: float) -> None:
        ended = replace(generation, ended=True, expires=int(at + self.settings.url_ttl_s))
        self.keep_generation(ended)
        self.running[ended.account] -= 1
        self.committed[ended.account] -= ended.credits
        if not ended.failed:
            self.move(
                Movement(
                    at=at,
                    account=ended.account,
                    direction="CHARGE",
                    type="MODEL_USAGE",
                    credits=ended.credits,
                    model=ended.model,
                    reference_id=ended.id,
                )
            )

    # -- accounts -----------------------------------------------------------------------------------------------

    def account_of(self, call: Call) -> str | None:
        """The account behind the call's key, opened on first sight; None for a missing or unknown key."""
        if not call.key:
            return None
        account: str | None = f"acct_{key_id(call.key)}"
        if self.settings.keys:
            named = dict(entry.partition("=")[::2] for entry in self.settings.keys)
            account = (named[call.key] or account) if call.key in named else None
        if account is not None and account not in self.balances:
            credits_ = int(self.settings.balance_usd * CREDITS_PER_USD)
            self.move(Movement(at=call.now, account=account, direction="TOPUP", type="INIT", credits=credits_))
        return account

    def move(self, movement: Movement) -> None:
        """Book a movement of money; its number is given here."""
        movement = replace(movement, number=len(self.movements) + 1)
        self._book(movement)
        self._journal("movement", str(movement.number), plain(movement))

    def _book(self, movement: Movement) -> None:
        signed = movement.credits if movement.direction == "TOPUP" else -movement.credits
        self.movements.append(movement)
        self.balances[movement.account] = self.balances.get(movement.account, 0) + signed

    # -- faults -------------------------------------------------------------------------------------------------

    def hits(self, on: str, text: str = "") -> list[FaultRule]:
        """The faults that strike a call now; each occasion counts once, also over restarts."""
        struck = self.faults.hits(on, text)
        if self.faults.standing:
            self.keep_counts()
        return struck

    def hit(self, on: str, text: str = "") -> FaultRule | None:
        """The first of them."""
        struck = self.hits(on, text)
        return struck[0] if struck else None

    # -- what other parts of the sandbox write -------------------------------------------------------------------

    def new_id(self, length: int = 21) -> str:
        """An id in the vendor's style; the same seed gives the same ids in the same order."""
        self._ids += 1
        source = random.Random(f"{self.seed}:{self.epoch}:{self._ids}")  # noqa: S311 - a simulation
        return "".join(source.choices(_ID_ALPHABET, k=length))

    def accept(self, generation: Generation) -> None:
        """Take on a generation."""
        self._take_on(generation)
        self.keep_generation(generation)

    def _take_on(self, generation: Generation) -> None:
        self.generations[generation.id] = generation
        if generation.ended:
            return
        self.running[generation.account] += 1
        self.committed[generation.account] += generation.credits
        if generation.done_at is not None:
            heapq.heappush(self._due, (generation.done_at, generation.id))

    def keep_generation(self, generation: Generation) -> None:
        """Store a generation's new state."""
        self.generations[generation.id] = generation
        self._journal("generation", generation.id, plain(generation))

    def keep_submit(self, submitted: Submitted) -> None:
        """Enter a submit into the books; its number is given here."""
        submitted = replace(submitted, number=len(self.submits) + 1)
        self.submits.append(submitted)
        self._journal("submit", str(submitted.number), plain(submitted))
        self.keep_counts()

    def keep_download(self, download: Download) -> None:
        """Enter a request to the CDN into the books."""
        self.downloads.append(download)
        self._journal("download", str(len(self.downloads)), plain(download))

    def keep_counts(self) -> None:
        """Store ids used and occasions counted."""
        if self._journal is no_journal:
            return
        meta = {"ids": self._ids, "epoch": self.epoch, "seed": self.seed, "faults": self.faults.plain()}
        self._journal("meta", "world", {**meta, "start": self._given.plain(), "settings": self.settings.plain()})

    # -- administration -----------------------------------------------------------------------------------------

    def configure(self, now: float, changes: Mapping[str, Any]) -> None:
        """Change settings; a new balance holds for existing accounts too.

        Raises:
            UsageError: an unknown setting or a bad value.
        """
        self.settings = self.settings.changed(changes)
        if "balance_usd" in changes:
            target = int(self.settings.balance_usd * CREDITS_PER_USD)
            for account, owned in list(self.balances.items()):
                direction = "TOPUP" if target >= owned else "CHARGE"
                change = abs(target - owned)
                self.move(Movement(at=now, account=account, direction=direction, type="ADJUSTMENT", credits=change))
        self.keep_counts()

    def add_fault(self, rule: FaultRule) -> None:
        """Put a fault in force."""
        self.faults.standing.append(Standing(rule))
        self.keep_counts()

    def clear_faults(self) -> None:
        """Let everything go well from now on."""
        self.faults.standing.clear()
        self.keep_counts()

    def reset(self) -> None:
        """As at the start, without any faults; only ids never come back."""
        self._clear()
        self.epoch += 1
        self.settings = self._given
        self._journal("reset", "", {})
        self.keep_counts()

    def restore(self, records: Mapping[str, list[dict[str, Any]]]) -> None:
        """Take back what the journal was given, kind → records in the order of their ids."""
        for meta in records.get("meta", []):
            self.seed, self.epoch, self._ids = meta["seed"], meta["epoch"], meta["ids"]
            # A setting that was given anew at this start holds; the others go on as they were.
            given, start, last = self._given.plain(), meta["start"], meta["settings"]
            self.settings = self.settings.changed({n: last[n] for n in last if given[n] == start.get(n)})
            self.faults = FaultBook(self.seed)
            self.faults.restore(meta["faults"])
        for kept in records.get("movement", []):
            self._book(Movement(**kept))
        for kept in records.get("generation", []):
            self._take_on(Generation(**{**kept, "faults": tuple(kept["faults"])}))
        self.submits = [Submitted(**kept) for kept in records.get("submit", [])]
        self.downloads = [Download(**kept) for kept in records.get("download", [])]

    # -- result links -------------------------------------------------------------------------------------------

    def signature(self, name: str, expires: int) -> str:
        """The signature of a result link."""
        secret = f"sandbox:{self.seed}".encode()
        return hmac.new(secret, f"{name}:{expires}".encode(), hashlib.sha256).hexdigest()[:32]

    def link(self, generation: Generation, call: Call) -> str:
        """A link that still holds; a new one once the old one has run out."""
        if generation.expires <= call.now:
            generation = replace(generation, expires=int(call.now + self.settings.url_ttl_s) + 1)
            self.keep_generation(generation)
        name = f"{generation.id}.mp4"
        return f"{call.origin}/cdn/{name}?expires={generation.expires}&sig={self.signature(name, generation.expires)}"


def key_id(key: str) -> str:
    """A digest that stands for a key: keys themselves are never stored."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def refusal(world: World, call: Call, status: int, message: str, **headers: str) -> Answer:
    """An error answer in the documented form."""
    request_id = world.new_id(24)
    body = {
        "message": message,
        "path": call.path,
        "requestId": request_id,
        "statusCode": status,
        "timestamp": timestamp(call.now),
    }
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status=status, body=body, headers=(("x-request-id", request_id), *named))


def unauthorized(world: World, call: Call) -> Answer:
    """401 in the documented form."""
    message = "The API key is missing." if not call.key else "The API key is invalid, expired or disabled."
    return refusal(world, call, 401, message)
