"""A pilot shows everything once, with as few cells as can be."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kling_render.planning.pilot import pilot
from kling_render.shotlist.records import Job
from tests.planning.build import job

ROOT = Path(__file__).parents[2]


def traits(one: Job) -> set[tuple[str, str]]:
    return {("C", one.character), ("M", one.motion), *one.values}


def shown(jobs: list[Job] | tuple[Job, ...]) -> set[tuple[str, str]]:
    return {trait for one in jobs for trait in traits(one)}


def ids(jobs: tuple[Job, ...]) -> list[str]:
    return [one.id for one in jobs]


def cell_id(cell: tuple[str, str, str, dict[str, str]]) -> str:
    """An id names values, not axes."""
    shot, character, motion, values = cell
    return "/".join([shot, character, motion, *(values[axis] for axis in sorted(values))])


cells = st.lists(
    st.tuples(
        st.sampled_from(["s1", "s2"]),
        st.sampled_from("abcd"),
        st.sampled_from("wxyz"),
        st.dictionaries(st.sampled_from(["place", "light"]), st.sampled_from(["p", "q", "r"]), max_size=2),
    ),
    min_size=1,
    max_size=12,
    unique_by=cell_id,
).map(lambda found: [job(s, c, m, values=dict(sorted(values.items()))) for s, c, m, values in found])


@settings(max_examples=150, deadline=None)
@given(cells)
def test_a_pilot_shows_everything_and_nothing_in_it_can_be_left_out(jobs: list[Job]) -> None:
    """It covers every character, motion and axis value; without any one of its cells it would not."""
    chosen = pilot(jobs)
    assert shown(chosen) == shown(jobs)
    for left_out in chosen:
        assert shown([one for one in chosen if one is not left_out]) != shown(jobs)


@settings(max_examples=80, deadline=None)
@given(cells)
def test_no_smaller_selection_shows_everything(jobs: list[Job]) -> None:
    """For small lists the answer is exact."""
    size = len(pilot(jobs))
    assert not any(shown(few) == shown(jobs) for few in combinations(jobs, size - 1))


@settings(max_examples=50, deadline=None)
@given(cells)
def test_a_pilot_of_a_pilot_is_itself(jobs: list[Job]) -> None:
    """Rendering a pilot twice renders nothing new."""
    assert pilot(pilot(jobs)) == pilot(jobs) == pilot(list(jobs))


def test_a_full_matrix_needs_as_many_cells_as_its_longest_axis() -> None:
    """Five characters, three motions and two places: five cells, the first of the list among them."""
    jobs = [job("s", c, m, values={"place": p}) for c in "abcde" for m in "wxy" for p in "pq"]
    chosen = pilot(jobs)
    assert len(chosen) == 5
    assert chosen[0] is jobs[0]


def test_of_each_cell_the_lowest_take_is_rendered_and_the_order_of_the_list_is_kept() -> None:
    """A pilot shows a cell once."""
    jobs = [job("s", c, "w", take=take) for c in "ba" for take in (2, 1, 3)]
    assert ids(pilot(jobs)) == ["s/b/w/t01", "s/a/w/t01"]


def test_the_greedy_choice_is_improved_where_fewer_cells_do() -> None:
    """The cell that shows most at first is no good here."""
    wide = job("s", "a", "w", values={"place": "p", "light": "q"})
    others = [
        job("s", "a", "w", values={"place": "p", "light": "r"}),
        job("s", "b", "x", values={"place": "r", "light": "q"}),
    ]
    assert ids(pilot([wide, *others])) == ids(tuple(others))


def test_an_empty_list_has_an_empty_pilot() -> None:
    """Nothing to show."""
    assert pilot([]) == ()


def test_a_large_list_is_quick_and_covered() -> None:
    """A thousand cells without any order: greedy answers, the search gives up by count."""
    jobs = [
        job("s", f"c{(i * 7919) % 61}", f"m{(i * 104729) % 53}", values={"place": f"p{(i * 31) % 17}"})
        for i in range(1000)
    ]
    jobs = list({one.cell: one for one in jobs}.values())
    assert shown(pilot(jobs)) == shown(jobs)


def test_the_hash_seed_does_not_matter() -> None:
    """Two processes with different seeds choose the same cells."""
    script = (
        "from tests.planning.build import job\nfrom kling_render.planning.pilot import pilot\n"
        "jobs=[job('s',f'c{i*7%11}',f'm{i*5%9}',values={'place':f'p{i*3%7}'}) for i in range(60)]\n"
        "print(*[one.id for one in pilot(jobs)])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
