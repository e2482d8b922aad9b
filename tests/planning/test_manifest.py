"""The manifest and its fingerprint: what changes the pixels, and golden keys that no upgrade may move."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.errors import Place
from kling_render.models import DEFAULT_MODEL, MODELS
from kling_render.planning.manifest import (
    FORMAT,
    Difference,
    InputIdentity,
    Manifest,
    decimal_text,
    differences,
    fingerprint,
    manifest,
)
from kling_render.shotlist.records import InputRef, Job, Request
from tests.planning.build import CLIPS, IMAGES, request

GOLDEN = Path(__file__).with_name("golden.json")
IMAGE, CLIP = InputIdentity("a" * 64), InputIdentity("b" * 64)

#: Every field of a request, and whether it changes the pixels.
REQUEST_FIELDS = {
    "model": True,
    "image": True,
    "video": True,
    "start": True,
    "end": True,
    "prompt": True,
    "orientation": True,
    "keep_audio": True,
    "params": True,
    "take": True,
}
#: Every field of a job: only the request changes the pixels.
JOB_FIELDS = {
    "id": False,
    "shot": False,
    "character": False,
    "motion": False,
    "take": False,  # the request's own `take` does
    "values": False,
    "request": True,
    "output": False,
    "final": False,
    "priority": False,
    "tags": False,
    "place": False,
    "settings": False,  # what of them changes pixels is in the request
    "trim_places": False,
    "prompt_place": False,
}
#: Every field of an input: its bytes (or its URL) change the pixels, through `InputIdentity`; its name does not.
INPUT_FIELDS = {"shown": False, "path": True, "url": True, "pin": True, "place": False, "allow": False}


def key(of: Request, image: InputIdentity = IMAGE, video: InputIdentity = CLIP) -> str:
    return fingerprint(manifest(of, image, video))


def parsed(case: dict[str, Any]) -> tuple[Request, InputIdentity, InputIdentity]:
    """A golden case's request and inputs."""
    given = dict(case["request"])
    for name in ("start", "end"):
        if name in given:
            given[name] = Decimal(given[name])
    if "params" in given:
        given["params"] = tuple(sorted(given["params"].items()))
    return request(**given), InputIdentity(**case["image"]), InputIdentity(**case["video"])


CASES = json.loads(GOLDEN.read_text("ascii"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden_keys_never_move(case: dict[str, Any]) -> None:
    """A fingerprint that a released version computed is the same for ever: another one would bill the user again."""
    made = manifest(*parsed(case))
    assert made.json == case["manifest"]
    assert fingerprint(made) == case["fingerprint"]


def test_there_are_enough_golden_keys() -> None:
    """At least twenty requests are pinned, no two with one fingerprint unless the case says so."""
    distinct = {case["fingerprint"] for case in CASES if not case.get("same_as")}
    assert len(CASES) >= 20
    assert len(distinct) == len([case for case in CASES if not case.get("same_as")])
    named = {case["name"]: case["fingerprint"] for case in CASES}
    assert all(case["fingerprint"] == named[case["same_as"]] for case in CASES if case.get("same_as"))


@pytest.mark.parametrize(
    ("record", "classed"), [(Request, REQUEST_FIELDS), (Job, JOB_FIELDS), (InputRef, INPUT_FIELDS)]
)
def test_every_field_is_classed(record: type[Any], classed: dict[str, bool]) -> None:
    """A new field must be declared as changing the pixels or not before it can be used."""
    assert {field.name for field in fields(record)} == set(classed)


CHANGES: dict[str, Any] = {
    "model": "klingai/video-v3-motion-control",
    "start": Decimal(1),
    "end": Decimal(6),
    "prompt": "a fox waves ",
    "orientation": "video",
    "keep_audio": False,
    "params": (("mode", "pro"),),
    "take": 2,
}


@pytest.mark.parametrize("name", [name for name, pixels in REQUEST_FIELDS.items() if pixels])
def test_a_field_that_changes_the_pixels_changes_the_fingerprint(name: str) -> None:
    """Each such field, changed alone, gives another fingerprint and exactly one named difference."""
    before = manifest(request(), IMAGE, CLIP)
    other = InputIdentity("c" * 64)
    if name == "image":
        after = manifest(request(), other, CLIP)
    elif name == "video":
        after = manifest(request(), IMAGE, other)
    else:
        after = manifest(request(**{name: CHANGES[name]}), IMAGE, CLIP)
    assert fingerprint(before) != fingerprint(after)
    assert [d.field for d in differences(before, after)] == [{"params": "params.mode"}.get(name, name)]


def test_paths_and_places_leave_the_fingerprint_alone() -> None:
    """Renaming and moving an input costs nothing: only its bytes count."""
    moved = replace(IMAGES["fox"], shown="cast/fuchs.png", path=Path("/q/fuchs.png"), place=Place("cast.yaml", 9, 9))
    assert key(request()) == key(request(image=moved, video=replace(CLIPS["wave"], shown="x.mp4")))


def test_a_pinned_remote_equals_the_same_bytes_on_disk() -> None:
    """A pin is the digest of the bytes, whatever the URL and the case of its letters."""
    pinned = InputIdentity(sha256="A" * 64, url="https://example.com/fox.png")
    assert key(request(), image=pinned) == key(request())


def test_an_unpinned_remote_is_its_url() -> None:
    """Without a pin the URL is all that is known; another URL is another request."""
    one, two = InputIdentity(url="https://example.com/a.png"), InputIdentity(url="https://example.com/b.png")
    assert len({key(request(), image=one), key(request(), image=two), key(request())}) == 3


def test_an_input_without_identity_is_refused() -> None:
    """Neither digest nor URL: a fingerprint over nothing would be shared by different inputs."""
    with pytest.raises(ValueError, match="digest or a URL"):
        InputIdentity()


@pytest.mark.parametrize(
    ("one", "two"), [("2", "2.0"), ("7.5", "7.500"), ("20", "2E+1"), ("0", "-0.0"), ("0.000", "0")]
)
def test_decimals_have_one_spelling(one: str, two: str) -> None:
    """The same trim written differently is the same request."""
    assert decimal_text(Decimal(one)) == decimal_text(Decimal(two))
    assert key(request(start=Decimal(one))) == key(request(start=Decimal(two)))


def test_a_trim_with_many_digits_is_not_rounded() -> None:
    """Two long decimals that differ in the last digit stay different."""
    assert decimal_text(Decimal("1." + "1" * 40)) != decimal_text(Decimal("1." + "1" * 39 + "2"))


def test_start_at_zero_is_no_trim() -> None:
    """`start: 0` says nothing; `end` always says something, even 0."""
    assert key(request(start=Decimal(0))) == key(request(start=None))
    assert key(request(end=Decimal(0))) != key(request(end=None))


def test_a_parameter_at_its_default_is_absent() -> None:
    """Writing the model's default out changes nothing; the default's change is another matter, see the golden keys."""
    model = "klingai/video-v3-motion-control"
    default = MODELS[model].params["mode"].default
    assert key(request(model=model, params=(("mode", default),))) == key(request(model=model))
    assert key(request(model=model, params=(("mode", "pro"),))) != key(request(model=model))


def test_the_prompt_is_taken_as_it_is_sent() -> None:
    """Composed and decomposed letters are two prompts; a lone surrogate does not stop the hashing."""
    assert key(request(prompt="caf\u00e9")) != key(request(prompt="cafe\u0301"))
    assert len(key(request(prompt="\ud800"))) == 64


def test_the_manifest_is_the_hashed_text() -> None:
    """What explain shows is what was hashed, and it carries its version."""
    made = manifest(request(prompt="“Olá”\n"), IMAGE, CLIP)
    assert fingerprint(made) == hashlib.sha256(made.json.encode("ascii")).hexdigest()
    assert made.entries["format"] == FORMAT
    assert made.entries["prompt"] == "“Olá”\n"


def test_differences_show_absent_fields_as_none() -> None:
    """A field that appears or goes has no old or no new value."""
    old = manifest(request(), IMAGE, CLIP)
    new = manifest(request(start=Decimal(2), prompt=""), IMAGE, CLIP)
    assert differences(old, new) == [
        Difference("prompt", "a fox waves", None),
        Difference("start", None, "2"),
    ]


@pytest.mark.parametrize("text", ["", "not json", "[1]", "null", '{"params": 3}'])
def test_a_damaged_stored_manifest_is_shown_as_all_new(text: str) -> None:
    """Explaining never fails over an old record."""
    assert differences(Manifest(text), manifest(request(), IMAGE, CLIP))


SCALARS = st.one_of(
    st.booleans(), st.integers(-(10**9), 10**9), st.text(max_size=8), st.none(), st.decimals(-99, 99, places=3)
)
PARAMS = st.dictionaries(
    st.text("abcxyz_", min_size=1, max_size=6),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
REQUESTS = st.builds(
    request,
    model=st.sampled_from([DEFAULT_MODEL, "klingai/video-v3-motion-control", "other/model"]),
    start=st.none() | st.decimals(0, 30, places=2),
    end=st.none() | st.decimals(0, 30, places=2),
    prompt=st.text(max_size=40),
    orientation=st.sampled_from(["image", "video"]),
    keep_audio=st.booleans(),
    params=PARAMS.map(lambda params: tuple(sorted(params.items()))),
    take=st.integers(1, 99),
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(REQUESTS)
def test_the_canonical_form_is_sorted_ascii_json(made: Request) -> None:
    """For every request the text is what a canonical JSON writer gives for its own content (numbers aside)."""
    written = manifest(made, IMAGE, CLIP).json
    assert written.isascii()
    again = json.loads(written, parse_float=Decimal)
    assert list(again) == sorted(again)
    assert written == json.dumps(again, sort_keys=True, separators=(",", ":"), default=_number)


class _number(float):  # noqa: N801 - a stand-in that json writes as the decimal's own text
    def __init__(self, number: Decimal) -> None:
        super().__init__()
        self.number = number

    def __new__(cls, number: Decimal) -> Self:
        return super().__new__(cls, number)

    def __repr__(self) -> str:
        return decimal_text(self.number)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(REQUESTS, st.randoms(use_true_random=False))
def test_the_order_of_parameters_does_not_matter(made: Request, chance: Any) -> None:
    """Parameters given in any order, nested mappings included, are one request."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = list(value.items())
            chance.shuffle(items)
            return {name: shuffled(inner) for name, inner in items}
        return value

    mixed = [(name, shuffled(value)) for name, value in made.params]
    chance.shuffle(mixed)
    assert key(made) == key(replace(made, params=tuple(mixed)))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(REQUESTS, REQUESTS)
def test_equal_fingerprints_mean_equal_manifests(one: Request, two: Request) -> None:
    """Two requests share a fingerprint exactly when no field differs."""
    first, second = manifest(one, IMAGE, CLIP), manifest(two, IMAGE, CLIP)
    assert (fingerprint(first) == fingerprint(second)) == (not differences(first, second))
