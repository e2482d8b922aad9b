"""The search for the key finds it where it is."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
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


@pytest.mark.parametrize("name", HIDDEN)
def test_it_is_found_however_it_is_written(tmp_path: Path, name: str) -> None:
    """Raw and encoded, at any place of a file."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(HIDDEN[name])
    assert main([str(tmp_path)]) == 1


def test_it_is_found_in_names_and_not_where_it_is_not(tmp_path: Path) -> None:
    """A clean folder is clean; an empty one proves nothing."""
    assert main([str(tmp_path)]) == 1
    (tmp_path / "clean").write_text("sk-canary")
    assert main([str(tmp_path)]) == 0
    (tmp_path / CANARY.replace("/", "%2F")).touch()
    assert list(search([tmp_path])) == []
    (tmp_path / quote(CANARY, safe="")).touch()
    assert len(list(search([tmp_path]))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_it_is_found_in_the_arguments_of_a_process() -> None:
    """While that process runs."""
    watch = ArgumentWatch()
    watch.look()
    assert not watch.seen
    words = [sys.executable, "-c", "print(flush=True); input()", CANARY]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs
        watch.look()
        process.communicate(b"\n")
    assert watch.seen
