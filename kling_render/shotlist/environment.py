"""Jinja2 under a meter: a sandbox with a closed list of attributes, methods, filters and tests, and no clock."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.environment import TemplateModule
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing

from kling_render.shotlist import sandboxing
from kling_render.shotlist.metering import LARGEST_TEXT, Meter, TemplateFault, name_of, too_large
from kling_render.shotlist.sandboxing import Outline
from kling_render.shotlist.template_filters import filters_of, taken, tests_of
from kling_render.shotlist.template_names import MAPPING_METHODS, SCALARS, Entity

LARGEST_SOURCE = 32_768
_TEXT_METHODS = (
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
    "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split",
    "splitlines", "startswith", "strip", "swapcase", "title", "upper",
)  # fmt: skip
_METHODS: Mapping[type, Mapping[str, Callable[..., Any]]] = {
    dict: {name: getattr(dict, name) for name in MAPPING_METHODS},
    list: {"count": list.count, "index": list.index},
    tuple: {"count": tuple.count, "index": tuple.index},
    LoopContext: {"changed": LoopContext.changed, "cycle": LoopContext.cycle},
}
_NO_METHODS: Mapping[str, Callable[..., Any]] = {}
_LOOP_FIELDS = frozenset(
    ("depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem", "revindex", "revindex0")
)


class UnknownNameError(jinja2.UndefinedError):
    """A name, or a field of something, that is not defined."""

    def __init__(self, message: str, owner: Any, name: object) -> None:
        super().__init__(message)
        self.owner = owner
        self.name = name


class Missing(jinja2.StrictUndefined):
    """An undefined value that remembers what was looked for, and where."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None) -> None:
        raising: Any = functools.partial(UnknownNameError, owner=None if obj is missing else obj, name=name)
        super().__init__(hint, obj, name, raising)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a value, on its way to being called."""

    name: str
    function: Callable[..., Any]
    owner: Any


class NamesContext(Context):
    """A context over a mapping of names that is shared, not copied; `range` and `namespace` come last."""

    environment: MeteredEnvironment

    def __init__(
        self,
        environment: MeteredEnvironment,
        parent: dict[str, Any],
        name: str | None,
        blocks: Mapping[str, Any],
        globals: Any = None,  # noqa: A002 - Jinja's own name
    ) -> None:
        # Made for every rendering: only what Jinja reads later is set, and the evaluation context is shared.
        self.parent = parent
        self.vars = {}
        self.environment = environment
        self.eval_ctx = environment.plain_context
        self.exported_vars = set()
        self.name = name
        self.globals_keys = set()
        self.blocks = {}

    def resolve_or_missing(self, key: str) -> Any:
        """The value of a name: the template's own, then the project's, then a function."""
        if key in self.vars:
            return self.vars[key]
        if key in self.parent:
            return self.parent[key]
        return self.environment.functions.get(key, missing)


class MeteredEnvironment(ImmutableSandboxedEnvironment):
    """Compiles and runs templates; `load` gives the internal name and text of a file that a template includes."""

    context_class = NamesContext
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, load: Callable[[str, str], tuple[str, str]]) -> None:
        self.meter = Meter()
        super().__init__(undefined=Missing, finalize=self.meter.text, optimized=False, cache_size=0)
        self.globals.clear()
        self.functions: dict[str, Any] = {"range": self.meter.range, "namespace": Namespace}
        self.plain_context = EvalContext(self)
        for table, ours in ((self.filters, filters_of(self.meter)), (self.tests, tests_of(self.meter))):
            table.clear()
            table.update(ours)
        self._text_methods: dict[str, Callable[..., Any]] = {name: getattr(str, name) for name in _TEXT_METHODS}
        self._text_methods |= {"replace": self.meter.replace, "join": self._join}
        self._load = load
        self._included: dict[str, jinja2.Template] = {}

    # -- from text to template

    def prepare(
        self, text: str, name: str, *, included: bool = False
    ) -> tuple[jinja2.Template, Outline, frozenset[str]]:
        """Compile a text; also what it reads, and the names that it asks after itself.

        Raises:
            TemplateFaults: the text is no template, or uses what is not allowed.
        """
        try:
            tree = self._tree(text, name)
            outline = sandboxing.outline(tree)
            guarded = frozenset(sandboxing.guarded_names(tree))
            self.prepared(tree, name)
            sandboxing.meter(tree, included=included)
            tree.set_environment(self)
            code = self.compile(tree, name, name)
        except (RecursionError, MemoryError, SyntaxError) as error:
            deep = sandboxing.too_deep()
            deep.source, deep.line = name, 1
            raise TemplateFaults([deep]) from error
        return jinja2.Template.from_code(self, code, {}), outline, guarded

    def prepared(self, tree: nodes.Template, name: str) -> None:
        """A checked tree, before it is metered and compiled."""

    def _tree(self, text: str, name: str) -> nodes.Template:
        if len(text) > LARGEST_SOURCE:
            message = f"the template is longer than {LARGEST_SOURCE:,} characters"
            raise TemplateFaults([TemplateFault("KR0403", message, help="split or shorten it", line=1, source=name)])
        try:
            tree = self.parse(text, name, name)
            faults = sandboxing.check(tree)
        except jinja2.TemplateSyntaxError as error:
            message = error.message or "not a template"
            raise TemplateFaults([TemplateFault("KR0401", message, line=error.lineno, source=name)]) from error
        except ValueError as error:
            raise TemplateFaults([TemplateFault("KR0401", str(error), line=1, source=name)]) from error
        except TemplateFault as found:
            faults = [found]
        if faults:
            for fault in faults:
                fault.source = name
                fault.line = fault.line or 1
            raise TemplateFaults(faults)
        return tree

    def run(self, template: jinja2.Template, names: dict[str, Any]) -> str:
        """Render a prepared template."""
        self.meter.start()
        context = NamesContext(self, names, template.name, {})
        pieces: list[str] = []
        size = 0
        for piece in template.root_render_func(context):
            size += len(piece)
            if size > LARGEST_TEXT:
                raise too_large(f"a text of more than {LARGEST_TEXT:,} characters")
            pieces.append(piece)
        return "".join(pieces)

    # -- files

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> jinja2.Template:  # noqa: A002
        """The included file of that name, seen from the template `parent`."""
        self.meter.spend(50)
        if not isinstance(name, str):
            raise TemplateFault(
                "KR0408", f"{name_of(name)} is not the name of a template", help="{% include 'file.j2' %}"
            )
        source, text = self._load(name, parent or "")
        if source not in self._included:
            self._included[source] = self.prepare(text, source, included=True)[0]
        return self._included[source]

    def select_template(self, names: Any, parent: str | None = None, globals: Any = None) -> jinja2.Template:  # noqa: A002
        """The first of several files that is there."""
        names = list(names)
        for name in names[:-1]:
            try:
                return self.get_template(name, parent)
            except jinja2.TemplateNotFound:
                continue
        return self.get_template(names[-1] if names else "", parent)

    def get_or_select_template(self, name: Any, parent: str | None = None, globals: Any = None) -> jinja2.Template:  # noqa: A002
        """One file, or the first of several."""
        if isinstance(name, list | tuple):
            return self.select_template(name, parent)
        return self.get_template(name, parent)

    # -- values

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field or a method of a value; everything that is not listed is refused."""
        kind = type(obj)
        if kind is Entity and attribute in obj.fields:
            return obj.fields[attribute]
        if isinstance(obj, jinja2.Undefined):
            str(obj)
        methods = self._methods(obj)
        if attribute in methods:
            return Method(attribute, methods[attribute], obj)
        if kind is dict and attribute in obj:
            return obj[attribute]
        if kind is LoopContext and attribute in _LOOP_FIELDS:
            return getattr(obj, attribute)
        if kind in {Namespace, TemplateModule} and not attribute.startswith("_") and hasattr(obj, attribute):
            return getattr(obj, attribute)
        return self._absent(obj, attribute)

    def _methods(self, obj: Any) -> Mapping[str, Callable[..., Any]]:
        if isinstance(obj, str):
            return self._text_methods
        return _METHODS.get(type(obj), _NO_METHODS)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item of a mapping or a list, or a field of an entity."""
        kind = type(obj)
        if type(argument) not in SCALARS and not isinstance(argument, tuple | jinja2.Undefined):
            raise TemplateFault("KR0408", f"{name_of(argument)} is not an index", help="use a number or a name")
        if kind is Entity and isinstance(argument, str):
            if argument in obj.fields:
                return obj.fields[argument]
        elif kind is dict or kind is list or kind is tuple or isinstance(obj, str):
            try:
                return obj[self.meter.charge(argument)]
            except (TypeError, LookupError):
                pass
        elif isinstance(obj, jinja2.Undefined):
            return obj[argument]
        return self._absent(obj, argument)

    def _absent(self, obj: Any, name: Any) -> Any:
        if isinstance(name, str) and (name.startswith("__") or (hasattr(type(obj), name) and type(obj) is not dict)):
            raise TemplateFault(
                "KR0402",
                f"'{name}' is not allowed in prompts",
                help="allowed are fields, filters (x | upper) and simple methods of texts (x.upper())",
                needle=name,
            )
        return self.undefined(obj=obj, name=name)

    def _join(self, separator: str, values: Iterable[Any]) -> str:
        return self.meter.join(separator, taken(values))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method, a macro or one of the few functions; the keywords are the template's own."""
        meter = self.meter
        meter.spend(1)
        for argument in (*args, *kwargs.values()):
            meter.charge(argument)
        if type(function) is Macro or function is Namespace:
            return meter.checked(context.call(function, *args, **kwargs))
        # Jinja adds these two inside loops and blocks.
        own = {name: value for name, value in kwargs.items() if name not in {"_loop_vars", "_block_vars"}}
        if type(function) is Method:
            return meter.checked(function.function(function.owner, *args, **own))
        if isinstance(function, jinja2.Undefined):
            str(function)
        if function == meter.range:
            return meter.range(*args, **own)
        raise TemplateFault(
            "KR0402", f"{name_of(function)} cannot be called in prompts", help="leave out the parentheses"
        )

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator within limits."""
        return self.meter.binop(operator, left, right)


class TemplateFaults(Exception):
    """Everything that keeps a template from being used."""

    def __init__(self, faults: list[TemplateFault]) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults
