"""The index: every cell for other programs, written when something changed."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kling_render.outputs.index import (
    IndexCell,
    IndexTake,
    chosen,
    document,
    listed_files,
    read_index,
    write_index,
)
from tests.outputs.test_tree import SCHEMAS, tree_of

A, B = "a" * 64, "b" * 64


def take(number: int, state: str = "done", sha256: str | None = A, usd: str | None = None) -> IndexTake:
    return IndexTake(
        id=f"sc010/fox/wave/t{number:02d}",
        take=number,
        path=f"takes/sc010/fox/wave_t{number:02d}.mp4",
        state=state,
        sha256=sha256,
        usd=None if usd is None else Decimal(usd),
    )


def cell(*takes: IndexTake, picked: int | None = None, name: str = "sc010/fox/wave") -> IndexCell:
    return IndexCell(id=name, final=f"{name}.mp4", takes=takes, picked=picked)


@pytest.mark.parametrize(
    ("takes", "picked", "final"),
    [
        ([take(2), take(1)], None, 1),
        ([take(1, "failed", None), take(3), take(2)], None, 2),
        ([take(1), take(2)], 2, 2),
        ([take(1), take(2, "running", None)], 2, 1),
        ([take(1, "failed", None)], None, None),
        ([], None, None),
    ],
)
def test_the_final_is_the_picked_take_else_the_lowest_finished(
    takes: list[IndexTake], picked: int | None, final: int | None
) -> None:
    """One rule, for the file and for the index."""
    found = chosen(takes, picked)
    assert (found.take if found else None) == final


def test_the_index_agrees_with_its_schema_and_reads_back(tmp_path: Path) -> None:
    """Other programs rely on it."""
    tree = tree_of(tmp_path)
    cells = [
        cell(take(2, sha256=B, usd="0.448"), take(1, usd="0.4480"), picked=2, name="sc020/é/wave"),
        cell(take(1, "failed", None)),
    ]
    assert write_index(tree, document("dance", "aimlapi", cells))
    content = json.loads((tree.root / "index.json").read_text())
    schema = json.loads((SCHEMAS / "index.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(content)
    first, second = content["cells"]
    assert (first["id"], first["state"], first["sha256"], first["cost"]) == ("sc010/fox/wave", "failed", None, None)
    assert (second["state"], second["sha256"], second["cost"], second["picked"]) == ("done", B, "0.896", 2)
    assert [found["take"] for found in second["takes"]] == [1, 2]
    assert read_index(tree.root) == content
    assert listed_files(content)["sc020/é/wave.mp4"] == B


def test_an_index_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    """The order in which cells are given is no change."""
    tree = tree_of(tmp_path)
    cells = [cell(take(1)), cell(take(1), name="sc020/fox/wave")]
    write_index(tree, document("dance", "aimlapi", cells))
    os.utime(tree.root / "index.json", (1000, 1000))
    assert not write_index(tree, document("dance", "aimlapi", cells[::-1]))
    assert (tree.root / "index.json").stat().st_mtime == 1000
    assert write_index(tree, document("dance", "aimlapi", cells[:1]))


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"format": "kling-render.index/1"', '{"format": "x", "cells": []}'])
def test_a_file_that_is_no_index_of_ours_is_none_and_is_kept_in_the_trash(tmp_path: Path, data: str) -> None:
    """It may be the user's."""
    tree = tree_of(tmp_path)
    tree.root.mkdir()
    (tree.root / "index.json").write_text(data)
    assert read_index(tree.root) is None
    assert write_index(tree, document("dance", "aimlapi", []))
    assert (tree.root / ".trash" / tree.stamp / "index.json").read_text() == data
    assert read_index(tree.root) is not None
