"""Templates with logic, run once more so that each piece of the text says which spot of which template it came from.

What an expression reads is told from the template itself: names and fields, through `set`, loops and macros, whatever
they come to in a job. That may be more than what really made the text, never less.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.utils import pass_context

from kling_render.shotlist.declarations import Step, Template
from kling_render.shotlist.environment import MeteredEnvironment, NamesContext
from kling_render.shotlist.origins import LINES, NOWHERE, Origin, Part, Pieces, PromptOrigins
from kling_render.shotlist.records import Job
from kling_render.shotlist.reports import Report
from kling_render.shotlist.template_names import SCALARS
from kling_render.shotlist.template_runs import JinjaTemplates

if TYPE_CHECKING:
    from kling_render.shotlist.template_runs import JinjaTemplate

Path_ = tuple[Step, ...]
_BUFFERED = (nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock)
"""What they hold is printed elsewhere, as one piece."""
_SEEN = {"character": "character", "motion": "motion", "take": "take"}


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A spot of a template that prints something, or where something may be left out."""

    #: The template's internal name: an own one, or the path of a file that is included.
    source: str
    line: int
    #: What is read there: names with their fields.
    paths: frozenset[Path_]
    #: What decides whether it is printed.
    controls: frozenset[Path_]
    literal: bool = False
    #: A single name or field, printed as it is.
    bare: bool = False
    #: A file is included here.
    includes: bool = False
    #: Something else is printed if the controls decide otherwise.
    either: bool = False

    def seen(self, outer: frozenset[Path_]) -> Callable[[Job], Hashable]:
        """What tells jobs apart in which other values stand here."""
        names = {str(path[0]) for path in self.paths | self.controls | outer}
        fields = [field for name, field in _SEEN.items() if name in names]
        fields += ["values"] if names - _SEEN.keys() else []
        return attrgetter("shot", *fields)


class TracingEnvironment(MeteredEnvironment):
    """Remembers where each piece came from while a template is run."""

    def __init__(self, load: Callable[[str, str], tuple[str, str]]) -> None:
        super().__init__(load)
        self.finalize = None  # what is printed was weighed when the prompt was made
        self.marks: list[Mark] = []
        self._last: Mark | None = None

        @pass_context  # so that a constant is not marked once and for all when the template is compiled
        def marked(_context: Context, value: Any, number: int) -> Any:
            self._last = self.marks[number]
            return value

        self.filters["__mark"] = marked

    def prepared(self, tree: nodes.Template, name: str) -> None:
        """Put a mark into each spot."""
        marking = _Marking(name, self.marks, _Flow(tree))
        tree.body = marking.body(tree.body, ())

    def trace(self, template: jinja2.Template, names: dict[str, Any]) -> list[tuple[str, Mark | None]]:
        """The pieces of a text, each with its spot."""
        self.meter.start()
        self._last = None
        context = NamesContext(self, names, template.name, {})
        return [(text, self._last) for text in template.root_render_func(context)]


class TracedTemplates:
    """The project's templates that need Jinja2, run for their pieces."""

    def __init__(self, owner: PromptOrigins) -> None:
        self._owner = owner
        declared = owner.declared
        self._jinja = JinjaTemplates(
            declared.folder, owner.files, owner.shown, Report(), {}, environment=TracingEnvironment
        )
        self._compiled: dict[int, JinjaTemplate | None] = {}
        self._spots: dict[int, dict[Hashable, _Parts]] = {}

    def pieces(self, job: Job, template: Template) -> Pieces | None:
        """The pieces of a job's prompt; None when the template cannot be run."""
        key = id(template)
        if key not in self._compiled:
            self._compiled[key] = self._jinja.compile(self._owner.templates.prepare(template))
        compiled = self._compiled[key]
        environment = self._jinja.environment
        if compiled is None or not isinstance(environment, TracingEnvironment):
            return None
        try:
            traced = environment.trace(compiled.template, self._owner.names(job))
        except Exception:  # whatever an expression or an edited file raises: then nothing can be told
            return None
        texts, parts, outer = [], [], _NOTHING
        root, spots = compiled.template.name, self._spots.setdefault(key, {})
        for text, mark in traced:
            if mark is None:
                return None
            at: Hashable = mark
            if mark.source != root:
                at = (mark, outer)
            elif mark.includes or outer:
                outer = mark.controls if mark.includes else _NOTHING
            spot = spots.get(at)
            if spot is None:
                spot = spots[at] = self._spot(template, mark, outer if mark.source != root else _NOTHING)
            texts.append(text)
            parts.append(spot.of(job))
        return Pieces(texts, parts)

    def _spot(self, template: Template, mark: Mark, outer: frozenset[Path_]) -> _Parts:
        """A spot of a template; `outer` decides whether the file it stands in is included."""
        file = None if mark.source.startswith("<") else Path(mark.source)
        line = self._owner.included_line(file, mark.line) if file else self._owner.line(template, mark.line)
        return _Parts(self._owner, mark, outer, line)


_NOTHING: frozenset[Path_] = frozenset()


class _Parts:
    """A spot in all jobs."""

    def __init__(self, owner: PromptOrigins, mark: Mark, outer: frozenset[Path_], line: Origin) -> None:
        self._owner = owner
        self._mark = mark
        self._line = line
        self._paths = sorted(mark.paths, key=repr)
        self._controls = sorted(mark.controls | outer, key=repr)
        self._key = mark.seen(outer)
        self._known: dict[Hashable, Part] = {}

    def of(self, job: Job) -> Part:
        """The spot in a job."""
        key = self._key(job)
        part = self._known.get(key)
        if part is None:
            mark, values = self._mark, self._origins(job, self._paths)
            controls = tuple(each for each in self._origins(job, self._controls) if each not in values)
            part = self._known[key] = Part(
                id(mark),
                self._line,
                values,
                controls,
                either=mark.either,
                literal=mark.literal,
                raw=self._raw(job, values),
            )
        return part

    def _origins(self, job: Job, paths: Sequence[Path_]) -> tuple[Origin, ...]:
        found = [origin for path in paths if (origin := self._owner.origin(job, path)) is not None]
        return tuple(dict.fromkeys(found))

    def _raw(self, job: Job, values: Sequence[Origin]) -> str | None:
        if self._mark.bare or self._mark.literal or len(values) != 1:
            return None
        value = self._owner.value(job, values[0].path)
        return str(value) if value is not NOWHERE and type(value) in SCALARS else None


class _Flow:
    """What a template's expressions read, through the names that it sets itself."""

    def __init__(self, tree: nodes.Template) -> None:
        self._defined: dict[str, list[nodes.Node]] = {}
        self._collect(tree, ())

    def _collect(self, node: nodes.Node, controls: tuple[nodes.Node, ...]) -> None:
        """Remember what each name of the template's own is made from, and under which conditions."""
        made: list[nodes.Node] = []
        named: list[nodes.Node] = []
        if isinstance(node, nodes.Assign):
            made, named = [node.node], [node.target]
        elif isinstance(node, nodes.AssignBlock):
            made, named = [*node.body], [node.target]
        elif isinstance(node, nodes.For):
            made, named = _tests(node), [node.target]
        elif isinstance(node, nodes.With):
            made, named = [*node.values], [*node.targets]
        elif isinstance(node, nodes.Macro):
            self._defined.setdefault(node.name, []).extend(node.body)
        for target in named:
            for name in _names(target):
                self._defined.setdefault(name, []).extend([*made, *controls])
        inner = (*controls, *_tests(node)) if isinstance(node, nodes.If | nodes.For) else controls
        for child in node.iter_child_nodes():
            self._collect(child, inner)

    def paths(self, read: Sequence[nodes.Node]) -> frozenset[Path_]:
        """Every name with its fields that these nodes read."""
        found: set[Path_] = set()
        stack, seen = list(read), set[str]()
        while stack:
            node = stack.pop()
            chain = _chain(node)
            if chain is None:
                stack.extend(node.iter_child_nodes())
                continue
            found.add(chain)
            name = str(chain[0])
            if name in self._defined and name not in seen:
                seen.add(name)
                stack.extend(self._defined[name])
        return frozenset(found)


def _tests(node: nodes.Node) -> list[nodes.Node]:
    """What decides how often the body of an `if` or a `for` is run."""
    if isinstance(node, nodes.If):
        return [node.test, *(inner.test for inner in node.elif_)]
    return [node.iter, *([node.test] if node.test is not None else [])] if isinstance(node, nodes.For) else []


def _names(target: nodes.Node) -> Iterator[str]:
    for node in [target, *target.find_all((nodes.Name, nodes.NSRef))]:
        if isinstance(node, nodes.Name | nodes.NSRef):
            yield node.name


def _chain(node: nodes.Node) -> Path_ | None:
    """`a.b['c'][0]` as its steps; None for anything else."""
    steps: list[Step] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            steps.append(node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str | int):
            steps.append(node.arg.value)
        else:
            return None
        node = node.node
    if not isinstance(node, nodes.Name) or node.ctx != "load":
        return None
    return (node.name, *reversed(steps))


class _Marking:
    """Puts marks into a tree."""

    def __init__(self, source: str, marks: list[Mark], flow: _Flow) -> None:
        self._source = source
        self._marks = marks
        self._flow = flow

    def body(
        self, statements: Sequence[nodes.Node], controls: tuple[nodes.Node, ...], *, either: bool = False
    ) -> list[nodes.Node]:
        """The statements with a mark at each spot; `either`: others may stand in their place."""
        marked: list[nodes.Node] = []
        for one in statements:
            if isinstance(one, nodes.Output):
                one.nodes = [piece for node in one.nodes for piece in self._pieces(node, controls, either=either)]
            elif isinstance(one, nodes.If | nodes.For):
                inner = (*controls, *_tests(one))
                marked.append(self._gap(one, (), inner))
                self._branches(one, inner, either=either or bool(one.else_ or getattr(one, "elif_", ())))
            elif isinstance(one, nodes.With):
                one.body = self.body(one.body, controls, either=either)
            elif isinstance(one, nodes.Include):
                marked.append(self._gap(one, [one.template], controls, includes=True))
            elif isinstance(one, _BUFFERED):
                marked.append(self._gap(one, [one], controls, either=either))
            marked.append(one)
        return marked

    def _branches(self, one: nodes.If | nodes.For, controls: tuple[nodes.Node, ...], *, either: bool) -> None:
        one.body = self.body(one.body, controls, either=either)
        one.else_ = self.body(one.else_, controls, either=either)
        if isinstance(one, nodes.If):
            for other in one.elif_:
                other.body = self.body(other.body, controls, either=either)

    def _pieces(self, node: nodes.Expr, controls: tuple[nodes.Node, ...], *, either: bool) -> Iterator[nodes.Expr]:
        if not isinstance(node, nodes.TemplateData):
            bare = _chain(node) is not None
            number = self._new(node.lineno, self._flow.paths([node]), controls, bare=bare, either=either)
            yield _marked(node, number)
            return
        line = node.lineno
        for text in LINES.findall(node.data):
            number = self._new(line, frozenset(), controls, literal=True, either=either)
            yield _marked(nodes.Const(text, lineno=line), number)
            line += text.endswith("\n")

    def _gap(
        self,
        node: nodes.Node,
        read: Sequence[nodes.Node],
        controls: tuple[nodes.Node, ...],
        **kind: bool,
    ) -> nodes.Output:
        """An empty text before a statement; what the statement prints without a mark of its own belongs to it."""
        number = self._new(node.lineno, self._flow.paths(read), controls, **kind)
        return nodes.Output([_marked(nodes.Const("", lineno=node.lineno), number)], lineno=node.lineno)

    def _new(self, line: int, paths: frozenset[Path_], controls: tuple[nodes.Node, ...], **kind: bool) -> int:
        self._marks.append(Mark(self._source, line, paths, self._flow.paths(controls), **kind))
        return len(self._marks) - 1


def _marked(node: nodes.Expr, number: int) -> nodes.Filter:
    return nodes.Filter(node, "__mark", [nodes.Const(number)], [], None, None, lineno=node.lineno)
