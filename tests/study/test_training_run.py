"""Simulated training steps: what reaches the rows, and what is measured of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from aflow_verl.config import GigpoConfig
from aflow_verl.study.training import Shape, Simulation, advantages, simulate
from aflow_verl.study.training_critics import CRITICS, Asked, honesty
from aflow_verl.study.training_measures import calibration, drift, over_seeds, separation, signal, spread, summary
from aflow_verl.study.useless import challenge_with_useless
from aflow_verl.study.world import EditKind, World

HELPFUL = (EditKind("good", 1.0, fixes=0.5), EditKind("bad", 1.0, fixes=0.1))
SMALL = Shape(problems=16, steps=4, rows=8, sessions=8, edits=3)


@pytest.fixture(scope="module")
def found() -> Simulation:
    return simulate(World(), SMALL, seed=7)


def test_a_row_tells_what_the_edit_did_in_truth(found: Simulation) -> None:
    assert len(found.rows) > 3 * SMALL.rows * SMALL.sessions
    for row in found.rows:
        if row.child_id is None:
            assert row.gain == 0.0
            assert row.target.invalid or row.target.neutral
        else:
            assert row.gain == pytest.approx(found.truth.score(row.child_id) - found.truth.score(row.node_id))
    assert {row.gain for row in found.rows if row.kind == "cosmetic"} == {0.0}


def test_prompts_tell_of_edits_from_the_second_step_on(found: Simulation) -> None:
    assert all(row.told == 0.0 for row in found.rows if row.step == 1)
    assert any(row.told != 0.0 for row in found.rows if row.step > 1)


def test_the_same_seed_gives_the_same_run(found: Simulation) -> None:
    again = simulate(World(), SMALL, seed=7)
    assert again.rows == found.rows
    assert again.confirmed == found.confirmed


def test_advantages_are_those_of_the_estimator(found: Simulation) -> None:
    made = advantages(found.rows, found.shape)
    twice = advantages(found.rows, replace(found.shape, gigpo=GigpoConfig(omega=2.0)))
    assert made.total_N == pytest.approx(made.episode_N + made.step_N)
    assert twice.total_N == pytest.approx(made.episode_N + 2.0 * made.step_N)
    stops = np.array([row.target.neutral for row in found.rows])
    assert stops.any()
    assert not made.total_N[stops].any()


def test_the_signal_is_there(found: Simulation) -> None:
    numbers = signal(found)
    assert numbers["A/correlation"] > 0.2
    assert numbers["A/ratio"] > 0.6
    assert numbers["mean/bad"] < 0.0 < numbers["mean/good"]
    assert numbers["mean/stop"] == 0.0


def test_invalid_replies_do_not_make_bad_edits_look_good() -> None:
    numbers = signal(simulate(World(invalid=0.6), SMALL, seed=7))
    assert numbers["mean/invalid"] < numbers["mean/bad"] < 0.0


def test_a_world_without_effects_carries_no_signal() -> None:
    still = tuple(EditKind(kind.name, kind.share) for kind in World().edits)
    found = simulate(World(edits=still), replace(SMALL, steps=3), 0)
    valid = np.array([row.valid for row in found.rows])
    assert {row.reward for row in found.rows if row.valid} == {0.0}
    assert advantages(found.rows, SMALL).total_N[valid] == pytest.approx(0.0)  # penalties are in no baseline


def test_rows_spread_and_x_is_honest(found: Simulation) -> None:
    spreading, calibrated = spread(found), calibration(found)
    assert spreading["largest"] <= 0.25
    assert spreading["children"] <= spreading["limit"]
    assert abs(calibrated["bias"]) < 0.05
    assert calibrated["coverage"] > 0.9
    assert calibrated["correlation"] > 0.1


def test_the_way_to_the_best_workflow(found: Simulation) -> None:
    numbers = drift(found)
    best = max(found.truth.score(node.id) for node in found.tree)
    seed = found.truth.score(found.tree.root_id)
    assert numbers["possible"] == pytest.approx(best - seed)
    believed = found.truth.score(found.tree.best().id)
    assert numbers["believed/way"] == pytest.approx((believed - seed) / (best - seed))
    assert numbers["confirmed/above"] == float(found.truth.score(found.confirmed) > seed)


def test_separation_by_hand() -> None:
    # good 3, bad 1, other 2: (3 - 1) / sqrt(2 / 3)
    assert separation(np.array([3.0, 1.0, 2.0]), np.array(["good", "bad", "x"])) == pytest.approx(2 / math.sqrt(2 / 3))
    assert math.isnan(separation(np.array([3.0, 2.0]), np.array(["good", "x"])))


def test_intervals_over_seeds() -> None:
    # 1, 2, 3: mean 2, standard error 1 / sqrt 3, t of 2 degrees of freedom 4.3027; what is not known is left out
    found = over_seeds([1.0, 2.0, 3.0, math.nan])
    assert (found.mean, found.low, found.n) == (2.0, pytest.approx(2.0 - 4.3027 / math.sqrt(3), abs=1e-4), 3)
    assert over_seeds([1.0]).high == math.inf
    assert math.isnan(over_seeds([math.nan]).mean)
    assert summary([{"a": 1.0}, {"a": 3.0}])["a"].mean == 2.0


def test_critics_that_know_nothing_earn_nothing(found: Simulation) -> None:
    numbers = honesty(found, seed=0)
    for name in ("repeats the shown score", "constant", "inverted oracle (-0.5)"):
        assert numbers[f"{name}/100"] < 0.01
    for name in ("pure noise", "noise, the same for all edits of a workflow"):
        assert numbers[f"{name}/100/alarms"] < 0.2
    assert numbers["oracle of 0.9/400"] > numbers["pure noise/400"] + 0.05


def test_an_oracle_has_the_correlation_that_it_is_given(found: Simulation) -> None:
    asked = Asked(found)
    promise_N = CRITICS["oracle of 0.9"](asked, np.random.default_rng(0))
    assert np.corrcoef(promise_N, asked.true_N)[0, 1] == pytest.approx(0.9, abs=0.03)


def test_useless_challengers_leave_the_seed_where_it_is() -> None:
    numbers = [challenge_with_useless(World(), seed) for seed in range(3)]
    assert all(found["challengers"] == 200 for found in numbers)
    assert sum(found["gain"] for found in numbers) / 3 > -0.005
    assert challenge_with_useless(World(edits=HELPFUL), 0) == {}
