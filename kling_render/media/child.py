"""A long-lived child process that answers one JSON line with one JSON line."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
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

    def ask(self, question: Mapping[str, Any], wall_s: float) -> dict[str, Any]:
        """The child's answer.

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
            return self._exchange(process, question)
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

    @staticmethod
    def _exchange(process: subprocess.Popen[str], question: Mapping[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
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
