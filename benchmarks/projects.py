"""Makes the projects that are measured: many small distinct inputs, and clips of any size."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "minimal"
_PORTION = 1 << 20

PLAIN = "{{ character.name }} {{ motion.verb }} in {{ city }}, filmed by hand, take {{ take }}\n"
"""A prompt that prints names and fields only."""

TEMPLATE = """{% set who = character.name|title %}{{ who }} {{ motion.verb }}
{%- if place is defined %} {{ place }}{% endif %} in {{ city }}, filmed by hand, take {{ take }}
"""


def environment(folder: Path, url: str = "http://127.0.0.1:9", **settings: object) -> dict[str, str]:
    """The variables of a run: a store of its own, and an API on this machine."""
    plain = {f"KLING_RENDER_{name.upper()}": str(value) for name, value in settings.items()}
    return {
        "KLING_RENDER_STORE": str(folder / "store"),
        "AIMLAPI_BASE_URL": url,
        "AIMLAPI_KEY": "sk-sandbox",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "NO_COLOR": "1",
        **plain,
    }


def matrix_project(folder: Path, characters: int = 100, motions: int = 100, *, prompt: str = TEMPLATE) -> Path:
    """A project of characters × motions jobs; every input is a small valid file of its own."""
    for name in ("characters", "clips", "prompts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for n in range(characters):
        image(folder / f"characters/c{n:03d}.png", n)
    for n in range(motions):
        clip(folder / f"clips/m{n:03d}.mp4", tail=f"clip {n}".encode())
    (folder / "prompts/scene.j2").write_text(prompt, encoding="utf-8")
    who = "".join(f"  c{n:03d}: {{image: characters/c{n:03d}.png, name: person {n}}}\n" for n in range(characters))
    what = "".join(f"  m{n:03d}: {{video: clips/m{n:03d}.mp4, verb: does move {n}}}\n" for n in range(motions))
    (folder / "shotlist.yaml").write_text(
        f"version: 1\nproject: bench\nvars: {{city: Lisbon}}\ncharacters:\n{who}motions:\n{what}"
        "shots:\n  - {id: sc010, prompt_file: prompts/scene.j2}\n",
        encoding="utf-8",
    )
    return folder


def image(target: Path, number: int) -> None:
    """The example's picture with a comment of its own."""
    data = (EXAMPLE / "characters/fox.png").read_bytes()
    body = b"tEXtComment\0" + str(number).encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    target.write_bytes(data[:-12] + chunk + data[-12:])


def clip(target: Path, *, size: int | None = None, tail: bytes = b"") -> None:
    """The example's clip with a `free` box at its end: a few bytes of its own, or up to a size in bytes."""
    data = (EXAMPLE / "clips/wave.mp4").read_bytes()
    filling = len(tail) if size is None else size - len(data) - 8
    with target.open("wb") as file:
        file.write(data + struct.pack(">I", filling + 8) + b"free" + tail)
        left = filling - len(tail)
        while left > 0:
            left -= file.write(os.urandom(min(left, _PORTION)))


def fill(folder: Path, environ: dict[str, str]) -> int:
    """Make every job of a project done without an API: through the ledger's own operations, with a file per path.

    The outputs hold a few bytes each; a plan compares digests and does not look at pictures. Returns the jobs.
    """
    command = [sys.executable, "-m", "benchmarks.filling", str(folder)]
    done = subprocess.run(
        command,
        env={**os.environ, **environ},
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    return int(json.loads(done.stdout))
