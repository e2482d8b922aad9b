"""The key of every test, and the search for it in everything that the tests leave behind.

    python -m pytest --basetemp=FOLDER && python -m tests.canary FOLDER [MORE…]

The key may appear in the Authorization header of calls to the API's own origin and nowhere else: not in a log, a file,
a database, a page, a sidecar, an output or the arguments of a process; neither as it is nor encoded.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

CANARY = "sk-canary-7Zr9Qw2+Lx/4t=Kd8Vb3Nf6Hj1Ms5Pg0"
"""No secret: a text that nothing else contains, with characters that encodings change."""
_PIECE = 1 << 20


def encoded(key: str = CANARY) -> dict[str, bytes]:
    """How a key may look: name of the encoding → bytes that every text with the key in it contains."""
    raw = key.encode()
    forms = {
        "as it is": raw,
        "backwards": raw[::-1],
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "percent": quote(key, safe="").encode(),
        "JSON": json.dumps(key).replace("/", "\\/").strip('"').encode(),
        "UTF-16": key.encode("utf-16-le"),
        "UTF-16, big": key.encode("utf-16-be"),
    }
    for offset in range(3):
        # What the key's middle becomes when it begins at this offset of a base64 group.
        text = base64.b64encode(b"\0" * offset + raw)[4 if offset else 0 : -4]
        forms[f"base64, {offset}"] = text
        forms[f"base64 for URLs, {offset}"] = text.translate(bytes.maketrans(b"+/", b"-_"))
    return forms


def sightings(data: bytes, key: str = CANARY) -> list[str]:
    """The names of the encodings in which the key is in the data."""
    return [name for name, form in encoded(key).items() if form in data]


def search(folders: Iterable[Path]) -> Iterator[str]:
    """Every file below the folders that contains the canary, or is named after it, and how."""
    for folder in folders:
        for path in [folder, *sorted(folder.rglob("*"))]:
            found = sightings(path.name.encode("utf-8", "surrogateescape"))
            if path.is_file() and not path.is_symlink():
                with contextlib.suppress(PermissionError, FileNotFoundError):
                    found += _in_file(path)
            if found:
                yield f"{path}: {', '.join(dict.fromkeys(found))}"


def _in_file(path: Path) -> list[str]:
    overlap, found = max(len(form) for form in encoded().values()), []
    with path.open("rb") as file:
        before = b""
        while piece := file.read(_PIECE):
            found += sightings(before + piece)
            before = piece[-overlap:]
    return found


class ArgumentWatch:
    """Looks at the arguments of every process of this machine, again and again; Linux only."""

    def __init__(self, key: str = CANARY) -> None:
        self.seen: set[str] = set()
        self._key = key
        self.looks = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            self.look()

    def look(self) -> None:
        """Look once."""
        self.looks += 1
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if sightings(path.read_bytes(), self._key):
                    self.seen.add(path.read_bytes().decode(errors="replace"))


def main(words: list[str]) -> int:
    """Search; 0 when nothing was found."""
    found = list(search(Path(word) for word in words))
    for line in found:
        print(line)
    files = sum(path.is_file() for word in words for path in [Path(word), *Path(word).rglob("*")])
    print(f"{files} files searched in {len(encoded())} encodings: {len(found)} contain the key")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
