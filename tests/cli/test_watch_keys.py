"""Claim: a key of a watch session answers beside the board, and nothing else ever writes into it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from kling_render.cli.watch_keys import open_folder
from kling_render.planning.records import Plan


class Shown:
    """Keeps what is shown beside the board."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def show(self, what: str) -> None:
        self.texts.append(what)

    def show_plan(self, plan: Plan, *, verbose: bool) -> None:
        raise AssertionError((plan, verbose))

    def hide(self) -> None:
        raise AssertionError

    def anew(self) -> None:
        raise AssertionError


LOUD = "import sys; print('gio: no handler'); print('gio: error', file=sys.stderr); sys.exit({code})"


@pytest.mark.parametrize(
    ("opener", "said"),
    [
        ((sys.executable, "-c", LOUD.format(code=0)), []),
        ((sys.executable, "-c", LOUD.format(code=4)), ["no program here shows folders; the results are in {}"]),
        (("/no/such/program",), ["no program here shows folders; the results are in {}"]),
        (None, ["no program here shows folders; the results are in {}"]),
    ],
)
def test_a_folder_that_nothing_can_open_is_named_instead(
    opener: tuple[str, ...] | None, said: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing that the opener prints lands in the middle of the board."""
    shown = Shown()
    asyncio.run(open_folder(tmp_path, shown, opener))
    assert shown.texts == [text.format(tmp_path) for text in said]
    assert capfd.readouterr() == ("", "")
