import math

import numpy as np
import pytest

from aflow_verl.config import SearchConfig
from aflow_verl.search.candidates import priors
from aflow_verl.search.catalog import select
from aflow_verl.search.descent import back_up, is_full
from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.selection import SearchExhausted

PLAIN = SearchConfig(rl_weight=0.0)


def rng():
    return np.random.default_rng(0)


def test_priors_share_what_is_known():
    assert priors(np.array([np.nan, np.nan])).tolist() == [0.5, 0.5]
    found = priors(np.log([np.nan, 0.6, 0.2]))
    assert found == pytest.approx([1 / 3, 0.5, 1 / 6])  # 2/3 shared 3 to 1
    assert priors(np.array([-1e6, -1e6])).tolist() == [0.5, 0.5]


def test_progressive_widening_counts_children_against_visits(garden):
    root = garden.tree(visits="aaaa").root
    assert not is_full(root, 3, k=2.0, a=0.5)
    assert is_full(root, 4, k=2.0, a=0.5)  # 2 * sqrt(4)
    assert not is_full(garden.tree().root, 0, k=0.1, a=0.5), "without children there is room"


def test_edits_in_flight_are_backed_up(garden):
    tree = garden.tree("ab", "bc")
    counts = back_up(tree, {garden.id("c"): 2, garden.id("b"): 1})
    assert {garden.name(i): n for i, n in counts.items()} == {"a": 3, "b": 3, "c": 2}


def test_a_lone_root_is_edited(garden):
    choice = select(garden.tree(), None, PLAIN, rng())
    assert (garden.name(choice.node_id), choice.candidates, choice.alpha_effective) == ("a", 1, 0.0)


def test_puct_by_hand(garden, scores):
    # X: a .5, b (2 + 1) / 4 = .75; N = 4; a edited 3 times, b visited once; P = 1/2 each
    tree = garden.tree("ab", grades={"b": scores(1, 1)}, visits="aaab")
    choice = select(tree, None, PLAIN, rng())
    here, child = choice.parts[:2]
    assert (here["edit_here"], here["n"], here["x"], child["n"], child["x"]) == (True, 3, 0.5, 1, 0.75)
    assert here["score"] == pytest.approx(0.0 + 1.25 * 0.5 * 2 / 4)
    assert child["score"] == pytest.approx(1.0 + 1.25 * 0.5 * 2 / 2)
    assert garden.name(choice.node_id) == "b"


def test_ucb_by_hand(garden, scores):
    tree = garden.tree("ab", grades={"b": scores(1, 1)}, visits="aaa")
    choice = select(tree, None, SearchConfig(selector="ucb", rl_weight=0.0, first_play=0.5), rng())
    here, child = choice.parts[:2]
    assert here["score"] == pytest.approx(0.0 + 1.414 * math.sqrt(math.log(4) / 3))
    assert child["score"] == pytest.approx(1.0 + 1.414 * math.sqrt(math.log(4) / 0.5)), "unvisited, yet finite"


def test_edits_in_flight_spread_the_search(garden, scores):
    tree = garden.tree("ab", "ac", grades={"b": scores(1, 1), "c": scores(1, 1)}, visits="aaaa")
    first = select(tree, None, PLAIN, rng())
    second = select(tree, None, PLAIN, rng(), in_flight={first.node_id: 1})
    assert {garden.name(first.node_id), garden.name(second.node_id)} == {"b", "c"}


def test_q_leads_to_the_promising_branch(garden, scores):
    tree = garden.tree("ab", "ac", grades={"b": scores(1, 0), "c": scores(1, 0)}, visits="aabcbc")
    for loved in "bc":
        q = QSnapshot(1, {garden.id(n): QValue(0.5 if n == loved else 0.0, None, 1) for n in "abc"})
        choice = select(tree, q, SearchConfig(rl_weight=0.5), rng())
        assert garden.name(choice.node_id) == loved
        assert choice.alpha_effective == 0.5
        assert (choice.own_q, choice.inherited_q, choice.snapshot_own_q) == (choice.candidates, 0, choice.candidates)
    assert choice.changed_by_q == (choice.node_id != select(tree, None, PLAIN, rng()).node_id)


def test_new_nodes_inherit_and_are_counted(garden, scores):
    tree = garden.tree("ab", grades={"b": scores(1)})
    overlay = tree.overlay()
    garden.add(overlay, "ac", scores(1, 1, 1))
    overlay.visit(garden.id("a"))
    q = QSnapshot(1, {garden.id("a"): QValue(0.3, None, 1), garden.id("b"): QValue(0.1, None, 1)})
    choice = select(overlay, q, SearchConfig(widening_k=9.0), rng())
    at_root = [part for part in choice.parts if part["at"] == tree.root_id]
    assert {garden.name(p["node"]): (p["v"], p["inherited"]) for p in at_root} == {
        "a": (0.3, False),
        "b": (0.1, False),
        "c": (0.3, True),
    }
    assert choice.inherited_q >= 1
    assert choice.snapshot_candidates == choice.snapshot_own_q == choice.candidates - choice.inherited_q


def test_a_full_node_sends_the_search_below_it(garden):
    tree = garden.tree("ab", "ac", visits="a")  # 2 children at 2 * sqrt(1)
    choice = select(tree, None, PLAIN, rng())
    assert garden.name(choice.node_id) in "bc"
    roomy = SearchConfig(rl_weight=0.0, widening_k=3.0)
    assert any(part["edit_here"] and part["at"] == tree.root_id for part in select(tree, None, roomy, rng()).parts)


def test_dead_ends_are_left_out(garden, scores):
    tree = garden.tree("ab", "ac", "bd", grades={"b": scores(1, 1), "d": scores(1, 1)}, visits="aaaabd")
    only = {garden.id("a"), garden.id("c")}
    choice = select(tree, None, PLAIN, rng(), expandable=only.__contains__)
    assert garden.names(part["node"] for part in choice.parts if part["at"] == tree.root_id) == "ac"
    deep = select(tree, None, PLAIN, rng(), expandable=lambda i: i == garden.id("d"))
    assert garden.name(deep.node_id) == "d", "passes through nodes that can't be edited themselves"
    full = garden.tree("ab", "ac", visits="a")
    assert garden.name(select(full, None, PLAIN, rng(), expandable=lambda i: i == garden.id("a")).node_id) == "a", (
        "full, but nothing below it can be edited"
    )


@pytest.mark.parametrize("selector", ["puct", "ucb", "soft_mixed", "thompson"])
def test_nothing_left_is_said(garden, selector):
    with pytest.raises(SearchExhausted):
        select(garden.tree("ab"), None, SearchConfig(selector=selector), rng(), expandable=lambda i: False)


def test_equal_candidates_do_not_depend_on_their_order(garden, scores):
    grades = {name: scores(1, 1) for name in "bcd"}
    chosen = {
        select(garden.tree(*edges, grades=grades, visits="aa"), None, PLAIN, rng()).node_id
        for edges in (("ab", "ac", "ad"), ("ad", "ac", "ab"), ("ac", "ab", "ad"))
    }
    assert len(chosen) == 1
