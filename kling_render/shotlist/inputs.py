"""The files and URLs a shot list names: resolved, confined to the project and the user's roots, present.

=======  ===========================================================
KR0103   a prompt file is too large
KR0110   a prompt file is not UTF-8
KR0116   a file cannot be read
KR0117   a glob matches no file
KR0201   no such file
KR0202   not a regular file
KR0203   outside the project and the allowed roots
KR0211   a URL that is not allowed
KR0212   a Git LFS pointer instead of the file
=======  ===========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kling_render.errors import Place, Problems, nearest
from kling_render.ports import ProjectFiles
from kling_render.shotlist import urls
from kling_render.shotlist.declarations import Template
from kling_render.shotlist.explain import quoted
from kling_render.shotlist.records import InputRef
from kling_render.shotlist.syntax import BOM
from kling_render.shotlist.tree import Node

MAX_PROMPT_BYTES = 64 * 1024
#: A pointer is about 130 bytes; its specification caps it at 1024.
_LFS_LIMIT = 1024
_LFS_FIRST_LINE = b"version https://git-lfs.github.com/spec/"

_NO_FILE = {
    "folder": ("a folder", "name a file in it"),
    "circle": ("a symbolic link that leads back to itself", "let the link lead to a file"),
    "other": ("not a regular file, or not readable", "name a regular file, and check its permissions"),
}
"""What stands there instead → what it is, and the remedy."""


@dataclass(slots=True)
class Inputs:
    """Looks up what the shot list names; everything wrong goes to `problems`."""

    files: ProjectFiles
    shown: Callable[[Path], str]
    #: The folder of the top shot list, symlinks resolved.
    folder: Path
    #: Further folders whose files may be used, symlinks resolved.
    roots: Sequence[Path]
    problems: Problems
    #: Output folders: a glob that reaches into one from outside must not make results to new, paid inputs.
    outputs: tuple[Path, ...] = ()
    #: Text files read so far.
    sources: list[Path] = field(default_factory=list)
    _lfs: dict[Path, bool] = field(default_factory=dict)
    _kinds: dict[Path, str] = field(default_factory=dict)
    _prompts: dict[Path, Template | None] = field(default_factory=dict)

    def reference(self, node: Node, pin: Node | None) -> InputRef | None:
        """The image or clip a scalar names; None when it names nothing.

        One that is refused (which is reported) comes back too: what depends on it can still be checked.
        """
        if not isinstance(node.value, str):
            return None
        digest = pin.raw.lower() if pin is not None else None
        if urls.is_url(node.value):
            self._check_url(node)
            return InputRef(shown=node.value, path=None, url=node.value, pin=digest, place=node.place)
        path = self.regular_file(node) if node.value else None  # an empty one was reported by the schema
        if path is not None:
            self._check_lfs(path, node, node.value)
        return InputRef(shown=node.value, path=path or self.folder / "missing", pin=digest, place=node.place)

    def found(self, match: Path, glob: Node) -> InputRef:
        """The same for a file that a glob found."""
        base = self._base(glob)
        text = match.relative_to(base).as_posix() if match.is_relative_to(base) else match.as_posix()
        path = self._allowed(self.files.resolve(match), text, glob)
        if path is not None:
            self._check_lfs(path, glob, text)
        return InputRef(shown=text, path=path or self.folder / "missing", place=glob.place)

    def _check_url(self, node: Node) -> None:
        reason = urls.refusal(node.value)
        if reason is not None:
            hint = "use an https link to a public host, or download the file into the project"
            self.problems.error("KR0211", f"{quoted(urls.masked(node.value))}: {reason}", node.place, help=hint)

    def regular_file(self, node: Node) -> Path | None:
        """The regular file a path names, symlinks resolved; None after a report."""
        path = self.confined(node, node.value)
        if path is None:
            return None
        kind = self._kinds.get(path)
        if kind is None:
            kind = self._kinds[path] = self.files.kind(path)
        if kind == "file":
            return path
        if kind == "missing":
            self._report_missing(node, path)
        else:
            what, hint = _NO_FILE[kind]
            self.problems.error("KR0202", f"{quoted(node.value)} is {what}; expected a file", node.place, help=hint)
        return None

    def _report_missing(self, node: Node, path: Path) -> None:
        where = self.shown(path)
        named = self._base(node) / node.value
        if path != self.files.resolve(named.parent) / named.name and named.name != "..":
            message = f"no such file: {where}, where the link {node.value} leads"
            hint = "bring back what it leads to, or let the link lead to a file"
            self.problems.error("KR0201", message, node.place, help=hint)
            return
        looked = "" if where == node.value else f" (looked for {where})"
        hint = self._missing_hint(node.value, path)
        self.problems.error("KR0201", f"no such file: {node.value}{looked}", node.place, help=hint)

    def confined(self, node: Node, text: str) -> Path | None:
        """The path as the file it stands in means it, if it stays inside the project or an allowed root."""
        if any(ord(c) < 32 or ord(c) == 127 for c in text):
            message = f"{quoted(text)}: a path has no control characters"
            self.problems.error("KR0108", message, node.place, help="remove the tab, line break or escape")
            return None
        return self._allowed(self.files.resolve(self._base(node) / text), text, node)

    def _allowed(self, path: Path, text: str, node: Node) -> Path | None:
        if any(path.is_relative_to(root) for root in (self.folder, *self.roots)):
            return path
        self.problems.error(
            "KR0203",
            f"{quoted(text)} is outside the allowed roots: it leads to {path}",
            node.place,
            help=f"copy it into the project, or allow its folder: --input-root {path.parent} "
            "(or the setting 'input_roots')",
        )
        return None

    def _base(self, node: Node) -> Path:
        return node.source.path.parent if node.source.path is not None else self.folder

    def _missing_hint(self, text: str, path: Path) -> str:
        if "\\" in text:
            return "write paths with '/'"
        if (above := self.files.kind(path.parent)) != "folder":
            folder = self.shown(path.parent)
            return f"there is no folder {folder} either" if above == "missing" else f"{folder} is no folder"
        others = [other.name for other in self.files.glob(path.parent, "*")]
        same = [other for other in others if PurePosixPath(other).stem == path.stem]
        near = same[0] if same else nearest(path.name, others)
        if near:
            return f"did you mean '{PurePosixPath(text).with_name(near)}'?"
        return "make the file, or correct the path; it is relative to the file it stands in"

    def _check_lfs(self, path: Path, node: Node, text: str) -> None:
        found = self._lfs.get(path)
        if found is None:
            try:
                data = self.files.read_small(path, _LFS_LIMIT)
            except OSError as fault:
                reason = fault.strerror or fault
                message = f"cannot read {quoted(text)}: {reason}"
                self.problems.error("KR0202", message, node.place, help="check its permissions")
                return
            found = self._lfs[path] = data is not None and data.startswith(_LFS_FIRST_LINE)
        if found:
            message = f"{quoted(text)} is a Git LFS pointer, not the file itself"
            self.problems.error("KR0212", message, node.place, help="fetch the files themselves: git lfs pull")

    def glob(self, node: Node) -> list[Path]:
        """The files of a glob, inside the project or an allowed root; results count only if it names their folder."""
        pattern = PurePosixPath(node.value)
        fixed = 0
        while fixed < len(pattern.parts) - 1 and not any(sign in pattern.parts[fixed] for sign in "*?["):
            fixed += 1
        folder = self.confined(node, "/".join(pattern.parts[:fixed]) if fixed else ".")
        if folder is None:
            return []
        rest = "/".join(pattern.parts[fixed:])
        if ".." in pattern.parts[fixed:]:
            message = f"{quoted(node.value)}: '..' cannot follow a wildcard"
            self.problems.error("KR0108", message, node.place, help="write '..' at the start only")
            return []
        results = [output for output in self.outputs if not folder.is_relative_to(output)]
        matches = [
            match
            for match in _without_copies(self.files.glob(folder, rest))
            if not any(match.is_relative_to(output) for output in results)
        ]
        if not matches:
            text = f"no file matches {quoted(node.value)} (looked in {self.shown(folder)})"
            self.problems.error("KR0117", text, node.place, help="correct the glob, or remove 'from'")
        return matches

    def prompt(self, node: Node) -> Template:
        """The template in a prompt file, read once however often it is named; an empty one after a report."""
        path = self.regular_file(node)
        if path is not None and path not in self._prompts:
            self._prompts[path] = self._read_prompt(path, node)
        template = self._prompts[path] if path is not None else None
        return template or Template("", node.source.file, None, (node.place,))

    def _read_prompt(self, path: Path, node: Node) -> Template | None:
        try:
            data = self.files.read_text_bytes(path, MAX_PROMPT_BYTES)
        except OSError as fault:
            text = f"cannot read {quoted(node.value)}: {fault.strerror or fault}"
            self.problems.error("KR0116", text, node.place, help="check its permissions")
            return None
        self.sources.append(path)
        if len(data) > MAX_PROMPT_BYTES:
            text = f"{quoted(node.value)} is larger than {MAX_PROMPT_BYTES // 1024} KiB"
            self.problems.error("KR0103", text, node.place, help="a prompt is at most a few thousand characters")
            return None
        try:
            text = data.removeprefix(BOM).decode("utf-8")
        except UnicodeDecodeError as fault:
            text = f"{quoted(node.value)} is not UTF-8 at byte {len(data) - len(fault.object) + fault.start}"
            self.problems.error("KR0110", text, node.place, help="save it as UTF-8")
            return None
        # One line end everywhere: a checkout with CRLF must not change a paid prompt.
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        file = self.shown(path)
        lines = tuple(Place(file, number, 1, line) for number, line in enumerate(text.split("\n"), 1))
        return Template(text, file, path, lines)


def _without_copies(matches: Sequence[Path]) -> list[Path]:
    """The files of a glob, but no `wave.fixed.mp4` whose original is among them: each is one more job to pay for."""
    originals = {(path.parent, path.stem) for path in matches}

    def is_copy(path: Path) -> bool:
        stem, dot, ending = path.stem.rpartition(".")
        if not dot or ending != "fixed":
            return False
        return (path.parent, stem) in originals or (path.parent, stem.rpartition(".")[0]) in originals

    return [path for path in matches if not is_copy(path)]
