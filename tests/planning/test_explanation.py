"""An explanation names the fields that differ: all of them, and no other; the prompt word by word."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.planning.explanation import changes, nearest
from kling_render.planning.manifest import InputIdentity, Manifest, fingerprint, manifest
from kling_render.planning.words import Side, word_diff
from tests.planning.build import digest, job, request

TEXTS = st.text(st.sampled_from("ab ,.\n\u00e9\u0065\u0301-x9"), max_size=24)
SECONDS = st.one_of(st.none(), st.decimals(Decimal("0.1"), 30, places=2))
INPUTS = st.one_of(
    st.text("0123456789abcdef", min_size=64, max_size=64).map(InputIdentity),
    st.sampled_from(["https://example.com/a.png", "https://example.com/b.mp4"]).map(lambda url: InputIdentity(url=url)),
)
#: What every field of a manifest can be.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "image": INPUTS,
    "video": INPUTS,
    "start": SECONDS,
    "end": SECONDS,
    "prompt": TEXTS,
    "orientation": st.sampled_from(["image", "video"]),
    "keep_audio": st.booleans(),
    "model": st.sampled_from(["klingai/video-v3-motion-control", "klingai/other", "klingai/third"]),
    "take": st.integers(1, 40),
    "params.mode": st.sampled_from([None, "pro", "best"]),
    "params.strength": st.one_of(
        st.none(),
        st.booleans(),
        st.integers(0, 2),
        st.floats(0, 1),
        st.sampled_from([Decimal("1.0000000000000000001"), "1", "true", [1], {"a": True}]),
    ),
}


def made(values: dict[str, Any]) -> Manifest:
    """The manifest of a request with these values."""
    params = {name.removeprefix("params."): value for name, value in values.items() if name.startswith("params.")}
    named = {name: value for name, value in values.items() if name in VALUES and not name.startswith("params.")}
    image, video = named.pop("image"), named.pop("video")
    given_params = tuple(sorted((name, value) for name, value in params.items() if value is not None))
    return manifest(request(**named, params=given_params), image, video)


@given(st.fixed_dictionaries(VALUES), st.sampled_from(sorted(VALUES)), st.data())
def test_a_changed_field_is_named_and_no_other(before: dict[str, Any], name: str, data: st.DataObject) -> None:
    """Mutate one field of a request: the explanation is exactly that field, whatever the others are."""
    after = before | {name: data.draw(VALUES[name])}
    old, new = made(before), made(after)
    assume(fingerprint(old) != fingerprint(new))
    assert [change.field for change in changes(job(), old, new)] == [name]


@given(st.fixed_dictionaries(VALUES), st.fixed_dictionaries(VALUES))
def test_all_changed_fields_are_named(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Of two requests exactly those fields that make another manifest when they alone are exchanged."""
    differ = [n for n in sorted(VALUES) if made(before) != made(before | {n: after[n]})]
    assert [change.field for change in changes(job(), made(before), made(after))] == differ


@given(TEXTS, TEXTS)
def test_a_word_diff_holds_both_texts(old: str, new: str) -> None:
    """Nothing of either text is lost, and equal texts have no difference."""
    pieces = word_diff(old, new)
    assert "".join(p.text for p in pieces if p.side is not Side.NEW) == old
    assert "".join(p.text for p in pieces if p.side is not Side.OLD) == new
    assert (old == new) is all(p.side is Side.BOTH for p in pieces)


def test_a_word_diff_is_read_by_words() -> None:
    """A changed word is shown whole; neighbours that changed together are one change."""
    pieces = word_diff("a fox waves slowly at night", "a fox waves at early dawn")
    assert [(p.side.value, p.text) for p in pieces] == [
        ("same", "a fox waves "),
        ("old", "slowly "),
        ("same", "at "),
        ("old", "night"),
        ("new", "early dawn"),
    ]


def test_what_the_eye_cannot_see_is_said() -> None:
    """White space, Unicode form and case are told in words."""
    here = InputIdentity("a" * 64)

    def note(old: str, new: str) -> str:
        both = [manifest(request(prompt=text), here, here) for text in (old, new)]
        return changes(job(), *both)[0].note

    assert note("a  b", "a b") == "only white space differs"
    assert note("caf\u00e9", "cafe\u0301") == "the same characters in another Unicode form"
    assert note("A fox", "a fox") == "only case or the form of characters differs"
    assert note("a fox", "a cat") == ""


def test_a_change_has_the_place_where_it_is_written() -> None:
    """The template's line for the prompt, the input's for media and trims, the shot's for the rest."""
    old = made(dict.fromkeys(VALUES) | _first())
    new = made(dict.fromkeys(VALUES) | _second())
    places = {change.field: change.at for change in changes(job(), old, new)}
    assert places["prompt"] == "prompts/sc010.j2:1"
    assert (places["image"], places["video"], places["end"]) == (
        "shotlist.yaml:3",
        "shotlist.yaml:5",
        "shotlist.yaml:5",
    )
    assert {places[name] for name in ("orientation", "keep_audio", "model", "take")} == {"shotlist.yaml:8"}


def _first() -> dict[str, Any]:
    return {
        "image": InputIdentity(digest("fox")),
        "video": InputIdentity(digest("wave")),
        "prompt": "a",
        "orientation": "image",
        "keep_audio": True,
        "model": "klingai/other",
        "take": 1,
    }


def _second() -> dict[str, Any]:
    return {
        "image": InputIdentity(digest("cat")),
        "video": InputIdentity(digest("spin")),
        "end": Decimal(4),
        "prompt": "b",
        "orientation": "video",
        "keep_audio": False,
        "model": "klingai/third",
        "take": 2,
    }


def attempt(job: str, of: Manifest, at: float, folder: str = "/p", state: State = State.DONE) -> Attempt:
    return Attempt(
        id=f"{job}@{at}",
        namespace="n",
        fingerprint=fingerprint(of),
        client_request_id="",
        account="",
        state=state,
        owner="",
        run="",
        job=job,
        project="p",
        folder=folder,
        output="",
        final="",
        root="",
        manifest=of.json,
        model="",
        hold=None,
        reserved_at=at,
    )


def test_the_nearest_result_is_the_jobs_own_newest_else_the_one_with_the_fewest_differences() -> None:
    """The same job's first, failures never; then fewer fields, then the same project, then the newest."""
    base = made(dict.fromkeys(VALUES) | _first())
    prompt = made(dict.fromkeys(VALUES) | _first() | {"prompt": "b"})
    two = made(dict.fromkeys(VALUES) | _first() | {"prompt": "b", "take": 2})
    far = made(dict.fromkeys(VALUES) | _second())
    key = fingerprint(base)

    def chosen(*attempts: Attempt) -> str | None:
        found = nearest("mine", "/p", key, base, attempts)
        return found.id if found else None

    own = [attempt("mine", far, 1.0), attempt("mine", two, 2.0), attempt("mine", prompt, 9.0, state=State.REJECTED)]
    assert chosen(*own, attempt("other", prompt, 5.0)) == "mine@2.0"
    others = [
        attempt("x", two, 3.0),
        attempt("y", prompt, 1.0, "/q"),
        attempt("z", prompt, 1.0),
        attempt("w", far, 9.0),
    ]
    assert chosen(*others) == "z@1.0"
    assert chosen(*others, attempt("v", prompt, 2.0)) == "v@2.0"
    assert chosen(attempt("mine", far, 1.0, "/q"), attempt("z", prompt, 1.0)) == "z@1.0"
    assert chosen(attempt("mine", base, 1.0), replace(others[0], manifest="")) is None
    assert chosen() is None
