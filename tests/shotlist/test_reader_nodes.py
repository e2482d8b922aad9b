"""YAML text becomes values of the right type at the right place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.shotlist.nodes import parse
from kling_render.shotlist.scalars import exact, seconds_of
from kling_render.shotlist.tree import Node

SURPRISES = {
    **{
        text: text
        for text in ("on", "off", "yes", "no", "Yes", "y", "010", "0o17", "0x1F", "1_000", "12:30", "1:30:00")
    },
    **{
        text: text for text in ("2024-01-01", ".inf", "-.inf", ".nan", "1e999", "<<", "=", "TrUe", "nULL", "+", "1.2.3")
    },
    "true": True,
    "True": True,
    "FALSE": False,
    "null": None,
    "~": None,
    "": None,
    "0": 0,
    "-7": -7,
    "+7": 7,
    "1.5": 1.5,
    ".5": 0.5,
    "1e3": 1000.0,
    "2.": 2.0,
    "1" * 64: "1" * 64,
}


def value_of(text: str) -> Any:
    root, found = parse(text.encode(), "f.yaml")
    assert found == []
    assert root is not None
    return root.value


@pytest.mark.parametrize(("text", "value"), SURPRISES.items())
def test_a_plain_scalar_has_the_type_a_person_expects(text: str, value: object) -> None:
    """Only true, false, null and decimal numbers are typed; the rest stays text."""
    got = value_of(f"a: {text}")["a"]
    assert (type(got), got) == (type(value), value)


def test_quotes_keep_a_text_a_text() -> None:
    """A quoted or block scalar is never typed."""
    assert value_of("a: 'true'\nb: \"1\"\nc: |\n  1\nd: !!str 1\n") == {"a": "true", "b": "1", "c": "1\n", "d": "1"}


def test_every_value_knows_its_place() -> None:
    """Line, column and width are a person's: they start at 1 and count characters, not bytes."""
    root, _ = parse("größe: {ö: 'tür'}\nb:\n  - x\n".encode(), "f.yaml")
    assert root is not None
    inner = root.entries["größe"][1].entries["ö"][1].place
    assert (inner.line, inner.column, inner.width, inner.text) == (1, 12, 5, "größe: {ö: 'tür'}")
    item = root.entries["b"][1].items[0].place
    assert (str(item), item.text) == ("f.yaml:3:5", "  - x")


def test_a_byte_order_mark_is_accepted() -> None:
    """A BOM is no content, and does not shift columns."""
    root, found = parse(b"\xef\xbb\xbfa: 1\n", "f.yaml")
    assert root is not None
    assert (root.value, root.entries["a"][0].column, found) == ({"a": 1}, 1, [])


def test_merge_keys_fill_in_what_is_not_said() -> None:
    """Own keys beat merged ones, earlier merged mappings beat later ones."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 0}\n"
    assert value_of(text)["c"] == {"x": 0, "y": 1, "z": 2}


def test_keys_are_texts() -> None:
    """A number, a date or a word for truth as a key stays what was written."""
    assert value_of("{1: a, 007: b, yes: c, true: d, 2024-01-01: e}") == {
        "1": "a",
        "007": "b",
        "yes": "c",
        "true": "d",
        "2024-01-01": "e",
    }


def shape(node: Node) -> object:
    inner = [shape(item) for item in node.items] + [(shape(k), shape(v)) for k, v in node.entries.values()]
    return node.kind, node.line, node.column, node.value, node.style, inner


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("aé '\"{}#:-\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, derandomize=True)
@given(tree=st.dictionaries(st.text("abc-", min_size=1, max_size=3), TREES, min_size=1, max_size=4), flow=st.booleans())
def test_both_parsers_build_the_same_tree(tree: dict[str, Any], flow: bool) -> None:
    """Without the C library the same values stand at the same places, and both are what was written."""
    data = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True).encode()
    fast, none = parse(data, "f.yaml")
    slow, _ = parse(data, "f.yaml", loader=yaml.SafeLoader)
    assert fast is not None, none
    assert slow is not None
    assert shape(fast) == shape(slow)
    assert fast.value == tree


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.text("a:-[]{}&*!|>'\"%@`?,#\t \n\\<é\x00\u2028", max_size=40).map(str.encode))
def test_no_bytes_make_the_parser_fail_without_a_diagnostic(data: bytes) -> None:
    """Whatever the bytes: a tree, or errors with a place inside the text."""
    root, found = parse(data, "f.yaml")
    assert (root is None) == any(diagnostic.severity == "error" for diagnostic in found)
    assert all(diagnostic.place is not None and diagnostic.place.line >= 1 for diagnostic in found)


def test_times_are_read_exactly() -> None:
    """Seconds, m:ss and h:mm:ss are decimal numbers without a float in between."""
    written = {"2": "2", "7.5": "7.5", "0:07.50": "7.5", "1:30": "90", "1:00:00.1": "3600.1", "90:00": "5400"}
    assert {text: str(seconds_of(text)) for text in written} == written
    assert [seconds_of(text) for text in ("1:75", "a", "1:", ":5", "-1", "1:2:3:4", "")] == [None] * 7


def test_amounts_are_read_exactly() -> None:
    """Idle zeros and exponents go, digits stay."""
    assert [str(exact(text)) for text in ("40", "0.10", "1e3", "40.00", "0.0", "1e30")] == [
        *("40", "0.1", "1000", "40", "0"),
        "1" + "0" * 30,
    ]
