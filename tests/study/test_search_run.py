"""Searches on landscapes: what they pay, deliver and believe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aflow_verl.study.arms import ARMS, Arm, CriticSpec
from aflow_verl.study.critics import Constant, Critic, Oracle, ShownScore
from aflow_verl.study.families import FAMILIES, Family
from aflow_verl.study.landscapes import Landscape
from aflow_verl.study.policies import Odds
from aflow_verl.study.search_run import Trace, run_search

SMALL = Family("small", "", "additive", edits=4, good=2, harmful=1, problems=10, base=0.5, gain=0.4)


def search(arm: Arm, land: Landscape, critic: Critic | None = None, evaluations: float = 30, **rest: float) -> Trace:
    policy = Odds(land, arm.policy.odds)
    return run_search(land, arm, policy, critic, evaluations=evaluations, seed=0, **rest)


@pytest.mark.parametrize("name", ["aflow", "w4s", "greedy", "default", "puct", "thompson"])
def test_a_full_evaluation_costs_one_and_the_seed_is_the_first(name: str) -> None:
    land = Landscape(FAMILIES["realistic_60"], 0)
    trace = search(ARMS[name], land)
    assert trace.spent == 30.0
    assert trace.edits >= 29  # a workflow that is known costs nothing
    assert (trace.costs[0], trace.scores[0]) == (1.0, land.score(0))
    assert all(float(cost).is_integer() for cost in trace.costs)
    assert list(trace.costs) == sorted(trace.costs)


def test_a_search_ends_where_nothing_is_left_to_try() -> None:
    land = Landscape(SMALL, 0)
    trace = search(ARMS["default"], land, evaluations=100)
    assert trace.spent == 16.0  # all workflows of four edits
    assert trace.edits == 64  # each edit of each of them


def test_a_workflow_without_edits_left_is_not_chosen() -> None:
    land = Landscape(replace(SMALL, undo=False), 0)
    trace = search(ARMS["default"], land, evaluations=100)
    assert trace.spent == 16.0
    assert trace.edits == 32  # an edit that is on can't be taken back


def test_a_race_pays_for_fewer_results() -> None:
    land = Landscape(FAMILIES["realistic_60"], 0)
    full, raced = search(ARMS["default"], land), search(ARMS["race"], land)
    assert raced.spent <= 30.0
    assert raced.edits > 1.5 * full.edits


def test_proposals_may_have_a_price() -> None:
    land = Landscape(FAMILIES["realistic_60"], 0)
    assert search(ARMS["default"], land, proposal_cost=1.0).edits < search(ARMS["default"], land).edits * 0.6


def test_searches_repeat_exactly() -> None:
    arm = ARMS["policy_2_screen_race"]
    traces = [search(arm, land, Oracle(land, 0.5, "common", 0)) for land in (Landscape(FAMILIES["pair"], 2),) * 2]
    assert traces[0] == traces[1]


def test_a_policy_of_good_odds_finds_more() -> None:
    lands = [Landscape(FAMILIES["realistic_260"], seed) for seed in range(6)]
    plain = np.mean([search(ARMS["default"], land).scores[-1] for land in lands])
    guided = np.mean([search(ARMS["policy_5"], land).scores[-1] for land in lands])
    assert guided > plain


@pytest.mark.parametrize("critic", [ShownScore(), Constant(0.3)])
def test_critics_without_knowledge_earn_no_say(critic: Critic) -> None:
    land = Landscape(FAMILIES["realistic_60"], 0)
    trace = search(replace(ARMS["default"], search=ARMS["shown"].search, critic=CriticSpec("shown")), land, critic)
    assert max(trace.weight_E) == 0.0
    assert trace.changed_by_q == 0
    assert trace.scores == search(ARMS["default"], land).scores


def test_an_exact_critic_earns_a_say() -> None:
    weights = []
    for seed in range(4):
        land = Landscape(FAMILIES["gsm8k"], seed)
        weights.append(search(ARMS["oracle_100"], land, Oracle(land, 1.0, "independent", 0), 60).weight_E[-1])
    assert np.mean(weights) > 0.1


def test_oracles_have_the_correlation_that_they_are_asked_for() -> None:
    land = Landscape(FAMILIES["realistic_60"], 0)
    rng = np.random.default_rng(1)
    masks = [int(mask) for mask in {sum(1 << int(e) for e in rng.choice(30, rng.integers(0, 6))) for _ in range(800)}]
    truth = [land.promise(mask) for mask in masks]
    for correlation in (0.0, 0.5, 1.0, -1.0):
        oracle = Oracle(land, correlation, "independent", 0)
        values = oracle.nodes(masks, [0.0] * len(masks), None)  # type: ignore[arg-type]
        assert np.corrcoef(values, truth)[0, 1] == pytest.approx(correlation, abs=0.1)


def test_common_errors_are_the_same_wherever_an_edit_is_made() -> None:
    land = Landscape(SMALL, 0)
    oracle = Oracle(land, 0.0, "common", 0)
    here, there = (oracle.edits(mask, [3], 0.0, None) for mask in (0, 1))  # type: ignore[arg-type]
    assert here == there
