"""What a request costs, from the provider's catalogue. Unknown stays unknown (None): never a guess.

The shapes read here are those of `GET /v1/models?include=pricing` as the vendor documents them (state: August 2026).
Money is `Decimal`; an answer is best parsed with `parse_float=Decimal`, other floats are taken by their shortest text.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Literal

from kling_render.models import MODELS
from kling_render.shotlist.records import Request

Source = Literal["catalogue", "cached", "free"]

EXACT = Context(prec=200)
"""For products and sums of money: far more digits than any price times any duration has."""

_PER_SECOND = {"second": 1, "seconds": 1, "minute": 60, "minutes": 60}
_PER_RENDER = frozenset({"video", "generation", "request", "call", "render"})


@dataclass(frozen=True, slots=True)
class Price:
    """A quoted price in USD: an amount per second of output, an amount per render, or both."""

    model: str
    usd_per_second: Decimal | None
    usd_fixed: Decimal | None
    #: When the catalogue said so, ISO 8601; empty for a free provider.
    as_of: str
    source: Source


def free_price(model: str) -> Price:
    """The price of a provider that costs nothing."""
    return Price(model, Decimal(0), None, "", "free")


def price_key(request: Request) -> Hashable:
    """What a price can depend on: requests with one key have one price."""
    params = repr(request.params) if request.params else ""  # a value may be a list
    return request.model, request.orientation, request.keep_audio, params


def priced_parameters(request: Request) -> dict[str, Any]:
    """The request's parameters under the provider's names, defaults included, for `variants`."""
    own = {"character_orientation": request.orientation, "keep_audio": request.keep_audio}
    return {**_defaults(request.model), **dict(request.params), **own}


def parameters_of(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The same from a manifest's entries."""
    own = {"character_orientation": entries.get("orientation"), "keep_audio": entries.get("keep_audio")}
    params = {name[7:]: value for name, value in entries.items() if name.startswith("params.")}
    return {**_defaults(str(entries.get("model"))), **params, **own}


def _defaults(model: str) -> dict[str, Any]:
    known = MODELS.get(model)
    return {name: param.default for name, param in known.params.items()} if known else {}


@dataclass(frozen=True, slots=True)
class Unquoted:
    """Why there is no price; a part of a sentence for people."""

    why: str


def price_from_catalogue(
    answer: Mapping[str, Any],
    model: str,
    params: Mapping[str, Any],
    *,
    as_of: str,
    source: Source = "catalogue",
) -> Price | None:
    """The price of `model` with `params` (see `priced_parameters`), or None when the answer does not quote one."""
    found = quote(entry_of(answer, model), model, params, as_of=as_of, source=source)
    return found if isinstance(found, Price) else None


def entry_of(answer: Mapping[str, Any], model: str) -> Mapping[str, Any] | None:
    """The answer's entry whose id is `model`, else the only one that carries it as an alias."""
    entries = [entry for entry in _list(answer.get("data")) if isinstance(entry, Mapping)]
    hits = [entry for entry in entries if entry.get("id") == model]
    hits = hits or [entry for entry in entries if model in _list(entry.get("aliases"))]
    return hits[0] if len(hits) == 1 else None


def quote(
    entry: Mapping[str, Any] | None,
    model: str,
    params: Mapping[str, Any],
    *,
    as_of: str,
    source: Source = "catalogue",
) -> Price | Unquoted:
    """The price in a catalogue's entry, or why it has none that can be told ahead of a request."""
    if entry is None:
        return Unquoted("the catalogue does not list it")
    pricing = entry.get("pricing")
    if not isinstance(pricing, Mapping):
        return Unquoted("the catalogue gives no price")
    if pricing.get("currency", "USD") != "USD":
        return Unquoted(f"the catalogue's price is in {_word(pricing.get('currency'))}, not in USD")
    rates = _rates(pricing, params)
    if isinstance(rates, Unquoted):
        return rates
    per_second: Decimal | None = None
    fixed: Decimal | None = None
    for name, usd in rates:
        if name in _PER_SECOND:
            per_second = EXACT.add(per_second or Decimal(0), _share(usd, Decimal(_PER_SECOND[name])))
        else:
            fixed = EXACT.add(fixed or Decimal(0), usd)
    return Price(model, per_second, fixed, as_of, source)


def estimate(price: Price | None, seconds: Decimal | None) -> Decimal | None:
    """Price × seconds, exact and unrounded; None when the price, or a duration it needs, is unknown."""
    if price is None:
        return None
    total = price.usd_fixed or Decimal(0)
    if price.usd_per_second:
        if seconds is None:
            return None
        total = EXACT.add(total, EXACT.multiply(price.usd_per_second, seconds))
    return total


def up_to(price: Price | None, seconds: Decimal | None) -> Decimal | None:
    """The same for the next whole second: the provider may count seconds begun."""
    return estimate(price, None if seconds is None else rounded_up(seconds, Decimal(1)))


def rounded_up(seconds: Decimal, step: Decimal) -> Decimal:
    """The next multiple of `step`."""
    return EXACT.multiply(EXACT.divide(seconds, step).to_integral_value(ROUND_CEILING), step)


def total_usd(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The exact sum; None when one of the amounts is unknown."""
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total = EXACT.add(total, amount)
    return total


def _rates(pricing: Mapping[str, Any], params: Mapping[str, Any]) -> list[tuple[str, Decimal]] | Unquoted:
    """Every rate that applies as (unit, USD for one)."""
    kind = pricing.get("kind")
    if kind == "variable":
        return Unquoted("the catalogue calls it variable: it is known only afterwards")
    if kind == "fixed":
        read = [_rate(unit, "name") for unit in _list(pricing.get("units"))]
        wrong = next((rate for rate in read if isinstance(rate, Unquoted)), None)
        rates = [rate for rate in read if not isinstance(rate, Unquoted)]
        return wrong or rates or Unquoted("the catalogue gives no price")
    if kind == "variants":
        return _variant(_list(pricing.get("variants")), params)
    return Unquoted(f"the catalogue prices it in a way this version does not know ({_word(kind)})")


def _variant(variants: Sequence[Any], params: Mapping[str, Any]) -> list[tuple[str, Decimal]] | Unquoted:
    """The one rate whose conditions the request meets; two that differ are no price."""
    fitting = {_rate(variant, "unit") for variant in variants if _applies(variant, params)}
    if len(fitting) != 1:
        return Unquoted(f"the catalogue has {'several prices' if fitting else 'no price'} for these parameters")
    (rate,) = fitting
    return rate if isinstance(rate, Unquoted) else [rate]


def _rate(unit: Any, name_field: str) -> tuple[str, Decimal] | Unquoted:
    """One rate as (unit, USD for one of it), or what of it is not understood."""
    if not isinstance(unit, Mapping):
        return Unquoted("the catalogue's price cannot be read")
    name = unit.get(name_field)
    if isinstance(name, Mapping):
        unit, name = {**name, **unit}, name.get("name")
    measure = unit.get("measure", "output")
    if name not in (*_PER_SECOND, *_PER_RENDER) or measure != "output":
        return Unquoted(f"the catalogue prices it per {_word(name)} of {_word(measure)}, not per second of output")
    price, per = _number(unit.get("price")), _number(unit.get("per", 1))
    if price is None or not per:
        return Unquoted("the catalogue's price cannot be read")
    return name, _share(price, per)


def _word(value: Any) -> str:
    """A foreign word, short enough for a sentence."""
    return str(value)[:40] if isinstance(value, str) and value else "something"


def _applies(variant: Any, params: Mapping[str, Any]) -> bool:
    """Whether every condition of the variant is met; a condition on something we do not send is not."""
    when = variant.get("when") if isinstance(variant, Mapping) else None
    if not isinstance(when, Mapping):
        return False
    return all(name in params and _same(wanted, params[name]) for name, wanted in when.items())


def _same(wanted: Any, sent: Any) -> bool:
    """Equal values; `"true"` and true are one, since catalogues spell booleans either way."""
    if isinstance(sent, bool):
        return wanted is sent or wanted == str(sent).lower()
    return not isinstance(wanted, bool) and (wanted == sent or str(wanted) == str(sent))


def _share(usd: Decimal, per: Decimal) -> Decimal:
    """`usd / per`; a quotient without an end is rounded up, so that an estimate never flatters."""
    return Context(prec=28, rounding=ROUND_CEILING).divide(usd, per)


def _number(value: Any) -> Decimal | None:
    """A finite figure that is not negative, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() and number >= 0 else None


def _list(value: Any) -> Sequence[Any]:
    """The value if it is a list, else nothing."""
    return value if isinstance(value, list) else []
