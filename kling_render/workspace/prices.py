"""Prices from the catalogue, remembered per model with their date for when the catalogue is out of reach."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kling_render.planning.prices import Price, Source, Unquoted, entry_of, free_price, priced_parameters, quote
from kling_render.planning.records import Note, NoteCode
from kling_render.planning.text import day_text, rate_text
from kling_render.shotlist.records import Request
from kling_render.store.cache import Cache

if TYPE_CHECKING:
    from kling_render.providers.aimlapi.catalogue import Durations

_KNOWN = "catalogue/2"
_TAG = "catalogue-tag/2"


def free(request: Request) -> Price | None:
    """The price of a rehearsal."""
    return free_price(request.model)


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue said of a model."""

    #: Its entry, numbers as text; None: it did not list the model.
    entry: Mapping[str, Any] | None
    #: When it said so last, ISO 8601.
    as_of: str
    #: When this price followed another one, in seconds since the epoch; 0: no other one is known.
    since: float = 0.0


@dataclass(slots=True)
class Quotes:
    """The prices of some models; asked with a request, it notes what there is to say."""

    known: Mapping[str, Known]
    source: Source
    #: Why a model that is not known is not.
    silence: str
    #: What was known before this answer came.
    before: Mapping[str, Known] = field(default_factory=dict)
    _said: dict[tuple[str, str], Note] = field(default_factory=dict)

    def __call__(self, request: Request) -> Price | None:
        """The price of a request; None where it is not quoted."""
        model, params = request.model, priced_parameters(request)
        found, earlier = self.of(model, params), _read(self.before.get(model), model, params, "cached")
        if isinstance(found, Unquoted):
            self._said[model, found.why] = Note(NoteCode.PRICE_UNKNOWN, f"price of {model} unknown: {found.why}")
            return None
        if isinstance(earlier, Price) and rate_text(earlier) != rate_text(found):
            was = f"{rate_text(earlier)} → {rate_text(found)} (the former one of {day_text(earlier.as_of)})"
            self._said[model, was] = Note(NoteCode.PRICE_CHANGED, f"price of {model} changed: {was}")
        return found

    def of(self, model: str, params: Mapping[str, Any]) -> Price | Unquoted:
        """The price of a model with parameters under the provider's names, or why there is none."""
        return _read(self.known.get(model), model, params, self.source) or Unquoted(self.silence)

    def since(self, model: str) -> float:
        """When the price of a model followed another one, in seconds since the epoch."""
        return self.known[model].since if model in self.known else 0.0

    def notes(self, models: Collection[str]) -> list[Note]:
        """What there is to say about the prices of these models, as far as they were asked for."""
        return [note for (model, _), note in self._said.items() if model in models]


def from_catalogue(
    models: Collection[str], base_url: str, cache: Cache, now: float, *, offline: bool = False
) -> Callable[[Request], Price | None]:
    """A look-up of prices for these models; unknown stays unknown."""
    if offline or not models:
        return remembered(models, base_url, cache, offline=True)
    return asked(models, (), base_url, cache, now)[0]


def remembered(models: Collection[str], base_url: str, cache: Cache, *, offline: bool = False) -> Quotes:
    """The last known prices of these models."""
    why = "it was never looked up, and --offline says not to" if offline else "it was never looked up"
    return Quotes(_remembered(models, base_url, cache), "cached", why)


def asked(
    models: Collection[str], timed: Collection[str], base_url: str, cache: Cache, now: float
) -> tuple[Quotes, Mapping[str, Durations]]:
    """The prices of `models` as the catalogue has them now, else as last known; and how long renders of `timed` take.

    Two seconds at most in all. An unchanged catalogue is not sent again (ETag).
    """
    from kling_render.providers.aimlapi.catalogue import ask

    wanted = sorted(models)
    before = _remembered(wanted, base_url, cache)
    tag_key = f"{base_url} {' '.join(wanted)}"
    tag = cache.get(_TAG, tag_key) if len(before) == len(wanted) else None
    answer, durations = ask(base_url, wanted, tag if isinstance(tag, str) else None, timed=sorted(timed))
    if answer is None or (answer.body is None and tag is None):
        return Quotes(before, "cached", f"{base_url} does not tell, and it was never looked up before"), durations
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    known = {model: _newer(before.get(model), answer.body, model, moment, now) for model in wanted}
    for model, one in known.items():
        cache.put(_KNOWN, f"{base_url} {model}", {"entry": one.entry, "as_of": one.as_of, "since": one.since})
    cache.put(_TAG, tag_key, answer.etag)
    return Quotes(known, "catalogue", "", before), durations


def _newer(old: Known | None, body: Mapping[str, Any] | None, model: str, moment: str, now: float) -> Known:
    """What is known now; without a body it is what was known before."""
    if body is None and old is not None:
        return Known(old.entry, moment, old.since)
    entry = entry_of(body or {}, model)
    kept = None if entry is None else {"id": model, "pricing": _plain(entry.get("pricing"))}
    if old is None:
        return Known(kept, moment)
    return Known(kept, moment, old.since if old.entry == kept else now)


def _remembered(models: Collection[str], base_url: str, cache: Cache) -> dict[str, Known]:
    found = {}
    for model in models:
        stored = cache.get(_KNOWN, f"{base_url} {model}")
        if isinstance(stored, dict):
            since = stored.get("since")
            as_of = str(stored.get("as_of", ""))
            found[model] = Known(stored.get("entry"), as_of, since if isinstance(since, (int, float)) else 0.0)
    return found


def _read(known: Known | None, model: str, params: Mapping[str, Any], source: Source) -> Price | Unquoted | None:
    return None if known is None else quote(known.entry, model, params, as_of=known.as_of, source=source)


def _plain(value: Any) -> Any:
    """JSON values with numbers as text, so that the cache keeps them exactly."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
