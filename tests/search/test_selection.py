"""``select``: who may be chosen, the critic's weight, and the same choice without it."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.config import SearchConfig
from aflow_verl.search.catalog import SELECTORS
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import SHOWN, SearchExhausted, candidates, select, weight
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.state import WorkflowState

STATES = [WorkflowState("toy", f"class Workflow:\n    number = {i}\n", "", ()) for i in range(12)]
UCB, GREEDY = SELECTORS["ucb"], SELECTORS["greedy"]

plans = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.lists(st.floats(0, 1), max_size=3),
        st.one_of(st.none(), st.floats(-9, 0)),
        st.integers(0, 3),
    ),
    max_size=11,
)
promises = st.lists(st.one_of(st.none(), st.floats(-1, 2)), min_size=12, max_size=12)
names = st.sampled_from(sorted(SELECTORS))


def grown(plan) -> Tree:
    """Node i + 1 hangs under an earlier one; with its grades, log-probability and edits."""
    overlay = Tree.seed(STATES[0]).overlay()
    for i, (picked, scores, logprob, edits) in enumerate(plan, start=1):
        grades = {f"p{k}": score for k, score in enumerate(scores)}
        overlay.add_child(STATES[picked % i].hash, STATES[i], str(i), grades, logprob=logprob)
        for _ in range(edits):
            overlay.visit(STATES[i].hash)
    return overlay.frozen()


def snapshot(values, confidence=1.0) -> QSnapshot:
    known = {s.hash: v for s, v in zip(STATES, values, strict=True) if v is not None}
    return QSnapshot(1, known, node_confidence=confidence)


def chosen(tree, q, settings, name, seed):
    return select(tree, q, settings, SELECTORS[name], np.random.default_rng(seed))


@given(plans, promises, names, st.integers(0, 99))
def test_rl_weight_zero_and_a_critic_without_confidence_are_the_search_without_q(plan, values, name, seed):
    tree = grown(plan)
    off, on = SearchConfig(rl_weight=0.0), SearchConfig(rl_weight=0.5)
    plain = chosen(tree, None, on, name, seed)
    for q, settings in ((snapshot(values), off), (snapshot(values, 0.0), on), (QSnapshot(1, {}, 1.0), on)):
        rng, plain_rng = np.random.default_rng(seed), np.random.default_rng(seed)
        choice = select(tree, q, settings, SELECTORS[name], rng)
        select(tree, None, settings, SELECTORS[name], plain_rng)
        assert choice.score_K.tolist() == plain.score_K.tolist(), "to the last bit"
        assert choice.node_id == plain.node_id == choice.node_id_without_q
        assert choice.alpha_effective == 0.0
        assert rng.random() == plain_rng.random(), "both took the same numbers from the stream"


@given(plans, promises, names, st.integers(0, 99), st.sampled_from([0.3, 1.0]))
def test_every_choice_knows_what_would_have_been_chosen_without_q(plan, values, name, seed, rl_weight):
    tree, settings = grown(plan), SearchConfig(rl_weight=rl_weight)
    choice = chosen(tree, snapshot(values), settings, name, seed)
    assert choice.node_id_without_q == chosen(tree, None, settings, name, seed).node_id
    rng = np.random.default_rng(seed)
    select(tree, snapshot(values), settings, SELECTORS[name], rng)
    plain_rng = np.random.default_rng(seed)
    select(tree, None, settings, SELECTORS[name], plain_rng)
    assert rng.random() == plain_rng.random(), "a critic uses up no random numbers of its own"
    assert 0.0 <= choice.alpha_effective <= rl_weight
    line = json.loads(json.dumps(choice.to_json(), allow_nan=False))
    assert len(line["best"]) == min(SHOWN, line["candidates"])
    assert choice.own_q <= len(choice.field.ids) == line["candidates"]


def test_the_weight_by_pencil():
    settings = SearchConfig(rl_weight=0.5, trust_k=20.0)
    assert weight(settings, 0.8, 0.0) == pytest.approx(0.4)
    # sqrt(20 / (3 * 20 + 20)) = 1/2
    assert weight(settings, 0.8, np.array([0.0, 20.0])) == pytest.approx([0.4, 0.2])
    assert weight(settings, 0.0, 5.0) == 0.0


def test_a_promise_moves_the_choice(garden, scores):
    tree = garden.tree("ab", "ac", grades={"a": scores(0, 1), "b": scores(0, 1), "c": scores(0, 1)}, visits="bbbb")
    q = QSnapshot(1, {garden.id("b"): 0.9, garden.id("c"): 0.2, garden.id("a"): 0.2}, node_confidence=1.0)
    settings = SearchConfig(rl_weight=0.5, trust_k=4.0)
    choice = select(tree, q, settings, GREEDY, np.random.default_rng(0))
    by_name = dict(zip(garden.names(choice.field.ids), choice.score_K, strict=True))
    # X is .5 everywhere; alpha is .5 for the unedited ones and .5 * sqrt(4 / 16) = .25 for b
    assert by_name == pytest.approx({"a": 0.35, "b": 0.75 * 0.5 + 0.25 * 0.9, "c": 0.35})
    assert garden.name(choice.node_id) == "b"
    assert garden.name(choice.node_id_without_q) in "ac", "of equals one without edits"
    assert choice.changed_by_q
    assert (choice.q, choice.alpha_effective, choice.own_q) == (0.9, pytest.approx((0.5 + 0.5 + 0.25) / 3), 3)


def test_a_new_workflow_inherits_and_is_not_counted_as_known(garden):
    q = QSnapshot(1, {garden.id("a"): 0.7}, node_confidence=1.0)
    choice = select(garden.tree("ab", "bc"), q, SearchConfig(), UCB, np.random.default_rng(0))
    assert choice.field.q_K.tolist() == [0.7, 0.7, 0.7]
    assert choice.own_q == 1
    nothing = select(garden.tree("ab"), None, SearchConfig(), UCB, np.random.default_rng(0))
    assert (nothing.q, nothing.own_q, nothing.changed_by_q) == (None, 0, False)


def who(garden, tree, settings, in_flight=None, expandable=None, widening=True) -> str:
    under_way = {garden.id(name): count for name, count in (in_flight or {}).items()}
    nodes = candidates(tree, settings, expandable, under_way, widening=widening)
    return garden.names(node.id for node in nodes)


def test_widening_leaves_out_who_has_children_enough(garden):
    settings = SearchConfig(widening_k=1.0, widening_a=0.5)
    # a: four edits on and below it, so room for 1 * sqrt(4) = 2 children; b: 1 edit, room for one
    tree = garden.tree("ab", "ac", visits="aaab")
    assert who(garden, tree, settings) == "bc"
    assert who(garden, tree, settings, widening=False) == "abc"
    assert who(garden, tree, settings, {"b": 1}) == "c", "an edit under way takes a child's place"
    assert who(garden, tree, settings, {"b": 1, "c": 1}) == "abc", "all are full: then no one is left out"
    assert who(garden, garden.tree(), settings) == "a"


def test_soft_mixed_is_asked_about_full_workflows_too():
    assert [name for name, selector in SELECTORS.items() if not selector.widening] == ["soft_mixed"]


def test_only_who_can_be_edited_is_a_candidate(garden):
    tree = garden.tree("ab", "ac")
    assert who(garden, tree, SearchConfig(), expandable=lambda i: i != garden.id("a")) == "bc"
    asked: list[str] = []
    select(tree, None, SearchConfig(), UCB, np.random.default_rng(0), expandable=lambda i: asked.append(i) or True)
    assert len(asked) == len(set(asked)) == 3
    for selector in SELECTORS.values():
        with pytest.raises(SearchExhausted):
            select(tree, None, SearchConfig(), selector, np.random.default_rng(0), expandable=lambda i: False)


def test_edits_under_way_count_as_edits(garden, scores):
    tree = garden.tree("ab", grades={"a": scores(0, 1), "b": scores(0, 1)}, visits="a")
    choice = select(tree, None, SearchConfig(), UCB, np.random.default_rng(0), in_flight={garden.id("b"): 1})
    assert (choice.field.n_K.tolist(), choice.field.total) == ([1.0, 1.0], 2.0)
    assert choice.node_id == min(garden.id("a"), garden.id("b")), "equals now: the smaller id"
    assert garden.name(select(tree, None, SearchConfig(), UCB, np.random.default_rng(0)).node_id) == "b"


def test_a_line_of_choices_is_small_however_large_the_tree(garden, scores):
    tree = garden.tree(*(f"a{name}" for name in "bcdefghijklmnop"), grades={"a": scores(0, 1)}, visits="a" * 99)
    q = QSnapshot(1, {garden.id("a"): 0.123456789}, node_confidence=0.987654321)
    line = select(tree, q, SearchConfig(), UCB, np.random.default_rng(0)).to_json()
    assert line["candidates"] == 16
    assert [set(shown) for shown in line["best"]] == [{"node", "x", "n", "q", "alpha", "score"}] * SHOWN
    assert line["best"][0]["node"] == line["node"]
    assert len(json.dumps(line)) < 1500
    drawn = select(tree, q, SearchConfig(), SELECTORS["soft_mixed"], np.random.default_rng(0)).to_json()
    assert [shown["score"] is None for shown in drawn["best"]] == [False] * 4 + [True], "outside of the pool"


def test_a_search_without_training_finds_the_best_leaf():
    """The loop select -> expand -> evaluate -> back up, on a landscape where longer names of one letter score more."""

    def state(name: str) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    name = {name!r}\n", "", ())

    def grades(name: str) -> dict[str, float]:
        return {f"p{i}": float(i < 3 * name.count("x")) for i in range(12)}

    names = {state("").hash: ""}
    live = Tree.seed(state(""), grades("")).overlay()
    rng = np.random.default_rng(0)

    def expandable(node_id: str) -> bool:
        return len(names[node_id]) < 4 and len(live.tried(node_id)) < 2

    for _ in range(60):
        choice = select(live, None, SearchConfig(), UCB, rng, expandable=expandable)
        letter = next(c for c in "yx" if c not in live.tried(choice.node_id))
        name = names[choice.node_id] + letter
        names[state(name).hash] = name
        live.add_child(choice.node_id, state(name), letter, grades(name))
        live.visit(choice.node_id)
        if live.best().state == state("xxxx"):
            assert math.isfinite(live.x(live.best().id))
            return
    pytest.fail("not found in 60 edits")
