"""Laws of the expansion that hold for every shot."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shotlist.build import added, character, jobs_of, match, motion, project, shot

LAWS = settings(derandomize=True, database=None, max_examples=60, deadline=None)
NAMES = ["alpha", "beta", "gamma", "delta"]
some = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)
axes = st.dictionaries(st.sampled_from(["place", "light", "pace"]), some, max_size=3)
PROMPT = "{{ character.name }} {{ motion.verb }} {{ vars }} {{ take }}"


def declared(who, what, one):
    return project(
        one, characters=[character(i, f"the {i}") for i in who], motions=[motion(i, verb=f"does {i}") for i in what]
    )


@LAWS
@given(some, some, axes, st.integers(1, 3), st.data())
def test_jobs_are_the_product_without_the_excluded_with_the_added(who, what, matrix, takes, data):
    excluded = data.draw(st.sets(st.tuples(st.sampled_from(who), st.sampled_from(what))))
    points = 1
    for values in matrix.values():
        points *= len(values)
    first = {name: values[0] for name, values in matrix.items()}
    readmitted = data.draw(st.sets(st.sampled_from(sorted(excluded)))) if excluded else set()
    one = shot(
        prompt="x",
        takes=takes,
        matrix=matrix,
        exclude=[match(n, character=c, motion=m) for n, (c, m) in enumerate(sorted(excluded), 10)],
        add=[added(character=c, motion=m, **first) for c, m in sorted(readmitted)],
    )
    jobs = jobs_of(declared(who, what, one))
    assert len(jobs) == ((len(who) * len(what) - len(excluded)) * points + len(readmitted)) * takes


@LAWS
@given(some, some, axes, st.integers(1, 3))
def test_ids_and_paths_are_unique(who, what, matrix, takes):
    declarations = declared(who, what, shot(takes=takes, matrix=matrix))
    from tests.shotlist.build import expanded

    jobs = expanded(declarations).project.jobs
    assert len({job.id for job in jobs}) == len(jobs)
    assert len({job.output for job in jobs} | {job.final for job in jobs}) == len(jobs) + len(
        {job.cell for job in jobs}
    )


@LAWS
@given(some, some, axes, st.data())
def test_a_further_value_leaves_every_other_job_as_it_was(who, what, matrix, data):
    before = jobs_of(declared(who, what, shot(prompt=PROMPT, matrix=matrix)))
    axis = data.draw(st.sampled_from(["character", "motion", *matrix]))
    if axis == "character":
        who = [*who, "further"]
    elif axis == "motion":
        what = [*what, "further"]
    else:
        matrix = matrix | {axis: [*matrix[axis], "further"]}
    after = jobs_of(declared(who, what, shot(prompt=PROMPT, matrix=matrix)))
    assert len(after) > len(before)
    assert {i: after[i] for i in before} == before


@LAWS
@given(some, some, axes, st.randoms(use_true_random=False))
def test_the_order_of_lists_does_not_change_ids_or_requests(who, what, matrix, chance):
    before = jobs_of(declared(who, what, shot(prompt=PROMPT, matrix=matrix)))
    shuffled = {name: chance.sample(values, len(values)) for name, values in matrix.items()}
    one = shot(prompt=PROMPT, matrix=shuffled)
    after = jobs_of(declared(chance.sample(who, len(who)), chance.sample(what, len(what)), one))
    assert {i: job.request for i, job in after.items()} == {i: job.request for i, job in before.items()}
