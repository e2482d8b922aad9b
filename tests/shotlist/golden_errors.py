"""The bad shot lists of `tests/golden/errors` and what the user sees of each.

`python -m tests.shotlist.golden_errors` writes the expected texts anew; read the difference before committing it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from kling_render.cli.diagnostics import render_text
from kling_render.disk.project_files import DiskFiles
from kling_render.errors import Diagnostic
from kling_render.shotlist.declarations import Declarations
from kling_render.shotlist.reader import read

GOLDEN = Path(__file__).parent.parent / "golden" / "errors"
FILES = ("characters/fox.png", "clips/wave.mp4", "many/fox.jpg", "many/fox.png", "many/日本.png")
LIBRARIES = {
    "same_id_in_an_import": "characters: {fox: characters/fox.png}\nmotions: {turn: clips/wave.mp4}\n",
    "import_circle": "imports: [shotlist.yaml]\n",
    "import_broken": "characters: {fox: characters/fox.png\n",
}
GENERATED = {
    "empty": b"",
    "two_hundred_thousand_brackets": b"[" * 200_000,
    "deep_blocks": b"".join(b" " * n + b"a:\n" for n in range(60)),
    "too_large": b"# " + b"x" * (16 * 1024 * 1024),
}
NAMES = sorted({path.stem for path in GOLDEN.glob("*.yaml")} | GENERATED.keys())


def project(folder: Path, name: str) -> Path:
    """A project around one bad shot list; returns the list's path."""
    root = folder / "home" / "project"
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "prompts").mkdir()
    (root / "prompts/sc010.j2").write_text("hello\n", encoding="utf-8")
    (root.parent / "secret.png").write_bytes(b"secret")
    (root / "linked.png").symlink_to("../secret.png")
    (root / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    (root / "circle.png").symlink_to("characters/back.png")
    (root / "characters/back.png").symlink_to("../circle.png")
    (root / "dangling.png").symlink_to("characters/gone.png")
    os.mkfifo(root / "pipe")
    (root / "lib.yaml").write_text(LIBRARIES.get(name, ""), encoding="utf-8")
    path = root / "shotlist.yaml"
    path.write_bytes(GENERATED[name] if name in GENERATED else (GOLDEN / f"{name}.yaml").read_bytes())
    return path


def outcome(path: Path) -> tuple[Declarations | None, list[Diagnostic]]:
    """What the reader says, with paths shown relative to the project."""
    root = path.parent

    def shown(file: Path) -> str:
        return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)

    return read(path, files=DiskFiles(), shown=shown)


def seen(folder: Path, name: str) -> str:
    """Exactly what the user sees, the temporary folder aside."""
    _, found = outcome(project(folder, name))
    return render_text(found).replace(str(folder.resolve()), "")


def main() -> None:
    """Write the expected texts."""
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{name}.txt").write_text(seen(Path(folder), name), encoding="utf-8")
    sys.stdout.write(f"{len(NAMES)} files\n")


if __name__ == "__main__":
    main()
