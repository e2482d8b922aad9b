"""Runs the sandbox as a process of its own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from kling_render.sandbox.faults import FaultRule


class Sandbox:
    """A running sandbox. `url` is its base URL; it stays the same over a restart."""

    def __init__(self, options: list[str]) -> None:
        self._options = options
        self.url = ""
        self._start(0)

    @property
    def pid(self) -> int:
        """The process, for those who want to kill it themselves."""
        return self._process.pid

    def books(self) -> dict[str, Any]:
        """Everything the sandbox saw and did."""
        return dict(self._ask("GET", "/sandbox/books"))

    def faults(self, *rules: str | Mapping[str, Any] | FaultRule) -> None:
        """Put faults in force: `"submit:lost,nth=2"`, a mapping, or a rule. Without arguments: clear all."""
        if not rules:
            self._ask("DELETE", "/sandbox/faults")
            return
        self._ask("POST", "/sandbox/faults", [_plain(rule) for rule in rules])

    def config(self, **changes: Any) -> dict[str, Any]:
        """Change settings while it runs; returns all of them."""
        return dict(self._ask("POST", "/sandbox/config", {k: _value(v) for k, v in changes.items()}))

    def advance(self, seconds: float) -> None:
        """Let the sandbox's clock jump ahead."""
        offset = self._ask("GET", "/sandbox/config")["clock_offset_s"]
        self.config(clock_offset_s=offset + seconds)

    def reset(self) -> None:
        """As at the start, without any faults; only ids never come back."""
        self._ask("POST", "/sandbox/reset")

    def stop(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self._end()

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._end()

    def restart(self) -> None:
        """Start it again at the same address, ending it first if it runs; without `state` it has forgotten all."""
        if self._process.poll() is None:
            self.stop()
        self._start(urlsplit(self.url).port or 0)

    def _start(self, port: int) -> None:
        command = [sys.executable, "-m", "kling_render.sandbox", "--port", str(port), "--until-stdin-ends"]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, *self._options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        word, _, url = self._process.stdout.readline().strip().partition(" ")
        if word != "listening":
            self._process.kill()
            self._end()
            raise RuntimeError("the sandbox did not start")
        self.url = url

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            plain = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the sandbox refused {method} {path}: {plain.get('message')}")
        return plain


@contextlib.contextmanager
def running_sandbox(**config: Any) -> Iterator[Sandbox]:
    """A sandbox for the length of a `with` block: `running_sandbox(answers="echo", faults=["submit:lost,nth=1"])`.

    Takes every field of `SandboxConfig` except `port`. Give `state=` a folder if a restart is to remember.
    """
    sandbox = Sandbox(_command_line(config))
    try:
        yield sandbox
    finally:
        sandbox.stop()


def _command_line(config: Mapping[str, Any]) -> list[str]:
    options: list[str] = []
    for name, value in config.items():
        if name == "faults":
            for rule in value:
                plain = _plain(rule)
                options += ["--fault", plain if isinstance(plain, str) else json.dumps(plain)]
        elif name == "keys":
            options += [f"--key={key}" for key in value]
        elif value is not None:
            options.append(f"--{name.replace('_', '-')}={_value(value)}")
    return options


def _plain(rule: str | Mapping[str, Any] | FaultRule) -> str | dict[str, Any]:
    if isinstance(rule, str):
        return rule
    if isinstance(rule, FaultRule):
        from dataclasses import asdict

        return asdict(rule)
    return dict(rule)


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return value if isinstance(value, (int, float, list)) or value is None else str(value)
