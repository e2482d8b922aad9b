"""The simulated API: its books are the truth about money. It outlives every process, and goes on without them."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kling_render.lifecycle.answers import LogRow, PollAnswer, SubmitEvidence
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.ports import Fetched, FetchFailed, LinkExpired, LogRefused, LogUnavailable
from tests.sim.machine import EPOCH, Process
from tests.sim.weather import Weather, Word

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.sim.world import Sim

_ODD = ("queued", "generating", "waiting", "active", "dreaming", "")


@dataclass(slots=True)
class Generation:
    """One accepted request."""

    id: str
    client_request_id: str
    #: True time, and the server's own clock then.
    made: float
    stamp: float
    ends: float
    #: "", "upstream" or "content".
    fate: str
    charge: int
    log_lag: float
    #: The server denies knowing it until then.
    unknown_until: float = 0.0

    @property
    def prefix(self) -> str:
        return str(fingerprint_prefix(self.client_request_id))

    @property
    def video(self) -> bytes:
        return video(self.id)


def video(generation_id: str) -> bytes:
    """The bytes of a generation's result."""
    return f"video {generation_id} ".encode() * 8 + b"END"


def whole(data: bytes) -> str | None:
    """The generation that these bytes are the complete video of."""
    parts = data[:64].split(b" ")
    name = parts[1].decode(errors="replace") if len(parts) > 1 else ""
    return name if name and data == video(name) else None


@dataclass(slots=True)
class Refusal:
    """A request that was not accepted, as the log may list it."""

    client_request_id: str
    made: float
    stamp: float
    log_lag: float


@dataclass(slots=True)
class Server:
    """Accepts, generates, charges, logs."""

    sim: Sim
    weather: Weather
    chance: random.Random
    generations: dict[str, Generation] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    submits: int = 0
    #: Requests whose bytes are all there and that are not decided yet.
    pending: list[Callable[[], None]] = field(default_factory=list)

    def clock(self) -> float:
        return EPOCH + self.sim.true() + self.weather.server_off(self.sim.true())

    def receive(self, request: SubmitRequest, word: Word) -> None:
        """All bytes are there: the decision falls a little later, whatever becomes of the sender."""
        self.submits += 1
        decided = False

        def decide() -> None:
            nonlocal decided
            if decided:
                return
            decided = True
            self.pending.remove(decide)
            self._decide(request, word)

        self.pending.append(decide)
        self.sim.outside(self.weather.decision_s(self.chance), decide)

    def settle_now(self) -> None:
        """The machine falls asleep: what it sent is decided without it."""
        for decide in list(self.pending):
            decide()

    def _decide(self, request: SubmitRequest, word: Word) -> None:
        now, name = self.sim.true(), request.client_request_id
        if not word.accepts:
            self.sim.note("server", "refuses", name[-6:])
            if self.weather.lists_refusals:
                self.refusals.append(Refusal(name, now, self.clock(), self.weather.lag_s(self.chance)))
            return
        made = Generation(
            id=f"gen{len(self.generations) + 1:03d}",
            client_request_id=name,
            made=now,
            stamp=self.clock(),
            ends=now + self.weather.takes_s(self.chance),
            fate=self.weather.fate(self.chance, now),
            charge=self.weather.charge(self.chance),
            log_lag=self.weather.lag_s(self.chance),
            unknown_until=now + self.weather.unknown_s(self.chance, now),
        )
        self.generations[made.id] = made
        self.sim.note("server", f"accepts {made.id} {made.fate}", name[-6:])
        self.sim.watch.accepted(made)

    def by_request(self, client_request_id: str) -> Generation | None:
        return next((g for g in self.generations.values() if g.client_request_id == client_request_id), None)

    def rows(self, start: float, end: float) -> list[LogRow]:
        """The log between two times of the server's clock, newest first."""
        now, found = self.sim.true(), []
        for generation in self.generations.values():
            begins = generation.made if self.weather.lists_running else generation.ends
            if begins + generation.log_lag <= now and start <= generation.stamp <= end:
                failed = bool(generation.fate) and generation.ends <= now
                found.append(
                    LogRow(
                        created=generation.stamp,
                        failed=failed,
                        credits=0 if failed else None,
                        inference_id=generation.id,
                        client_request_id=generation.client_request_id,
                    )
                )
        for number, refusal in enumerate(self.refusals):
            if refusal.made + refusal.log_lag <= now and start <= refusal.stamp <= end:
                found.append(
                    LogRow(
                        created=refusal.stamp,
                        failed=True,
                        credits=0,
                        inference_id=f"ref{number}",
                        client_request_id=refusal.client_request_id,
                    )
                )
        return sorted(found, key=lambda row: row.created, reverse=True)

    def charged(self) -> dict[str, int]:
        """How often each fingerprint's prefix was accepted and does not fail."""
        counts: dict[str, int] = {}
        for generation in self.generations.values():
            if not generation.fate:
                counts[generation.prefix] = counts.get(generation.prefix, 0) + 1
        return counts


class Connection:
    """One process's client: `ports.PaidProvider`."""

    namespace = "sandbox"
    account = "acc"

    def __init__(self, process: Process, chance: random.Random) -> None:
        self._process = process
        self._sim = process.sim
        self._server = process.sim.server
        self._weather = process.sim.server.weather
        self._chance = chance
        self._ahead = 0.0
        self._seen_at: tuple[float, float] | None = None

    # -- submit ------------------------------------------------------------------------------------------------

    async def submit(self, request: SubmitRequest, before_first_byte: Callable[[], Awaitable[None]]) -> SubmitEvidence:
        process, sim = self._process, self._sim
        sim.watch.sent[request.client_request_id] = process.machine
        await process.astep("connect")
        await self._pass(0.01, 0.4)
        if self._offline() or self._chance.random() < self._weather.unreachable:
            return SubmitEvidence(intended=False, body_sent=0, body_declared=10, broken="ConnectError")
        stopped = process.stopped
        await before_first_byte()
        sim.watch.sending(process, stopped)
        await process.astep("first byte")
        word = self._weather.word(self._chance, sim.true())
        naps = sim.naps
        await self._pass(0.05, 3.0)
        if word.name == "partial" or sim.naps != naps:
            return SubmitEvidence(intended=True, body_sent=4, body_declared=10, broken="WriteError")
        process.step("last byte")
        self._server.receive(request, word)
        await self._pass(*word.waits)
        while (found := self._decided(request, word)) is None:
            await self._pass(1.0, 2.0)
        await process.astep(f"answer {word.name}")
        if word.name in ("unauthorized", "forbidden"):
            process.refused = True
        if word.body == "id" and sim.naps == naps:
            process.told_ids[request.client_request_id] = found
        if sim.naps != naps:
            return SubmitEvidence(intended=True, body_sent=10, body_declared=10, broken="ReadError")
        self._note_date()
        if word.fills_disk:
            process.machine.disk.breaks(*word.fills_disk)
            sim.note(process.name, "disk breaks at the id")
        return _evidence(word, found)

    def _decided(self, request: SubmitRequest, word: Word) -> str | None:
        """The id of the decided request, "" for none; None while the answer is not decided yet."""
        if not word.accepts or not word.answers:
            return ""
        found = self._server.by_request(request.client_request_id)
        return found.id if found else None

    # -- what is free ----------------------------------------------------------------------------------------

    async def poll(self, generation_id: str) -> PollAnswer:
        await self._process.astep(f"poll {generation_id}")
        await self._pass(0.01, 0.5)
        weather, now = self._weather, self._sim.true()
        if self._offline() or self._chance.random() < weather.poll_fails:
            wait = self._chance.choice((None, None, 20.0))
            return PollAnswer(kind="unavailable", message="HTTP 502", wait_s=wait)
        self._note_date()
        if weather.unauthorized(now):
            self._process.refused = True
            return PollAnswer(kind="refused", message="the key is refused (HTTP 401)")
        generation = self._server.generations.get(generation_id)
        if generation is None or now < generation.unknown_until:
            return PollAnswer(kind="unknown-id", message="no such generation")
        if now < generation.ends:
            return PollAnswer(kind="running", status=self._chance.choice(_ODD[: weather.odd_statuses]))
        if generation.fate:
            name = "ContentPolicyViolation" if generation.fate == "content" else "Upstream"
            return PollAnswer(kind="failed", status="error", error_name=name, message="no")
        reported = None if self._chance.random() < weather.no_usage else generation.charge
        return PollAnswer(kind="completed", status="completed", url=f"{generation.id}@{now:.3f}", credits=reported)

    async def fetch(self, url: str, target: Path) -> Fetched:
        process, weather = self._process, self._weather
        await process.astep(f"fetch {url.partition('@')[0]}")
        await self._pass(0.05, 2.0)
        name, _, since = url.partition("@")
        if self._offline():
            raise FetchFailed("ConnectError")
        if self._sim.true() - float(since) > weather.link_life_s or self._chance.random() < weather.link_fails:
            raise LinkExpired("HTTP 410")
        data = video(name)
        trouble = self._chance.random()
        if trouble < weather.cut:
            data = data[: len(data) // 2]
        elif trouble < weather.cut + weather.damaged:
            data = data[:20] + b"?" + data[21:]
        process.machine.disk.raises()
        await asyncio.to_thread(self._write, target, data)
        if trouble < weather.cut:
            raise FetchFailed("the connection was closed early")
        return Fetched(sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    def _write(self, target: Path, data: bytes) -> None:
        self._process.step("write download")
        target.write_bytes(data)

    async def log(self, start: float, end: float) -> list[LogRow]:
        await self._books("log")
        return self._server.rows(start, end)

    async def balance(self) -> int | None:
        await self._books("balance")
        return self._chance.choice((None, 10**12))

    async def _books(self, what: str) -> None:
        await self._process.astep(what)
        await self._pass(0.02, 1.0)
        now = self._sim.true()
        if self._offline() or self._weather.log_down(now) or self._chance.random() < self._weather.log_fails:
            raise LogUnavailable(f"the {what} cannot be read: HTTP 503")
        self._note_date()
        if self._weather.unauthorized(now):
            self._process.refused = True
            raise LogRefused("the key is refused (HTTP 401)")

    def server_ahead_s(self) -> float:
        return self._ahead

    async def know_time(self) -> None:
        if self._seen_at is None or abs(self._drift_s()) > 5.0:
            await self._books("time")

    def _drift_s(self) -> float:
        assert self._seen_at is not None
        machine = self._process.machine
        wall, ticks = self._seen_at
        return (machine.now() - wall) - (machine.monotonic() - ticks)

    def _note_date(self) -> None:
        machine = self._process.machine
        self._seen_at = (machine.now(), machine.monotonic())
        self._ahead = float(int(self._server.clock())) - machine.now()

    def _offline(self) -> bool:
        return self._weather.offline(self._sim.true())

    async def _pass(self, low: float, high: float) -> None:
        await asyncio.sleep(self._chance.uniform(low, high))


def _evidence(word: Word, generation_id: str) -> SubmitEvidence:
    known: dict[str, Any] = {"status": word.status}
    if not word.answers:
        known = {"broken": "ReadError"}
    if word.body == "id":
        known["body"] = f'{{"id": "{generation_id}", "status": "queued"}}'
    elif word.body == "error":
        known["body"] = f'{{"message": "no", "statusCode": {word.status}}}'
    elif word.body == "cut":
        known["body"], known["broken"] = '{"id": "ge', "RemoteProtocolError"
    elif word.answers:
        known["body"] = "<html>"
    if word.header:
        known["inference_id"] = generation_id or "ghost-of-a-request"
    if word.status == 429:
        known["retry_after"] = word.retry_after
    return SubmitEvidence(intended=True, body_sent=10, body_declared=10, **known)
