"""`kling-render export`: artefacts for those who look at results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kling_render.cli.invocation import Invocation, global_options
from kling_render.errors import StoreFault, UsageError
from kling_render.planning.text import jobs_word

if TYPE_CHECKING:
    from kling_render.outputs.contact_sheet.records import Sheet
    from kling_render.outputs.contact_sheet.shelf import Shelved

FORMAT = "kling-render.export/1"
_MARKS = (b'<meta name="generator" content="kling-render contact-sheet">', b"kling-render contact-sheet")
_MARKED_WITHIN = 2000
_SAID = 20
_PLACES = "name a folder, FILE.html or FILE.png"
_OTHER_FILES = frozenset(
    (".jpg", ".jpeg", ".webp", ".gif", ".svg", ".pdf", ".zip", ".xhtml", ".md", ".txt", ".csv", ".json", ".mp4", ".mov")
)


@click.group("export")
def command() -> None:
    """Write artefacts for those who look at results, or go on working with them."""


@command.command("contact-sheet")
@click.argument("select", nargs=-1)
@click.option(
    "-o",
    "target",
    metavar="DIR|FILE",
    help="A folder, or one FILE.html that holds its pictures itself, or FILE.png (default: the output folder).",
)
@global_options
def contact_sheet(invocation: Invocation, select: tuple[str, ...], target: str | None) -> int:
    """Write pages and pictures that show every result: characters × motions, per shot and for the project.

    Sends nothing and pays nothing. Files that need not change stay as they are.

    \b
    Examples:
      kling-render export contact-sheet
      kling-render export contact-sheet shot:sc010 -o sc010.png
      kling-render export contact-sheet -o ~/review
    """
    invocation.command = "export"
    from kling_render.workspace.results.contact_sheets import contact_sheet as made_of
    from kling_render.workspace.results.contact_sheets import write_sheet

    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        workspace.skips_invalid = True  # what is there can be shown all the same
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        planned = workspace.plan(project, workspace.inspect(project, digests), digests, select, lookup=False)
        invocation.show_warnings(workspace.warnings)
        single = _single(invocation, target)
        sheet = made_of(workspace, planned, select)
        if single is not None:
            done = _write_single(sheet, single)
            root = single.parent
        else:
            root = project.folder / project.output_dir if target is None else (invocation.cwd / target).absolute()
            try:
                done = write_sheet(workspace, project, sheet, root, digests)
            except OSError as error:
                raise _unwritten(root, error) from error
    _tell(invocation, sheet, root, done)
    return 0


def _single(invocation: Invocation, target: str | None) -> Path | None:
    """The one file that is wanted, if it is one; refused where another's file stands.

    Raises:
        UsageError: it cannot be written there.
    """
    if target is None:
        return None
    if target in ("", "-"):
        raise UsageError(f"-o {target or repr(target)} names no file or folder", help=_PLACES)
    path = (invocation.cwd / target).absolute()
    try:
        return path if _is_file(path, target) else None
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}", help=_PLACES) from None


def _is_file(path: Path, target: str) -> bool:
    """Whether one file is meant, and may be written; else it is a folder."""
    if path.is_dir():
        return False
    suffix = path.suffix.lower()
    if suffix not in (".html", ".htm", ".png"):
        if path.exists() or suffix in _OTHER_FILES:
            raise UsageError(f"{target} is no folder, and no contact sheet has that type", help=_PLACES)
        return False
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", help="make it, or name another place with -o")
    _refuse_foreign(path)
    return True


def _refuse_foreign(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begin = file.read(_MARKED_WITHIN)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror or error}", help="name another file") from None
    if begin and not any(mark in begin for mark in _MARKS):
        raise UsageError(
            f"{path.name} exists and is no contact sheet of ours", help="move it away, or name another file with -o"
        )


def _write_single(sheet: Sheet, target: Path) -> Shelved:
    from kling_render.outputs.contact_sheet.files import single_page, single_pictures
    from kling_render.outputs.contact_sheet.shelf import Shelved

    done = Shelved()
    if target.suffix.lower() == ".png":
        made = list(single_pictures(sheet, target))
    else:
        made = [(target, single_page(sheet, target))]
    for path, _ in made:
        _refuse_foreign(path)
    for path, data in made:
        same = path.is_file() and path.read_bytes() == data
        (done.unchanged if same else done.written).append(path.name)
        if not same:
            _replace(path, data)
    return done


def _replace(path: Path, data: bytes) -> None:
    from kling_render.disk.filesystem import REAL
    from kling_render.disk.publish import publish_bytes

    try:
        with REAL.folder(path.parent) as folder:
            publish_bytes(folder, path.name, data)
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> StoreFault:
    return StoreFault(
        f"{path} cannot be written: {error.strerror or error}", help="name another place with -o", code="output-folder"
    )


def _tell(invocation: Invocation, sheet: Sheet, root: Path, done: Shelved) -> None:
    shown = Path(os.path.relpath(root, invocation.cwd)).as_posix()
    where = shown if not shown.startswith("../..") else str(root)
    files = sorted([*((path, "written") for path in done.written), *((path, "unchanged") for path in done.unchanged)])
    warned = {take.id: list(take.warnings) for take in sheet.takes if take.warnings}
    for path in done.trashed:
        invocation.say(f"note: {_joined(where, path)} was in the way and is kept there")
    if invocation.as_json:
        invocation.document(
            {
                "format": FORMAT,
                "kind": "contact-sheet",
                "project": sheet.project,
                "jobs": len(sheet.takes),
                "folder": str(root),
                "files": [{"path": path, "action": action} for path, action in files],
                "removed": sorted(done.removed),
                "warnings": warned,
            }
        )
        return
    main = sorted((path for path, _ in files if "/" not in path), key=_page_first)
    click.echo(f"contact sheet of {jobs_word(len(sheet.takes))}: {', '.join(_joined(where, each) for each in main)}")
    files_word = "file" if len(done.written) == 1 else "files"
    click.echo(f"{len(done.written)} {files_word} written, {len(done.unchanged)} unchanged")
    for job, texts in list(warned.items())[:_SAID]:
        click.echo(f"warning: {job}: {'; '.join(texts)}")
    if len(warned) > _SAID:
        click.echo(f"… and {len(warned) - _SAID} more")


def _page_first(path: str) -> tuple[bool, int, str]:
    return path.endswith(".png"), len(path), path


def _joined(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"
