"""A long-lived child process that answers one JSON line with one JSON line."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kling_render.media import limits


class ChildError(Exception):
    """The child ended instead of answering."""


class ChildTimeoutError(ChildError):
    """The child did not answer in time and was killed."""


class Child:
    """One child; started on the first question, and again after it died. Not for several threads at once."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: Mapping[str, Any], wall_s: float) -> dict[str, Any]:
        """The child's answer.

        Raises:
            ChildError: it crashed over this question.
            ChildTimeoutError: it did not answer within `wall_s` seconds.
        """
        fresh = self._process is None or self._process.poll() is not None
        process = self._start() if fresh else self._process
        assert process is not None
        hung = threading.Event()

        def give_up() -> None:
            hung.set()
            process.kill()

        # A new child imports its libraries first; that is not the file's fault.
        watchdog = threading.Timer(wall_s + (20 if fresh else 0), give_up)
        watchdog.start()
        try:
            return self._exchange(process, question)
        except (OSError, ValueError) as error:
            self.close()
            if hung.is_set():
                raise ChildTimeoutError from error
            raise ChildError from error
        finally:
            watchdog.cancel()

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
