from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.__main__ import scratch


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one."""
    folder = scratch()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
