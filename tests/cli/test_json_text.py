"""The text of JSON documents on stdout."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kling_render.cli.json_text import json_lines


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"format": "x/1", "jobs": []},
        {"format": "x/1", "jobs": [{"id": "a", "values": {"place": "Café"}}, {"id": "b"}], "totals": {"jobs": 2}},
        {"names": ["a", "b"], "none": None},
    ],
)
def test_the_text_is_the_document(document: dict[str, Any]) -> None:
    """Whatever the layout, a JSON reader gets the same value."""
    assert json.loads("".join(json_lines(document))) == document


def test_a_file_name_that_is_no_utf_8_leaves_the_document_utf_8() -> None:
    """Its bytes come back out of a JSON reader as Python holds them."""
    name = b"lat\xe9.png".decode("utf-8", "surrogateescape")
    text = "".join(json_lines({"names": [name, "Café"], "jobs": [{"path": name}]}))
    assert json.loads(text.encode())["jobs"][0]["path"] == name
    assert "Café" in text


def test_every_job_has_a_line_of_its_own() -> None:
    """So that `grep` finds a job, and the text is written without being held as a whole."""
    text = "".join(json_lines({"jobs": [{"id": "a"}, {"id": "b"}]}))
    assert '    {"id": "a"},\n    {"id": "b"}\n' in text
