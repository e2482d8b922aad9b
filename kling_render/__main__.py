"""The entry point. Answers `--version` before it imports anything heavy."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    _open_closed_streams()
    if sys.argv[1:] == ["--version"]:
        from kling_render import __version__

        sys.stdout.write(f"kling-render {__version__}\n")
        return
    try:
        from kling_render.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while it was being imported
        code = 130
    _drop_what_cannot_be_shown()
    sys.exit(code)


def _open_closed_streams() -> None:
    """A caller may close standard streams (`>&-`); then nothing comes in and what goes out is dropped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole life


def _drop_what_cannot_be_shown() -> None:
    """A full disk or a reader that has gone must not turn the exit code into the interpreter's own at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
