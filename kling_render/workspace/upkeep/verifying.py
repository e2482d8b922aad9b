"""`verify`: finds what is wrong with a store and mends what costs nothing. Never renders, never pays."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from kling_render.errors import StoreFault
from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.ports import Clock
from kling_render.store.forgetting import forget
from kling_render.store.integrity import Survey, damaged, list_files, survey
from kling_render.store.mending import mend_from
from kling_render.store.opening import Store
from kling_render.store.snapshot import registered, snapshot
from kling_render.store.worth import UNKNOWN, Worth, Worths, worths
from kling_render.workspace.inputs.remote import REMOTE
from kling_render.workspace.inputs.uploads import TRIM
from kling_render.workspace.upkeep.cleaning import FREE

_NO_NEED = Worth(credits=0, paid=False)


class Grade(StrEnum):
    """How bad a finding is."""

    #: Something is wrong and still is.
    DAMAGE = "damage"
    #: It was wrong and is right again.
    MENDED = "mended"
    #: Worth knowing.
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that `verify` has to say."""

    grade: Grade
    #: `ledger`, `missing`, `damaged`, `orphan`, `stray`, `leftover`, `quarantine`, `spool`.
    kind: str
    text: str
    help: str = ""
    sha256: str | None = None
    size: int | None = None
    #: What it cost, in credits; None when that is not known or no bytes are meant.
    credits: int | None = None
    jobs: tuple[str, ...] = ()


@dataclass(slots=True)
class Verdict:
    """What was looked at and found."""

    read_data: bool
    survey: Survey = field(default_factory=Survey)
    findings: list[Finding] = field(default_factory=list)
    #: Finished attempts whose bytes only the provider may still have.
    wanted: list[Attempt] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether no damage remains."""
        return all(finding.grade is not Grade.DAMAGE for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """The command's exit code."""
        return 0 if self.sound else StoreFault.exit_code


def verify(
    store: Store,
    clock: Clock,
    *,
    read_data: bool,
    progress: Callable[[str, int, int], None],
    fetch: Callable[[list[Attempt]], str],
) -> Verdict:
    """Look at everything, quarantine what is damaged, and mend what can be had for nothing.

    Args:
        store: open.
        clock: the time.
        read_data: whether every blob is read and compared with its name.
        progress: a few words, how much is done, how much there is.
        fetch: brings the results of these attempts from the provider; returns why what is still missing is missing.

    Raises:
        StoreFault: the ledger cannot be read at all.
    """
    verdict = Verdict(read_data)
    with registered(store, ulid(clock.now(), random.SystemRandom())) as writable:
        known = _look(store, verdict)
        if writable and verdict.survey.ledger_read:
            _spool(store, clock, verdict)
        _Bytes(store, verdict, known).check(progress, fetch)
        _leftovers(store, verdict, known)
    return verdict


def _look(store: Store, verdict: Verdict) -> Worths:
    """The ledger and the folders; without a sound ledger, the folders."""
    with snapshot(store) as ledger:
        try:
            verdict.survey = survey(store, ledger)
            known = worths(ledger, FREE)
        except StoreFault as fault:
            verdict.findings.append(Finding(grade=Grade.DAMAGE, kind="ledger", text=fault.message, help=fault.help))
            list_files(store, verdict.survey, besides=ledger.path)
            return Worths(FREE)
    help_ = "Copy the store away and report this; `kling-render pull --lost` finds what the account paid for."
    for text in verdict.survey.contradictions:
        verdict.findings.append(Finding(grade=Grade.DAMAGE, kind="ledger", text=text, help=help_))
    return known


def _spool(store: Store, clock: Clock, verdict: Verdict) -> None:
    """Ids that a full disk sent to the spool."""
    recorded, unknown = store.record_spooled(clock.now())
    for attempt in recorded:
        text = f"the id {attempt.generation_id} of {attempt.job} was in the spool and is recorded now"
        help_ = "`kling-render pull` brings the result."
        verdict.findings.append(Finding(grade=Grade.MENDED, kind="spool", text=text, help=help_, jobs=(attempt.job,)))
    for spooled in unknown:
        text = f"the spool holds the paid generation {spooled.generation_id}, which the ledger does not know"
        help_ = "`kling-render pull --lost` looks it up in the account's log."
        verdict.findings.append(Finding(grade=Grade.NOTE, kind="spool", text=text, help=help_))


@dataclass(slots=True)
class _Bytes:
    """The bytes of finished attempts: which are wrong, and what becomes of them."""

    store: Store
    verdict: Verdict
    known: Worths

    def check(self, progress: Callable[[str, int, int], None], fetch: Callable[[list[Attempt]], str]) -> None:
        wrong = self._wrong(progress)
        for name in wrong:
            self._say_damaged(name)
        broken = dict.fromkeys(self.verdict.survey.missing, "missing") | dict.fromkeys(
            (name for name in wrong if name in self.verdict.survey.expected), "damaged"
        )
        attempts = self._holding(broken)
        left = {name: kind for name, kind in broken.items() if not self._at_hand(name, kind, attempts[name])}
        self._from_provider(left, attempts, fetch)

    def _wrong(self, progress: Callable[[str, int, int], None]) -> list[str]:
        """Names whose bytes are not theirs; they lie in quarantine now, if it could be written."""
        found = self.verdict.survey
        suspects = set(found.misshapen)
        if self.verdict.read_data:
            names = sorted(found.blobs)
            suspects |= set(damaged(self.store, names, lambda done, of: progress("reading results", done, of)))
        return sorted(name for name in suspects if not self._whole(name))

    def _whole(self, name: str) -> bool:
        try:
            return self.store.blobs.verified(name) is not None
        except StoreFault:
            return False  # damaged, or unreadable, and it cannot be moved away

    def _say_damaged(self, name: str) -> None:
        if name in self.verdict.survey.expected:
            return  # told with what becomes of it
        text = f"bytes that no result needs are damaged: {name}"
        self._add(Grade.NOTE, "damaged", text, name, "They lie in quarantine.")

    def _at_hand(self, name: str, kind: str, attempts: list[Attempt]) -> bool:
        """Whether the bytes came from the trash or from an output, or are not needed."""
        if not attempts:
            return True  # another process fetches them again right now
        size = self.verdict.survey.expected[name]
        try:
            if kind == "missing" and self.store.blobs.verified(name) is not None:
                self._add(Grade.MENDED, kind, f"a result was in the trash and is back: {name}", name)
                return True
            copy = mend_from(self.store, name, size, (p for a in attempts for p in (a.output, a.final) if p))
        except StoreFault as fault:
            self._add(Grade.DAMAGE, kind, f"a result is {kind}: {name}; {fault.message}", name, fault.help)
            return True
        if copy is not None:
            self._add(Grade.MENDED, kind, f"a {kind} result was taken from {copy}: {name}", name)
            return True
        if all(attempt.namespace in FREE for attempt in attempts):
            forget(self.store.ledger, [attempt.id for attempt in attempts])
            for quarantined in self.store.layout.quarantine.glob(f"{name}*"):
                quarantined.unlink(missing_ok=True)  # damaged, and it never cost anything
            self._add(Grade.MENDED, kind, f"a rehearsal was {kind}; it is drawn again when it is wanted: {name}", name)
            return True
        return False

    def _from_provider(
        self, left: dict[str, str], attempts: dict[str, list[Attempt]], fetch: Callable[[list[Attempt]], str]
    ) -> None:
        wanted = {a.id: a for name in left for a in attempts[name] if a.namespace not in FREE}
        why = fetch(list(wanted.values())) if wanted else ""
        with self.store.ledger.reading() as ledger:
            now = {id_: ledger.attempt(id_) for id_ in wanted}
        for name, kind in left.items():
            standing = [now[a.id] for a in attempts[name] if a.id in now]
            if all(attempt is not None and self._is_whole_again(attempt) for attempt in standing):
                self._add(Grade.MENDED, kind, f"a {kind} result was fetched again for nothing: {name}", name)
            else:
                help_ = f"{why} Its record stays, and it is never rendered again unasked."
                self._add(Grade.DAMAGE, kind, f"a paid result is {kind}: {name}", name, help_.strip())

    def _is_whole_again(self, attempt: Attempt) -> bool:
        finished = attempt.state in (State.FETCHED, State.DONE)
        return finished and attempt.blob is not None and self._whole(attempt.blob)

    def _holding(self, names: Iterable[str]) -> dict[str, list[Attempt]]:
        """The finished attempts that hold these bytes."""
        found: dict[str, list[Attempt]] = {}
        with self.store.ledger.reading() as ledger:
            for name in names:
                held = (ledger.attempt(each) for each in sorted(self.known.brought.get(name, ())))
                found[name] = [
                    a for a in held if a is not None and a.blob == name and a.state in (State.FETCHED, State.DONE)
                ]
        return found

    def _add(self, grade: Grade, kind: str, text: str, name: str, help_: str = "") -> None:
        worth = self.known.of(name) or UNKNOWN
        survey_ = self.verdict.survey
        self.verdict.findings.append(
            Finding(
                grade=grade,
                kind=kind,
                text=text,
                help=help_,
                sha256=name,
                size=survey_.expected.get(name, survey_.blobs.get(name)),
                credits=worth.credits,
                jobs=worth.jobs,
            )
        )


def _leftovers(store: Store, verdict: Verdict, known: Worths) -> None:
    """What lies about: nothing of it is damage."""
    found, add = verdict.survey, verdict.findings.append
    inputs = {str(digest) for kind in (REMOTE, TRIM) for digest in store.cache.all(kind).values()}
    for name in found.orphans if found.ledger_read else ():
        if name not in inputs:
            worth = known.of(name) or UNKNOWN
            text = f"bytes that no result needs are kept: {name}"
            add(_note("orphan", text, worth, name, found.blobs[name]))
    for path in found.strays:
        add(_note("stray", f"a file that is not ours lies among the results: {path}"))
    for path in found.leftovers:
        add(_note("leftover", f"a process that ended left {path}"))
    # Read anew: what was damaged just now lies there too.
    for damaged_file in sorted(store.layout.quarantine.iterdir()):
        name = damaged_file.name.partition(".")[0]
        text = f"in quarantine: {damaged_file.name}"
        add(_note("quarantine", text, known.of(name) or UNKNOWN, name, damaged_file.stat().st_size))


def _note(kind: str, text: str, worth: Worth = _NO_NEED, name: str | None = None, size: int | None = None) -> Finding:
    tidy = "`kling-render gc` shows what may go." if kind != "stray" else ""
    return Finding(
        grade=Grade.NOTE,
        kind=kind,
        text=text,
        help=tidy,
        sha256=name,
        size=size,
        credits=worth.credits if name else None,
        jobs=worth.jobs,
    )
