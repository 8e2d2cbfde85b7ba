import numpy as np
import pytest

from aflow_verl.search.columns import X
from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.reach import gain, lift


def promised(garden, tree, at: str, q: QSnapshot) -> dict[str, tuple[float, float, bool]]:
    """Candidate -> (reach, gain over ``at``, inherited)."""
    fan = tree.fan(garden.id(at))
    critic = fan.critic(q, tree)
    lift_K = lift(tree, fan, critic, q.gamma)
    reach_K, gain_K = fan.row(X) + lift_K, gain(fan, critic, lift_K)
    rows = zip(reach_K.tolist(), gain_K.tolist(), critic.inherited.tolist(), strict=True)
    return {garden.name(node_id): row for node_id, row in zip(fan.ids, rows, strict=True)}


def test_reach_by_hand(garden, scores):
    tree = garden.tree("ab", "bc", "ad", grades={"a": scores(1, 0), "b": scores(1, 1)})
    q = QSnapshot(1, {garden.id("a"): QValue(0.2, None, 1), garden.id("b"): QValue(-0.4, 0.3, 1)}, gamma=0.5)
    found = promised(garden, tree, "a", q)
    assert found["a"][0] == pytest.approx(0.5 + 0.5 * 0.2)
    assert found["b"][0] == 0.75, "a negative V takes nothing away"
    assert found["d"][0] == pytest.approx(0.5 + 0.5 * 0.2), "inherits V of a"
    assert (found["d"][2], found["b"][2]) == (True, False)
    q_c = QSnapshot(1, {garden.id("c"): QValue(0.9, 0.1, 1)}, gamma=0.5)
    found = promised(garden, tree, "b", q_c)
    assert found["c"][0] == pytest.approx(0.75 + 0.1), "in evaluation: X(s) + Q"
    assert found["b"] == (0.75, 0.0, False), "nothing is known"


def test_a_value_on_demand_compares_what_is_still_in_evaluation(garden, scores):
    tree = garden.tree("ab", "ac", grades={"a": scores(1, 0)})
    q = QSnapshot(1, {garden.id("a"): QValue(0.2, None, 1)}, gamma=0.5)
    assert promised(garden, tree, "a", q)["b"][0] == pytest.approx(0.5 + 0.5 * 0.2), "inherits V of a"
    asked = q.extended({garden.id("b"): QValue(0.9, 0.1, 1), garden.id("c"): QValue(0.0, -0.2, 1)})
    found = promised(garden, tree, "a", asked)
    assert found["b"] == (pytest.approx(0.5 + 0.1), pytest.approx(0.1), False), "X(s) + Q(s, a)"
    assert found["c"] == (pytest.approx(0.5 - 0.2), pytest.approx(-0.2), False)


def test_gain_over_the_node_at_which_it_competes(garden, scores):
    tree = garden.tree("ab", "ac", "bc", "ad", "ae", grades={"c": scores(1, 1)})
    values = {"a": QValue(0.2, None, 1), "b": QValue(0.0, 0.3, 1), "c": QValue(0.1, -0.1, 1), "d": QValue(0.4, None, 1)}
    q = QSnapshot(1, {garden.id(name): value for name, value in values.items()}, gamma=0.5)
    at_a, at_b = promised(garden, tree, "a", q), promised(garden, tree, "b", q)
    assert at_a["a"][1] == 0.2, "editing here: V, so the seed's Q is its V"
    assert at_a["b"][1] == 0.3
    assert at_a["c"][1] == -0.1
    assert at_b["c"][1] == pytest.approx(0.75 + 0.05 - 0.5), "Q of another parent: reach - X(b)"
    assert at_a["d"][1] == pytest.approx(0.5 + 0.2 - 0.5), "no Q: reach - X(a)"
    assert at_a["e"][1] == 0.2, "new: V(a) is the mean of Q(a, .)"


def test_a_child_of_two_parents_inherits_from_the_first(garden):
    tree = garden.tree("ab", "ac", "bd", "cd")
    q = QSnapshot(1, {garden.id("b"): QValue(0.3, None, 1), garden.id("c"): QValue(0.1, None, 1)})
    assert promised(garden, tree, "c", q)["d"][1:] == (0.3, True)
    assert np.isnan(tree.fan(tree.root_id).critic(q, tree).v[0])
