"""The bad shot lists of `tests/golden/check` and exactly what `kling-render check` prints of each.

They are what the reader lets pass: wrong selections, templates, output paths and media. A first line
`# kling-render check OPTIONS` names the options of a case. `python -m tests.cli.golden_check` writes the expected
texts anew; read the difference before committing it.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from kling_render.cli.main import run
from tests.media import odd_makers
from tests.media.labelled import drawn
from tests.media.makers import clip, picture, png_claiming, sound_only

GOLDEN = Path(__file__).parent.parent / "golden" / "check"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
_COMMAND = "# kling-render check"
#: Files that are not what their names say, or nothing the model takes; only their first bytes matter.
_HEADS = {
    "hero.gif": b"GIF89a" + bytes(40),
    "hero.bmp": b"BM" + bytes(60),
    "hero.svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n',
    "hero.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "photo.jpg": b"\0\0\0\x18ftypheic" + bytes(40),
    "notes.png": b"a fox in a red coat\n",
    "noise.png": bytes(range(1, 250)),
    "playlist.mp4": b"#EXTM3U\n#EXTINF:3,\nhttps://example.com/a.ts\n",
    "concat.mp4": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "page.mp4": b"<!DOCTYPE html><html><title>Sign in</title></html>\n",
    "wave.webm": b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(40),
    "empty.png": b"",
    "empty.mp4": b"",
}


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command line came to."""

    code: int
    out: str
    err: str


def make_media(folder: Path) -> None:
    """Every picture and clip that the cases name, as small as they can be without a warning about it."""
    folder.mkdir()
    for name, head in _HEADS.items():
        (folder / name).write_bytes(head)
    _make_pictures(folder)
    _make_clips(folder)


def _make_pictures(folder: Path) -> None:
    picture(folder / "fox.png", (540, 620))
    picture(folder / "cat.png", (600, 540))
    picture(folder / "owl.webp", (540, 540), "WEBP")
    picture(folder / "jpeg.png", (540, 550), "JPEG")
    picture(folder / "small.png", (200, 240))
    picture(folder / "thumb.png", (400, 420))
    picture(folder / "wide.png", (1000, 340))
    picture(folder / "tall.png", (300, 1000))
    png_claiming(folder / "huge.png", 65_000, 65_000)
    png_claiming(folder / "ribbon.png", 70_000, 300)
    whole = (folder / "fox.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    picture(folder / "cut.jpg", (540, 630), "JPEG")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-400])
    (folder / "logo.png").write_bytes(_same_everywhere(544, 544))
    picture(folder / "heavy.jpg", (550, 630), "JPEG")
    os.truncate(folder / "heavy.jpg", 12_400_000)
    odd_makers.gps(folder / "holiday.jpg", size=(560, 620))


def _same_everywhere(width: int, height: int) -> bytes:
    """A white PNG without compression: its digest depends on no library."""
    rows = (b"\0" + b"\xff" * (width // 8 + 1)) * height
    length = struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF)
    packed = b"\x78\x01\x01" + length + rows + struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _make_clips(folder: Path) -> None:
    """Clips of few frames; all but the ones about edges have edges the model takes."""
    for name, seconds in {"wave": 3, "spin": 4, "dance": 11, "walk": 31, "blink": 1}.items():
        clip(folder / f"{name}.mp4", seconds, fps=2, size=(344, 344))
    clip(folder / "tiny.mp4", 3, fps=2, size=(160, 120))
    clip(folder / "long.mp4", 3, fps=2, size=(3860, 344))
    clip(folder / "quicktime.mp4", 3, fps=2, size=(344, 346), container="mov")
    drawn.cut(folder / "joined.mp4", 3.5, 1.5)
    drawn.pan(folder / "pan.mp4")
    drawn.rush(folder / "rush.mp4")
    drawn.still(folder / "hush.mp4", db=-80)
    sound_only(folder / "sound.mp4")
    odd_makers.see_through(folder / "layer.mov", 3)
    odd_makers.located(clip(folder / "street.mp4", 3, fps=2, size=(344, 348)))
    odd_makers.encrypted(clip(folder / "rented.mp4", 3, fps=2, size=(344, 352)))
    whole = (folder / "spin.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole + struct.pack(">I4s", 1_008, b"mdat"))
    (folder / "unfinished.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    (folder / "heavy.mp4").write_bytes((folder / "wave.mp4").read_bytes() + b"\0\0\0\0free")
    os.truncate(folder / "heavy.mp4", 101_000_000)


def make_project(folder: Path) -> Path:
    """A folder with all media and templates and without a shot list."""
    root = folder / "film"
    root.mkdir()
    make_media(root / "media")
    shutil.copytree(GOLDEN / "prompts", root / "prompts")
    return root


def put(project: Path, name: str) -> tuple[str, ...]:
    """Make a case the project's shot list; returns its options."""
    text = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    (project / "shotlist.yaml").write_text(text, encoding="utf-8")
    first = text.partition("\n")[0]
    return tuple(first.removeprefix(_COMMAND).split()) if first.startswith(_COMMAND) else ()


def called(project: Path, *words: str) -> Printed:
    """A command line in the project, in this process; the store lies beside the project."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(project), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*words, "--store", str(project.parent / "store")])
    return Printed(code, _aside(out.getvalue(), project), _aside(err.getvalue(), project))


def _aside(text: str, project: Path) -> str:
    """The text without the temporary folder."""
    return text.replace(str(project.parent.resolve()), "").replace(str(project.parent), "")


def main() -> None:
    """Write the expected texts."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder))
        for name in NAMES:
            printed = called(project, "check", *put(project, name))
            (GOLDEN / f"{name}.txt").write_text(printed.out, encoding="utf-8")
            if printed.err:
                sys.stderr.write(f"{name}: {printed.err}")
    sys.stdout.write(f"{len(NAMES)} files\n")


if __name__ == "__main__":
    main()
