"""Landscapes: scores, optimum and values against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aflow_verl.study.families import FAMILIES, Family
from aflow_verl.study.landscapes import GAMMA, Landscape

LADDER = Family("steps", "", "ladder", edits=6, good=3, harmful=1, harm=(0.1, 0.1), gain=0.3, common=1.0)


def on(*edits: int) -> int:
    return sum(1 << edit for edit in edits)


def test_a_ladder_pays_for_each_step_that_follows_the_ones_before() -> None:
    land = Landscape(LADDER, 0)
    a, b, c = land.good
    (bad,) = land.cost
    assert land.score(0) == 0.5
    assert land.score(on(a)) == pytest.approx(0.6)
    assert land.score(on(b, c)) == pytest.approx(0.5)
    assert land.score(on(a, c)) == pytest.approx(0.6)
    assert land.score(on(a, b, c)) == pytest.approx(0.8)
    assert land.score(on(a, bad)) == pytest.approx(0.5)
    assert land.optimum == pytest.approx(0.8)


def test_the_value_is_the_gain_left_discounted_by_the_edits_that_it_takes() -> None:
    land = Landscape(LADDER, 0)
    a, b, c = land.good
    (bad,) = land.cost
    assert land.reachable(on(bad)) == (pytest.approx(0.8), 4)
    assert land.value(0) == pytest.approx(GAMMA**2 * 0.3)
    assert land.value(on(bad)) == pytest.approx(GAMMA**3 * 0.4)
    assert land.value(on(a, b, c)) == 0.0
    assert land.promise(on(a, b)) == pytest.approx(0.8)
    assert land.edit_promise(on(a, b), c) == pytest.approx(0.8)
    assert land.edit_promise(on(a), b) == pytest.approx(0.7 + GAMMA * 0.1)


def test_labels_say_whether_the_optimum_comes_nearer() -> None:
    land = Landscape(LADDER, 0)
    a, _, c = land.good
    (bad,) = land.cost
    neutral = next(e for e in range(6) if e not in (*land.good, bad))
    assert [land.label(0, edit) for edit in (a, c, bad, neutral)] == [1, 1, -1, 0]
    assert land.label(on(a), a) == -1
    assert land.label(on(bad), bad) == 1


def test_a_trap_pays_at_once_and_has_to_be_undone() -> None:
    land = Landscape(replace(FAMILIES["deceptive"], harm=(0.05, 0.05)), 3)
    assert land.trap is not None
    trap = on(land.trap)
    assert land.score(trap) == pytest.approx(0.5 + 0.35 * 0.5)
    assert max(land.score(on(edit)) for edit in land.good) < land.score(trap)
    assert land.reachable(trap) == (pytest.approx(0.85), 4)
    assert land.label(0, land.trap) == -1
    assert land.label(trap, land.trap) == 1


def test_dead_ends_can_not_be_undone() -> None:
    land = Landscape(replace(FAMILIES["dead_ends"], harm=(0.05, 0.05)), 3)
    assert land.trap is not None
    trap, bad = on(land.trap), on(next(iter(land.cost)))
    assert land.reachable(trap) == (pytest.approx(0.675), 0)
    assert land.value(trap) == 0.0
    assert land.reachable(bad) == (pytest.approx(0.8), 3)
    assert land.trap not in land.edits(trap)
    assert land.label(0, land.trap) == -1


def test_a_crash_solves_nothing_until_it_is_undone() -> None:
    land = Landscape(FAMILIES["gsm8k"], 0)
    crash = on(next(iter(land.crashing)))
    assert land.score(crash) == 0.0
    assert not land.results(crash).any()
    assert land.reachable(crash)[0] == pytest.approx(0.862)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_optimum_of_each_family_is_what_its_row_says(name: str) -> None:
    family = FAMILIES[name]
    land = Landscape(family, 0)
    assert land.score(0) == pytest.approx(family.base)
    assert land.optimum == pytest.approx(family.base + family.gain)
    assert land.value(0) > 0.0


def test_the_mean_result_is_the_score_and_workflows_share_what_is_hard() -> None:
    land = Landscape(replace(FAMILIES["realistic_260"], problems=20_000), 0)
    neutral = next(e for e in range(30) if land.score(on(e)) == land.score(0))
    own, other = land.results(0), land.results(on(neutral))
    assert own.mean() == pytest.approx(0.9, abs=0.01)
    assert np.corrcoef(own, other)[0, 1] > 0.3
    assert (own != other).mean() > 0.05


@pytest.mark.parametrize(("name", "score", "sd"), [("gsm8k", 0.817, 0.238), ("math", 0.51, 0.38), ("drop", 0.6, 0.156)])
def test_calibrated_families_have_the_recorded_noise(name: str, score: float, sd: float) -> None:
    family = replace(FAMILIES[name], base=score, gain=0.01, problems=20_000)
    land = Landscape(family, 1)
    neutral = [e for e in range(family.edits) if land.score(on(e)) == score]
    difference = land.results(0) - land.results(on(neutral[0]))
    assert difference.std() == pytest.approx(sd, rel=0.08)


def test_everything_follows_from_the_seed() -> None:
    one, same, other = (Landscape(FAMILIES["ladder"], seed) for seed in (5, 5, 6))
    assert (one.results(3) == same.results(3)).all()
    assert one.good == same.good
    assert (one.results(3) != other.results(3)).any()


def test_most_edits_keep_their_role_in_all_landscapes_of_a_family() -> None:
    lands = [Landscape(FAMILIES["realistic_60"], seed) for seed in range(40)]
    usual = max({land.good[0] for land in lands}, key=[land.good[0] for land in lands].count)
    kept = np.mean([land.good[0] == usual for land in lands])
    assert 0.5 < kept < 0.95
    assert len({Landscape(LADDER, seed).good for seed in range(10)}) == 1  # common = 1


def test_the_projects_tree_knows_a_workflow_by_its_edits() -> None:
    land = Landscape(LADDER, 0)
    assert land.state(on(1, 2)).hash == land.state(on(2, 1)).hash != land.state(on(1)).hash
