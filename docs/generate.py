"""Writes the parts of these pages that the code knows better: `python docs/generate.py`, or `--check` to only compare.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from kling_render.lifecycle.states import OPEN, SPENT_NOTHING, TRANSITIONS, State  # noqa: E402 - after the path
from kling_render.models import MODELS, PAGES, Kinds, Limit, MediaLimits  # noqa: E402 - after the path
from kling_render.sandbox import config, faults  # noqa: E402 - after the path

_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def remarks(source: Path, class_name: str) -> dict[str, str]:
    """Field or member → the `#:` comment above it."""
    text = source.read_text("utf-8")
    tree = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef) and n.name == class_name)
    lines = text.splitlines()
    found, last = {}, ""
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        if not isinstance(target, ast.Name):
            continue
        above: list[str] = []
        number = node.lineno - 2
        while number >= 0 and lines[number].strip().startswith("#:"):
            above.insert(0, lines[number].strip()[2:].strip())
            number -= 1
        last = " ".join(above) or last
        found[target.id] = last
    return found


def diagram() -> Iterator[str]:
    """The table of transitions as a Mermaid diagram."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state in State:
        yield f'    state "{state.value}" as {state.name}'
    yield "    [*] --> PLANNED"
    yield "    PLANNED --> RESERVED: reserve"
    for (state, event), target in TRANSITIONS.items():
        yield f"    {state.name} --> {target.name}: {event.value}"
    leaving = {state for state, _ in TRANSITIONS} | {State.PLANNED}
    for state in State:
        if state not in leaving:
            yield f"    {state.name} --> [*]"
    yield "```"


def states() -> Iterator[str]:
    """Every state with its meaning."""
    said = remarks(DOCS.parent / "kling_render" / "lifecycle" / "states.py", "State")
    yield "| state | what is known | work left | may be paid for again |"
    yield "| --- | --- | --- | --- |"
    for state in State:
        left = "yes" if state in OPEN else ""
        again = "yes" if state in SPENT_NOTHING else "no"
        yield f"| `{state.value}` | {said[state.name]} | {left} | {again} |"


def fault_kinds() -> Iterator[str]:
    """Where, how, and what that means."""
    yield "| where | kind | what happens |"
    yield "| --- | --- | --- |"
    for where, kinds in faults.KINDS.items():
        for kind, meaning in kinds.items():
            yield f"| `{where}` | `{kind}` | {meaning} |"


def fault_fields() -> Iterator[str]:
    """The fields of a fault."""
    said = remarks(Path(faults.__file__), "FaultRule")
    yield "| field | default | meaning |"
    yield "| --- | --- | --- |"
    for name, field in faults.FaultRule.__dataclass_fields__.items():
        if name not in ("on", "kind"):
            yield f"| `{name}` | {_shown(field.default)} | {said[name]} |"


def world_settings() -> Iterator[str]:
    """The sandbox's settings."""
    said = remarks(Path(config.__file__), "WorldSettings")
    yield "| setting | default | meaning |"
    yield "| --- | --- | --- |"
    for name, field in config.WorldSettings.__dataclass_fields__.items():
        yield f"| `{name}` | {_shown(field.default)} | {said[name]} |"


#: Field of `MediaLimits` → what it limits, and how the figure is said.
_LIMITS = {
    "image_kinds": ("image, type", "{}"),
    "image_short_edge": ("image, short edge", "at least {} px"),
    "image_long_edge": ("image, long edge", "at most {} px"),
    "aspect_min": ("image, width:height", "at least {}"),
    "aspect_max": ("image, width:height", "at most {}"),
    "image_bytes": ("image, size", "at most {} MB"),
    "video_containers": ("clip, type", "{}"),
    "video_codecs": ("clip, codec", "{}; another one is a warning"),
    "video_short_edge": ("clip, short edge", "at least {} px"),
    "video_long_edge": ("clip, long edge", "at most {} px"),
    "clip_min_s": ("clip, length after trims", "at least {} s"),
    "clip_max_s_image": ("clip, length with `orientation: image`", "at most {} s"),
    "clip_max_s_video": ("clip, length with `orientation: video`", "at most {} s"),
    "video_bytes": ("clip, size", "at most {} MB; a trimmed clip is made anew and small"),
}


def model_limits() -> Iterator[str]:
    """The hard limits, once for all models that share them."""
    groups: dict[MediaLimits, list[str]] = {}
    for model in MODELS.values():
        groups.setdefault(model.limits, []).append(model.id)
    for number, (limits, names) in enumerate(groups.items()):
        if number:
            yield ""
        yield f"For {', '.join(f'`{name}`' for name in names)}:"
        yield ""
        yield "| what | limit | stated by | where | read |"
        yield "| --- | --- | --- | --- | --- |"
        for name, (what, said) in _LIMITS.items():
            limit: Limit | Kinds = getattr(limits, name)
            page = PAGES.get(limit.page)
            where, read = (f"[{page.title}]({page.url})", page.read) if page else ("", "")
            yield f"| {what} | {said.format(_figure(name, limit))} | {limit.source} | {where} | {read} |"


def _figure(name: str, limit: Limit | Kinds) -> str:
    if isinstance(limit, Kinds):
        return ", ".join(value.upper() for value in limit.values)
    value = limit.value / 1_000_000 if name.endswith("_bytes") else limit.value
    return f"{value.normalize():,f}"


def _shown(value: object) -> str:
    if value in (None, "", ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:f}`" if isinstance(value, Decimal) else f"`{value}`"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "diagram": diagram,
    "states": states,
    "fault-kinds": fault_kinds,
    "fault-fields": fault_fields,
    "world-settings": world_settings,
    "model-limits": model_limits,
}


def renewed(text: str) -> str:
    """A page with its generated parts as they should be."""
    return _PART.sub(lambda m: m[1] + "\n".join(PARTS[m["name"]]()) + "\n" + m[3], text)


def main() -> int:
    """Write, or with `--check` say which pages are old."""
    old = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text("utf-8")
        fresh = renewed(text)
        if fresh != text:
            old.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(fresh, "utf-8")
    sys.stdout.write("".join(f"{'old' if '--check' in sys.argv else 'written'}: {name}\n" for name in old))
    return 1 if old and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
