"""Screening: of several proposals the most promising one is run."""

from dataclasses import replace

import numpy as np
import pytest

from aflow_verl.config import ScreenConfig, SearchConfig
from aflow_verl.search.catalog import SELECTORS
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.screening import Proposal, best_proposal, screens, wanted
from aflow_verl.search.selection import Choice, select

SETTINGS = SearchConfig(rl_weight=0.5, screen=ScreenConfig(nodes=2, proposals=3, epsilon=0.25))
Q = QSnapshot(1, {}, edit_confidence=0.8)
"""alpha = .4."""


@pytest.fixture
def choice(garden, scores) -> Choice:
    tree = garden.tree(
        "ab", "ac", grades={"a": scores(0, 1, 1), "b": scores(1, 1, 1), "c": scores(0, 0, 1)}, visits="aa"
    )
    return select(tree, None, SETTINGS, SELECTORS["greedy"], np.random.default_rng(0))


def test_a_critic_without_a_say_screens_nothing_and_takes_no_random_number():
    rng = np.random.default_rng(0)
    unscreened = (
        (None, SETTINGS),
        (QSnapshot(1, {}, node_confidence=1.0), SETTINGS),
        (Q, replace(SETTINGS, rl_weight=0.0)),
        (Q, replace(SETTINGS, screen=ScreenConfig(proposals=0))),
    )
    assert not any(screens(q, settings, rng) for q, settings in unscreened)
    assert rng.random() == np.random.default_rng(0).random()


def test_a_share_of_the_edits_is_run_unscreened():
    rng = np.random.default_rng(0)
    assert np.mean([screens(Q, SETTINGS, rng) for _ in range(4000)]) == pytest.approx(0.75, abs=0.02)
    never = replace(SETTINGS, screen=ScreenConfig(epsilon=0.0))
    assert all(screens(Q, never, rng) for _ in range(200))


def test_the_best_workflows_are_to_have_enough_proposals(choice, garden):
    a, b = garden.id("a"), garden.id("b")
    assert wanted(choice, {}, SETTINGS) == {b: 3, a: 3}
    waiting = {b: [Proposal(b, "x", 0.1)] * 2, a: [Proposal(a, "x", 0.1)] * 4}
    assert wanted(choice, waiting, SETTINGS) == {b: 1}


def test_the_highest_combined_score_wins_whatever_its_workflow(choice, garden):
    a, b, c = (garden.id(name) for name in "abc")
    assert garden.names(choice.field.ids) == "abc"
    ucb_K = [0.6, 0.8, 0.5]

    def best(*proposals: Proposal[str]) -> str | None:
        found = best_proposal(choice, proposals, Q, SETTINGS, ucb_K)
        return found and found.edit

    # .6 * .8 + .4 * .5 = .68; .6 * .6 + .4 * .9 = .72
    assert best(Proposal(b, "dull", 0.5), Proposal(a, "bold", 0.9)) == "bold"
    assert best(Proposal(b, "dull", 0.5), Proposal(a, "meek", 0.79)) == "dull"
    assert best(Proposal(a, "older", 0.9), Proposal(a, "newer", 0.9)) == "older"
    # of an edit that nobody judged the workflow's score is all: .8
    assert best(Proposal(b, "unjudged", None), Proposal(c, "great", 1.2)) == "unjudged"
    assert best(Proposal("gone", "of a workflow that can't be edited any more", 9.0)) is None
    assert best() is None
