"""The shape of the house: who may import whom, what must be absent, what a light start must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kling_render"

#: Values and protocols that every room may use.
COMMON = {"errors", "models", "ports"}
#: Settings belong to the wiring; no inner room reads them.
SETTINGS = {"config"}

#: Room → rooms it may import besides `COMMON`. The house follows the data, left to right.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "models": set(),
    "ports": {"lifecycle"},  # the records that the protocols speak of
    "schemas_at": set(),
    "config": {"shotlist"},
    "shotlist": {"schemas_at"},
    "lifecycle": set(),
    "planning": {"shotlist", "lifecycle"},
    "engine": {"lifecycle", "shotlist", "planning"},
    "disk": set(),
    "store": {"lifecycle", "disk"},
    "media": {"disk", "shotlist"},
    "providers": {"lifecycle", "shotlist", "media", "disk"},
    "outputs": {"lifecycle", "planning", "shotlist", "disk", "media"},
    "watch": {"shotlist", "planning", "disk"},
    "board": {"lifecycle", "planning", "shotlist", "outputs", "disk", "schemas_at"},
    "sandbox": {"lifecycle", "media", "disk"},
}
INNER = set(MAY_IMPORT) - SETTINGS
MAY_IMPORT["workspace"] = INNER | SETTINGS  # one project on one store: puts the rooms together
MAY_IMPORT["cli"] = INNER | SETTINGS | {"workspace"}
MAY_IMPORT["__main__"] = {"cli"}

#: Single edges that the table does not allow, each with its reason.
EXCEPTIONS = {
    ("kling_render.providers.previz", "kling_render.store.hashing"): "the digest of a file it has just written",
}

PURE = ("planning", "lifecycle", "shotlist")
IMPURE_MODULES = {
    "asyncio",
    "ctypes",
    "getpass",
    "http",
    "httpx",
    "locale",
    "logging",
    "multiprocessing",
    "platform",
    "random",
    "secrets",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
IMPURE_NAMES = {"environ", "getenv", "getcwd", "urandom", "print", "open", "input"}
IMPURE_METHODS = {
    "cwd", "exists", "home", "is_dir", "is_file", "iterdir", "lstat", "mkdir", "now", "open", "read_bytes",
    "read_text", "stat", "today", "unlink", "utcnow", "write_bytes", "write_text",
}  # fmt: skip

HEAVY = ("av", "click", "httpx", "jinja2", "jsonschema", "numpy", "PIL", "platformdirs", "rich", "starlette", "yaml")
LIGHT = (
    "config",
    "engine.work",
    "errors",
    "lifecycle.records",
    "models",
    "planning.document",
    "planning.plan",
    "planning.selectors",
    "planning.text",
    "ports",
    "shotlist.records",
)


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


MODULES = {module_of(path): path for path in files()}
TREES = {module: ast.parse(path.read_text("utf-8")) for module, path in MODULES.items()}


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in the file, lazily too, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the room"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in MODULES else str(node.module)), node.lineno


def test_every_room_has_its_place_in_the_table() -> None:
    """A new folder or top-level module must say what it may import."""
    assert {room_of(module) for module in MODULES} - {""} <= set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    """The direction of imports is the direction of the data."""
    allowed = MAY_IMPORT[room] | COMMON | {room, ""}
    wrong = [
        f"{MODULES[module].relative_to(ROOT)}:{line} imports {target}"
        for module, tree in TREES.items()
        if room_of(module) == room
        for target, line in imported(tree)
        if target.partition(".")[0] == "kling_render"
        and room_of(target) not in allowed
        and (module, target) not in EXCEPTIONS
    ]
    assert wrong == []


def test_no_exception_is_out_of_date() -> None:
    """An edge that is gone leaves the list."""
    edges = {(module, target) for module, tree in TREES.items() for target, _ in imported(tree)}
    assert set(EXCEPTIONS) <= edges


def at_start(tree: ast.AST) -> Iterator[str]:
    """What is imported when the module is: not inside functions, not for the type checker only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (target for target, _ in imported(ast.Module([node], [])))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from at_start(node)


def test_modules_have_no_import_cycle() -> None:
    """Modules load in one order, each after what it uses."""
    uses = {m: {target for target in at_start(tree) if target in MODULES} - {m} for m, tree in TREES.items()}
    assert _cycles(uses) == {}


def test_rooms_have_no_cycle_either() -> None:
    """Lazy imports included: the table above goes one way only, so no room can reach itself through others."""
    assert _cycles({room: allowed - {room} for room, allowed in MAY_IMPORT.items()} | {"ports": set()}) == {}


def _cycles(uses: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is left after everything was taken away that uses, or is used by, nothing that is left."""
    while ends := _ends(uses):
        for name in ends:
            del uses[name]
    return {name: targets & uses.keys() for name, targets in uses.items()}


def _ends(uses: dict[str, set[str]]) -> list[str]:
    used = set().union(*uses.values())
    return [name for name, targets in uses.items() if not targets & uses.keys() or name not in used]


@pytest.mark.parametrize(("library", "room"), [("httpx", "providers"), ("watchdog", "watch")])
def test_a_library_has_one_room(library: str, room: str) -> None:
    """The rest of the house does not know it."""
    users = {
        room_of(module)
        for module, tree in TREES.items()
        for target, _ in imported(tree)
        if target.partition(".")[0] == library
    }
    assert users <= {room}


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_has_no_effects(room: str) -> None:
    """No clock, randomness, environment, logging, network, process or file: the same values give the same answer."""
    wrong = []
    for module, tree in TREES.items():
        if room_of(module) != room:
            continue
        found = [(f"imports {t}", line) for t, line in imported(tree) if t.partition(".")[0] in IMPURE_MODULES]
        found += [(f"uses {name}", line) for name, line in _impure_uses(tree)]
        wrong += [f"{MODULES[module].relative_to(ROOT)}:{line} {what}" for what, line in found]
    assert wrong == []


def _impure_uses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names and methods that reach for the world; `files.…` is the port and may."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in IMPURE_NAMES and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in IMPURE_NAMES)
        elif isinstance(node, ast.Attribute) and node.attr in IMPURE_NAMES - {"open", "input", "print"}:
            yield node.attr, node.lineno
        elif isinstance(node, ast.Call) and _is_impure_call(node.func):
            yield ast.unparse(node.func), node.lineno


def _is_impure_call(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and called.attr in IMPURE_METHODS
        and not ast.unparse(called.value).endswith("files")
    )


def test_the_check_for_effects_sees_them() -> None:
    """The test above would notice each kind of effect."""
    text = (
        "import os\nfrom os import getenv\nprint(1)\nopen('x')\nos.environ['x']\n"
        "Path('x').read_text()\ndatetime.now()\nself.files.read_text(p)\n"
    )
    lines = [line for _, line in _impure_uses(ast.parse(text))]
    assert lines == sorted(lines, key=lines.index)
    assert set(lines) == {2, 3, 4, 5, 6, 7}


def test_planning_and_settings_start_light() -> None:
    """A run without work must not pay for libraries that only work needs, nor a settings look-up for TOML."""
    script = f"import sys\nimport {', '.join(f'kling_render.{name}' for name in LIGHT)}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert loaded & {*HEAVY, "asyncio", "sqlite3", "tomllib", "keyring"} == set()


def test_files_are_short_and_named_for_the_field() -> None:
    """No file over 400 lines; nothing called after a bag for leftovers."""
    bags = ("util", "utils", "helper", "helpers", "manager", "misc", "common")
    wrong = [path for path in files() if path.stem in bags or path.read_text("utf-8").count("\n") > 400]
    named = [
        f"{module}.{node.name}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.lower().endswith(bags)
    ]
    assert (wrong, named) == ([], [])
