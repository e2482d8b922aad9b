"""Sixteen processes, one store, two hundred shots."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.e2e.harness import Studio, finished, paid_once

PROCESSES, CHECKOUTS, SHOTS = 16, 4, 200


@pytest.mark.timeout(600)
def test_sixteen_processes_pay_for_each_shot_once(studio: Studio) -> None:
    """Every process ends well, every checkout has its tree, and the books show one submit for each shot."""
    shots = [{"id": f"sc{number:03d}", "prompt": f"roof {number}"} for number in range(SHOTS)]
    studio.write_list(characters={"fox": {"image": "fox.png"}}, shots=shots)
    checkouts = [studio.project]
    for number in range(1, CHECKOUTS):
        checkouts.append(studio.folder / f"checkout{number}")
        shutil.copytree(studio.project, checkouts[-1])
    started = [
        studio.start("-C", os.fspath(checkouts[number % CHECKOUTS]), "render", "--yes", "--max-usd", "90", "-q")
        for number in range(PROCESSES)
    ]
    ended = [finished(process, seconds=500) for process in started]
    assert [end.code for end in ended] == [0] * PROCESSES, [end.text for end in ended if end.code]
    books = studio.book()
    paid_once(books)
    assert (len(books["submits"]), len(books["charges"])) == (SHOTS, SHOTS)
    for checkout in checkouts:
        assert len(list((checkout / "renders" / "takes").rglob("*.mp4"))) == SHOTS
    assert studio.render().out.startswith("everything is up to date")
