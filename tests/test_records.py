"""Our records behave as the standard library's do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from typing import Any

import pytest

from kling_render.records import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A frozen one."""

    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)


@dataclass(slots=True, kw_only=True)
class Open:
    """One that changes."""

    x: int
    y: object = None


@dataclass(frozen=True, slots=True)
class Checked:
    only: float

    def __post_init__(self) -> None:
        if self.only < 0:
            raise ValueError("negative")


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """Equal to itself alone."""

    x: int


@dataclass(frozen=True, slots=True)
class Empty:
    """Without fields."""


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    """What `Point` is held against."""

    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)


def test_fields_have_the_values_given_and_their_defaults() -> None:
    """By position, by name, by default, by factory."""
    assert (Point(1).x, Point(1).y, Point(x=1, y=3).y, Point(1, 2, ["a"]).tags) == (1, 2, 3, ["a"])
    assert Point(1).tags is not Point(1).tags
    assert Open(x=1).y is None
    assert isinstance(Empty(), Empty)


@pytest.mark.parametrize("wrong", [Point, lambda: Point(1, z=2), lambda: Open(1)])  # type: ignore[call-arg]
def test_wrong_arguments_are_refused_by_name(wrong: Any) -> None:
    """The error names the class, also the first time."""
    with pytest.raises(TypeError, match=r"(Point|Open)\.__init__\(\)"):
        wrong()
    with pytest.raises(TypeError, match=r"(Point|Open)\.__init__\(\)"):
        wrong()


def test_a_frozen_record_cannot_be_changed_and_an_open_one_can() -> None:
    """Not even fields that do not exist."""
    for name in ("x", "other", "__class__"):
        with pytest.raises(FrozenInstanceError):
            setattr(Point(1), name, 2)
        with pytest.raises(FrozenInstanceError):
            delattr(Point(1), name)
    open_one = Open(x=1)
    open_one.x = 2
    assert open_one == Open(x=2)
    with pytest.raises(AttributeError):
        open_one.z = 1  # type: ignore[attr-defined]


def test_equality_and_hash_are_those_of_the_compared_fields() -> None:
    """And of one class only."""
    assert Point(1, note="a") == Point(1, note="b") != Point(2)
    assert Point(1) != Standard(1)  # type: ignore[comparison-overlap]
    assert hash(Checked(1.0)) == hash(Checked(1.0)) == hash((1.0,))
    assert Empty() == Empty()
    assert Same(1) != Same(1)
    assert len({Checked(1), Checked(1), Checked(2)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Open(x=1))


def test_the_text_is_the_standard_one() -> None:
    """Records inside themselves included."""
    assert repr(Point(1, note="n")) == repr(Standard(1, note="n")).replace("Standard", "Point")
    loop = Open(x=1)
    loop.y = loop
    assert repr(loop) == "Open(x=1, y=...)"


def test_the_standard_functions_work() -> None:
    """`replace`, `fields`, `asdict`, matching, copies and pickles."""
    assert replace(Point(1, note="n"), y=5) == Point(1, 5)
    assert replace(Point(1, note="n"), y=5).note == "n"
    assert [f.name for f in fields(Point)] == [f.name for f in fields(Standard)]
    assert asdict(Point(1)) == asdict(Standard(1))
    for known in (Point(1, 2, ["a"], "n"), Open(x=1, y=[2]), Empty()):
        for other in (copy.copy(known), copy.deepcopy(known), pickle.loads(pickle.dumps(known))):
            assert other == known
            assert type(other) is type(known)
    match Point(1, 7):
        case Point(x, y):
            assert (x, y) == (1, 7)


def test_what_is_checked_after_the_fields_are_set_can_refuse() -> None:
    """The record is frozen by then."""
    with pytest.raises(ValueError, match="negative"):
        Checked(-1)


def test_a_frozen_record_has_no_subclasses() -> None:
    """Its constructor would make them records of the class above."""
    with pytest.raises(TypeError, match="subclass"):
        type("Sub", (Point,), {})


def test_the_signature_is_the_fields_once_a_record_was_made() -> None:
    """For whoever asks in a debugger."""
    assert (Point(1), str(inspect.signature(Point)).startswith("(x, y"))[1]


def test_what_a_class_says_itself_stays() -> None:
    """A text, an equality, a hash of its own."""

    @dataclass(frozen=True, slots=True)
    class Own:
        x: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 7

    assert (repr(Own(1)), Own(1) == Own(2), hash(Own(1))) == ("own", True, 7)
