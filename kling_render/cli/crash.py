"""An unexpected fault: a report file instead of a traceback on screen."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from kling_render import __version__

_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def report_crash(error: Exception, arguments: Sequence[str]) -> int:
    """Write what is needed to find the bug, without secrets; returns the exit code."""
    text = "".join(traceback.format_exception(error))
    head = f"kling-render {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    body = without_secrets(f"{head}arguments: {list(arguments)!r}\n\n{text}", dict(os.environ))
    message = without_secrets(f"{type(error).__name__}: {error}", dict(os.environ))
    click.echo(f"error: an unexpected fault: {message.splitlines()[0]}", err=True)
    try:
        handle, name = tempfile.mkstemp(prefix="kling-render-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(body)
        click.echo(f"  help: nothing paid is lost; please report it with the file {Path(name)}", err=True)
    except OSError:
        sys.stderr.write(body)
    return 1


def without_secrets(text: str, environ: dict[str, str]) -> str:
    """The text with the values of secret-looking variables taken out."""
    for name, value in environ.items():
        if len(value) >= 6 and any(word in name.upper() for word in _SECRET_WORDS):
            text = text.replace(value, "***")
    return text
