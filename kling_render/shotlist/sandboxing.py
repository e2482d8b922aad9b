"""The rules for templates: which constructs, filters and tests they may use, and where the meter is built in.

A template is parsed by Jinja2, checked here, and rewritten so that everything that can repeat or grow reports to the
meter. The names that begin with two underscores are the meter's; a template cannot write them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import nodes

from kling_render.errors import did_you_mean
from kling_render.shotlist.metering import TemplateFault

MAX_NODES = 2_000
MAX_DEPTH = 60

FILTERS = frozenset(
    (
        "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "join", "last",
        "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round",
        "select", "selectattr", "sort", "string", "title", "trim", "truncate", "unique", "upper", "wordcount",
    )
)  # fmt: skip
TESTS = frozenset(
    (
        "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "greaterthan", "gt",
        "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping", "ne", "none", "number", "odd",
        "sequence", "string", "true", "undefined", "upper", "==", "!=", "<", "<=", ">", ">=",
    )
)  # fmt: skip
_ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {
        nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.NSRef, nodes.Const, nodes.Tuple, nodes.List,
        nodes.Dict, nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call, nodes.Getattr,
        nodes.Getitem, nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul,
        nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.If,
        nodes.For, nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.With,
        nodes.Include, nodes.Import, nodes.FromImport,
    }
)  # fmt: skip
_TAGS = {"Extends": "extends", "Block": "block", "ScopedEvalContextModifier": "autoescape"}
_ASIDE = frozenset({"loop", "caller", "varargs", "kwargs", "self", "super", "range", "namespace"})


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a template without running it."""

    #: Every name it reads, with its first line; names that it sets itself are left out.
    reads: dict[str, int]
    #: Whether it includes or imports other files, whose names are not in `reads`.
    includes: bool


def too_deep() -> TemplateFault:
    """A template that is nested too deeply."""
    return TemplateFault("KR0403", "the template is nested too deeply", help="simplify the template")


def walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Every node, without recursion; refuses trees that are too large or too deep."""
    stack: list[tuple[nodes.Node, int]] = [(tree, 0)]
    count = 0
    while stack:
        node, depth = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise TemplateFault("KR0403", f"the template has more than {MAX_NODES:,} parts", help="split or shorten it")
        if depth > MAX_DEPTH:
            raise too_deep()
        yield node
        stack.extend((child, depth + 1) for child in reversed(list(node.iter_child_nodes())))


def check(tree: nodes.Template) -> list[TemplateFault]:
    """Everything in the template that is not allowed."""
    return [fault for node in walk(tree) for fault in [_fault_of(node)] if fault is not None]


def _fault_of(node: nodes.Node) -> TemplateFault | None:
    if type(node) not in _ALLOWED:
        tag = _TAGS.get(type(node).__name__, type(node).__name__.lower())
        return _refused(f"'{tag}'", tag, node, "use 'include', 'import', 'if', 'for' and 'set'")
    if isinstance(node, nodes.For) and node.recursive:
        return _refused("a recursive loop", "recursive", node, "write the levels out")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        hint = f"filters: {', '.join(sorted(FILTERS))}"
        return _refused(f"the filter '{node.name}'", node.name, node, hint, did_you_mean(node.name, FILTERS))
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        hint = f"tests: {', '.join(sorted(TESTS))}"
        return _refused(f"the test '{node.name}'", node.name, node, hint, did_you_mean(node.name, TESTS))
    name = _private_name(node)
    return _refused(f"'{name}'", name, node, "names that begin with '__' belong to Python") if name else None


def _private_name(node: nodes.Node) -> str:
    name: object = ""
    if isinstance(node, nodes.Getattr | nodes.NSRef):
        name = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    elif isinstance(node, nodes.Name):
        name = node.name
    return name if isinstance(name, str) and name.startswith("__") else ""


def _refused(what: str, needle: str, node: nodes.Node, hint: str, guess: str = "") -> TemplateFault:
    return TemplateFault(
        "KR0402", f"{what} is not allowed in prompts{guess}", help=hint, needle=needle, line=node.lineno
    )


def outline(tree: nodes.Template) -> Outline:
    """The names that a template reads, and whether it reads other files."""
    reads: dict[str, int] = {}
    own: set[str] = set(_ASIDE)
    includes = False
    for node in walk(tree):
        if isinstance(node, nodes.Name):
            if node.ctx == "load":
                reads.setdefault(node.name, node.lineno)
            else:
                own.add(node.name)
        elif isinstance(node, nodes.Macro):
            own.add(node.name)
        elif isinstance(node, nodes.Include | nodes.Import | nodes.FromImport):
            includes = True
            own.update(_imported(node))
    return Outline({name: line for name, line in reads.items() if name not in own}, includes)


def _imported(node: nodes.Include | nodes.Import | nodes.FromImport) -> list[str]:
    if isinstance(node, nodes.Import):
        return [node.target]
    if isinstance(node, nodes.FromImport):
        return [name if isinstance(name, str) else name[1] for name in node.names]
    return []


def guarded_names(tree: nodes.Template) -> set[str]:
    """Names that the template itself asks after (`is defined`, `default`): reading them is no mistake."""
    guarded: set[str] = set()
    for node in walk(tree):
        asks = (isinstance(node, nodes.Test) and node.name in {"defined", "undefined"}) or (
            isinstance(node, nodes.Filter) and node.name in {"default", "d"}
        )
        if asks and isinstance(node.node, nodes.Name):  # type: ignore[attr-defined]
            guarded.add(node.node.name)  # type: ignore[attr-defined]
    return guarded


def cost_of(body: list[nodes.Node]) -> int:
    """Steps of one run through some nodes: their number, and a step for 16 characters of text."""
    stack = list(body)
    cost = 1
    while stack:
        node = stack.pop()
        cost += 1
        if isinstance(node, nodes.TemplateData):
            cost += len(node.data) >> 4
        stack.extend(node.iter_child_nodes())
    return cost


def meter(tree: nodes.Template, *, included: bool) -> None:
    """Build the meter into a checked tree; a file that is included pays for its own text each time it is run."""
    cost = cost_of(tree.body)
    _rewrite(tree)
    if included:
        tree.body.insert(0, _tick(cost, 1))


def _rewrite(node: nodes.Node) -> nodes.Node:
    """The node with meters in it, bottom up; an expression may come back inside a meter."""
    cost = _cost_of_run(node)
    for name, value in list(node.iter_fields()):
        if isinstance(value, nodes.Node):
            setattr(node, name, _rewrite(value))
        elif isinstance(value, list):
            setattr(node, name, [_rewrite(item) if isinstance(item, nodes.Node) else item for item in value])
    if isinstance(node, nodes.For):
        node.iter = _metered(node.iter, "__each", nodes.Const(cost))
    elif isinstance(node, nodes.Macro | nodes.CallBlock):
        node.body.insert(0, _tick(cost, node.lineno))
    elif isinstance(node, nodes.Concat):
        return _metered(nodes.List(node.nodes, lineno=node.lineno), "__concat")
    elif isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load"):
        return _metered(node, "__built")
    elif isinstance(node, nodes.Pair):
        node.key = _looked_at(node.key)
    elif isinstance(node, nodes.Compare | nodes.Operand):
        node.expr = _looked_at(node.expr)
    return node


def _cost_of_run(node: nodes.Node) -> int:
    if isinstance(node, nodes.For):
        return cost_of([*node.body, *([node.test] if node.test else [])])
    return cost_of(node.body) if isinstance(node, nodes.Macro | nodes.CallBlock) else 0


def _tick(cost: int, line: int) -> nodes.Output:
    """A statement that spends steps and prints nothing."""
    return nodes.Output([_metered(nodes.Const(cost, lineno=line), "__tick")], lineno=line)


def _looked_at(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _metered(node, "__operand")


def _metered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
