"""Selectors: what they mean, how they combine, and what an error proposes."""

from __future__ import annotations

import contextlib
import time

import pytest

from kling_render.errors import UsageError
from kling_render.planning.selectors import select
from kling_render.shotlist.records import Job
from tests.planning.build import job

ROOF, METRO = {"place": "roof"}, {"place": "metro"}
JOBS = [
    job("sc010", "fox", "wave", values=ROOF, tags=("hero",)),
    job("sc010", "fox", "wave", take=2, values=ROOF, tags=("hero",)),
    job("sc010", "robot", "wave", values=METRO),
    job("sc010", "robot", "fox", values=ROOF),
    job("sc020", "fox", "spin"),
    job("sc0200", "fox", "spin"),
]
STATES = {"sc020/fox/spin/t01": "failed", "sc0200/fox/spin/t01": "failed"}


def state_of(of: Job) -> str:
    return STATES.get(of.id, "done")


def chosen(*texts: str) -> set[str]:
    found = select(JOBS, texts, state_of=state_of, picked={"sc010/fox/wave/roof"}, stale={"sc020/fox/spin/t01"})
    return {short(id_) for id_ in found}


def short(id_: str) -> str:
    """A job's number in the list."""
    return str([j.id for j in JOBS].index(id_))


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        ((), "012345"),
        (("sc010",), "0123"),
        (("sc010/",), "0123"),
        (("sc020",), "4"),
        (("sc010/fox",), "01"),
        (("sc010/fox/wave/roof/t02",), "1"),
        (("sc010/fox", "sc020"), "014"),
        (("*/fox/*",), "0145"),
        (("sc02*",), "45"),
        (("sc0?0",), "01234"),
        (("sc01[0-5]/robot",), "23"),
        (("*/t02",), "1"),
        (("*t02",), "1"),
        (("character:fox",), "0145"),
        (("character:f*",), "0145"),
        (("motion:fox",), "3"),
        (("motion:wave", "motion:spin"), "01245"),
        (("shot:sc020",), "4"),
        (("tag:hero",), "01"),
        (("state:failed",), "45"),
        (("place:roof",), "013"),
        (("picked",), "01"),
        (("stale",), "4"),
        (("character:fox", "motion:wave"), "01"),
        (("character:fox", "character:robot", "motion:wave"), "012"),
        (("sc010", "sc020", "character:fox"), "014"),
        (("picked", "*/t02"), "1"),
    ],
)
def test_a_selector_means_these_jobs(texts: tuple[str, ...], numbers: str) -> None:
    """Values of one facet unite, different facets intersect; ids, prefixes and globs are one facet."""
    assert chosen(*texts) == set(numbers)


@pytest.mark.parametrize(
    ("text", "message", "proposal"),
    [
        ("sc030", "'sc030' matches no job", "sc020"),
        ("sc01", "'sc01' matches no job", "sc010"),
        ("SC010", "'SC010' matches no job", "sc0"),
        ("sc010/fix", "'sc010/fix' matches no job", "did you mean sc010/fox"),
        ("fox", "'fox' matches no job id", "did you mean character:fox?"),
        ("hero", "'hero' matches no job id", "did you mean tag:hero?"),
        ("*/wolf/*", "'*/wolf/*' matches no job", ""),
        ("caracter:fox", "'caracter:fox' names no facet; did you mean 'character'?", "facets here: character:"),
        ("character:fxo", "'character:fxo' matches no job", "did you mean fox?"),
        ("state:running", "'state:running' matches no job", "state: has here: done, failed"),
        ("", "'' matches no job", ""),
        ("/", "'/' matches no job", ""),
        ("(", "'(' matches no job", ""),
        ("[", "'[' matches no job", ""),
    ],
)
def test_a_selector_that_matches_nothing_is_an_error(text: str, message: str, proposal: str) -> None:
    """It never means "nothing to do"; the nearest names are given."""
    with pytest.raises(UsageError) as caught:
        chosen("sc010", text)
    assert caught.value.exit_code == 2
    assert message in caught.value.message
    assert proposal in caught.value.help


@pytest.mark.parametrize("word", ["picked", "stale"])
def test_no_picked_or_stale_job_is_an_error_too(word: str) -> None:
    """The same rule holds for the two words."""
    with pytest.raises(UsageError, match=f"no job is {word}") as caught:
        select(JOBS, [word])
    assert "picked" in caught.value.help
    assert select([*JOBS, job(word)], [word]) == {f"{word}/fox/wave/t01"}  # a shot may have that name


def test_a_facet_that_no_job_has_says_so() -> None:
    """Tags where nobody has any; only an empty list has no jobs."""
    with pytest.raises(UsageError) as untagged:
        select([job()], ["tag:hero"])
    assert untagged.value.help == "no job here has a tag"
    for text in ("tag:hero", "sc010", "*"):
        with pytest.raises(UsageError) as empty:
            select([], [text])
        assert empty.value.help == "there are no jobs"


def test_selectors_that_exclude_each_other_are_an_error() -> None:
    """Each matches something, all together nothing."""
    with pytest.raises(UsageError, match="no job fits all of: sc020 tag:hero"):
        chosen("sc020", "tag:hero")


def test_ten_thousand_jobs_and_a_bad_pattern_are_quick() -> None:
    """Globs and proposals stay far from quadratic, whatever the pattern."""
    jobs = [job(f"s{n}") for n in range(10_000)]
    began = time.process_time()
    for text in ("*a*a*a*a*a*a*a*a*a*a*a*b", "s9999x", "s*"):
        with contextlib.suppress(UsageError):
            select(jobs, [text])
    assert time.process_time() - began < 3
