"""A learned policy and critic: trained by the project's environment, and of use on landscapes never seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aflow_verl.search.tree import Tree
from aflow_verl.study.arms import ARMS
from aflow_verl.study.families import Family
from aflow_verl.study.knowledge import Experience, Knowledge, bits, edit_features, made_features, node_features
from aflow_verl.study.landscapes import Landscape
from aflow_verl.study.learned import Learned, LearnedCritic, LearnedPolicy, Linear, Training, from_json, to_json
from aflow_verl.study.learning import ridge, run_step, targets, train
from aflow_verl.study.policies import Odds
from aflow_verl.study.search_run import run_search

EASY = Family(
    "easy", "", "additive", edits=8, good=2, harmful=3, crashing=1, problems=24, base=0.4, gain=0.4, common=1.0
)
BRIEF = Training(landscapes=3, steps=4, rows=4, sessions=4, edits=3)


@pytest.fixture(scope="module")
def learned() -> Learned:
    return train(EASY, BRIEF)


def test_bits_are_the_edits_that_are_on() -> None:
    assert bits([0b101, 1 << 63], 64)[:, [0, 1, 2, 63]].tolist() == [[1, 0, 1, 0], [0, 0, 0, 1]]


def test_experience_is_the_shrunk_gain_of_turning_an_edit_on() -> None:
    land = Landscape(EASY, 0)
    tree = Tree.seed(land.state(0), dict.fromkeys("abcd", 0.0)).overlay()
    tree.add_child(tree.root_id, land.state(0b1), "0", {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0})
    tree.add_child(land.state(0b1).hash, land.state(0b11), "1", {"a": 1.0, "b": 1.0})
    tree.add_child(land.state(0b11).hash, land.state(0b10), "0", {"a": 0.0, "b": 1.0})  # off again
    kappa = tree.estimates().kappa
    experience = Knowledge(tree, EASY.edits).experience
    assert experience.gain_A[0] == pytest.approx((1.0 + 1.0) / (4 + 2 + kappa))
    assert experience.gain_A[1] == pytest.approx(1.0 / (2 + kappa))
    assert experience.evidence_A[:3] == pytest.approx([6 / (6 + kappa), 2 / (2 + kappa), 0.0])


def test_features_see_an_edit_from_both_sides() -> None:
    experience = Experience(np.array([0.1, -0.1, 0.0]), np.array([0.5, 0.5, 0.0]), tau=0.05)
    features = edit_features(0b001, [0, 1], experience)
    assert features[0].tolist() == [0, 0, 0, 1, 0, 0, 1, -2.0, 0.5]  # would be turned off
    assert features[1].tolist() == [0, 1, 0, 0, 0, 0, 0, -2.0, 0.5]
    assert node_features([0b010], [0.4], experience)[0] == pytest.approx([0.4, 0.2, 0.1, 1, 0, 1, 0])
    made = made_features(0b010, [1], 0.4, experience)[0]
    assert made == pytest.approx([0.1, 0.5, 0.4, 0.1, 0.1, 0, 0, 0, 0])


def test_ridge_finds_a_line_and_ignores_what_never_changes() -> None:
    features = np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0]])
    found = ridge([(features, np.array([1.0, 3.0, 5.0]))], 1e-9)
    assert found.weight_F == pytest.approx([2.0, 0.0])
    assert found(np.array([[5.0, 0.0]])) == pytest.approx([11.0])


def test_a_step_is_made_of_the_environments_episodes() -> None:
    land = Landscape(EASY, 5000)
    seed = Tree.seed(land.state(0))
    step = run_step(land, seed, 1, np.zeros(2 * EASY.edits + 3), BRIEF, 0)
    assert len(step.episodes) == BRIEF.rows * BRIEF.sessions
    assert set(step.decisions) == set(targets(step.tree, step.episodes, BRIEF))
    crash = str(*land.crashing)
    crashed = {key for key, decision in step.decisions.items() if str(decision.edit) == crash}
    assert crashed
    for row, session, t in crashed:
        assert step.episodes[row, session].invalid[t] == "fails_everywhere"
        assert step.episodes[row, session].rewards[t] == -BRIEF.penalty


def test_training_tells_good_edits_from_harmful_ones(learned: Learned) -> None:
    land = Landscape(EASY, 2000)  # roles are common to the family
    policy, critic = LearnedPolicy(learned), LearnedCritic(learned)
    knowledge = Knowledge(Tree.seed(land.state(0), land.grades(0)), EASY.edits)
    weights = policy.weights(0, range(EASY.edits), knowledge)
    assert weights.sum() == pytest.approx(1.0)
    assert weights.min() >= BRIEF.floor / EASY.edits
    good, bad = list(land.good), [*land.cost, *land.crashing]
    assert weights[good].min() > 2 * weights[bad].max()
    promises = np.array(critic.edits(0, range(EASY.edits), land.score(0), knowledge))
    assert promises[good].min() > promises[list(land.cost)].max()


def test_training_repeats_exactly(learned: Learned) -> None:
    again = train(EASY, BRIEF)
    assert to_json(again) == to_json(learned)
    assert to_json(train(EASY, replace(BRIEF, seed=1))) != to_json(learned)


def test_what_was_learned_survives_its_file(learned: Learned) -> None:
    again = from_json(to_json(learned))
    assert to_json(again) == to_json(learned)
    assert isinstance(again.node, Linear)


def test_a_learned_search_needs_fewer_evaluations(learned: Learned) -> None:
    found = {"aflow": [], "learned": []}  # type: dict[str, list[float]]
    for seed in range(2000, 2006):
        land = Landscape(EASY, seed)
        for name, policy, critic in (
            ("aflow", Odds(land, 1.0), None),
            ("learned", LearnedPolicy(learned), LearnedCritic(learned)),
        ):
            found[name].append(run_search(land, ARMS[name], policy, critic, evaluations=5, seed=0).scores[-1])
    assert np.mean(found["learned"]) > np.mean(found["aflow"])
