"""Where the published JSON Schemas lie: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent
# Not importlib.resources: importing it takes longer than everything else here.
_FOLDERS = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")


def load(name: str) -> dict[str, Any]:
    """A schema by its file name (`shotlist.schema.json`).

    Raises:
        FileNotFoundError: there is no schema of that name.
    """
    schema: dict[str, Any] = json.loads(path(name).read_bytes())
    return schema


def path(name: str) -> Path:
    """Where the schema lies."""
    return next((folder / name for folder in _FOLDERS if (folder / name).is_file()), _FOLDERS[-1] / name)
