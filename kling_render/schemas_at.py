"""Where the published JSON Schemas lie: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any


def load(name: str) -> dict[str, Any]:
    """A schema by its file name (`shotlist.schema.json`).

    Raises:
        FileNotFoundError: there is no schema of that name.
    """
    schema: dict[str, Any] = json.loads(read(name))
    return schema


def read(name: str) -> bytes:
    """A schema's bytes by its file name."""
    packaged = resources.files("kling_render") / "schemas" / name
    if packaged.is_file():
        return packaged.read_bytes()
    return (Path(__file__).resolve().parent.parent / "schemas" / name).read_bytes()
