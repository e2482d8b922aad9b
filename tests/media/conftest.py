from __future__ import annotations

from collections.abc import Iterator

import pytest

from kling_render.media.probe import Prober


@pytest.fixture(scope="session")
def prober() -> Iterator[Prober]:
    with Prober(2) as started:
        yield started
