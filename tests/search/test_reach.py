import pytest

from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.reach import gain_at, promise


def test_reach_by_hand(garden, scores):
    tree = garden.tree("ab", "bc", "ad", grades={"a": scores(1, 0), "b": scores(1, 1)})
    q = QSnapshot(1, {garden.id("a"): QValue(0.2, None, 1), garden.id("b"): QValue(-0.4, 0.3, 1)}, gamma=0.5)
    q_c = QSnapshot(1, {garden.id("c"): QValue(0.9, 0.1, 1)}, gamma=0.5)
    a, b, c, d = (tree[garden.id(name)] for name in "abcd")
    assert promise(tree, a, q).reach == pytest.approx(0.5 + 0.5 * 0.2)
    assert promise(tree, b, q).reach == 0.75, "a negative V takes nothing away"
    assert promise(tree, c, q_c).reach == pytest.approx(0.75 + 0.1), "in evaluation: X(s) + Q"
    assert promise(tree, d, q).reach == pytest.approx(0.5 + 0.5 * 0.2), "inherits V of a"
    assert promise(tree, d, q).inherited
    assert promise(tree, c, None).reach == c.posterior_mean


def test_gain_over_the_node_at_which_it_competes(garden, scores):
    tree = garden.tree("ab", "ac", "bc", "ad", "ae", grades={"c": scores(1, 1)})
    values = {"a": QValue(0.2, None, 1), "b": QValue(0.0, 0.3, 1), "c": QValue(0.1, -0.1, 1), "d": QValue(0.4, None, 1)}
    q = QSnapshot(1, {garden.id(name): value for name, value in values.items()}, gamma=0.5)
    a, b, c, d, e = (tree[garden.id(name)] for name in "abcde")
    assert gain_at(a, a, promise(tree, a, q)) == 0.2, "editing here: V, so the seed's Q is its V"
    assert gain_at(a, b, promise(tree, b, q)) == 0.3
    assert gain_at(a, c, promise(tree, c, q)) == -0.1
    assert gain_at(b, c, promise(tree, c, q)) == pytest.approx(0.75 + 0.05 - 0.5), "Q of another parent: reach - X(b)"
    assert gain_at(a, d, promise(tree, d, q)) == pytest.approx(0.5 + 0.2 - 0.5), "no Q: reach - X(a)"
    assert gain_at(a, e, promise(tree, e, q)) == 0.2, "new: V(a) is the mean of Q(a, .)"
    assert gain_at(a, b, promise(tree, b, None)) == 0.0
