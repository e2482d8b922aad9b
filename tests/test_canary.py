"""The search for the key finds it where it is."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canary import CANARY, ArgumentWatch, main, search

HIDDEN = {
    "plain": f"Authorization: Bearer {CANARY}\r\n".encode(),
    "hex": f"x{CANARY.encode().hex()}".encode(),
    "query": f"?key={quote(CANARY, safe='')}&a=1".encode(),
    "json": json.dumps({"key": CANARY}).encode(),
    "utf-16": f"key {CANARY}".encode("utf-16"),
    **{f"base64-{n}": base64.b64encode(b"Bearer "[:n] + CANARY.encode() + b" tail") for n in range(7)},
    "base64-url": base64.urlsafe_b64encode(f"user:{CANARY}".encode()),
    "far": b"x" * ((1 << 20) - 7) + CANARY.encode(),
}


@pytest.fixture
def hiding() -> Iterator[Path]:
    """A folder that is gone afterwards: what lies in it is no finding of the suite's own search."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", HIDDEN)
def test_it_is_found_however_it_is_written(hiding: Path, name: str) -> None:
    """Raw and encoded, at any place of a file."""
    (hiding / "deep").mkdir()
    (hiding / "deep" / "file").write_bytes(HIDDEN[name])
    assert main([str(hiding)]) == 1


def test_it_is_found_in_names_and_not_where_it_is_not(hiding: Path) -> None:
    """A clean folder is clean; an empty one proves nothing."""
    assert main([str(hiding)]) == 1
    (hiding / "clean").write_text("sk-canary")
    assert main([str(hiding)]) == 0
    (hiding / CANARY.replace("/", "%2F")).touch()
    assert list(search([hiding])) == []
    (hiding / quote(CANARY, safe="")).touch()
    assert len(list(search([hiding]))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_it_is_found_in_the_arguments_of_a_process() -> None:
    """While that process runs; with a key of its own, for the suite's watch would see the canary."""
    key = CANARY[::2]
    watch = ArgumentWatch(key)
    watch.look()
    assert not watch.seen
    words = [sys.executable, "-c", "print(flush=True); input()", key]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs
        watch.look()
        process.communicate(b"\n")
    assert watch.seen
