"""`kling-render init`."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import click

from kling_render import schemas_at
from kling_render.cli.invocation import Invocation, global_options
from kling_render.errors import KlingRenderError, UsageError

SCHEMA = "shotlist.schema.json"
IGNORE = Path(".gitignore")


@click.command("init")
@click.argument("place", default=".", metavar="[DIR]")
@global_options
def command(invocation: Invocation, place: str) -> int:
    """Make a small working project in DIR: shot list, two characters, two clips, a prompt template.

    It uses the free provider previz, so that `kling-render render` works as it stands.

    \b
    Examples:
      kling-render init my-film
    """
    target = Path(place)
    source = _starter()
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    files = [path for path in files if not any(part.startswith("renders") for part in path.parts)]
    if (target / IGNORE).exists():
        files.remove(IGNORE)  # a repository has its own
        invocation.say(f"kept your {IGNORE}; it should leave out renders/ and renders.previz/")
    written = [*files, Path(SCHEMA)]
    standing = [path.as_posix() for path in written if (target / path).exists()]
    if standing:
        raise UsageError(f"{target} already has {', '.join(standing[:3])}", help="name a new or an empty folder")
    try:
        for path in files:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target / path)
        _add_schema(target)
    except OSError as error:
        raise UsageError(f"cannot write to {target}: {error.strerror}", help="name a folder you may write to") from None
    invocation.say(f"made {target.as_posix()} with {len(written)} files. Next:")
    if target != Path():
        invocation.say(f"  cd {target.as_posix()}")
    invocation.say("  kling-render render      (a free rehearsal of every job)")
    if invocation.as_json:
        paths = [path.as_posix() for path in written]
        invocation.document({"format": "kling-render.init/1", "folder": str(target.absolute()), "files": paths})
    return 0


def _add_schema(target: Path) -> None:
    """The schema beside the shot list, where an editor finds it on every machine."""
    shot_list = target / "shotlist.yaml"
    first, _, rest = shot_list.read_text(encoding="utf-8").partition("\n")
    shutil.copyfile(schemas_at.path(SCHEMA), target / SCHEMA)
    line = f"# yaml-language-server: $schema={SCHEMA}"
    body = rest if first.startswith("# yaml-language-server:") else f"{first}\n{rest}"
    shot_list.write_text(f"{line}\n{body}", encoding="utf-8", newline="\n")


def _starter() -> Path:
    """The folder of the starter project: inside the wheel, or the minimal example of a checkout."""
    packaged = Path(str(resources.files("kling_render"))) / "starter"
    checkout = Path(str(resources.files("kling_render"))).parent / "examples" / "minimal"
    for folder in (packaged, checkout):
        if (folder / "shotlist.yaml").is_file():
            return folder
    raise KlingRenderError("the starter project is missing from this installation", help="install kling-render again")
