"""Single keys: what counts as one, and that a terminal is always given back as it was."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from kling_render.cli.keys import Keys, keys_in

ROOT = Path(__file__).parents[2]
LINE_MODE = termios.ICANON | termios.ECHO


@pytest.fixture
def line() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the user's, and the program's."""
    user, program = pty.openpty()
    yield user, program
    for end in (user, program):
        os.close(end)


def local_flags(fd: int) -> int:
    flags = termios.tcgetattr(fd)[3]
    assert isinstance(flags, int)
    return flags


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("r", ["r"]),
        ("R", ["r"]),
        ("\x1b", ["esc"]),
        ("\r", ["enter"]),
        (" ", ["space"]),
        ("\x04", ["ctrl-d"]),
        ("é", ["é"]),
        ("rr", ["r", "r"]),
        ("\x1b[A", []),
        ("\x1bOP", []),
        ("\x1b[1;5C", []),
        ("\x1br", []),
        ("render quickly", []),
        ("", []),
    ],
)
def test_keys_are_told_from_sequences_and_from_pasted_text(text: str, keys: list[str]) -> None:
    """`r` pays: neither an arrow, nor Alt-r, nor a pasted sentence may be taken for it."""
    assert list(keys_in(text)) == keys


def test_a_key_comes_without_enter_and_without_echo(line: tuple[int, int]) -> None:
    """What was typed before is forgotten, and afterwards the terminal is as it was."""
    user, program = line
    before = termios.tcgetattr(program)

    async def press(stream: TextIO) -> list[str]:
        async with Keys(stream) as keys:
            assert not local_flags(program) & LINE_MODE
            os.write(user, b"r")
            first = await keys.next()
            os.write(user, b"\x1b[A")
            os.write(user, "é".encode()[:1])
            await asyncio.sleep(0.01)
            os.write(user, "é".encode()[1:])
            return [first, await keys.next()]

    os.write(user, b"r\n")
    with open(program, closefd=False) as stream:
        assert asyncio.run(press(stream)) == ["r", "é"]
    assert termios.tcgetattr(program) == before


def test_the_end_of_a_long_pasted_text_is_no_key(line: tuple[int, int]) -> None:
    """A read takes so many bytes at once, and `r` pays."""
    user, program = line

    async def story(stream: TextIO) -> None:
        async with Keys(stream) as keys:
            os.write(user, b"xy" * 512 + b"r")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(keys.next(), 0.3)
            os.write(user, b"q")
            assert await asyncio.wait_for(keys.next(), 10) == "q"

    with os.fdopen(os.dup(program)) as stream:
        asyncio.run(story(stream))


def test_an_exception_gives_the_terminal_back(line: tuple[int, int]) -> None:
    """A shell without echo is what a crash must not leave."""
    _, program = line
    before = termios.tcgetattr(program)

    async def fail(stream: TextIO) -> None:
        async with Keys(stream):
            raise RuntimeError

    with open(program, closefd=False) as stream, pytest.raises(RuntimeError):
        asyncio.run(fail(stream))
    assert termios.tcgetattr(program) == before


def test_what_is_no_terminal_is_never_read(tmp_path: Path) -> None:
    """Standard input may be somebody else's data, a closed one, or none."""
    (tmp_path / "input").write_text("q")

    async def wait(stream: TextIO | None) -> None:
        async with Keys(stream) as keys:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(keys.next(), 0.01)

    with (tmp_path / "input").open() as stream:
        asyncio.run(wait(stream))
        assert stream.read() == "q"
    asyncio.run(wait(stream))
    asyncio.run(wait(None))


def test_the_end_of_a_terminal_is_no_key() -> None:
    """A terminal that was closed neither presses `q` nor keeps the processor busy."""

    async def hang_up(stream: TextIO, user: int) -> None:
        async with Keys(stream) as keys:
            os.close(user)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(keys.next(), 0.05)

    user, program = pty.openpty()
    with open(program) as stream:
        asyncio.run(hang_up(stream, user))


CHILD = textwrap.dedent(
    """
    import asyncio, sys
    from kling_render.cli.keys import Keys
    async def main():
        def say(word):
            return lambda: print(word, flush=True)
        async with Keys(sys.stdin, on_suspend=say("suspended"), on_resume=say("resumed")) as keys:
            print("ready", flush=True)
            while (key := await keys.next()) != "q":
                print("key", key, flush=True)
    asyncio.run(main())
    """
)


class Child:
    """A program that hears keys on a terminal of its own, as a shell starts it."""

    def __init__(self) -> None:
        self.user, self.program = pty.openpty()
        self.before = termios.tcgetattr(self.program)
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            cwd=ROOT,
            stdin=self.program,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        os.close(self.user)
        os.close(self.program)


@pytest.fixture
def child() -> Iterator[Child]:
    one = Child()
    yield one
    one.close()


def test_a_stopped_process_gives_the_terminal_back_until_it_goes_on(child: Child) -> None:
    """Ctrl-Z leaves a shell that echoes; `fg` hears keys again, and the display is told to draw anew."""
    assert child.said() == "ready"
    os.kill(child.process.pid, signal.SIGTSTP)
    _, status = os.waitpid(child.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert child.said() == "suspended"
    assert termios.tcgetattr(child.program) == child.before
    os.kill(child.process.pid, signal.SIGCONT)
    assert child.said() == "resumed"
    assert not local_flags(child.program) & LINE_MODE
    os.write(child.user, b"r")
    assert child.said() == "key r"
    os.write(child.user, b"q")
    assert child.process.wait(30) == 0
    assert termios.tcgetattr(child.program) == child.before


class Console:
    """A Windows console with keys that wait to be read."""

    def __init__(self, typed: str) -> None:
        self.typed = list(typed)

    def kbhit(self) -> bool:
        return bool(self.typed)

    def getwch(self) -> str:
        return self.typed.pop(0)


def test_a_windows_console_is_read_beside_the_loop_and_left_in_peace_afterwards(line: tuple[int, int]) -> None:
    """Arrow keys are two characters there, and neither is a key of ours."""
    console = Console("\xe0Hr")

    async def press(stream: TextIO) -> str:
        async with Keys(stream, console) as keys:
            return await keys.next()

    with open(line[1], closefd=False) as stream:
        assert asyncio.run(press(stream)) == "r"
    assert not any(thread.name == "keys" for thread in threading.enumerate())
