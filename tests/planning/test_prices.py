"""Prices from catalogue answers: what is quoted is exact, what is not quoted stays unknown."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.models import DEFAULT_MODEL
from kling_render.planning.manifest import InputIdentity, manifest
from kling_render.planning.prices import (
    Price,
    Unquoted,
    entry_of,
    estimate,
    free_price,
    parameters_of,
    price_from_catalogue,
    price_key,
    priced_parameters,
    quote,
    total_usd,
    up_to,
)
from tests.planning.build import request

V3 = "klingai/video-v3-motion-control"


def unit(**changes: Any) -> dict[str, Any]:
    return {"name": "second", "measure": "output", "price": "0.112", "per": 1, **changes}


def fixed(*units: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"kind": "fixed", "currency": "USD", "units": list(units), **changes}


def catalogue(pricing: Any, **changes: Any) -> dict[str, Any]:
    entry = {"id": DEFAULT_MODEL, "aliases": ["motion-pro"], "type": "video", "pricing": pricing, **changes}
    return {"object": "list", "data": [{"id": "openai/gpt-4o", "aliases": ["gpt-4o"]}, entry]}


def read(
    pricing: Any, params: dict[str, Any] | None = None, model: str = DEFAULT_MODEL, **changes: Any
) -> Price | None:
    return price_from_catalogue(catalogue(pricing, **changes), model, params or {}, as_of="2026-08-01")


def test_the_price_of_the_projects_model_is_per_second_of_output() -> None:
    """The documented shape gives USD per second, exactly as written."""
    answer = json.loads(json.dumps(catalogue(fixed(unit(price=0.112)))), parse_float=Decimal)
    price = price_from_catalogue(answer, DEFAULT_MODEL, {}, as_of="2026-08-01", source="cached")
    assert price == Price(DEFAULT_MODEL, Decimal("0.112"), None, "2026-08-01", "cached")


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({"price": "5.6", "per": 50}, "0.112"),
        ({"price": 0.1}, "0.1"),
        ({"price": 6.72, "name": "minute"}, "0.112"),
        ({"price": 0}, "0"),
    ],
)
def test_a_price_is_read_together_with_its_quantity(changes: dict[str, Any], usd: str) -> None:
    """`per` may be any quantity; floats count by their shortest text."""
    price = read(fixed(unit(**changes)))
    assert price is not None
    assert price.usd_per_second == Decimal(usd)


def test_a_quotient_without_end_is_rounded_up() -> None:
    """A third of a cent more than nothing: an estimate never flatters."""
    price = read(fixed(unit(price="0.10", per=3)))
    assert price is not None
    assert price.usd_per_second is not None
    assert Fraction(price.usd_per_second) * 3 > Fraction(1, 10)


def test_a_price_per_video_is_fixed_and_adds_up() -> None:
    """A fee per render and an amount per second together are both charged."""
    price = read(fixed(unit(), unit(name="video", price="0.05")))
    assert price == Price(DEFAULT_MODEL, Decimal("0.112"), Decimal("0.05"), "2026-08-01", "catalogue")
    assert estimate(price, Decimal(4)) == Decimal("0.498")


def test_a_model_is_found_by_alias() -> None:
    """A name matches the id or one of the aliases; an id beats another entry's alias."""
    assert read(fixed(unit()), model="motion-pro") is not None
    answer = catalogue(fixed(unit()))
    answer["data"].append({"id": "motion-pro", "aliases": [], "pricing": fixed(unit(price="9"))})
    price = price_from_catalogue(answer, "motion-pro", {}, as_of="")
    assert price is not None
    assert price.usd_per_second == 9


def variants(*rows: tuple[dict[str, Any], Any]) -> dict[str, Any]:
    listed = [{"when": when, "price": price, "unit": "second", "per": 1} for when, price in rows]
    return {"kind": "variants", "currency": "USD", "dimensions": ["mode"], "variants": listed}


def test_variants_are_matched_against_the_request() -> None:
    """The default counts where the request says nothing."""
    pricing = variants(({"mode": "std"}, "0.126"), ({"mode": "pro"}, "0.168"))
    for params, usd in (((), "0.126"), ((("mode", "pro"),), "0.168")):
        made = request(model=V3, params=params)
        price = read(pricing, priced_parameters(made), V3, id=V3)
        assert price is not None
        assert price.usd_per_second == Decimal(usd)


def test_variants_may_depend_on_what_every_request_says() -> None:
    """Orientation and audio go by the provider's names; booleans match either spelling."""
    pricing = variants(
        ({"keep_audio": "true", "character_orientation": "image"}, "0.2"), ({"keep_audio": False}, "0.1")
    )
    loud, mute = (read(pricing, priced_parameters(request(keep_audio=audio))) for audio in (True, False))
    assert loud is not None
    assert mute is not None
    assert (loud.usd_per_second, mute.usd_per_second) == (Decimal("0.2"), Decimal("0.1"))
    assert price_key(request(keep_audio=True)) != price_key(request(keep_audio=False))


UNKNOWN = {
    "no pricing": None,
    "variable": {"kind": "variable"},
    "another currency": fixed(unit(), currency="EUR"),
    "a unit that is not understood": fixed(unit(name="token")),
    "one of two units not understood": fixed(unit(), unit(name="megapixel")),
    "seconds of the input": fixed(unit(measure="input")),
    "no units": fixed(),
    "a negative price": fixed(unit(price="-1")),
    "not a number": fixed(unit(price="NaN")),
    "no figure": fixed(unit(price="cheap")),
    "a boolean": fixed(unit(price=True)),
    "per nothing": fixed(unit(per=0)),
    "a variant for something not sent": variants(({"resolution": "1080p"}, 1)),
    "no fitting variant": variants(({"mode": "max"}, 1)),
    "two variants that fit": variants(({}, 1), ({"mode": "std"}, 2)),
    "a variant without a condition": {"kind": "variants", "variants": [{"price": 1, "unit": "second", "per": 1}]},
    "rubbish": {"kind": "fixed", "units": "many"},
    "a text": "0.112",
}


@pytest.mark.parametrize("pricing", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_quoted_is_unknown(pricing: Any) -> None:
    """Never a guess, and never an exception over a strange answer."""
    assert read(pricing, {"mode": "std"}) is None


@pytest.mark.parametrize(
    ("pricing", "why"),
    [
        (None, "gives no price"),
        ({"kind": "variable"}, "variable: it is known only afterwards"),
        (fixed(unit(), currency="EUR"), "in EUR, not in USD"),
        (fixed(unit(measure="input")), "per second of input, not per second of output"),
        (fixed(unit(), unit(name="token")), "per token of output"),
        (variants(({"mode": "max"}, 1)), "no price for these parameters"),
        (variants(({}, 1), ({"mode": "std"}, 2)), "several prices for these parameters"),
        (fixed(unit(price="cheap")), "cannot be read"),
        ({"kind": "auction" * 100}, "a way this version does not know (auctionauction"),
    ],
)
def test_the_reason_why_there_is_no_price_is_told(pricing: Any, why: str) -> None:
    """The user sees what the catalogue says instead of a figure."""
    found = quote(entry_of(catalogue(pricing), DEFAULT_MODEL), DEFAULT_MODEL, {"mode": "std"}, as_of="")
    assert isinstance(found, Unquoted)
    assert why in found.why
    assert len(found.why) < 150
    assert quote(None, DEFAULT_MODEL, {}, as_of="") == Unquoted("the catalogue does not list it")


def test_a_manifest_is_priced_like_its_request() -> None:
    """An old render is held against the price of its own parameters."""
    for params in ((), (("mode", "pro"),)):
        made = request(model=V3, params=params, orientation="video", keep_audio=False)
        written = manifest(made, InputIdentity("a" * 64), InputIdentity("b" * 64))
        assert parameters_of(written.entries) == priced_parameters(made)


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": [None, 3, {"id": "x"}]}, {"data": "no"}])
def test_an_answer_without_the_model_quotes_nothing(answer: dict[str, Any]) -> None:
    """The model is missing, or the answer is no list of models."""
    assert price_from_catalogue(answer, DEFAULT_MODEL, {}, as_of="") is None


def test_estimates_are_exact_and_up_to_counts_seconds_begun() -> None:
    """Nothing is rounded in the estimate, whatever the number of digits; up to uses the next whole second."""
    price = read(fixed(unit()))
    seconds = Decimal("4.0333333333333333333333333333333333")
    assert estimate(price, seconds) == Decimal("0.4517333333333333333333333333333333296")
    assert up_to(price, seconds) == Decimal("0.560")
    assert up_to(price, Decimal("4.0")) == Decimal("0.448")


def test_unknown_stays_unknown() -> None:
    """No price, or a price per second without a duration, is no figure; a free provider needs no duration."""
    assert estimate(None, Decimal(4)) is None
    assert estimate(read(fixed(unit())), None) is None
    assert estimate(free_price("previz"), None) == 0
    assert total_usd([Decimal(1), None]) is None
    assert total_usd([]) == 0


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.decimals(0, 10**6, places=9), max_size=20))
def test_sums_are_exact(amounts: list[Decimal]) -> None:
    """A sum of money has no rounding, in any order."""
    total = total_usd(amounts)
    assert total is not None
    assert total == total_usd(reversed(amounts))
    assert total * 10**9 == sum(int(amount * 10**9) for amount in amounts)
