"""The user's files: where they lie, and reading `config.toml` and the key file."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from kling_render.errors import Diagnostic, InputProblems, Place, UsageError

_LIMIT = 1 << 20
_WHERE = re.compile(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")


def user_config_file(environ: Mapping[str, str], home: Path) -> Path:
    """Where the user file is looked for."""
    named = environ.get("KLING_RENDER_CONFIG")
    return Path(named) if named else user_folder("config", environ, home) / "config.toml"


def user_folder(kind: Literal["config", "data"], environ: Mapping[str, str], home: Path) -> Path:
    """The platform's folder for the user's configuration or data."""
    if sys.platform.startswith("linux"):  # the XDG rules by hand: the library costs 7 ms at every start
        variable, usual = {"config": ("XDG_CONFIG_HOME", ".config"), "data": ("XDG_DATA_HOME", ".local/share")}[kind]
        named = environ.get(variable, "").strip()
        return (Path(named) if named else home / usual) / "kling-render"
    import platformdirs

    folder = platformdirs.user_config_path if kind == "config" else platformdirs.user_data_path
    return folder("kling-render", appauthor=False)


def read_config(file: Path) -> dict[str, tuple[Any, Place]]:
    """Setting → value and place; empty without a file. `[watch] per_save_usd` is `watch_per_save_usd`.

    Raises:
        InputProblems: it is not TOML.
        UsageError: it cannot be read, or holds a key and others can read it.
    """
    try:
        data, mode = _read(file)
    except FileNotFoundError:
        return {}
    except OSError as fault:
        raise UsageError(f"cannot read {file}: {fault.strerror}") from None
    import tomllib

    try:
        source = data.decode("utf-8-sig")
        tables = tomllib.loads(source, parse_float=Decimal)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as fault:
        raise InputProblems([_not_toml(file, data, fault)]) from None
    lines = source.splitlines()
    entries = {name: (value, _place(file, lines, name)) for name, value in _flat(tables).items()}
    if "key" in entries and _others_can_read(mode):
        raise UsageError(
            f"{file} holds an API key and other users can read it",
            code="config-readable",
            help=f"Run: chmod 600 {file}",
        )
    return entries


def read_key_file(file: Path) -> str:
    """The key in a file that nobody else can read, without the line end.

    Raises:
        ValueError: the file is not there, not private or not a text; says what helps.
    """
    try:
        data, mode = _read(file)
    except OSError as fault:
        raise ValueError(f"the key file cannot be read: {fault.strerror}") from None
    if _others_can_read(mode):
        raise ValueError(f"the key file can be read by other users; run: chmod 600 {file}")
    try:
        return data.decode("ascii").strip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("the key file holds something that is not a key") from None


def _read(file: Path) -> tuple[bytes, int]:
    """The bytes and the mode of the same open file, so that a swap between two looks changes nothing."""
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a FIFO must not hang us
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, "not a regular file")
        data = stream.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise OSError(0, "larger than 1 MiB")
    return data, mode


def _others_can_read(mode: int) -> bool:
    """Whether group or others have any right to it; Windows has no such bits."""
    return os.name == "posix" and bool(mode & 0o077)


def _flat(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as names joined by `_`."""
    flat: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}_")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _place(file: Path, lines: list[str], name: str) -> Place:
    """Where a setting stands: the parser keeps no positions, so its line is looked for."""
    table = ""
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = header[1].replace(".", "_").replace('"', "").replace(" ", "") + "_"
        elif entry := re.match(r"""\s*(["']?[\w.-]+["']?)\s*=""", line):
            written = entry[1].strip("\"'")
            if table + written.replace(".", "_") == name:
                return Place(str(file), number, entry.start(1) + 1, _masked(line, name), len(entry[1]))
    return Place(str(file), 1, 1)


def _masked(line: str, name: str) -> str:
    """The line for the caret, without the key."""
    return f"{line.partition('=')[0]}= ***" if "key" in name.split("_") else line


def _not_toml(file: Path, data: bytes, fault: Exception) -> Diagnostic:
    """A syntax error with its place; the line itself is not shown, it may hold the key."""
    where = _WHERE.search(str(fault))
    if where and where[1]:
        place = Place(str(file), int(where[1]), int(where[2]))
    else:
        place = Place(str(file), max(1, data.count(b"\n")), 1)
    reason = _WHERE.sub("", str(fault)).strip() if not isinstance(fault, UnicodeDecodeError) else "not UTF-8"
    return Diagnostic("config-syntax", f"not a valid TOML file: {reason}", place)
