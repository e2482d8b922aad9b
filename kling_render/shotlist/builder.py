"""The event stream of the YAML library → nodes, with every limit checked before anything can grow.

The events come from a state machine (libyaml's, where it is installed), which does not recurse: deep nesting is
refused at the 33rd level, long before a stack could overflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from kling_render.errors import Diagnostic, Problems
from kling_render.shotlist import scalars
from kling_render.shotlist.syntax import bare_braces
from kling_render.shotlist.tree import Node, Source

MAX_DEPTH = 32
MAX_ALIASES = 50
MAX_ALIASED_NODES = 100_000
MAX_MERGES = 20

_TAG = "tag:yaml.org,2002:"
_CORE_TAGS: dict[str, tuple[type, ...]] = {
    f"{_TAG}int": (int,),
    f"{_TAG}float": (int, float),
    f"{_TAG}bool": (bool,),
    f"{_TAG}null": (type(None),),
}


class RefusedError(Exception):
    """Reading stops here; carries what to report."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Builder:
    """Builds the nodes of one document from the events of the library; reports to `problems`."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self._source = source
        self._problems = problems
        self._anchors: dict[str, Node | None] = {}
        self._depth = 0
        self._aliases = 0
        self._aliased = 0
        self._merges = 0
        self._events: Iterator[Any] = iter(())

    def document(self, events: Iterator[Any]) -> Node:
        """The root node.

        Raises:
            RefusedError: a limit is exceeded, or there is not exactly one document.
            yaml.MarkedYAMLError: a syntax error.
        """
        self._events = events
        root: Node | None = None
        for event in events:
            if type(event) is DocumentStartEvent:
                if root is not None:
                    mark: Any = event.start_mark
                    raise self._refused(
                        "KR0109",
                        "a second document starts here; one document per file",
                        (mark.line + 1, mark.column + 1, 3),
                        "remove the '---' line, or make it a file of its own and import it",
                    )
                root = self._node(next(events))
        if root is None or (root.kind == "scalar" and root.value is None):
            message = f"{self._source.file} has no content; expected a mapping with 'shots'"
            hint = "'kling-render init' makes a small working shot list"
            raise self._refused("KR0100", message, (1, 1, 1), hint)
        return root

    def _refused(self, code: str, message: str, at: tuple[int, int, int], hint: str) -> RefusedError:
        return RefusedError(Diagnostic(code, message, self._source.place(*at), hint))

    def _node(self, event: Any) -> Node:
        kind = type(event)
        if kind is ScalarEvent:
            node = self._scalar(event)
        elif kind is MappingStartEvent:
            node = self._mapping(event)
        elif kind is SequenceStartEvent:
            node = self._sequence(event)
        else:
            return self._alias(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Any) -> Node:
        start, end = event.start_mark, event.end_mark
        line, column = start.line, start.column
        width = end.column - column if end.line == line else len(self._source.lines[line]) - column
        style = event.style or None  # the C parser says "" for a plain scalar
        value = scalars.resolve(event.value) if style is None else event.value
        if event.tag is not None:
            value = self._tagged(event)
        return Node(self._source, "scalar", line + 1, column + 1, width, value, event.value, style, end.line + 1)

    def _tagged(self, event: Any) -> Any:
        if event.tag in ("!", f"{_TAG}str"):
            return event.value
        value = scalars.resolve(event.value)
        wanted = _CORE_TAGS.get(event.tag)
        fits = wanted is not None and isinstance(value, wanted) and isinstance(value, bool) == (wanted == (bool,))
        if not fits:
            self._refuse_tag(event)
        return value

    def _refuse_tag(self, event: Any) -> None:
        mark, tag = event.start_mark, event.tag
        shown = "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
        place = self._source.place(mark.line + 1, mark.column + 1, len(shown))
        self._problems.error(
            "KR0102",
            f"tag '{shown}' is not allowed here",
            place,
            help="remove the tag; a shot list is plain text, numbers, lists and mappings",
        )

    def _opened(self, event: Any, kind: Literal["sequence", "mapping"], core_tag: str) -> Node:
        mark = event.start_mark
        self._depth += 1
        if self._depth > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise self._refused("KR0103", message, (mark.line + 1, mark.column + 1, 1), "flatten the structure")
        if event.tag is not None and event.tag not in ("!", _TAG + core_tag):
            self._refuse_tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        value: Any = [] if kind == "sequence" else {}
        return Node(self._source, kind, mark.line + 1, mark.column + 1, 1, value)

    def _sequence(self, event: Any) -> Node:
        node = self._opened(event, "sequence", "seq")
        for inner in self._events:
            if type(inner) is SequenceEndEvent:
                break
            item = self._node(inner)
            node.items.append(item)
            node.value.append(item.value)
            node.size += item.size
        self._depth -= 1
        return node

    def _mapping(self, event: Any) -> Node:
        node = self._opened(event, "mapping", "map")
        merged: list[Node] = []
        for inner in self._events:
            if type(inner) is MappingEndEvent:
                break
            key = self._node(inner)
            value = self._node(next(self._events))
            if key.raw == "<<" and key.style is None:
                merged += self._to_merge(key, value)
            else:
                self._enter(node, key, value)
        for other in merged:
            self._merge(node, other)
        self._depth -= 1
        return node

    def _enter(self, node: Node, key: Node, value: Node) -> None:
        if key.kind != "scalar":
            self._refuse_key(key)
            return
        if key.raw in node.entries:
            first = node.entries[key.raw][0].place
            self._problems.error(
                "KR0104",
                f"duplicate key '{key.raw[:80]}': it stands on line {first.line} and again on line {key.line}",
                key.place,
                help="keep one of the two",
                related=(("it stands here first", first),),
            )
            return
        node.entries[key.raw] = (key, value)
        node.value[key.raw] = value.value
        node.size += value.size + 1

    def _refuse_key(self, key: Node) -> None:
        line = self._source.lines[key.line - 1]
        if line[max(0, key.column - 2) : key.column] == "{{":
            self._problems.found.append(bare_braces(self._source.place(key.line, key.column - 1, 2)))
        else:
            self._problems.error("KR0111", "a key must be a simple text", key.place)

    def _to_merge(self, key: Node, value: Node) -> list[Node]:
        self._merges += 1
        if self._merges > MAX_MERGES:
            message = f"too many merge keys ({self._merges} > {MAX_MERGES})"
            raise self._refused("KR0103", message, (key.line, key.column, 2), "use 'defaults' instead of '<<'")
        others = value.items if value.kind == "sequence" else [value]
        for other in others:
            if other.kind != "mapping":
                self._problems.error("KR0111", "'<<' takes a mapping or a list of mappings", other.place)
        return [other for other in others if other.kind == "mapping"]

    def _merge(self, node: Node, other: Node) -> None:
        """Own keys win, then the mappings in their order; what comes in counts like an alias."""
        self._spend(other, node.line, node.column)
        for name, (key, value) in other.entries.items():
            if name not in node.entries:
                node.entries[name] = (key, value)
                node.value[name] = value.value
                node.size += value.size + 1

    def _alias(self, event: Any) -> Node:
        mark = event.start_mark
        line, column, width = mark.line + 1, mark.column + 1, len(event.anchor) + 1
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            message = f"too many aliases ({self._aliases} > {MAX_ALIASES})"
            raise self._refused("KR0103", message, (line, column, width), "use 'defaults' or a matrix instead")
        if event.anchor not in self._anchors:
            message = f"alias '*{event.anchor}' has no anchor '&{event.anchor}' before it"
            hint = "a text that starts with '*' needs quotes"
            raise self._refused("KR0111", message, (line, column, width), hint)
        node = self._anchors[event.anchor]
        if node is None:
            message = f"alias '*{event.anchor}' stands inside what it refers to"
            raise self._refused("KR0103", message, (line, column, width), "")
        self._spend(node, line, column)
        return node

    def _spend(self, node: Node, line: int, column: int) -> None:
        self._aliased += node.size
        if self._aliased > MAX_ALIASED_NODES:
            message = f"the aliases expand to more than {MAX_ALIASED_NODES:,} values"
            raise self._refused("KR0103", message, (line, column, 1), "use 'defaults' or a matrix instead")
