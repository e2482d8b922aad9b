"""Single key presses from a terminal, without echo and without Enter.

The terminal gets its own settings back in every ending, and while the process is stopped (Ctrl-Z). In the background
(`&`, `bg`) nothing is read, since the terminal would stop a process that tried. Signals keep working: Ctrl-C is none
of the keys.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

_UNREAD = 32
"""Key presses that wait to be asked for; more of them are dropped."""
_FOREGROUND_S = 2.0
"""Seconds between looks whether a process in the background is in front again: `fg` need not signal it."""
_PAUSE_S = 0.05
"""Seconds between looks at the keyboard, where it cannot be waited for (Windows)."""

#: Arrows, function keys and other sequences of a terminal: none of them is a key here.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|O.?|[^\x1b])")
_NAMES = {
    "\x1b": "esc",
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    " ": "space",
    "\x7f": "backspace",
    "\b": "backspace",
}


def keys_in(text: str) -> Iterator[str]:
    """The keys in what a terminal sent at once, by name.

    Text that comes at once was pasted, not pressed: as keys it might pay for something. A key held down is one key
    many times.
    """
    pressed = [_name(char) for char in _SEQUENCE.sub("", text)]
    if len(set(pressed)) == 1:
        yield from pressed


def _name(char: str) -> str:
    """`r`, `esc`, `enter`, `ctrl-d`; capitals are their small letters."""
    if char in _NAMES:
        return _NAMES[char]
    return char.lower() if char >= " " else f"ctrl-{chr(ord(char) + 96)}"


class Keys:
    """Key presses while inside; an async context manager.

    Args:
        stream: standard input. If it is no terminal, nothing is ever read from it and no key comes.
        msvcrt: how a Windows console is read; None: as the system is.
        on_suspend: called before the process is stopped (Ctrl-Z).
        on_resume: called when it goes on and hears keys again.
    """

    def __init__(
        self,
        stream: TextIO | None = sys.stdin,
        msvcrt: Msvcrt | None = None,
        *,
        on_suspend: Callable[[], None] = lambda: None,
        on_resume: Callable[[], None] = lambda: None,
    ) -> None:
        self._pressed: asyncio.Queue[str] = asyncio.Queue(_UNREAD)
        self._source: _Posix | _Windows | None = None
        if stream is None or stream.closed or not stream.isatty():
            return
        if msvcrt is not None:
            self._source = _Windows(msvcrt, self._press)
        elif sys.platform == "win32":  # pragma: no cover - only there
            import msvcrt as console

            self._source = _Windows(console, self._press)
        else:
            self._source = _Posix(stream.fileno(), self._press, on_suspend, on_resume)

    async def __aenter__(self) -> Self:
        if self._source is not None:
            self._source.start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._source is not None:
            self._source.stop()

    async def next(self) -> str:
        """The next key: `r`, `esc`, `enter`, `ctrl-d`. The end of the input is none: then this waits for ever."""
        return await self._pressed.get()

    def _press(self, text: str) -> None:
        for key in keys_in(text):
            if not self._pressed.full():
                self._pressed.put_nowait(key)


class _Press(Protocol):
    def __call__(self, text: str, /) -> None: ...


class _Posix:
    """A terminal without line editing, read when it has something to say."""

    def __init__(self, fd: int, press: _Press, on_suspend: Callable[[], None], on_resume: Callable[[], None]) -> None:
        self._fd = fd
        self._press = press
        self._on_suspend = on_suspend
        self._on_resume = on_resume
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        #: The terminal's own settings, while ours hold.
        self._own: list[Any] | None = None
        self._look: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for number, handler in ((signal.SIGTSTP, self._suspend), (signal.SIGCONT, self._resume)):
            with suppress(ValueError, RuntimeError):  # not the main thread: whoever has it deals with Ctrl-Z
                loop.add_signal_handler(number, handler)
        if self._in_front():
            self._take()
        else:
            self._look_again()

    def stop(self) -> None:
        for number in (signal.SIGTSTP, signal.SIGCONT):
            with suppress(ValueError, RuntimeError):
                self._loop.remove_signal_handler(number)
        self._let_go()

    def _suspend(self) -> None:
        """Ctrl-Z: the shell gets a terminal as it was; `fg` and `bg` come back through `_resume`."""
        self._let_go()
        self._on_suspend()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _resume(self) -> None:
        self._let_go()  # stopped by a signal that cannot be handled, it holds settings that a shell has changed
        self._return()

    def _return(self) -> None:
        """Take the terminal if this process is in front, else as soon as it is."""
        if not self._in_front():
            self._look_again()
        elif self._take():
            self._on_resume()

    def _look_again(self) -> None:
        self._look = self._loop.call_later(_FOREGROUND_S, self._return)

    def _in_front(self) -> bool:
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # not our controlling terminal, or it is gone: reading it stops nobody
            return True

    def _take(self) -> bool:
        """Hear keys; false when the terminal is gone."""
        import termios

        try:
            own = termios.tcgetattr(self._fd)
            ours = termios.tcgetattr(self._fd)
            ours[3] &= ~(termios.ICANON | termios.ECHO)
            ours[6][termios.VMIN], ours[6][termios.VTIME] = 1, 0
            # What was typed before is forgotten: nobody could see what the keys mean.
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, ours)
        except (termios.error, OSError):
            return False
        self._own = own
        self._loop.add_reader(self._fd, self._read)
        return True

    def _let_go(self) -> None:
        """Give the terminal back as it was, and stop hearing keys."""
        import termios

        if self._look is not None:
            self._look.cancel()
            self._look = None
        own, self._own = self._own, None
        if own is None:
            return
        self._loop.remove_reader(self._fd)
        if self._in_front():  # in the background the shell has set it as it wants
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._fd, termios.TCSANOW, own)

    def _read(self) -> None:
        if not self._in_front():
            self._let_go()
            self._look_again()
            return
        got = self._all()
        if got:
            self._press(self._decoder.decode(got))
        else:
            self._let_go()

    def _all(self) -> bytes:
        """Everything that waits, in one piece: the end of a long pasted text must not look like a key."""
        got = b""
        try:
            while piece := os.read(self._fd, 4096):
                got += piece
                if not select.select([self._fd], [], [], 0)[0]:
                    break
        except OSError:
            return got
        return got


class Msvcrt(Protocol):
    """What is used of the module `msvcrt`."""

    def kbhit(self) -> bool:
        """Whether a key waits."""
        ...

    def getwch(self) -> str:
        """The key, without echo; a special one is two characters, the first of them NUL or à."""
        ...


class _Windows:
    """A console that is looked at in a thread, since nothing else can wait for it."""

    def __init__(self, console: Msvcrt, press: _Press) -> None:
        self._console = console
        self._press = press
        self._over = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=self._listen, name="keys", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.wait(_PAUSE_S):
            text = "".join(self._waiting())
            if text:
                self._loop.call_soon_threadsafe(self._press, text)

    def _waiting(self) -> Iterator[str]:
        while self._console.kbhit():
            char = self._console.getwch()
            if char in ("\0", "\xe0"):
                self._console.getwch()
            elif char == "\x03":
                signal.raise_signal(signal.SIGINT)
            else:
                yield char
