"""Output paths: relative, POSIX style, and good on every file system that a project may be opened on.

======  ==========================================================================
KR0301  leaves the output folder (absolute, `..`, `~`, a drive, a share)
KR0302  a character that some file system refuses, or a control character
KR0303  too long
KR0304  a name that Windows reserves or changes (CON, trailing dots and spaces)
KR0305  two files on one path
KR0306  does not end in .mp4, or names no file
======  ==========================================================================
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MAX_COMPONENT_BYTES = 255
#: Leaves room for the project's own folder below the 1,024 bytes that macOS allows for a whole path.
MAX_PATH_BYTES = 900
_PLAIN_NAME = re.compile(
    r"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9]|conin|conout)(?:\.|$))[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*",
    re.IGNORECASE | re.ASCII,
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(?:\.|$)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")
_FORBIDDEN = '<>:"|?*'
_PLAINER = "use letters, digits, '-', '_' and '.'; ids such as {{ character }} have nothing else"
_SHORTER = "shorten the template, or the ids in it"


@dataclass(frozen=True, slots=True)
class PathProblem:
    """Why a path is refused."""

    code: str
    message: str
    help: str = ""


def check_path(text: str) -> str | PathProblem:
    """The path of a video without idle parts (`a//./b.mp4` → `a/b.mp4`), or why it cannot be one."""
    if len(text) < MAX_COMPONENT_BYTES and text.endswith(".mp4") and all(map(_is_plain, text.split("/"))):
        return text
    checked = check_folder(text)
    if isinstance(checked, PathProblem):
        return checked
    if text.endswith("/") or not checked.lower().endswith(".mp4") or checked.rpartition("/")[2].lower() == ".mp4":
        return PathProblem(
            "KR0306", "an output path must end in a file name with '.mp4'", "end the template in a name and '.mp4'"
        )
    return checked


@lru_cache(maxsize=4096)  # folders, and names of cells, repeat in every path
def _is_plain(name: str) -> bool:
    """Whether a name is good everywhere at a glance."""
    return _PLAIN_NAME.fullmatch(name) is not None


def check_folder(text: str) -> str | PathProblem:
    """A relative path without idle parts, or why it is refused."""
    parts = [part for part in text.split("/") if part not in {"", "."}]
    path = "/".join(parts)
    outside = _leaves(text) or _leaves(path)
    if outside:
        return PathProblem("KR0301", f"the path {outside}", "use a relative path with '/' inside the output folder")
    if not parts:
        return PathProblem("KR0306", "the path is empty", "name a file, such as {{ shot }}/{{ character }}.mp4")
    for part in parts:
        problem = _check_component(part)
        if problem:
            return problem
    size = len(path.encode("utf-8"))
    if size > MAX_PATH_BYTES:
        message = f"the path is {size:,} bytes long (limit {MAX_PATH_BYTES:,})"
        return PathProblem("KR0303", message, _SHORTER)
    return path


def _leaves(text: str) -> str:
    if text.startswith(("//", "\\\\")):
        return "is a network share"
    if text.startswith("/"):
        return "is absolute"
    if text.startswith("~"):
        return "starts with '~'"
    if _DRIVE.match(text):
        return "names a drive"
    if "\\" in text:
        return "has a backslash"
    return "has a '..'" if ".." in text.split("/") else ""


def _check_component(part: str) -> PathProblem | None:
    for character in part:
        if character in _FORBIDDEN:
            return PathProblem("KR0302", f"'{character}' cannot stand in a file name", _PLAINER)
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in "\u202a\u202b\u202d\u202e\ufeff":
            message = f"the character U+{ord(character):04X} cannot stand in a file name"
            return PathProblem("KR0302", message, _PLAINER)
    size = len(part.encode("utf-8"))
    if size > MAX_COMPONENT_BYTES:
        shown = part[:24]
        message = f"the name '{shown}…' is {size:,} bytes long (limit {MAX_COMPONENT_BYTES})"
        return PathProblem("KR0303", message, _SHORTER)
    if _RESERVED.match(part):
        return PathProblem("KR0304", f"'{part}' is a name that Windows reserves", "choose another name")
    if part.endswith("."):
        return PathProblem("KR0304", f"the name '{part}' ends with a dot, which Windows drops", "remove the dot")
    if part.endswith(" ") or part.startswith(" "):
        end = "ends" if part.endswith(" ") else "starts"
        return PathProblem("KR0304", f"the name '{part}' {end} with a space, which Windows drops", "remove the space")
    return None


def collision_key(path: str) -> str:
    """Paths with one key are one file on some file system: letter case and Unicode form do not count."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
