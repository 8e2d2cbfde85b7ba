import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.config import SearchConfig
from aflow_verl.errors import RecipeError
from aflow_verl.search.catalog import SELECTORS, select
from aflow_verl.search.fusion import FUSIONS
from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState

STATES = [WorkflowState("toy", f"class Workflow:\n    number = {i}\n", "", ()) for i in range(12)]

trees = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.lists(st.floats(0, 1), max_size=3),
        st.one_of(st.none(), st.floats(-9, 0)),
        st.integers(0, 3),
    ),
    max_size=11,
)
values = st.lists(
    st.one_of(st.none(), st.tuples(st.floats(-1, 1), st.one_of(st.none(), st.floats(-1, 1)))), min_size=12, max_size=12
)
rules = st.tuples(st.sampled_from(list(SELECTORS)), st.sampled_from(list(FUSIONS)))
CRITIC_HAS_A_SAY = frozenset({"puct", "ucb", "soft_mixed"})


def grown(plan) -> Tree:
    """Node i + 1 hangs under an earlier one; with its grades, log-probability and visits."""
    overlay = Tree.seed(STATES[0]).overlay()
    for i, (picked, scores, logprob, visits) in enumerate(plan, start=1):
        grades = {f"p{k}": score for k, score in enumerate(scores)}
        overlay.add_child(STATES[picked % i].hash, STATES[i], str(i), grades, logprob=logprob)
        for _ in range(visits):
            overlay.visit(STATES[i].hash)
    return overlay.frozen()


def snapshot(pairs) -> QSnapshot:
    return QSnapshot(1, {s.hash: QValue(p[0], p[1], 1) for s, p in zip(STATES, pairs, strict=True) if p is not None})


@given(trees, values, rules, st.integers(0, 99))
def test_rl_weight_zero_is_the_selector_without_q(plan, pairs, rule, seed):
    tree, q = grown(plan), snapshot(pairs)
    settings = SearchConfig(selector=rule[0], fusion=rule[1], rl_weight=0.0)
    with_q, without = np.random.default_rng(seed), np.random.default_rng(seed)
    first, second = select(tree, q, settings, with_q), select(tree, None, settings, without)
    assert first.node_id == second.node_id == first.node_id_without_q
    assert [p["score"] for p in first.parts] == [p["score"] for p in second.parts]
    assert first.alpha_effective == second.alpha_effective == 0.0
    assert with_q.random() == without.random(), "both took the same numbers from the stream"


@given(trees, values, rules, st.integers(0, 99), st.sampled_from([0.0, 0.3, 1.0]))
def test_every_choice_is_finite_logged_and_counted(plan, pairs, rule, seed, weight):
    tree, q = grown(plan), snapshot(pairs)
    settings = SearchConfig(selector=rule[0], fusion=rule[1], rl_weight=weight)
    plain = SearchConfig(selector=rule[0], fusion=rule[1], rl_weight=0.0)
    choice = select(tree, q, settings, np.random.default_rng(seed))
    assert choice.node_id in tree
    assert choice.node_id_without_q == select(tree, None, plain, np.random.default_rng(seed)).node_id
    assert json.loads(json.dumps(choice.parts, allow_nan=False)) == list(choice.parts)
    assert all(math.isfinite(part["score"]) and math.isfinite(part["reach"]) for part in choice.parts)
    assert choice.own_q + choice.inherited_q <= choice.candidates == choice.snapshot_candidates
    assert 0.0 <= choice.alpha_effective <= weight
    if pairs[0] is not None and rule[0] in CRITIC_HAS_A_SAY:
        assert choice.own_q + choice.inherited_q == choice.candidates, "the root has a value, so everyone has"
        assert choice.alpha_effective == pytest.approx(weight) or rule[1] == "trusted"


def test_without_a_snapshot_nothing_of_q_is_applied(garden):
    choice = select(garden.tree("ab"), None, SearchConfig(rl_weight=0.5), np.random.default_rng(0))
    assert (choice.alpha_effective, choice.own_q, choice.inherited_q, choice.changed_by_q) == (0.0, 0, 0, False)


def test_expandable_is_asked_once_a_node(garden):
    asked: list[str] = []
    q = QSnapshot(1, {garden.id("a"): QValue(0.1, None, 1)})
    select(garden.tree("ab"), q, SearchConfig(), np.random.default_rng(0), expandable=lambda i: asked.append(i) or True)
    assert len(asked) == len(set(asked)) > 0


def test_an_unknown_selector_is_named(garden):
    with pytest.raises(RecipeError, match=r"search\.selector: 'best' is not one of soft_mixed, ucb, puct, thompson"):
        select(garden.tree(), None, SearchConfig(selector="best"), np.random.default_rng(0))


def test_a_search_without_training_finds_the_best_leaf(garden):
    """The loop select -> expand -> evaluate -> back up, on a landscape where longer names of one letter score more."""

    def state(name: str) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    name = {name!r}\n", "", ())

    def score(name: str) -> float:
        return name.count("x") / 4

    names = {state("").hash: ""}
    live = Tree.seed(state(""), {f"p{i}": score("") for i in range(6)}).overlay()
    rng = np.random.default_rng(0)
    for _ in range(60):
        choice = select(
            live, None, SearchConfig(), rng, expandable=lambda i: len(names[i]) < 4 and len(live.tried(i)) < 2
        )
        name = names[choice.node_id]
        letter = next(c for c in "yx" if c not in live.tried(choice.node_id))
        child = state(name + letter)
        names[child.hash] = name + letter
        live.add_child(choice.node_id, child, letter, {f"p{i}": score(name + letter) for i in range(6)})
        live.visit(choice.node_id)
        if live.best().state == state("xxxx"):
            return
    pytest.fail("not found in 60 edits")
