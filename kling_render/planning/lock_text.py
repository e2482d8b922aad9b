"""The lock file's text: written for git, and read however damaged it is. Pure text in, values out, and back.

One block per job, sorted by id, and nothing in it that changes by itself: two clones write the same bytes, and a merge
conflict stays within a job's block. What cannot be read is written back as it was: it may name what somebody paid for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from kling_render.planning.lock import FIELDS, GENERATION, Flaw, Kept, Locked, LockFile

FORMAT = "kling-render.lock/1"
LONGEST = 500
"""Characters of a kept result's `by` and `why`."""
_FAMILY = FORMAT.rpartition("/")[0] + "/"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ORIGIN = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?")
_USD = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_NAME = re.compile(r'"((?:[^"\\]|\\.){1,512})"\s*:\s*(?=\{)')
_MARKS = ("<<<<<<<", ">>>>>>>")
_HEAD = ("format", "project", "provider", "api", "jobs")
_DECODER = json.JSONDecoder()


def lock_text(
    *,
    project: str | None,
    provider: str,
    api: str,
    entries: Iterable[Locked],
    unread: Mapping[str, str] | None = None,
    more: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The file's bytes.

    Args:
        project: left out (None) where it only repeats the folder's name, which clones choose freely.
        provider: of the shot list.
        api: the origin of the results.
        entries: one per job.
        unread: job id → JSON of a block that could not be read, as it was.
        more: fields of the whole file that this version does not know, as JSON.
    """
    head = {"format": FORMAT, "project": project, "provider": provider, "api": api}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)},\n" for name, value in head.items() if value is not None]
    lines += [f"  {json.dumps(name)}: {_indented(value, 2)},\n" for name, value in more]
    blocks = {entry.job: _block(entry) for entry in entries}
    for job, block in (unread or {}).items():
        blocks.setdefault(job, f"    {json.dumps(job)}: {_indented(block, 4)}")
    listed = ",\n".join(blocks[job] for job in sorted(blocks))
    jobs = "{\n" + listed + "\n  }" if blocks else "{}"
    return ("{\n" + "".join(lines) + f'  "jobs": {jobs}\n' + "}\n").encode()


def _block(entry: Locked) -> str:
    """By hand: the encoder takes a slow path for indented text, and a run with nothing to do comes here too."""
    job, fingerprint, sha256, generation, usd, kept, rest = entry
    if kept is not None or rest:
        return _long_block(entry)
    return (
        f"    {json.dumps(job)}: {{\n"
        f'      "fingerprint": "{fingerprint}",\n'
        f'      "sha256": "{sha256}",\n'
        f'      "generation_id": {_quoted(generation)},\n'
        f'      "usd": {_quoted(usd)}\n'
        "    }"
    )


def _long_block(entry: Locked) -> str:
    """A block with more than the usual fields."""
    fields = {
        "fingerprint": f'"{entry.fingerprint}"',
        "sha256": f'"{entry.sha256}"',
        "generation_id": _quoted(entry.generation_id),
        "usd": _quoted(entry.usd),
    }
    if entry.kept is not None:
        origin, by, at, why = entry.kept
        told = {"from": origin, "by": by, "at": at, "why": why}
        fields["kept"] = json.dumps(told, indent=2)
    fields |= dict(entry.rest)
    lines = ",\n".join(f"      {json.dumps(name)}: {_indented(value, 6)}" for name, value in fields.items())
    return f"    {json.dumps(entry.job)}: {{\n{lines}\n    }}"


def _quoted(word: str | None) -> str:
    """Digits, letters and points only: nothing to escape."""
    return "null" if word is None else f'"{word}"'


def _indented(text: str, blanks: int) -> str:
    return text.replace("\n", "\n" + " " * blanks)


# -- reading -------------------------------------------------------------------------------------------------------


def parse(data: bytes) -> LockFile:
    """What the bytes say, however damaged they are."""
    text = data.decode("utf-8-sig", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return _salvaged(text)
    said = content.get("format") if isinstance(content, dict) else None
    if said != FORMAT:
        newer = isinstance(said, str) and said.startswith(_FAMILY)
        return LockFile(foreign=f"has the unknown format '{said}'" if newer else "is no lock file of kling-render")
    jobs = content.get("jobs")
    if not isinstance(jobs, dict):
        return LockFile(problem="has no list of jobs")
    if text.count('"fingerprint"') > len(jobs) and (twice := _salvaged(text)).is_ambiguous:
        return twice  # of a name that stands twice the parser keeps the last only
    reading = _Reading()
    for job, block in jobs.items():
        reading.take(job, block)
    return LockFile(
        jobs=reading.jobs,
        api=_word(content.get("api")),
        project=_word(content.get("project")),
        unread=reading.unread,
        flaws=tuple(reading.flaws),
        more=tuple((name, _dumped(value)) for name, value in content.items() if name not in _HEAD),
    )


def is_json(data: bytes) -> bool:
    """Whether the bytes are whole: quicker than to read what they say."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


class _Reading:
    """Takes blocks in: entries, and what cannot be read."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[Locked, ...]] = {}
        self.unread: dict[str, str] = {}
        self.flaws: list[Flaw] = []

    def take(self, job: str, block: Any) -> None:
        """One block, whatever it is."""
        entry = self._entry(job, block)
        if entry is None:
            self.unread.setdefault(job, _dumped(block))
            self.flaws.append(Flaw(job, "the entry"))
        elif entry not in (known := self.jobs.get(job, ())):
            self.jobs[job] = (*known, entry)

    def _entry(self, job: str, block: Any) -> Locked | None:
        """None when it does not say which bytes a request has; a further field that is wrong is one that is unknown."""
        if not isinstance(block, dict):
            return None
        fingerprint, sha256 = block.get("fingerprint"), block.get("sha256")
        if not _is(fingerprint, _DIGEST) or not _is(sha256, _DIGEST):
            return None
        generation, usd, told = block.get("generation_id"), block.get("usd"), block.get("kept")
        kept = None if told is None else _kept(told)
        wrong = set()
        if generation is not None and not _is(generation, GENERATION):
            wrong.add("generation_id")
        if usd is not None and not _is(usd, _USD):
            wrong.add("usd")
        if told is not None and kept is None:
            wrong.add("kept")
        self.flaws += [Flaw(job, f"the {name}") for name in sorted(wrong)]
        return Locked(
            job,
            fingerprint,
            sha256,
            None if "generation_id" in wrong else generation,
            None if "usd" in wrong else usd,
            kept,
            _rest(block, wrong) if wrong or not block.keys() <= FIELDS else (),
        )


def _rest(block: Mapping[str, Any], wrong: set[str]) -> tuple[tuple[str, str], ...]:
    """What this version cannot read or does not know."""
    return tuple((n, _dumped(value)) for n, value in block.items() if n in wrong or n not in FIELDS)


def _kept(told: Any) -> Kept | None:
    if not isinstance(told, dict):
        return None
    origin, by, at, why = (told.get(name, "") for name in ("from", "by", "at", "why"))
    texts = isinstance(by, str) and isinstance(why, str)
    if texts and _is(origin, _ORIGIN) and (at == "" or _is(at, _TIME)):
        return Kept(origin, by[:LONGEST], at, why[:LONGEST])
    return None


def _salvaged(text: str) -> LockFile:
    """Every whole block of a file that is no JSON; of a conflict those of both sides."""
    said = _field(text, "format")
    if said is not None and said != FORMAT:
        return LockFile(foreign=f"has the unknown format '{said}'")
    conflict = any(line.startswith(_MARKS) for line in text.splitlines())
    reading, torn, nameless = _Reading(), set(), 0
    for side in _sides(text):
        told = side.count('"fingerprint"')
        for job, block in _blocks(side):
            told -= 1
            if block is None:
                torn.add(job)
            else:
                reading.take(job, block)
        nameless = max(nameless, told)
    whole = "names a job twice" if is_json(text.encode("utf-8", "replace")) else "is no complete JSON"
    return LockFile(
        jobs=reading.jobs,
        api=_field(text, "api"),
        project=_field(text, "project"),
        problem="has merge conflicts" if conflict else whole,
        unread={job: block for job, block in reading.unread.items() if job not in reading.jobs},
        flaws=tuple(dict.fromkeys(reading.flaws)),
        torn=frozenset(torn - reading.jobs.keys()),
        nameless=nameless,
    )


def _blocks(side: str) -> Iterator[tuple[str, Any]]:
    """Every block that a text holds, by its name; None for one that is torn. Only ids of jobs have a slash."""
    at = 0
    while match := _NAME.search(side, at):
        at = match.end()
        name = _json(f'"{match[1]}"')
        if not isinstance(name, str) or "/" not in name:
            continue
        try:
            block, end = _DECODER.raw_decode(side, at)
        except (ValueError, RecursionError):
            yield name, None
            continue
        if any("/" in inner for inner in block):  # its end is missing, so it swallowed the next one
            yield name, None
            continue
        at = end
        yield name, block


def _sides(text: str) -> tuple[str, ...]:
    """The text as each side of a merge has it; the common ancestor, where it is shown, is left out."""
    ours: list[str] = []
    theirs: list[str] = []
    into: tuple[list[str], ...] = (ours, theirs)
    for line in text.splitlines():
        if line.startswith("<<<<<<<"):
            into = (ours,)
        elif line.startswith("|||||||"):
            into = ()
        elif line.startswith("======="):
            into = (theirs,)
        elif line.startswith(">>>>>>>"):
            into = (ours, theirs)
        else:
            for side in into:
                side.append(line)
    return tuple(dict.fromkeys(("\n".join(ours), "\n".join(theirs))))


def _is(value: object, pattern: re.Pattern[str]) -> TypeGuard[str]:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _dumped(value: object) -> str:
    return json.dumps(value, indent=2)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _field(text: str, name: str) -> str | None:
    match = re.search(rf'"{name}"\s*:\s*"([^"\\]*)"', text)
    return match[1] if match else None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None
