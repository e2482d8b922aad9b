"""The work and the size of a template's values, checked before they come to be.

A template comes with a shared shot list, so it must not be able to occupy the machine: every loop step, call and
operation spends from a budget of steps, and texts, lists and numbers have a largest size. There is no clock in it,
so a template that passes here passes everywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from jinja2 import Undefined

from kling_render.shotlist.template_names import SCALARS, Entity, Take

#: Steps of one rendering; a step is roughly a node of the template that is evaluated.
STEPS = 100_000
#: Steps of all renderings of one shot list together (about ten seconds).
ALL_STEPS = 20_000_000
LARGEST_TEXT = 16_384
#: Values in a list or mapping, all levels together; 64 characters of text count as one.
LARGEST_WEIGHT = 10_000
LARGEST_BITS = 256
LARGEST_RANGE = 1_000

_NUMBERS = frozenset({int, float, bool, Take, Decimal})
_WHOLE = frozenset({int, bool, Take})
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


class TemplateFault(Exception):
    """Why a template cannot be used.

    `needle` is the word in the template that the caret belongs under; `line` and `source` (the template's internal
    name) are known to faults that are found without running it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        help: str = "",  # noqa: A002 - shown as "help:"
        needle: str = "",
        line: int = 0,
        source: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
        self.needle = needle
        self.line = line
        self.source = source


def too_large(what: str) -> TemplateFault:
    """A fault of size."""
    return TemplateFault("KR0403", f"the template makes {what}", help="prompts are short texts; simplify the template")


class Meter:
    """Counts the steps of renderings and refuses values that are too large."""

    __slots__ = ("_all_left", "_left")

    def __init__(self, all_steps: int = ALL_STEPS) -> None:
        self._left = STEPS
        self._all_left = all_steps

    def start(self) -> None:
        """Begin the next rendering."""
        self._all_left -= STEPS - self._left
        if self._all_left < 0:
            raise TemplateFault(
                "KR0403", "the templates of this shot list need too much work together", help="simplify the templates"
            )
        self._left = STEPS

    def spend(self, steps: int) -> None:
        """Take steps from the budget of this rendering."""
        self._left -= steps
        if self._left < 0:
            raise TemplateFault(
                "KR0403",
                f"the template needs too much work (more than {STEPS:,} steps)",
                help="does a loop or an include go on for ever? simplify the template",
            )

    def text(self, value: Any) -> str:
        """The value as it prints; refuses what has no text of its own, and texts beyond the largest size."""
        kind = type(value)
        if kind not in SCALARS:
            if kind in {list, tuple, dict}:
                self.weigh(value, printing=True)
            elif not isinstance(value, Undefined):
                raise TemplateFault("KR0408", f"{name_of(value)} cannot be printed", help="print text or numbers")
        text = value if kind is str else str(value)
        if len(text) > LARGEST_TEXT:
            raise too_large(f"a text of more than {LARGEST_TEXT:,} characters")
        self.spend(1 + (len(text) >> 4))
        return text

    def weigh(self, value: Any, *, printing: bool = False) -> Any:
        """The value, after its size was checked: lists inside lists grow by doubling without being copied."""
        weight = 0
        stack = [value]
        while stack:
            item = stack.pop()
            kind = type(item)
            if kind is str or kind is Entity:
                weight += 1 + (len(item) >> 6)
            elif kind is list or kind is tuple or kind is dict:
                weight += 1 + len(item)
                if weight <= LARGEST_WEIGHT:
                    stack.extend(item)
                    if kind is dict:
                        stack.extend(item.values())
            elif printing and kind not in SCALARS:
                self.text(item)
            if weight > LARGEST_WEIGHT:
                raise too_large(f"a list or mapping of more than {LARGEST_WEIGHT:,} values")
        self.spend(1 + weight)
        return value

    def charge(self, value: Any) -> Any:
        """The value, after the steps were taken that looking at all of it may need."""
        kind = type(value)
        if kind is str or kind is Entity:
            self.spend(1 + (len(value) >> 6))
        elif kind is list or kind is tuple or kind is dict:
            self.weigh(value)
        return value

    def checked(self, value: Any) -> Any:
        """The result of a call, after its size was checked."""
        if type(value) is str and len(value) > LARGEST_TEXT:
            raise too_large(f"a text of more than {LARGEST_TEXT:,} characters")
        if type(value) is int and value.bit_length() > LARGEST_BITS:
            raise too_large("a number that is too large")
        return self.charge(value)

    def concat(self, values: list[Any]) -> str:
        """The texts of the values, joined."""
        return self.join("", values)

    def join(self, separator: str, values: list[Any]) -> str:
        """The texts of the values with a separator between them."""
        texts: list[str] = []
        size = 0
        for value in values:
            texts.append(self.text(value))
            size += len(texts[-1]) + len(separator)
            if size - len(separator) > LARGEST_TEXT:
                raise too_large(f"a text of more than {LARGEST_TEXT:,} characters")
        return separator.join(texts)

    def replace(self, text: str, old: str, new: str, count: int = -1) -> str:
        """`str.replace` for results up to the largest size."""
        self.spend(1 + (len(text) >> 4))
        hits = text.count(old)
        hits = hits if count is None or count < 0 else min(hits, count)
        if len(text) + hits * (len(new) - len(old)) > LARGEST_TEXT:
            raise too_large(f"a text of more than {LARGEST_TEXT:,} characters")
        return text.replace(old, new, hits)

    def range(self, *bounds: int) -> range:
        """`range` with a largest length."""
        steps = range(*bounds)
        # The length of a huge range does not fit into len().
        if steps[LARGEST_RANGE:]:
            raise too_large(f"a range of more than {LARGEST_RANGE:,} numbers")
        return steps

    def binop(self, sign: str, left: Any, right: Any) -> Any:
        """An operator between two values: numbers, or `+` and `*` of texts and lists, all within limits."""
        self.spend(1)
        if type(left) in _NUMBERS and type(right) in _NUMBERS:
            return self._numbers(sign, left, right)
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            return _OPERATORS[sign](left, right)
        if sign == "+" and isinstance(left, str) and isinstance(right, str):
            return self.concat([left, right])
        if sign == "+" and type(left) is type(right) and type(left) in {list, tuple}:
            if len(left) + len(right) > LARGEST_WEIGHT:
                raise too_large(f"a list of more than {LARGEST_WEIGHT:,} values")
            return self.weigh(left + right)
        if sign == "*" and type(left) in _WHOLE and not isinstance(right, Undefined):
            left, right = right, left
        if sign == "*" and type(right) in _WHOLE and isinstance(left, str | list | tuple):
            limit = LARGEST_TEXT if isinstance(left, str) else LARGEST_WEIGHT
            if len(left) * max(int(right), 0) > limit:
                parts = "characters" if isinstance(left, str) else "values"
                raise too_large(f"{name_of(left)} of more than {limit:,} {parts}")
            return self.charge(left * int(right))
        hint = "join texts with '~'" if sign in {"+", "%"} else "calculate with numbers only"
        message = f"'{sign}' does not work between {_kind_of(left)} and {_kind_of(right)}"
        raise TemplateFault("KR0408", message, help=hint, needle=sign)

    def _numbers(self, sign: str, left: Any, right: Any) -> Any:
        if sign in {"*", "**"} and type(left) in _WHOLE and type(right) in _WHOLE:
            sizes = int(left).bit_length(), int(right).bit_length()
            bits = sum(sizes) if sign == "*" else sizes[0] * abs(right)
            if bits > LARGEST_BITS:
                raise too_large("a number that is too large")
        if sign in {"/", "//", "%"} and not right:
            raise TemplateFault("KR0408", "division by zero", help="divide by another number", needle=sign)
        if sign == "**" and (type(left) is Decimal or type(right) is Decimal):
            left, right = float(left), float(right)
        if float in {type(left), type(right)}:
            left, right = float(left), float(right)
        return _OPERATORS[sign](left, right)


def name_of(value: Any) -> str:
    """What a value is, in the words of a user."""
    if isinstance(value, Entity):
        return f"the {value.kind} '{value}'"
    kind = type(value)
    if kind in _NAMES:
        return _NAMES[kind]
    return "a function" if callable(value) else f"a value of the kind '{kind.__name__}'"


def _kind_of(value: Any) -> str:
    """The same, without the id: one fault for all characters."""
    return f"a {value.kind}" if isinstance(value, Entity) else name_of(value)


_NAMES: dict[type, str] = {
    str: "a text",
    int: "a number",
    float: "a number",
    Decimal: "a number",
    Take: "a number",
    bool: "true or false",
    type(None): "nothing (null)",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
}
