"""Why a job is up to date or not: its manifest held against that of the nearest earlier result, field by field. Pure.

The differences are those of the two manifests and nothing else, so an explanation can neither name a field that did not
change the fingerprint nor miss one that did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.planning.manifest import Manifest, differences
from kling_render.planning.reasons import place_of
from kling_render.planning.records import Reason
from kling_render.planning.words import Piece, word_diff
from kling_render.shotlist.records import Job

MADE = frozenset({State.FETCHED, State.DONE})
"""States of attempts that brought a result."""

MEDIA = frozenset({"image", "video"})
"""The fields whose value is a file's content."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field whose value differs; None stands for "left out"."""

    #: Its name in the manifest; parameters of the model as `params.NAME`.
    field: str
    old: Any
    new: Any
    #: Where the new value is written, as `file:line`.
    at: str
    #: For the prompt: both texts, word by word.
    words: tuple[Piece, ...] = ()
    #: What the eye cannot see in the two values; may be empty.
    note: str = ""
    #: For the prompt: the edits behind it, each with its place; empty when they cannot be told.
    edits: tuple[Reason, ...] = ()


def nearest(job: str, folder: str, key: str, new: Manifest, attempts: Iterable[Attempt]) -> Attempt | None:
    """The attempt whose result a job's manifest is best held against.

    The job's own newest result comes first, for that is what its owner remembers. Else it is the result of the store
    with the fewest fields that differ; among equals one of the same project, then the newest.

    Args:
        job: its id.
        folder: of the project.
        key: the name of the job's own result, which is no earlier one.
        new: the job's manifest.
        attempts: of the store, in the order they were made.
    """
    made = [a for a in attempts if a.state in MADE and a.manifest and a.fingerprint != key]
    own = [a for a in made if a.job == job and a.folder == folder]
    if own:
        return max(own, key=lambda a: a.reserved_at)
    known: dict[str, int] = {}
    for manifest in {a.manifest for a in made}:
        known[manifest] = len(differences(Manifest(manifest), new))
    return min(made, key=lambda a: (known[a.manifest], a.folder != folder, -a.reserved_at), default=None)


def changes(job: Job, old: Manifest, new: Manifest, edits: tuple[Reason, ...] = ()) -> tuple[Change, ...]:
    """Every field that differs, each once, in the order of their names; `edits` are those of the prompt."""
    found = []
    for one in differences(old, new):
        place = place_of(job, one.field)
        at = f"{place.file}:{place.line}"
        if one.field == "prompt":
            was, now = one.old or "", one.new or ""
            at = next((edit.at for edit in edits if edit.at), at)
            change = Change("prompt", one.old, one.new, at, word_diff(was, now), _unseen(was, now), edits)
        else:
            change = Change(one.field, one.old, one.new, at)
        found.append(change)
    return tuple(found)


def _unseen(old: str, new: str) -> str:
    """In words, what two texts that look the same differ in."""
    if "".join(old.split()) == "".join(new.split()):
        return "only white space differs"
    if normalize("NFC", old) == normalize("NFC", new):
        return "the same characters in another Unicode form"
    if normalize("NFKC", old).casefold() == normalize("NFKC", new).casefold():
        return "only case or the form of characters differs"
    return ""
