"""Some lives of a desk, and that each safeguard whose loss they are to show is shown by one of them. The long
form is `scripts/simulate.py`."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, without
from tests.simulation.run import play

SEEDS = (0, 2, 7, 18)
TRIED = MUTANTS[1:4]
"""The others are tried by `scripts/simulate.py --mutants`."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_desk_lives_through_what_its_seed_has_for_it(seed):
    verdict = play(seed)
    assert not verdict.found, f"scripts/simulate.py --seed {seed} --trace shows it"


def test_the_same_seed_is_the_same_history():
    assert play(5, traced=True).history == play(5, traced=True).history


@pytest.mark.parametrize("mutant", TRIED, ids=lambda mutant: mutant.name)
def test_without_a_safeguard_its_seed_fails(mutant):
    assert not play(mutant.seed).found  # and its control, which is kept, is made with the safeguard
    with without(mutant):
        verdict = play(mutant.seed)
    assert verdict.found
