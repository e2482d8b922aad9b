"""A long-lived child process that answers one JSON line with one JSON line."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kling_render.media import limits

_LOOK_S = 1.0
"""Questions that may take longer than this end on time; shorter ones up to this much later."""


class ChildError(Exception):
    """The child ended instead of answering."""


class ChildTimeoutError(ChildError):
    """The child did not answer in time and was killed."""


class Child:
    """One child; started on the first question, and again after it died. Not for several threads at once."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[str] | None = None
        self._watch = _Watch(None)

    def ask(
        self,
        question: Mapping[str, Any],
        wall_s: float,
        heard: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """The child's answer.

        Args:
            question: as JSON.
            wall_s: seconds it may take, from the last line of progress on.
            heard: gets every line of progress, `{"progress": …}`; None: the child writes none.

        Raises:
            ChildError: it crashed over this question.
            ChildTimeoutError: it did not answer within `wall_s` seconds.
        """
        fresh = self._process is None or self._process.poll() is not None or self._watch.killed
        process = self._start() if fresh else self._process
        assert process is not None
        watch = self._watch
        # A new child imports its libraries first; that is not the file's fault.
        watch.expect(wall_s + (20 if fresh else 0))
        try:
            return self._heard(self._exchange(process, question), process, wall_s, heard)
        except (OSError, ValueError) as error:
            self.close()
            if watch.killed:
                raise ChildTimeoutError from error
            raise ChildError from error
        finally:
            watch.expect(None)

    def _start(self) -> subprocess.Popen[str]:
        self.close()
        self._process = subprocess.Popen(  # noqa: S603 - the caller names our own program
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=limits.environment(),
            encoding="utf-8",
        )
        self._watch = _Watch(self._process)
        self._watch.begin()
        return self._process

    def _heard(
        self,
        answer: dict[str, Any],
        process: subprocess.Popen[str],
        wall_s: float,
        heard: Callable[[dict[str, Any]], None] | None,
    ) -> dict[str, Any]:
        """The first line that is no progress."""
        while heard is not None and "progress" in answer:
            heard(answer)
            self._watch.expect(wall_s)
            answer = self._next(process)
        return answer

    @classmethod
    def _exchange(cls, process: subprocess.Popen[str], question: Mapping[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return cls._next(process)

    @staticmethod
    def _next(process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        reply = process.stdout.readline()
        answer = json.loads(reply)  # an empty line (the child died) is a ValueError too
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """End the child; harmless when there is none."""
        process, self._process = self._process, None
        self._watch.end()
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # unsent bytes for a dead child
                    continue
        process.wait()


class _Watch:
    """Kills a child that does not answer in time: one thread per child, for one per question costs too much."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self.killed = False
        self._process = process
        #: When the question under way must be answered, in monotonic seconds; None: there is none.
        self._due: float | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()

    def begin(self) -> None:
        threading.Thread(target=self._look, name="kling-render-watch", daemon=True).start()

    def end(self) -> None:
        self._over.set()

    def expect(self, within_s: float | None) -> None:
        """An answer in so many seconds, or (None) no answer any more."""
        with self._lock:
            self._due = None if within_s is None else time.monotonic() + within_s

    def _look(self) -> None:
        assert self._process is not None
        pause = _LOOK_S
        while not self._over.wait(pause):
            with self._lock:
                left = _LOOK_S if self._due is None else self._due - time.monotonic()
                if left <= 0:
                    self.killed = True
                    self._process.kill()
                    return
            pause = min(left, _LOOK_S)
