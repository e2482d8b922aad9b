"""What goes wrong, when, and how often: all of it drawn from the seed before the story begins."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

Spell = tuple[float, float]
PRICE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """How the server and the network answer one submit whose bytes all left."""

    name: str
    accepts: bool
    answers: bool = True
    status: int | None = None
    #: "id", "error", "cut" or "" (a page of some proxy).
    body: str = ""
    #: With `x-inference-id`.
    header: bool = False
    #: Seconds until the answer, or until the sender gives up.
    waits: tuple[float, float] = (0.1, 2.0)
    retry_after: str | None = None
    #: At the very moment the answer comes, the disk fails so: trouble, and how many writes.
    fills_disk: tuple[str, int | None] | None = None


def _both(name: str, **how: object) -> list[Word]:
    return [
        Word(name=f"{name}-accepted", accepts=True, **how),  # type: ignore[arg-type]
        Word(name=name, accepts=False, **how),  # type: ignore[arg-type]
    ]


OK = Word(name="ok", accepts=True, status=201, body="id")
UNAUTHORIZED = Word(name="unauthorized", accepts=False, status=401, body="error")
FORBIDDEN = Word(name="forbidden", accepts=False, status=403, body="error")
LIMITED = [
    Word(name="limited", accepts=False, status=429, body="error", retry_after=after)
    for after in ("5", "60", None, "Thu, 01 Jan 1970 00:00:00 GMT", "soon")
]
FAULTS: list[Word] = [
    Word(name="lost", accepts=True, answers=False, waits=(0.1, 3.0)),
    Word(name="timeout", accepts=True, answers=False, waits=(60.0, 200.0)),
    Word(name="dropped", accepts=False, answers=False, waits=(0.1, 3.0)),
    Word(name="dropped-timeout", accepts=False, answers=False, waits=(60.0, 200.0)),
    Word(name="partial", accepts=False, answers=False),
    *_both("500", status=500, body="error"),
    *_both("502", status=502),
    *_both("503-id", status=503, body="error", header=True),
    *_both("504", status=504, waits=(30.0, 90.0)),
    *_both("redirect", status=307),
    *_both("408", status=408, body="error"),
    *_both("409", status=409, body="error"),
    *_both("425", status=425),
    *_both("teapot", status=418),
    Word(name="no-id", accepts=True, status=200),
    Word(name="no-id-nothing", accepts=False, status=200),
    Word(name="header-id", accepts=True, status=200, header=True),
    Word(name="cut-body", accepts=True, status=201, body="cut"),
    Word(name="cut-body-id", accepts=True, status=201, body="cut", header=True),
    *(Word(name=str(code), accepts=False, status=code, body="error") for code in (400, 404, 413, 422)),
    Word(name="teapot-refused", accepts=False, status=418, body="error"),
    Word(name="ok-disk-full-once", accepts=True, status=201, body="id", fills_disk=("full", 1)),
    Word(name="ok-disk-full", accepts=True, status=201, body="id", fills_disk=("full", None)),
    Word(name="ok-disk-dead", accepts=True, status=201, body="id", fills_disk=("dead", None)),
    Word(name="lost-disk-full", accepts=True, answers=False, fills_disk=("full", 2)),
    *LIMITED,
]


@dataclass(slots=True)
class Weather:
    """The conditions of one story. Times are seconds of true time; `calm` ends every fault."""

    #: Share of submits that meet a fault, and which faults this story knows.
    trouble: float = 0.0
    words: list[Word] = field(default_factory=lambda: [OK])
    #: Words that come first, in this order, whatever the rest.
    script: list[Word] = field(default_factory=list)
    unreachable: float = 0.0
    poll_fails: float = 0.0
    log_fails: float = 0.0
    link_fails: float = 0.0
    cut: float = 0.0
    damaged: float = 0.0
    no_usage: float = 0.0
    #: The output folder refuses a file; the store's disk is another one.
    unwritable: float = 0.0
    link_life_s: float = 1e9
    odd_statuses: int = 2
    fails: float = 0.0
    unknown: float = 0.0
    #: Seconds that a generation takes; a share of them takes very long.
    takes: tuple[float, float] = (5.0, 60.0)
    endless: float = 0.0
    very_long: float = 40_000.0
    decides: tuple[float, float] = (0.02, 0.1)
    log_lag: tuple[float, float] = (0.0, 0.0)
    lists_running: bool = True
    lists_refusals: bool = False
    overcharge: float = 0.0
    unauthorized_spells: list[Spell] = field(default_factory=list)
    forbidden_spells: list[Spell] = field(default_factory=list)
    limited_spells: list[Spell] = field(default_factory=list)
    offline_spells: list[Spell] = field(default_factory=list)
    log_spells: list[Spell] = field(default_factory=list)
    #: The server's clock: how far off, and jumps (when, by).
    server_offset: float = 0.0
    server_jumps: list[Spell] = field(default_factory=list)

    def word(self, chance: random.Random, now: float) -> Word:
        if _within(self.unauthorized_spells, now):
            return UNAUTHORIZED
        if _within(self.forbidden_spells, now):
            return FORBIDDEN
        if _within(self.limited_spells, now):
            return chance.choice(LIMITED)
        if self.script:
            return self.script.pop(0)
        return chance.choice(self.words) if chance.random() < self.trouble else OK

    def decision_s(self, chance: random.Random) -> float:
        return chance.uniform(*self.decides)

    def takes_s(self, chance: random.Random) -> float:
        return self.very_long if chance.random() < self.endless else chance.uniform(*self.takes)

    def lag_s(self, chance: random.Random) -> float:
        return chance.uniform(*self.log_lag)

    def fate(self, chance: random.Random, now: float) -> str:
        del now
        return chance.choice(("upstream", "upstream", "content")) if chance.random() < self.fails else ""

    def charge(self, chance: random.Random) -> int:
        return PRICE + 7 if chance.random() < self.overcharge else chance.choice((PRICE, PRICE, PRICE - 10))

    def unknown_s(self, chance: random.Random, now: float) -> float:
        del now
        return chance.choice((30.0, 600.0, 40_000.0)) if chance.random() < self.unknown else 0.0

    def unauthorized(self, now: float) -> bool:
        return _within(self.unauthorized_spells, now)

    def offline(self, now: float) -> bool:
        return _within(self.offline_spells, now)

    def log_down(self, now: float) -> bool:
        return _within(self.log_spells, now)

    def server_off(self, now: float) -> float:
        return self.server_offset + sum(by for at, by in self.server_jumps if at <= now)

    def calm(self) -> None:
        """No fault from now on; how slow the log is, and what it lists, is no fault."""
        self.trouble = self.unreachable = self.poll_fails = self.log_fails = 0.0
        self.link_fails = self.unwritable = self.cut = self.damaged = self.fails = self.unknown = self.endless = 0.0
        self.script, self.link_life_s = [], 1e9
        for spells in (
            self.unauthorized_spells,
            self.forbidden_spells,
            self.limited_spells,
            self.offline_spells,
            self.log_spells,
        ):
            spells.clear()


def _within(spells: list[Spell], now: float) -> bool:
    return any(start <= now < end for start, end in spells)


def drawn(chance: random.Random, absence_s: float) -> Weather:
    """The weather of one story: most of it fair, each fault alone or with a few others.

    The log is as slow as `absence_s` allows, and no slower: a row is there within that time where requests are listed
    while they run, and within 24 times as long where they are not.
    """

    def maybe(share: float, low: float, high: float) -> float:
        return chance.uniform(low, high) if chance.random() < share else 0.0

    def spells(share: float, longest: float) -> list[Spell]:
        found: list[Spell] = []
        while chance.random() < share and len(found) < 3:
            start = chance.uniform(0.0, chance.choice((2.0, 30.0, 1_000.0)))
            found.append((start, start + chance.uniform(0.5, longest)))
        return found

    running = chance.random() < 0.6
    slowest = absence_s - 70.0
    lag = chance.choice(((0.0, 0.0), (0.0, slowest / 10), (0.0, slowest), (0.7 * slowest, slowest)))
    return Weather(
        trouble=chance.choice((0.0, 0.2, 0.5, 1.0)),
        words=chance.sample(FAULTS, chance.randint(1, 6)),
        unreachable=maybe(0.2, 0.1, 0.6),
        poll_fails=maybe(0.3, 0.1, 0.7),
        log_fails=maybe(0.2, 0.1, 0.7),
        link_fails=maybe(0.2, 0.1, 0.9),
        cut=maybe(0.2, 0.1, 0.5),
        damaged=maybe(0.2, 0.1, 0.5),
        no_usage=maybe(0.1, 0.2, 1.0),
        unwritable=maybe(0.1, 0.2, 1.0),
        link_life_s=chance.choice((1e9, 1e9, 60.0)),
        odd_statuses=chance.choice((2, 2, 6)),
        fails=maybe(0.3, 0.1, 0.8),
        unknown=maybe(0.1, 0.2, 0.8),
        takes=chance.choice(((5.0, 60.0), (5.0, 60.0), (60.0, 500.0))),
        endless=maybe(0.15, 0.2, 0.8),
        very_long=12 * absence_s,
        decides=chance.choice(((0.02, 0.1), (0.02, 0.1), (1.0, 60.0))),
        log_lag=lag,
        lists_running=running,
        lists_refusals=chance.random() < 0.3,
        overcharge=maybe(0.05, 0.3, 1.0),
        unauthorized_spells=spells(0.12, 900.0),
        forbidden_spells=spells(0.1, 900.0),
        limited_spells=spells(0.15, 120.0),
        offline_spells=spells(0.12, 600.0),
        log_spells=spells(0.15, 8_000.0),
        server_offset=chance.choice((0.0, 0.0, 37.0, -7_200.0, 86_400.0 * 365)),
        server_jumps=[(chance.uniform(0.0, 1_000.0), chance.uniform(-1.0, 1.0) * absence_s / 36)]
        if chance.random() < 0.1
        else [],
    )
