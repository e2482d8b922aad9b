"""What the inner rooms ask of the world: small protocols, each as narrow as its user needs.

The real things live in `disk/`, `store/`, `providers/` and `cli/`; tests pass programs with state in their place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from kling_render.lifecycle.answers import LogRow, PollAnswer, SubmitEvidence
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt, Cap, OverBudget, Reserved, Result, Taken
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.lifecycle.states import Event

T = TypeVar("T")

FileKind = Literal["file", "folder", "other", "missing", "circle"]
"""`circle`: symlinks that lead back to themselves."""


class Clock(Protocol):
    """Wall time for records, monotonic time for waiting."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Randomness(Protocol):
    """A source of chance: `random.Random` fits."""

    def uniform(self, a: float, b: float, /) -> float:
        """A float between a and b."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """An integer of k random bits."""
        ...


class ProjectFiles(Protocol):
    """Reads the user's project. Paths are absolute."""

    def read_text_bytes(self, path: Path, limit: int) -> bytes:
        """At most `limit` + 1 bytes of a regular file; OSError as usual (never blocks on a FIFO)."""
        ...

    def read_small(self, path: Path, limit: int) -> bytes | None:
        """The bytes of a regular file that has at most `limit`; None for a larger one, which is not opened.

        Raises:
            OSError: it cannot be read, or could not be.
        """
        ...

    def kind(self, path: Path) -> FileKind:
        """What stands at the path, symlinks followed."""
        ...

    def resolve(self, path: Path) -> Path:
        """The path with all symlinks resolved; need not exist."""
        ...

    def glob(self, folder: Path, pattern: str) -> list[Path]:
        """Regular files below `folder` that match the POSIX glob, sorted by their POSIX path."""
        ...


class LedgerTransaction(Protocol):
    """The ledger inside one durable transaction: all of it is on disk when the transaction returns, or none."""

    def reserve(self, new: Attempt, caps: Sequence[Cap]) -> Reserved | Taken | OverBudget:
        """Claim the fingerprint and hold its estimate, if nothing holds it and every cap has room."""
        ...

    def record(self, attempt_id: str, event: Event, at: float, **facts: Any) -> Attempt:
        """Take one step of the lifecycle table and store the facts with it (field names of `Attempt`).

        Raises:
            IllegalTransition: the step is not in the table.
        """
        ...

    def take_over(self, attempt_id: str, owner: str, from_owner: str) -> bool:
        """Drive an attempt whose owner is gone; False when somebody else was faster."""
        ...

    def attempt(self, attempt_id: str) -> Attempt | None:
        """One attempt."""
        ...

    def result(self, namespace: str, fingerprint: str) -> Result | None:
        """The result of a fingerprint."""
        ...

    def open_attempts(self, namespace: str) -> list[Attempt]:
        """Every attempt whose state is in `OPEN`, oldest first."""
        ...

    def latest(self, namespace: str) -> Mapping[str, Attempt]:
        """The newest attempt of every fingerprint."""
        ...

    def results(self, namespace: str) -> Mapping[str, Result]:
        """Every result by fingerprint, in one read."""
        ...

    def forget(self, attempt_id: str) -> None:
        """Delete an attempt that is done and that nobody paid for, with its results and history; any other stays."""
        ...

    def adopt(self, found: Attempt, at: float) -> Reserved | Taken:
        """Insert an attempt that was paid for elsewhere, in its live state; caps do not refuse it.

        One of our own that was taken for refused or absent is accepted after all.
        """
        ...

    def keep(self, namespace: str, fingerprint: str, old_fingerprint: str, at: float) -> Result | None:
        """Let the result of `old_fingerprint` be that of `fingerprint` too; None when there is none."""
        ...

    def known_generations(self, namespace: str) -> Mapping[str, str]:
        """Generation id → attempt id, of everything the store holds."""
        ...

    def add_log_read(self, read: LogRead) -> None:
        """Remember a complete read of the account's log."""
        ...

    def log_reads(self, namespace: str, account: str, since: float) -> list[LogRead]:
        """The reads made at or after `since`, oldest first."""
        ...

    def learn(self, fact: str) -> None:
        """Remember something seen of an account for good, e.g. that its log lists running requests."""
        ...

    def knows(self, fact: str) -> bool:
        """Whether it was ever learnt."""
        ...


class Ledger(Protocol):
    """Durable transactions for the engine; many that come at once share one commit."""

    async def write(self, work: Callable[[LedgerTransaction], T]) -> T:
        """Run `work` in a transaction; returns when it is on disk.

        Raises:
            StoreFault: the disk or the database refused. Nothing of `work` is durable, unless the failure came so late
                that the database could not tell: the next transaction shows which.
        """
        ...

    async def read(self, work: Callable[[LedgerTransaction], T]) -> T:
        """Run `work` without writing."""
        ...


class Blobs(Protocol):
    """Content-addressed files."""

    def path(self, sha256: str) -> Path:
        """Where the blob lies if it is there."""
        ...

    def has(self, sha256: str) -> bool:
        """Whether a blob of that name is there (not: whether its bytes are right)."""
        ...

    def temporary(self) -> Path:
        """A fresh file name inside the store, on the blobs' file system."""
        ...

    def adopt(self, temporary: Path, sha256: str) -> Path:
        """Sync a temporary file and move it to its name; the directory is synced too."""
        ...

    def verified(self, sha256: str) -> Path | None:
        """The blob's path after its bytes were checked against the name; damaged bytes go to quarantine."""
        ...


class Digests(Protocol):
    """SHA-256 of files, remembered by their stat signature."""

    def sha256(self, path: Path) -> str:
        """64 hex; OSError as usual."""
        ...

    def sha256_many(
        self, paths: Iterable[Path], progress: Callable[[int, int], None] | None = None
    ) -> Mapping[Path, str | OSError]:
        """The digest of each path, or the error that met it; `progress` gets how many are done, and of how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A complete download."""

    sha256: str
    size: int
    #: What the server calls these bytes (`ETag`); empty when it does not say.
    etag: str = ""


class PaidProvider(Protocol):
    """A remote model that costs money. No method ever retries a submit."""

    #: Results and attempts are kept per namespace (see `Attempt.namespace`).
    namespace: str
    #: `Attempt.account` of the key in use.
    account: str

    async def submit(self, request: SubmitRequest, before_first_byte: Callable[[], Awaitable[None]]) -> SubmitEvidence:
        """Send one request on a fresh connection.

        `before_first_byte` is awaited once the connection stands and before any byte of the request leaves; when
        it raises, nothing is sent and its exception comes out. Every other outcome is evidence, not an exception.
        """
        ...

    async def poll(self, generation_id: str) -> PollAnswer:
        """One look at a generation; never raises for what the network or server does."""
        ...

    async def fetch(self, url: str, target: Path) -> Fetched:
        """Download a result to `target`, without the key.

        Raises:
            LinkExpired: the link no longer works; poll for a fresh one.
            FetchFailed: anything else; another try is free.
        """
        ...

    async def log(self, start: float, end: float) -> list[LogRow]:
        """All rows of the account's request log between two times (seconds since the epoch, server time).

        Raises:
            LogUnavailable: it could not be read completely.
        """
        ...

    async def balance(self) -> int | None:
        """What the account may still spend, in credits; None when the answer names no amount in USD.

        Raises:
            LogUnavailable: it could not be read.
        """
        ...

    def server_ahead_s(self) -> float:
        """How far the server's clock is ahead of ours, in seconds, as last seen; 0 when never seen."""
        ...

    async def know_time(self) -> None:
        """Ask the server for its time, unless it is known and our clock went on evenly since (no jump, no sleep).

        Raises:
            LogUnavailable: there was no answer.
        """
        ...


class InputGone(Exception):
    """An input cannot be read any more, or is no longer the one that was planned."""


class FetchFailed(Exception):
    """A download did not complete; another try is free."""


class Unchanged(Exception):
    """The server still has the bytes of the tag that it was asked about."""


class LinkExpired(FetchFailed):
    """The result's link no longer works; the generation is polled again for a fresh one."""


class LogUnavailable(Exception):
    """The account's log or books could not be read completely; they prove nothing this time."""


class LogRefused(LogUnavailable):
    """The server refuses the account (401, 402, 403): its key or its balance is the trouble."""
