"""Faults on request: which call goes wrong, how, and on which occasion. Pure values; chance comes from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from kling_render.errors import UsageError, did_you_mean

_ANSWERS = {
    "status": "answer with the status code `status`; on a submit: without accepting it",
    "lost": "do everything, then close the connection without a byte",
    "drop": "close the connection without a byte; on a submit: without accepting it",
    "delay": "do everything, answer `seconds` later",
    "cut": "close the connection after `bytes` of the answer's body",
    "html": "answer 200 with a page instead of JSON (or of the video)",
}
KINDS: Mapping[str, Mapping[str, str]] = {
    "submit": _ANSWERS
    | {
        "status-after": "accept, then answer with the status code `status`",
        "no-id": "accept, then answer 200 without an id in body or header",
    },
    # While a submit's body is on its way; nothing is accepted.
    "upload": {
        "status": "answer with the status code `status` before the body is read",
        "cut": "close the connection after `bytes` of the body",
    },
    # Decided when a submit is accepted.
    "generation": {
        "refusal": "fail as refused content",
        "upstream": "fail as if the provider had broken down",
        "error": "fail with `name` and `message`",
        "slow": "take `seconds` longer",
        "never": "run for ever",
        "waiting": "report the undocumented status `waiting` for the first `seconds`",
        "overcharge": "charge `factor` times the right amount",
        "no-usage": "complete without telling the usage",
        "no-usd": "complete telling credits only",
        "log-late": "appear in the log `seconds` later",
        "log-missing": "never appear in the log",
        "log-anonymous": "appear in the log without the client request id",
    },
    "poll": _ANSWERS
    | {
        "waiting": "report the undocumented status `waiting`",
        "no-url": "leave the video out",
        "wrong-id": "report another id",
    },
    "log": _ANSWERS,
    "billing": _ANSWERS,
    "catalogue": _ANSWERS,
    "metrics": _ANSWERS,
    "cdn": _ANSWERS
    | {
        "expired": "refuse the link as run out",
        "corrupt": "send damaged bytes",
        "no-range": "ignore ranges",
        "no-length": "tell no length and ignore ranges",
    },
}
"""Where something can go wrong → how → what that means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault and its occasions. Occasions are counted from 1 over the calls that match since the rule was set."""

    on: str
    kind: str
    #: Only these occasions; empty: see `every` and `probability`.
    nth: tuple[int, ...] = ()
    #: Every n-th occasion.
    every: int = 0
    #: A seeded chance per occasion.
    probability: float = 0.0
    #: At most so often; 0: no limit.
    times: int = 0
    #: Only calls whose model, prompt, client request id or generation id contains this text.
    match: str = ""
    #: Status code of `status` and `status-after`.
    status: int = 503
    #: `Retry-After` header of a `status` fault, as sent.
    retry_after: str = ""
    #: `Location` header of a `status` fault (redirects).
    location: str = ""
    #: HTML instead of the API's JSON error body, as proxies answer.
    html: bool = False
    #: Seconds of `delay`, `slow`, `waiting`, `log-late`.
    seconds: float = 1.0
    #: `lost` and `drop` end the connection with a reset instead of a plain end.
    reset: bool = False
    #: Bytes of the body that still arrive with `cut`.
    bytes: int = 10
    #: Whether a faulty submit answer still carries `x-inference-id`; None: as it usually would.
    inference_id: bool | None = None
    #: `error.name` and `error.message` of a failed generation.
    name: str = ""
    message: str = ""
    #: Charge of `overcharge` as a multiple of the right one.
    factor: float = 2.0

    def __post_init__(self) -> None:
        if self.on not in KINDS:
            raise UsageError(f"no fault can be set on '{self.on}'{did_you_mean(self.on, KINDS)}", help=_one_of(KINDS))
        if self.kind not in KINDS[self.on]:
            hint = did_you_mean(self.kind, KINDS[self.on])
            raise UsageError(f"'{self.on}' knows no fault '{self.kind}'{hint}", help=_one_of(KINDS[self.on]))

    def fires(self, occasion: int, fired: int, chance: float) -> bool:
        """Whether the rule strikes on this occasion, having struck `fired` times before; `chance` is in [0, 1)."""
        if self.times and fired >= self.times:
            return False
        if self.nth:
            return occasion in self.nth
        if self.every:
            return occasion % self.every == 0
        return chance < self.probability if self.probability else True


@dataclass(slots=True)
class Standing:
    """A rule in force, with its counts."""

    rule: FaultRule
    seen: int = 0
    fired: int = 0


class FaultBook:
    """The rules in force, in the order they were set."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.standing: list[Standing] = []

    def hits(self, on: str, text: str = "") -> list[FaultRule]:
        """All rules that strike this call. Every rule that matches counts the occasion."""
        struck = []
        for index, entry in enumerate(self.standing):
            if entry.rule.on != on or entry.rule.match not in text:
                continue
            entry.seen += 1
            # The seed, the rule and the occasion decide; the order of other calls does not.
            chance = random.Random(f"{self._seed}:{index}:{entry.seen}").random()  # noqa: S311 - a simulation
            if entry.rule.fires(entry.seen, entry.fired, chance):
                entry.fired += 1
                struck.append(entry.rule)
        return struck

    def plain(self) -> list[dict[str, Any]]:
        """The rules and their counts as JSON values."""
        return [{**asdict(s.rule), "seen": s.seen, "fired": s.fired} for s in self.standing]

    def restore(self, plain: list[dict[str, Any]]) -> None:
        """Take back what `plain` gave."""
        self.standing = [
            Standing(rule_of({k: v for k, v in one.items() if k not in ("seen", "fired")}), one["seen"], one["fired"])
            for one in plain
        ]


def rule_of(plain: Mapping[str, Any]) -> FaultRule:
    """A rule from JSON values.

    Raises:
        UsageError: an unknown field, or a value of the wrong form.
    """
    known = {field.name: str(field.type) for field in fields(FaultRule)}
    if not isinstance(plain, Mapping):
        raise UsageError(f"a fault is an object or a text, not {plain!r}")
    for name in plain:
        if name not in known:
            raise UsageError(f"a fault has no field '{name}'{did_you_mean(name, known)}", help=_one_of(known))
    for name in ("on", "kind"):
        if name not in plain:
            raise UsageError(f"a fault needs the field '{name}'")
    return FaultRule(**{name: _convert(name, known[name], value) for name, value in plain.items()})


def parse_rule(text: str) -> FaultRule:
    """A rule as written on a command line: `submit:lost`, `poll:status,status=502,nth=2+3,retry_after=5`.

    Raises:
        UsageError: it cannot be read.
    """
    if text.startswith("{"):
        return _rule_of_json(text)
    head, *parts = text.split(",")
    on, colon, kind = head.partition(":")
    if not colon:
        raise UsageError(f"fault '{text}': expected WHERE:KIND[,field=value…], such as submit:lost,nth=3")
    plain: dict[str, Any] = {"on": on.strip(), "kind": kind.strip()}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"fault '{text}': expected field=value instead of '{part}'")
        plain[name.strip()] = value.strip().split("+") if name.strip() == "nth" else value.strip()
    return rule_of(plain)


def _rule_of_json(text: str) -> FaultRule:
    try:
        return rule_of(json.loads(text))
    except ValueError:
        raise UsageError(f"fault '{text}': not JSON") from None


def _convert(name: str, kind: str, value: Any) -> Any:
    try:
        if kind.startswith("tuple"):
            return tuple(int(v) for v in (value if isinstance(value, (list, tuple)) else [value]))
        if kind.startswith("bool"):
            return None if value is None else {"true": True, "false": False}[str(value).lower()]
        return {"int": int, "float": float, "str": str}[kind](value)
    except (TypeError, ValueError, KeyError):
        raise UsageError(f"field '{name}' of a fault: cannot use {value!r} as {kind}") from None


def _one_of(words: Any) -> str:
    return f"one of {', '.join(sorted(words))}"
