"""The ports a run works through, gathered in one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kling_render.engine.work import Progress, Target, Work
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.ports import Blobs, Clock, Ledger, PaidProvider, Randomness
from kling_render.shotlist.records import Request


class Uploads(Protocol):
    """Turns a planned request into what is sent."""

    async def prepare(self, work: Work, client_request_id: str) -> SubmitRequest:
        """Uploads and URLs of a work that has a request; trims are made here.

        Raises:
            InputGone: an input is no longer the one that was planned.
        """
        ...


class LocalRenderer(Protocol):
    """A free provider that renders on this machine."""

    async def make(self, request: Request, label: tuple[str, ...], target: Path) -> str:
        """Render to `target`, with the label burnt in; returns its SHA-256.

        Raises:
            InputGone: an input cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a look at downloaded bytes found."""

    #: None: it is a complete, decodable video.
    problem: str | None
    #: Shown with the result: it is shorter than its clip, or has no sound.
    warning: str | None = None
    #: Where there is a problem: no byte is missing, so it may have been made like this.
    complete: bool = False


class Checker(Protocol):
    """Looks at results before they are believed."""

    async def check(self, path: Path, expected_s: float | None) -> Checked:
        """Structure, decodability and length of an mp4."""
        ...


class Publisher(Protocol):
    """Puts results into output trees."""

    def publish(self, target: Target, result: Result, manifest: str) -> None:
        """The take with its sidecar, and the final when this take is the one. OSError as usual."""
        ...


class Owners(Protocol):
    """Which processes still live."""

    def is_alive(self, token: str) -> bool:
        """Whether the process with this token still runs (an OS lock, never a time-out)."""
        ...


class Spool(Protocol):
    """The last resort for a generation id when the ledger cannot be written."""

    def prepare(self, attempt_id: str) -> None:
        """Make room before the request is sent. StoreFault when there is none: then nothing may be sent."""
        ...

    def put(self, attempt_id: str, generation_id: str) -> None:
        """Save an id in that room; durable when this returns. StoreFault when the disk fails altogether."""
        ...

    def release(self, attempt_id: str) -> None:
        """The room is no longer needed."""
        ...


class Watcher(Protocol):
    """Is told what happens."""

    def tell(self, progress: Progress) -> None:
        """One thing that happened; must not block."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything a run touches."""

    clock: Clock
    chance: Randomness
    ledger: Ledger
    blobs: Blobs
    checker: Checker
    publisher: Publisher
    owners: Owners
    watcher: Watcher
    #: This process's token among the owners.
    owner: str
    #: This run's id, a ULID.
    run: str
    namespace: str
    spool: Spool
    provider: PaidProvider | None = None
    uploads: Uploads | None = None
    renderer: LocalRenderer | None = None

    def now(self) -> float:
        """The server's time in seconds since the epoch; our own where there is no server.

        Every time that decides about money is kept in it: our clock may jump, and logs are read by the server's.
        """
        return self.clock.now() + (self.provider.server_ahead_s() if self.provider is not None else 0.0)

    @property
    def paid(self) -> PaidProvider:
        """The paid provider of a run that has one."""
        assert self.provider is not None
        return self.provider


def result_of(attempt: Attempt) -> Result:
    """The result that a fetched attempt holds."""
    assert attempt.blob is not None
    assert attempt.size is not None
    return Result(
        namespace=attempt.namespace,
        fingerprint=attempt.fingerprint,
        blob=attempt.blob,
        size=attempt.size,
        attempt=attempt.id,
        charge=attempt.charge,
        generation_id=attempt.generation_id,
        made_at=attempt.ended_at or attempt.reserved_at,
    )
