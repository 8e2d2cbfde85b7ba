import numpy as np
import pytest

from aflow_verl.config import SearchConfig, SoftMixedConfig
from aflow_verl.search.catalog import select
from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.search.soft_mixed import draw, soft_mixed_probabilities

AFLOW = SearchConfig(selector="soft_mixed", rl_weight=0.0)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.50, 0.40, 0.25, 0.10), (0.688, 0.158, 0.079, 0.075)),
        ((0.94, 0.93, 0.92, 0.60), (0.356, 0.305, 0.263, 0.075)),
    ],
)
def test_the_probabilities_that_aflow_gives(scores, expected):
    probabilities = soft_mixed_probabilities(scores, 0.2, 0.3)
    assert probabilities == pytest.approx(expected, abs=5e-4)
    assert probabilities.sum() == pytest.approx(1.0)


def test_one_candidate_is_certain():
    assert soft_mixed_probabilities((0.3,), 0.2, 0.3) == pytest.approx([1.0])


def test_draw_is_the_draw_of_numpys_choice():
    probabilities = soft_mixed_probabilities((0.5, 0.4, 0.25, 0.1), 0.2, 0.3)
    mine, numpys = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(200):
        assert draw(probabilities, mine.random()) == numpys.choice(4, p=probabilities)


def test_the_pool_is_the_seed_and_the_best_others(garden, scores):
    grades = {
        "a": scores(0, 0),
        "b": scores(1, 0),
        "c": scores(1, 1),
        "d": scores(0, 0),
        "e": scores(1, 0),
        "f": scores(1),
    }
    tree = garden.tree("ab", "ac", "ad", "ae", "bf", grades=grades)
    choice = select(tree, None, AFLOW, np.random.default_rng(0))
    assert garden.names(part["node"] for part in choice.parts) == "cfba", "b before e: the older of equals"
    assert [part["x"] for part in choice.parts] == [1.0, 1.0, 0.5, 0.0], "plain means, as in AFlow"


def test_the_choices_are_those_of_a_plain_transcription(garden, scores):
    grades = {"a": scores(1, 0, 0), "b": scores(1, 1, 0), "c": scores(1, 1, 0), "d": scores(0, 0, 0)}
    tree = garden.tree("ab", "ac", "bd", grades=grades)
    ranked = [("b", 200 / 3), ("c", 200 / 3), ("a", 100 / 3), ("d", 0.0)]
    weights = np.exp(0.2 * (np.array([s for _, s in ranked]) - 200 / 3))
    probabilities = 0.3 / 4 + 0.7 * weights / weights.sum()
    mine, reference = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(100):
        expected = ranked[reference.choice(4, p=probabilities)][0]
        assert garden.name(select(tree, None, AFLOW, mine).node_id) == expected


def test_q_enters_before_the_softmax(garden, scores):
    tree = garden.tree("ab", grades={"a": scores(0, 1), "b": scores(0, 1)})
    q = QSnapshot(1, {garden.id("b"): QValue(0.2, None, 1)}, gamma=0.5)
    choice = select(tree, q, SearchConfig(selector="soft_mixed", rl_weight=0.5), np.random.default_rng(0))
    by_name = {garden.name(part["node"]): part for part in choice.parts}
    assert by_name["b"]["score"] == pytest.approx(0.55)  # .5 * .5 + .5 * (.5 + .5 * .2)
    assert by_name["a"]["score"] == 0.5
    assert (choice.own_q, choice.inherited_q, choice.alpha_effective) == (1, 0, 0.25)


def test_only_what_can_be_edited_is_in_the_pool(garden, scores):
    tree = garden.tree("ab", "ac", grades={"b": scores(1)})
    choice = select(tree, None, AFLOW, np.random.default_rng(0), expandable=lambda i: i == garden.id("c"))
    assert garden.name(choice.node_id) == "c"
    only_seed = SearchConfig(selector="soft_mixed", soft_mixed=SoftMixedConfig(sample=1))
    assert garden.name(select(tree, None, only_seed, np.random.default_rng(0)).node_id) == "a"
