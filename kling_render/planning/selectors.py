"""Selectors: job ids and prefixes, globs and facets to a set of jobs.

Values of one facet unite, different facets intersect; ids, prefixes and globs together count as one facet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase, translate

from kling_render.errors import UsageError, did_you_mean
from kling_render.shotlist.records import Job

#: A facet's name → the values a job has.
Facets = Mapping[str, Callable[[Job], Iterable[str]]]

_GLOB = re.compile(r"[*?\[]")

#: Facets without a value, and what to know where no job has them.
_MARKS = {
    "picked": "no take of this project is picked; leave it out, or select by state: state:up-to-date",
    "stale": "a cell is stale when it was edited after one of its takes was picked; for edited jobs: state:to-render",
}


def select(
    jobs: Sequence[Job],
    texts: Sequence[str],
    *,
    state_of: Callable[[Job], str] = lambda _job: "",
    picked: Collection[str] = (),
    stale: Collection[str] = (),
) -> frozenset[str]:
    """The ids of the jobs that the selectors mean; all of them when there is none.

    `picked` and `stale` hold ids of jobs or of whole cells.

    Raises:
        UsageError: a selector matches nothing, or no job fits all of them; the nearest names are given.
    """
    if not texts:
        return frozenset(job.id for job in jobs)
    facets = _facets(jobs, state_of)
    chosen: dict[str, set[str]] = {}
    for text in texts:
        facet, ids = _one(text, jobs, facets, {"picked": frozenset(picked), "stale": frozenset(stale)})
        chosen.setdefault(facet, set()).update(ids)
    both = frozenset.intersection(*map(frozenset, chosen.values()))
    if not both:
        raise UsageError(
            f"no job fits all of: {' '.join(texts)}",
            code="selector",
            help="values of one facet unite, different facets intersect",
        )
    return both


def _facets(jobs: Sequence[Job], state_of: Callable[[Job], str]) -> Facets:
    """The facets of these jobs: the named ones, and each matrix axis by its name."""
    axes = dict.fromkeys(axis for job in jobs for axis, _ in job.values)

    def values_of(axis: str) -> Callable[[Job], Iterable[str]]:
        return lambda job: [value for name, value in job.values if name == axis]

    return {axis: values_of(axis) for axis in axes} | {
        "character": lambda job: (job.character,),
        "motion": lambda job: (job.motion,),
        "shot": lambda job: (job.shot,),
        "tag": lambda job: job.tags,
        "state": lambda job: (state_of(job),),
    }


def _one(text: str, jobs: Sequence[Job], facets: Facets, marked: Mapping[str, frozenset[str]]) -> tuple[str, set[str]]:
    """One selector's facet and its jobs."""
    if text in marked:
        ids = {job.id for job in jobs if job.id in marked[text] or job.cell in marked[text]}
        if ids:
            return text, ids
        if all(text != job.shot for job in jobs):
            raise UsageError(f"no job is {text}", code="selector", help=_MARKS[text])
    name, colon, value = text.partition(":")
    if colon:
        return name, _by_facet(text, name, value, jobs, facets)
    return "", _by_id(text, jobs, facets)


def _by_facet(text: str, name: str, value: str, jobs: Sequence[Job], facets: Facets) -> set[str]:
    """The jobs with a value (or a value that matches the glob) in a facet."""
    if name not in facets:
        raise UsageError(
            f"'{text}' names no facet{did_you_mean(name, facets)}",
            code="selector",
            help=f"facets here: {', '.join([*(f'{facet}:' for facet in sorted(facets)), *_MARKS])}",
        )
    values_of = facets[name]
    known = {each for job in jobs for each in values_of(job)}
    wanted = {each for each in known if fnmatchcase(each, value)} | ({value} & known)
    if not wanted:
        nothing = f"no job here has a {name}" if jobs else "there are no jobs"
        help_ = _nearest(value, known, f"{name}: has here", nothing)
        raise UsageError(f"'{text}' matches no job", code="selector", help=help_)
    return {job.id for job in jobs if not wanted.isdisjoint(values_of(job))}


def _by_id(text: str, jobs: Sequence[Job], facets: Facets) -> set[str]:
    """The jobs whose id begins with these path components, or fits the glob."""
    path = text.rstrip("/")
    if _GLOB.search(path):
        ids = _by_glob(path, jobs)
    else:
        ids = {job.id for job in jobs if job.id == path or job.id.startswith(f"{path}/")}
    if ids:
        return ids
    for name in ("character", "motion", "tag"):
        if any(path in facets[name](job) for job in jobs):
            raise UsageError(f"'{text}' matches no job id", code="selector", help=f"did you mean {name}:{path}?")
    depth = path.count("/") + 1
    known = {"/".join(job.id.split("/")[:depth]) for job in jobs}
    help_ = _nearest(path, known, "ids here", "there are no jobs")
    raise UsageError(f"'{text}' matches no job", code="selector", help=help_)


def _by_glob(pattern: str, jobs: Sequence[Job]) -> set[str]:
    """Component by component from the left, like a prefix; only if that finds nothing, over the whole id.

    So `*/fox/*` means the character and not a motion of the same name, and `*/t01` still finds all first takes.
    """
    parts = [re.compile(translate(part)) for part in pattern.split("/")]

    def begins(job: Job) -> bool:
        components = job.id.split("/")
        return len(components) >= len(parts) and all(
            part.match(component) for part, component in zip(parts, components, strict=False)
        )

    whole = re.compile(translate(pattern))
    return {job.id for job in jobs if begins(job)} or {job.id for job in jobs if whole.match(job.id)}


def _nearest(word: str, known: Collection[str], title: str, nothing: str) -> str:
    """The names that come near, else a few of those that exist; `nothing` where there is none."""
    from difflib import get_close_matches

    hits = get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    if hits:
        return f"did you mean {' or '.join(hits)}?"
    few = sorted(known)[:8]
    return f"{title}: {', '.join(few)}{', …' if len(known) > len(few) else ''}" if few else nothing
