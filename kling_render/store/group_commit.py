"""Many writes, one commit: a thread that drains a queue of pieces of work into shared transactions."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kling_render.errors import StoreFault
from kling_render.ports import LedgerTransaction
from kling_render.store.ledger import SqliteLedger
from kling_render.store.transaction import SqliteTransaction

T = TypeVar("T")

BATCH = 1_000
"""At most this many pieces of work share a transaction, so that no caller waits for ever."""


@dataclass(slots=True)
class _Piece:
    work: Callable[[Any], Any]
    writes: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None


class GroupCommit:
    """`ports.Ledger` over an open SQLite ledger.

    A caller that is cancelled while it waits does not undo its work: it may become durable all the same.
    """

    def __init__(self, ledger: SqliteLedger, *, check_first: bool = True, batch: int = BATCH) -> None:
        self._ledger = ledger
        self._batch = batch
        self._check_first = check_first
        self._queue: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._closed = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="kling-render-ledger", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[LedgerTransaction], T]) -> T:
        """Run `work` in a transaction shared with others; returns when it is on disk.

        An exception of `work` undoes that piece alone and is raised here.

        Raises:
            StoreFault: the disk or the database refused. Seldom `work` is durable all the same: when the disk fails
                at the very end of a commit. The next reader sees what is true.
        """
        return await self._submit(work, writes=True)

    async def read(self, work: Callable[[LedgerTransaction], T]) -> T:
        """Run `work` on a consistent view of what is durable, after every write submitted before it."""
        return await self._submit(work, writes=False)

    def close(self) -> None:
        """Finish everything that was submitted and end the thread; the ledger itself stays open."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    async def aclose(self) -> None:
        """`close` without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def _submit(self, work: Callable[[Any], T], *, writes: bool) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._gate:
            if self._closed:
                raise StoreFault("the store is already closed", code="store-closed")
            self._queue.put(_Piece(work, writes, loop, future))
        return future

    # -- in the thread -------------------------------------------------------------------------------------

    def _serve(self) -> None:
        ending = False
        while not ending:
            pieces, ending = self._drained()
            self._run_writes([piece for piece in pieces if piece.writes])
            self._run_reads([piece for piece in pieces if not piece.writes])
            _deliver(pieces)

    def _drained(self) -> tuple[list[_Piece], bool]:
        """Wait for a piece, then take all that is there."""
        first = self._queue.get()
        if first is None:
            return [], True
        pieces = [first]
        while len(pieces) < self._batch:
            try:
                piece = self._queue.get_nowait()
            except queue.Empty:
                break
            if piece is None:
                return pieces, True
            pieces.append(piece)
        return pieces, False

    def _run_writes(self, pieces: list[_Piece]) -> None:
        if not pieces:
            return
        try:
            if self._check_first:
                self._ledger.check()
                self._check_first = False
            with self._ledger.writing() as transaction:
                for piece in pieces:
                    self._run_part(piece, transaction)
        except BaseException as fault:
            for piece in pieces:
                piece.error = fault

    def _run_part(self, piece: _Piece, transaction: SqliteTransaction) -> None:
        """Run one piece; only a fault of the database itself ends the whole transaction."""
        try:
            with self._ledger.savepoint(transaction):
                piece.value = piece.work(transaction)
        except sqlite3.IntegrityError as error:
            piece.error = error
        except (sqlite3.Error, UnicodeDecodeError):
            raise
        except BaseException as error:
            piece.error = error

    def _run_reads(self, pieces: list[_Piece]) -> None:
        if not pieces:
            return
        try:
            with self._ledger.reading() as transaction:
                for piece in pieces:
                    self._run_part_read(piece, transaction)
        except BaseException as fault:
            for piece in pieces:
                piece.error = fault

    @staticmethod
    def _run_part_read(piece: _Piece, transaction: SqliteTransaction) -> None:
        try:
            piece.value = piece.work(transaction)
        except (sqlite3.Error, UnicodeDecodeError):
            raise
        except BaseException as error:
            piece.error = error


def _deliver(pieces: list[_Piece]) -> None:
    """Resolve the futures, one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Piece]] = {}
    for piece in pieces:
        by_loop.setdefault(piece.loop, []).append(piece)
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, own)
        except RuntimeError:
            continue  # the loop is gone, and with it everybody who waited


def _resolve(pieces: list[_Piece]) -> None:
    for piece in pieces:
        if piece.future.done():
            continue
        if piece.error is not None:
            piece.future.set_exception(piece.error)
        else:
            piece.future.set_result(piece.value)
