import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.search.node import Node
from aflow_verl.search.records import TreeDelta, delta_from_json, delta_to_json
from aflow_verl.search.tree import Overlay, Tree
from aflow_verl.search.view import TreeView
from aflow_verl.workflow.state import WorkflowState


def contents(tree: TreeView) -> list[tuple[object, ...]]:
    return [(node, tree.children(node.id), tree.parents(node.id), tree.tried(node.id)) for node in tree]


def test_a_child_knows_how_it_came_to_be(garden, scores):
    overlay = Tree.seed(garden.state("a"), scores(1, 0, 1, 1)).overlay(step=7, origin="episode")
    child = overlay[garden.add(overlay, "ab", scores(1, 1), weights={"p0": 0.5}, failures=("x",), logprob=-0.5)]
    assert (child.action, child.logprob, child.failures) == ("ab", -0.5, ("x",))
    assert (child.grades, child.weights) == ({"p0": 1.0, "p1": 1.0}, {"p0": 0.5})
    assert (child.step, child.origin, child.depth, child.visits) == (7, "episode", 1, 0)


def test_a_plain_mean_is_what_aflow_ranks_by(garden, scores):
    assert Node("x", None, garden.state("a"), grades=scores(1, 0, 0, 0)).mean == 0.25
    assert Node("x", None, garden.state("a"), grades=scores(1), prior_mean=0.3).mean == 1.0
    assert Node("x", None, garden.state("a"), prior_mean=0.3).mean == 0.3
    assert Node("x", None, garden.state("a")).mean == 0.5


@pytest.mark.parametrize(
    "bad",
    [
        {"grades": {"p": float("nan")}},
        {"weights": {"p": float("inf")}},
        {"logprob": float("-inf")},
        {"prior_mean": float("nan")},
    ],
)
def test_what_is_not_finite_is_refused(garden, bad):
    with pytest.raises(ValueError, match="finite"):
        Node("x", None, garden.state("a"), **bad)


def test_grades_join_and_failures_are_the_latest(garden):
    overlay = garden.tree("ab", grades={"b": {"p0": 1.0}}).overlay()
    b = garden.id("b")
    node = overlay.add_grades(b, {"p0": 0.0, "p1": 0.0}, weights={"p0": 2.0, "p1": 0.5}, failures=("p1",))
    assert (node.grades, node.weights, node.failures) == ({"p0": 1.0, "p1": 0.0}, {"p1": 0.5}, ("p1",))
    assert overlay.add_grades(b, {"p2": 1.0}).failures == ("p1",), "None leaves them as they are"
    assert overlay.add_grades(b, {}, failures=()).failures == ()
    records = len(overlay.delta())
    overlay.add_grades(b, {"p2": 0.0}, failures=())
    assert len(overlay.delta()) == records, "nothing new is no record"


def test_an_overlay_is_private(garden, scores):
    tree = garden.tree("ab", grades={"a": scores(1)})
    before = contents(tree)
    mine, other = tree.overlay(), tree.overlay()
    garden.add(mine, "bc", scores(1))
    mine.add_grades(tree.root_id, {"new": 1.0})
    mine.visit(garden.id("c"))
    mine.mark_tried(tree.root_id, "bad")
    assert contents(tree) == before == contents(other)
    assert len(mine) == 3
    assert mine.new_ids() == (garden.id("c"),)
    with pytest.raises(KeyError):
        tree[garden.id("c")]


def test_a_known_workflow_is_one_node(garden, scores):
    tree = garden.tree("ab", "ac", grades={"c": scores(1, 0)})
    overlay = tree.overlay()
    node = overlay.add_child(garden.id("b"), garden.state("c"), "another way", {"p0": 0.0, "p5": 1.0})
    assert len(overlay) == 3
    assert node.parent_id == garden.id("a"), "the first parent stays"
    assert node.grades == {"p0": 1.0, "p1": 0.0, "p5": 1.0}, "a known score stays, new ones join"
    assert garden.names(overlay.children(garden.id("b"))) == "c"
    assert garden.names(overlay.parents(garden.id("c"))) == "ab"
    assert overlay.tried(garden.id("b")) == {"another way"}


def test_an_edge_that_closes_a_cycle_counts_as_tried_only(garden):
    overlay = garden.tree("ab", "bc").overlay()
    garden.add(overlay, "ca")
    garden.add(overlay, "cb")
    garden.add(overlay, "cc")
    assert overlay.children(garden.id("c")) == ()
    assert overlay.tried(garden.id("c")) == {"ca", "cb", "cc"}


def test_a_cycle_through_a_second_parent_is_seen(garden):
    overlay = garden.tree("ab", "ac", "bd", "cd").overlay()
    garden.add(overlay, "dc")  # d is below c by its second edge only
    assert overlay.children(garden.id("d")) == ()


def test_visits_go_up_along_first_parents(garden):
    tree = garden.tree("ab", "ac", "bd", "cd", visits="aadd")
    counts = {garden.name(node.id): (node.visits, node.edits) for node in tree}
    assert counts == {"a": (4, 2), "b": (2, 0), "c": (0, 0), "d": (2, 2)}


def test_reading(garden, scores):
    tree = garden.tree("ab", "ac", "bd", "be", "cd", grades={"e": scores(1), "c": scores(1), "d": scores(0)})
    assert garden.names(node.id for node in tree) == "abcde"
    assert garden.names(tree.ancestors(garden.id("d"))) == "ba"
    assert garden.name(tree.best().id) == "a", "nothing was compared with its parent: the earliest of equals"
    assert tree.new_ids() == ()


def test_merging_one_overlay_gives_what_the_overlay_saw(garden, scores):
    tree = garden.tree("ab", grades={"a": scores(1, 0)})
    overlay = tree.overlay(step=3, origin="s0")
    garden.add(overlay, "ac", scores(1, 1), logprob=-1.0)
    garden.add(overlay, "bc")
    garden.add(overlay, "cd", scores(0))
    garden.add(overlay, "da")
    overlay.visit(garden.id("c"))
    overlay.mark_tried(garden.id("a"), "broken")
    assert contents(tree.merged([overlay.delta()], step=3)) == contents(overlay)


def test_merging_two_overlays_follows_the_order_given(garden, scores):
    tree = garden.tree("ab")
    first, second = tree.overlay(origin="first"), tree.overlay(origin="second")
    garden.add(first, "ac", scores(1), logprob=-1.0)
    garden.add(second, "bc", {"p0": 0.0, "p1": 0.0}, logprob=-2.0)
    garden.add(second, "cd")
    for overlay in (first, second):
        overlay.visit(garden.id("c"))
    merged = tree.merged([first.delta(), second.delta()], step=5)
    c = merged[garden.id("c")]
    assert (c.parent_id, c.logprob, c.origin, c.step, c.visits) == (garden.id("a"), -1.0, "first", 5, 2)
    assert c.grades == {"p0": 1.0, "p1": 0.0}
    assert garden.names(merged.parents(c.id)) == "ab"
    assert (merged[garden.id("b")].visits, merged.root.visits) == (0, 2), "visits follow the merged first parents"
    other = tree.merged([second.delta(), first.delta()], step=5)
    assert other[garden.id("c")].parent_id == garden.id("b")
    assert contents(merged) == contents(tree.merged([first.delta(), second.delta()], step=5))


def test_two_overlays_that_make_a_cycle_between_them(garden):
    tree = garden.tree("ab", "ac")
    first, second = tree.overlay(), tree.overlay()
    garden.add(first, "bc")
    garden.add(second, "cb")
    merged = tree.merged([first.delta(), second.delta()], step=1)
    assert garden.names(merged.children(garden.id("b"))) == "c"
    assert merged.children(garden.id("c")) == ()
    assert merged.tried(garden.id("c")) == {"cb"}


def test_merging_twice_changes_visits_only(garden, scores):
    tree = garden.tree("ab")
    overlay = tree.overlay()
    garden.add(overlay, "bc", scores(1))
    overlay.visit(garden.id("b"))
    once = tree.merged([overlay.delta()], step=1)
    twice = once.merged([overlay.delta()], step=2)
    assert [(n.id, n.grades, n.step, n.parent_id) for n in once] == [
        (n.id, n.grades, n.step, n.parent_id) for n in twice
    ]
    assert (once.root.visits, twice.root.visits) == (1, 2)


def test_a_node_alone_starts_afresh_and_merges_back(garden, scores):
    tree = garden.tree("ab", "bc", grades={"b": scores(1)}, visits="bbc")
    alone = tree.alone(garden.id("b"))
    assert (len(alone), alone.root.visits, alone.root.depth, alone.root.parent_id) == (1, 0, 0, None)
    assert alone.x(alone.root_id) == tree.x(alone.root_id)
    assert alone.tried(alone.root_id) == frozenset()
    assert tree.alone(garden.id("b"), tried=True).tried(alone.root_id) == {"bc"}
    overlay = alone.overlay()
    garden.add(overlay, "bc")
    garden.add(overlay, "bd")
    overlay.visit(garden.id("b"))
    merged = tree.merged([overlay.delta()], step=1)
    assert garden.names(node.id for node in merged) == "abcd"
    assert (merged[garden.id("d")].depth, merged.root.visits) == (2, 4)


def test_a_delta_about_unknown_nodes_is_an_error(garden):
    overlay = garden.tree("ab").overlay()
    garden.add(overlay, "bc")
    with pytest.raises(KeyError):
        Tree.seed(garden.state("z")).merged([overlay.delta()], step=1)
    for call in (lambda o: o.visit("?"), lambda o: o.mark_tried("?", "x"), lambda o: o.add_grades("?", {"p": 1.0})):
        fresh = garden.tree().overlay()
        with pytest.raises(KeyError):
            call(fresh)
        assert len(fresh.delta()) == 0, "nothing is logged of a call that failed"


def test_everything_pickles(garden, scores):
    overlay = garden.tree("ab", grades={"b": scores(1, 0)}).overlay()
    garden.add(overlay, "bc", scores(1), weights={"p0": 1.5}, failures=("x",))
    overlay.visit(garden.id("c"))
    assert contents(pickle.loads(pickle.dumps(overlay))) == contents(overlay)
    assert contents(pickle.loads(pickle.dumps(overlay.frozen()))) == contents(overlay)
    assert pickle.loads(pickle.dumps(overlay.delta())) == overlay.delta()


def below(tree: TreeView, node_id: str) -> set[str]:
    found: set[str] = set()
    stack = [*tree.children(node_id)]
    while stack:
        child = stack.pop()
        if child not in found:
            found.add(child)
            stack += tree.children(child)
    return found


def node_state(number: int) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ())


def play(tree: Tree, moves: list[tuple[int, int, float, str]]) -> Overlay:
    """Whatever the moves say, on nodes picked by index."""
    overlay = tree.overlay(step=1, origin="play")
    for picked, number, score, kind in moves:
        ids = [node.id for node in overlay]
        at = ids[picked % len(ids)]
        if kind == "child":
            weights = {f"p{number % 3}": 1.0 + score}
            grades = {f"p{number % 3}": score}
            overlay.add_child(at, node_state(number), f"{at}>{number}", grades, weights=weights, logprob=-score)
        elif kind == "grade":
            overlay.add_grades(at, {f"p{number}": score}, failures=(f"p{number}",) if score < 0.5 else None)
        elif kind == "tried":
            overlay.mark_tried(at, str(number))
        else:
            overlay.visit(at)
    return overlay


moves = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.integers(0, 9),
        st.floats(0, 1),
        st.sampled_from(["child", "child", "grade", "tried", "visit"]),
    ),
    max_size=25,
)


@given(moves, moves)
def test_any_delta_replays_exactly_survives_json_and_keeps_the_graph_acyclic(first_moves, second_moves):
    tree = Tree.seed(node_state(0))
    first, second = play(tree, first_moves), play(tree, second_moves)
    stored = delta_from_json(json.loads(json.dumps(delta_to_json(first.delta()))))
    assert stored == first.delta()
    assert contents(tree.merged([stored], step=1)) == contents(first)
    assert tree.merged([stored], step=1).estimates() == first.estimates()
    merged = tree.merged([first.delta(), second.delta()], step=1)
    assert {n.id for n in merged} == {n.id for n in first} | {n.id for n in second}
    assert merged.root.visits == first.root.visits + second.root.visits
    for node in merged:
        assert node.id not in below(merged, node.id)
        above = list(merged.ancestors(node.id))
        assert node.depth == len(above)
        assert [node.id, *above][-1] == merged.root_id


def test_an_empty_delta_changes_nothing(garden):
    tree = garden.tree("ab")
    assert contents(tree.merged([TreeDelta()], step=9)) == contents(tree)


def test_the_best_workflow_is_that_of_the_highest_x(garden, scores):
    """Eight problems that got better weigh more than one that did."""
    many = scores(1, 1, 1, 1, 1, 1, 1, 1)
    tree = garden.tree("ab", "ac", grades={"a": dict.fromkeys(many, 0.0), "b": {"p0": 1.0}, "c": many})
    assert tree[garden.id("b")].mean == tree[garden.id("c")].mean == 1.0
    assert garden.name(tree.best().id) == "c"
