"""`dataclass` for records that cost little to define and to make. To type checkers it is the standard one.

Every command imports about a hundred records, and makes ten thousands of some. The standard decorator compiles up to
six methods of each class at import, most of which are never called, and its frozen records set each field through
`object.__setattr__`, ten times the cost of a plain one. Here the methods are shared, and a constructor is compiled
when the first record is made; while it sets the fields, the object is of an open twin class with the same slots.
That halves the import of the package.

`fields`, `replace` and `asdict` work as ever. Supported are `frozen`, `kw_only`, `eq`, `__post_init__`, and fields
with a default, a factory, `repr=False` or `compare=False`. Slots are a must, and frozen records have no subclasses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, slots: bool, frozen: bool = False, kw_only: bool = False, eq: bool = True) -> Any:
        """As `dataclasses.dataclass`; `slots` has to be true."""
        if not slots:
            raise TypeError("a record has slots")
        return lambda cls: _record(cls, frozen=frozen, kw_only=kw_only, eq=eq)


__all__ = ["dataclass"]


def _record(cls: Any, *, frozen: bool, kw_only: bool, eq: bool) -> Any:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard library would work out a signature
    own = cls.__dict__.get("__hash__")
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    fields = dataclasses.fields(cls)
    compared = _values(field.name for field in fields if field.compare)
    methods: dict[str, Any] = {"__init__": _first_init(cls, frozen)}
    if "__repr__" not in cls.__dict__:
        methods["__repr__"] = _repr([field.name for field in fields if field.repr])
    if eq and "__eq__" not in cls.__dict__:
        methods |= {"__eq__": _eq(compared), "__hash__": own or (_hash(compared) if frozen else None)}
    if frozen:
        methods |= {name: _Frozen.__dict__[name] for name in _FROZEN}
    for name, method in methods.items():
        setattr(cls, name, method)
    return cls


def _first_init(cls: Any, frozen: bool) -> Callable[..., None]:
    """A constructor that puts the real one in its place."""

    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - its name in the class
        cls.__init__ = _init(cls, frozen)
        cls.__init__(self, *args, **kwargs)

    return __init__


def _init(cls: Any, frozen: bool) -> Callable[..., None]:
    names: dict[str, Any] = {"_missing": dataclasses.MISSING}
    positional, body = ["self"], []
    keywords: list[str] = []
    for field in dataclasses.fields(cls):
        name, parameter, value = field.name, field.name, field.name
        if field.default is not dataclasses.MISSING:
            parameter, names[f"_default_{name}"] = f"{name}=_default_{name}", field.default
        elif field.default_factory is not dataclasses.MISSING:
            parameter, names[f"_make_{name}"] = f"{name}=_missing", field.default_factory
            value = f"_make_{name}() if {name} is _missing else {name}"
        (keywords if field.kw_only else positional).append(parameter)
        body.append(f"self.{name} = {value}")
    if frozen:
        names |= {"_class": cls, "_open": type(cls.__name__, (), {"__slots__": cls.__slots__})}
        names["_setattr"] = object.__setattr__
        body = ["_setattr(self, '__class__', _open)", *body, "self.__class__ = _class"]
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *keywords] if keywords else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join([*body, "pass"]), names)  # noqa: S102 - our own field names
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"  # as errors about arguments name it
    return made


def _values(names: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What reads several attributes at once."""
    several = tuple(names)
    if len(several) > 1:
        return attrgetter(*several)
    return lambda record: tuple(getattr(record, name) for name in several)


def _eq(values: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, Any], Any]:
    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807 - its name in the class
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(values: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:  # noqa: N807 - its name in the class
        return hash(values(self))

    return __hash__


def _repr(names: list[str]) -> Callable[[Any], str]:
    @recursive_repr()
    def __repr__(self: Any) -> str:  # noqa: N807 - its name in the class
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


class _Frozen:
    """The methods of frozen records."""

    def __setattr__(self, name: str, _value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        for name, value in state[1].items():
            object.__setattr__(self, name, value)

    def __init_subclass__(cls, **_: Any) -> None:
        """The constructor makes records of its own class only."""
        raise TypeError(f"{cls.__name__}: a frozen record has no subclasses")


_FROZEN = ("__setattr__", "__delattr__", "__setstate__", "__init_subclass__")
