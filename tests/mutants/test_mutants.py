"""A suite that cannot fail proves nothing: every broken rule must be noticed."""

from __future__ import annotations

import pytest

from tests.mutants.trial import Mutant, mutants, outcome


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_the_mutant_is_killed(mutant: Mutant) -> None:
    """By the tests that its patch names."""
    killed, by = outcome(mutant)
    assert killed, f"{mutant.claim}\n{by}"
