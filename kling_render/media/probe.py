"""Looks inside untrusted files, in child processes with limits: a crash or a hang is an answer about the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from kling_render.media import limits, refusals
from kling_render.media.child import ChildError, ChildTimeoutError
from kling_render.media.children import Children
from kling_render.media.facts import Facts, ResultCheck, from_json, result_from_json
from kling_render.media.refusals import Expected

WALL_S = 10.0
"""Seconds a file may take."""
RESULT_WALL_S = 90.0
"""Seconds a downloaded result may take: a long last group of frames on a busy machine is no fault of the result."""

_CHILD = "kling_render.media.probe_child"


class Prober(Children):
    """A few reader processes, started when first needed. Safe to use from several threads."""

    def __init__(
        self,
        workers: int | None = None,
        wall_s: float = WALL_S,
        *,
        result_wall_s: float = RESULT_WALL_S,
        command: Sequence[str] | None = None,
    ) -> None:
        self._workers = workers or max(1, min(4, os.cpu_count() or 1))
        self._wall_s = wall_s
        self._result_wall_s = result_wall_s
        super().__init__(command or limits.command(_CHILD), self._workers)

    def probe(self, path: Path, expected: Expected) -> Facts:
        """What the file is, by its content."""
        try:
            return from_json(self.ask({"do": "probe", "path": os.fspath(path), "expected": expected}, self._wall_s))
        except ChildTimeoutError:
            return refusals.gave_up(expected, self._wall_s)
        except (ChildError, ValueError):
            return refusals.crashed(expected)

    def probe_many(
        self, items: Iterable[tuple[Path, Expected]], progress: Callable[[int], None] | None = None
    ) -> list[Facts]:
        """The facts of many files in their order, over all children at once.

        Args:
            items: paths and what they should be.
            progress: called with the number of files done so far, from any thread.
        """
        work = list(items)
        done = 0
        counting = threading.Lock()

        def one(item: tuple[Path, Expected]) -> Facts:
            nonlocal done
            facts = self.probe(*item)
            with counting:
                done += 1
                if progress is not None:
                    progress(done)
            return facts

        # A second child costs its start-up: worth it from a handful of files on.
        if len(work) < 4:
            return [one(item) for item in work]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self._workers, "probe") as threads:
            return list(threads.map(one, work))

    def verify_result(self, path: Path, expected_s: float | None) -> ResultCheck:
        """Whether a downloaded video is whole: boxes, first frame, last group of frames, length."""
        expected = None if expected_s is None else str(expected_s)
        try:
            question = {"do": "verify", "path": os.fspath(path), "expected_s": expected}
            return result_from_json(self.ask(question, self._result_wall_s))
        except ChildTimeoutError:
            problem = f"checking it took longer than {self._result_wall_s:g} s"
        except (ChildError, ValueError, KeyError):
            problem = "the decoder gave up on it"
        return ResultCheck(
            ok=False,
            problem=problem,
            duration_s=None,
            has_audio=False,
            shorter_by_s=Decimal(0),
            complete=self._is_complete(path),
        )

    def _is_complete(self, path: Path) -> bool:
        """Whether a file that no decoder can cope with is there to its last byte; nothing is decoded for that."""
        try:
            return bool(self.ask({"do": "walk", "path": os.fspath(path)}, self._wall_s).get("complete"))
        except ChildError:
            return False


def verify_result(path: Path, expected_s: float | None) -> ResultCheck:
    """`Prober.verify_result` with a child of its own; for many files keep a `Prober`."""
    with Prober(1) as prober:
        return prober.verify_result(path, expected_s)
