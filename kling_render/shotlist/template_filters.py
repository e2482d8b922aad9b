"""The filters and tests of templates: Jinja's own where they are harmless, ours where they could grow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import filters as jinja_filters
from jinja2 import tests as jinja_tests
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.utils import pass_context

from kling_render.shotlist import sandboxing
from kling_render.shotlist.metering import LARGEST_WEIGHT, Meter, TemplateFault, name_of, too_large

Function = Callable[..., Any]


def taken(values: Iterable[Any]) -> list[Any]:
    """The values as a list of bounded length."""
    found: list[Any] = []
    for value in values:
        found.append(value)
        if len(found) > LARGEST_WEIGHT:
            raise too_large(f"a list of more than {LARGEST_WEIGHT:,} values")
    return found


def _metered(meter: Meter, function: Function) -> Function:
    """The function with its arguments charged and its result checked; Jinja's marks on it are kept."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        meter.spend(1)
        for argument in args:
            meter.charge(argument)
        for argument in kwargs.values():
            meter.charge(argument)
        return meter.checked(function(*args, **kwargs))

    return call


def filters_of(meter: Meter) -> dict[str, Function]:
    """The filters that templates may use, and the meter's own."""
    own: dict[str, Function] = {
        "join": functools.partial(_join_filter, meter),
        "replace": lambda s, old, new, count=None: meter.replace(
            meter.text(s), meter.text(old), meter.text(new), -1 if count is None else count
        ),
        "round": _round_filter,
        "string": meter.text,
    }
    own["join"] = functools.update_wrapper(own["join"], jinja_filters.sync_do_join)
    theirs: Mapping[str, Any] = jinja_filters.FILTERS
    known = {name: own.get(name) or theirs[name] for name in sandboxing.FILTERS}
    filters = {name: _metered(meter, function) for name, function in known.items()}

    @pass_context
    def each(context: Context, values: Iterable[Any], cost: int) -> Iterator[Any]:
        for value in values:
            meter.spend(cost)
            yield value

    @pass_context
    def spent(context: Context, cost: int) -> str:
        meter.spend(cost)
        return ""

    return filters | {
        "__each": each,
        "__tick": spent,
        "__concat": pass_context(lambda context, values: meter.concat(values)),
        "__built": pass_context(lambda context, value: meter.weigh(value)),
        "__operand": pass_context(lambda context, value: meter.charge(value)),
    }


def _join_filter(meter: Meter, context: EvalContext, value: Iterable[Any], d: str = "", attribute: Any = None) -> str:
    values = taken(value)
    if attribute is not None:
        values = list(map(jinja_filters.make_attrgetter(context.environment, attribute), values))
    return meter.join(meter.text(d), values)


def _round_filter(value: Any, precision: int = 0, method: str = "common") -> float:
    if not isinstance(precision, int) or not -20 <= precision <= 20:
        raise TemplateFault("KR0408", "'round' takes from -20 to 20 places", help="{{ x | round(2) }}", needle="round")
    if isinstance(value, str):
        raise TemplateFault(
            "KR0408",
            "'round' takes a number, not a text",
            help="make it a number with 'float' or 'int'",
            needle="round",
        )
    return jinja_filters.do_round(value, precision, method)  # type: ignore[arg-type]


def tests_of(meter: Meter) -> dict[str, Function]:
    """The tests that templates may use."""
    own: dict[str, Function] = {
        # `%` formats when its left side is a text: these are for whole numbers only.
        "odd": lambda value: _whole(value, "odd") % 2 == 1,
        "even": lambda value: _whole(value, "even") % 2 == 0,
        "divisibleby": lambda value, number: _whole(value, "divisibleby") % _divisor(number) == 0,
    }
    theirs: Mapping[str, Any] = jinja_tests.TESTS
    known = {name: own.get(name) or theirs[name] for name in sandboxing.TESTS}
    return {name: _metered(meter, function) for name, function in known.items()}


def _whole(value: Any, test: str) -> int:
    if isinstance(value, int):
        return value
    message = f"'{test}' asks for a whole number, and {name_of(value)} is none"
    raise TemplateFault("KR0408", message, help="make it a number with 'int'", needle=test)


def _divisor(value: Any) -> int:
    number = _whole(value, "divisibleby")
    if number == 0:
        raise TemplateFault("KR0408", "division by zero", help="divide by another number", needle="divisibleby")
    return number
