"""Reads a shot list with everything it imports: YAML → nodes → schema → one `Declarations`.

The codes of what can be wrong are listed in the modules that find it: `nodes` (the text), `explain` (the schema),
`inputs` (files and URLs), `cast`, `fields`, `shots`, `imports`; here:

=======  ===========================================================
KR0112   the whole has no version, characters, motions or shots
KR0116   the shot list cannot be read
KR0118   (warning) a variable that templates cannot see, or nearly not
KR0119   (warning) an unknown model
=======  ===========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath

from kling_render.errors import Diagnostic, Problems, did_you_mean, in_file_order
from kling_render.models import MODELS
from kling_render.ports import ProjectFiles
from kling_render.shotlist import cast, scalars, schema
from kling_render.shotlist.declarations import Declarations, OutputDeclaration, Template, Written
from kling_render.shotlist.explain import quoted
from kling_render.shotlist.fields import Entries, said, scalar_text, shot_fields
from kling_render.shotlist.imports import Files
from kling_render.shotlist.inline import fixed_template, template_of
from kling_render.shotlist.inputs import Inputs
from kling_render.shotlist.nodes import without_gc
from kling_render.shotlist.records import Budget, WatchAllowance
from kling_render.shotlist.redaction import redacted
from kling_render.shotlist.shots import shots
from kling_render.shotlist.syntax import MAX_BYTES
from kling_render.shotlist.tree import Node

_REQUIRED = ("version", "characters", "motions", "shots")
#: What every template has under its own name.
RESERVED = ("shot", "character", "motion", "take", "vars", "variant")
#: Errors that concern nothing but the field they stand at.
_LOCAL = frozenset({"KR0105", "KR0106", "KR0108", "KR0120", "KR0201", "KR0202", "KR0203", "KR0211", "KR0212"})


def read(
    list_path: Path,
    *,
    files: ProjectFiles,
    shown: Callable[[Path], str],
    input_roots: Sequence[Path] = (),
    text: bytes | None = None,
) -> tuple[Declarations | None, list[Diagnostic]]:
    """Read a shot list.

    Args:
        list_path: the file, absolute; its folder is the project.
        files: the disk.
        shown: how a path is displayed.
        input_roots: further folders that inputs may come from.
        text: the list's bytes when they come from elsewhere (standard input).

    Returns:
        What is declared, and every error and warning found. After errors that leave the rest meaningful (an
        unknown field, a wrong value, a missing input) the declarations come back too, so that the expander can
        report what else is wrong at once; None after all others. Nothing may be rendered when there is an error.
    """
    with without_gc():
        return _read(list_path, files, shown, input_roots, text)


def _read(
    list_path: Path, files: ProjectFiles, shown: Callable[[Path], str], input_roots: Sequence[Path], text: bytes | None
) -> tuple[Declarations | None, list[Diagnostic]]:
    problems = Problems()
    folder = files.resolve(list_path.parent)
    path = folder / list_path.name
    inputs = Inputs(files, shown, folder, [files.resolve(root) for root in input_roots], problems)
    file = shown(list_path)
    if text is None:
        inputs.sources.append(path)
        text = _bytes_of(list_path, file, inputs)
    loaded = Files(inputs)
    declared = None
    if text is not None and loaded.load(text, path, file) is not None:
        declared = _declarations(loaded, file)
    if declared is not None and not _is_meaningful(declared, loaded):
        declared = None
    return declared, redacted(in_file_order(problems.found))


def _is_meaningful(declared: Declarations, loaded: Files) -> bool:
    """Whether the expander's findings would be true: nothing is missing that it would miss a second time."""
    found = loaded.inputs.problems.errors
    if not found:
        return True
    complete = declared.characters and declared.motions and declared.shots and not loaded.incomplete
    return bool(complete) and {diagnostic.code for diagnostic in found} <= _LOCAL


def _bytes_of(path: Path, file: str, inputs: Inputs) -> bytes | None:
    try:
        return inputs.files.read_text_bytes(path, MAX_BYTES)
    except OSError as fault:
        missing = inputs.files.kind(path) == "missing"
        text = f"no such file: {file}" if missing else f"cannot read {file}: {fault.strerror or fault}"
        hint = "name another one with -f, or make one with 'kling-render init'" if missing else ""
        inputs.problems.error("KR0116", text, help=hint)
        return None


def _declarations(loaded: Files, file: str) -> Declarations:
    inputs, roots = loaded.inputs, loaded.roots
    if not loaded.incomplete:  # else what is missing may stand in the file that could not be read
        _require(roots, file, inputs.problems)
    top, defaults, variables = loaded.settings(None), loaded.settings("defaults"), loaded.settings("vars")
    _warn_of_hidden(variables, inputs.problems)
    output, budget, watch = loaded.settings("output"), loaded.settings("budget"), loaded.settings("watch")
    inputs.outputs = _output_folders(_output(output, file).dir, inputs.folder)
    declared = Declarations(
        name=_text(said(top, "project")) or inputs.folder.name or "project",
        folder=inputs.folder,
        provider=_text(said(top, "provider")) or "aimlapi",
        vars={key: value.value for key, (_, value) in variables.items()},
        defaults=shot_fields(defaults, inputs),
        characters=cast.characters(roots, inputs),
        motions=cast.motions(roots, inputs),
        shots=shots(roots, defaults, inputs),
        output=_output(output, file),
        budget=Budget(total_usd=_amount(budget, "total_usd"), per_day_usd=_amount(budget, "per_day_usd")),
        watch=_watch(watch),
        sources=tuple(dict.fromkeys(inputs.sources)),
        written=Written(tuple(roots), variables),
    )
    _warn_of_unknown_models(declared, inputs.problems)
    return declared


def _require(roots: Sequence[Node], file: str, problems: Problems) -> None:
    top = roots[-1]
    for name in _REQUIRED:
        if top.get(name) is not None or (name != "version" and any(root.get(name) for root in roots)):
            continue
        hint = "add 'version: 1'" if name == "version" else f"add '{name}: …', or import a file that has it"
        problems.error("KR0112", f"{file} has no '{name}'", top.place, help=hint)


def _warn_of_unknown_models(declared: Declarations, problems: Problems) -> None:
    levels = [declared.defaults]
    for shot in declared.shots:
        levels += [shot.fields, *(override.fields for override in shot.override)]
    told: set[str] = set()
    for fields in levels:
        if fields.model is not None and fields.model not in told and fields.model not in MODELS:
            told.add(fields.model)
            text = f"unknown model {quoted(fields.model)}{did_you_mean(fields.model, MODELS)}"
            hint = "its parameters and input limits cannot be checked here; the provider may know it"
            problems.warning("KR0119", text, fields.places.get("model"), help=hint)


def _warn_of_hidden(variables: Entries, problems: Problems) -> None:
    from difflib import get_close_matches

    for key, (name, _) in variables.items():
        if key in RESERVED:
            text = f"templates see their own '{key}', not this variable"
            problems.warning("KR0118", text, name.place, help=f"rename it, or write vars.{key}")
        elif near := get_close_matches(key, RESERVED, n=1, cutoff=0.9):
            text = f"variable {quoted(key)} nearly equals '{near[0]}', which every template has"
            problems.warning("KR0118", text, name.place, help="rename it if that is not what you mean")


def _output(entries: Entries, file: str) -> OutputDeclaration:
    folder = said(entries, "dir")
    return OutputDeclaration(
        dir=_text(folder) or _default("output", "dir"),
        dir_place=folder.place if folder is not None else None,
        takes=_path_template(entries, "takes", file),
        final=_path_template(entries, "final", file),
    )


def _output_folders(declared: str, project: Path) -> tuple[Path, ...]:
    """Where results and rehearsals lie; nothing for a folder that is refused later on."""
    name = PurePosixPath(declared)
    if not name.parts or name.is_absolute() or ".." in name.parts:
        return ()
    return project / name, project / name.with_name(f"{name.name}.previz")


def _path_template(entries: Entries, key: str, file: str) -> Template:
    node = said(entries, key)
    return fixed_template(_default("output", key), file) if node is None else template_of(node)


def _default(section: str, key: str) -> str:
    return str(schema.shot_list_schema().document["$defs"][section]["properties"][key]["default"])


def _watch(entries: Entries) -> WatchAllowance:
    amounts = {key: _amount(entries, key) for key in entries if key in WatchAllowance.__slots__}
    return WatchAllowance(**{key: amount for key, amount in amounts.items() if amount is not None})


def _amount(entries: Entries, key: str) -> Decimal | None:
    node = said(entries, key)
    if node is None or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    return scalars.exact(node.raw)


def _text(node: Node | None) -> str:
    return scalar_text(node) if node is not None and isinstance(node.value, str) else ""
