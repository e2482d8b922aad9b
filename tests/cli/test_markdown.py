"""A comment for a pull request in which foreign text stays text."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kling_render.cli.markdown import LISTED, LONGEST, code, comparison_markdown
from kling_render.errors import Place
from kling_render.planning.comparison import Base, base_jobs, compare
from kling_render.shotlist.records import Job
from tests.planning.build import PRICE, identity, job, project

READER = MarkdownIt("commonmark").enable("table")
NASTY = st.text(st.sampled_from("a|`\\<>&@#*_[]()!~\n\r\t-: \x1b\u202e$"), max_size=12) | st.sampled_from(
    ["</details>", "<!--", "@everyone", "![x](http://x.example/i.png)", "| --- |", "```", "#1", "http://x.example"]
)


def comment(old: list[Job], new: list[Job], ref: str = "main", name: str = "film", **changes: Any) -> str:
    found = compare(
        project(*new, name=name),
        Base(ref=ref, commit="c" * 40, jobs=base_jobs(old, identity), notes=changes.pop("notes", ())),
        namespace="https://api.example.com",
        identities=identity,
        seconds=lambda _request: Decimal(4),
        prices=lambda _request: PRICE,
    )
    return comparison_markdown(found)


def tokens(text: str) -> list[Token]:
    return [inner for token in READER.parse(text) for inner in (token, *(token.children or ()))]


@settings(max_examples=200, deadline=None)
@given(NASTY, NASTY, NASTY)
def test_foreign_text_cannot_leave_its_cell(name: str, shot: str, place: str) -> None:
    """No link, image, HTML or mention comes from it, and every table keeps its columns."""
    old = [job("sc000"), job("sc010")]
    made = replace(job("sc010"), id=f"{shot}/x/y/t01", shot=shot, place=Place(place or "f", 3, 1))
    edited = replace(made, request=replace(made.request, prompt="another"))
    text = comment(old, [job("sc000"), edited], ref=name or "x", name=name, notes=(shot,))
    found = tokens(text)
    assert {token.type for token in found} & {"link_open", "image", "html_inline", "fence", "code_block"} == set()
    html = [token.content.strip() for token in found if token.type == "html_block"]
    assert all(one.startswith("<details><summary>") or one == "</details>" for one in html)
    assert len(html) % 2 == 0
    prose = "".join(token.content for token in found if token.type == "text")
    assert not set(prose) & set("@<>`[]\\\x1b\u202e")
    rows: list[int] = []
    for token in found:
        if token.type == "tr_open":
            rows.append(0)
        elif token.type in ("td_open", "th_open"):
            rows[-1] += 1
    assert sorted(set(rows)) in ([1, 3, 4, 5], [1, 2, 3, 4, 5])


@settings(max_examples=200, deadline=None)
@given(NASTY)
def test_a_code_span_holds_everything_it_is_given(text: str) -> None:
    """One span and nothing beside it."""
    inner = [token for token in tokens(f"| a |\n| --- |\n| {code(text)} |\n") if token.type in ("code_inline", "text")]
    assert [token.type for token in inner] == ["text", "code_inline"]


def test_the_comment_says_what_an_edit_costs() -> None:
    """A summary, dollars per edit and per shot, folded details, the price with its date."""
    old = [job(), job("sc020"), job("sc030")]
    new = [replace(job(), request=replace(job().request, prompt="another")), job("sc020"), job("sc040")]
    text = comment(old, new)
    lines = text.splitlines()
    assert lines[0] == "### kling-render: 2 jobs to render, about $0.896, up to $0.896"
    assert "`film` compared with `main` (`cccccccccccc`): 1 added, 1 changed, 1 unchanged, 1 removed." in lines
    assert "| `prompts/sc010.j2:1` `the prompt changed` | 1 | about $0.448 |" in lines
    assert "| `sc030` | 0 | 0 | 1 | $0.00 |" in lines
    assert "<details><summary>2 jobs added or changed</summary>" in lines
    assert "$0.112 per second (as of `2026-08-01`)" in text


def test_nothing_to_render_is_said_in_one_line() -> None:
    """No empty tables."""
    text = comment([job()], [job()])
    assert text.startswith("### kling-render: nothing to render, $0.00\n")
    assert "| ---" not in text


def test_a_large_comment_stays_below_the_limit() -> None:
    """Long tables are cut, and it is said."""
    text = comment([], [job(f"s{number:04}" + "x" * 150) for number in range(300)])
    assert len(text) < LONGEST + 200
    assert f"… and {300 - LISTED} more." in text


def test_no_absolute_path_is_shown() -> None:
    """A template outside the repository keeps only its name."""
    for path in ("/home/me/t.j2", "C:\\Users\\me\\t.j2"):
        made = replace(job(), prompt_place=Place(path, 4, 1))
        text = comment([job()], [replace(made, request=replace(made.request, prompt="another"))])
        assert "`t.j2:4`" in text
        assert path not in text
