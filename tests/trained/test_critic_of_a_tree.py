"""Every workflow of a growing tree has a value of its own, read on its prompt as it stands."""

import asyncio

import pytest

from aflow_verl.critic.scorer import Scores
from aflow_verl.env.actions import NO_CONTEXT, Offer
from aflow_verl.errors import ModelUnavailable
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.tree import Tree
from aflow_verl.trained.critic import TreeCritic, known_returns
from aflow_verl.workflow.state import WorkflowState


def workflow(name: str) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    name = {name!r}\n", "", ("Custom",))


class Format:
    """A prompt that says which workflow it is of, its score and how much was tried on it."""

    def offer(self, state, tried, context=NO_CONTEXT):
        return Offer([{"role": "user", "content": f"{state.code}{state.score:.3f}{len(tried)}"}], None)


class Tokens:
    def prompt_ids(self, messages, shorter=()):
        return tuple(messages[0]["content"].encode())


class Scorer:
    """V is the length of the prompt, Q that of the reply; remembers what it was asked."""

    weights_step = 4

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.failure = failure

    async def score(self, groups):
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.asked.append([g.node_id for g in groups if g.node_id is not None])
        read = [(float(len(g.prompt_ids)), tuple(float(len(ids)) for _, ids in g.actions)) for g in groups]
        return Scores.of(4, groups, read)


def critic(scorer: Scorer) -> TreeCritic:
    return TreeCritic(scorer, Format(), Tokens(), weights_step=4, gamma=0.9)  # type: ignore[arg-type]


def grown():
    tree = Tree.seed(workflow("seed"), {"p": 0.5}).overlay()
    child = tree.add_child(tree.root_id, workflow("child"), "edit", {"p": 1.0}, response_ids=(1, 2, 3))
    return tree, child


async def test_all_are_scored_and_then_those_that_changed():
    scorer, (tree, child) = Scorer(), grown()
    judge = critic(scorer)
    judge.begin(tree, [], None)
    first = await judge.snapshot(tree)
    assert (first.weights_step, first.gamma) == (4, 0.9)
    assert set(first.values) == {tree.root_id, child.id}
    assert first.values[child.id].q == 3.0, "the reply that made it, read on its parent's prompt"
    assert first.values[tree.root_id].q is None
    assert await judge.snapshot(tree) is first
    grandchild = tree.add_child(child.id, workflow("grandchild"), "another edit", {"p": 0.0}, response_ids=(1, 2))
    judge.changed((child.id, grandchild.id))
    second = await judge.snapshot(tree)
    assert scorer.asked == [[tree.root_id, child.id], [child.id, grandchild.id]]
    assert second.values[grandchild.id].q == 2.0
    assert second.values[tree.root_id] == first.values[tree.root_id]


async def test_imported_nodes_have_a_v_and_no_q():
    tree = Tree.seed(workflow("seed"), {"p": 0.5}).overlay()
    child = tree.add_child(tree.root_id, workflow("child"), "edit", {"p": 1.0})
    judge = critic(Scorer())
    judge.begin(tree, [], None)
    assert (await judge.snapshot(tree)).values[child.id].q is None


async def test_a_resume_goes_on_with_what_was_kept():
    scorer, (tree, child) = Scorer(), grown()
    judge = critic(scorer)
    judge.begin(tree, [], None)
    kept = await judge.snapshot(tree)
    again = critic(scorer)
    again.begin(tree, [], kept)
    assert await again.snapshot(tree) is kept
    again.changed((child.id,))
    await again.snapshot(tree)
    assert scorer.asked[1:] == [[child.id]]
    others = TreeCritic(scorer, Format(), Tokens(), weights_step=5, gamma=0.9)  # type: ignore[arg-type]
    others.begin(tree, [], kept)
    await others.snapshot(tree)
    assert scorer.asked[-1] == [tree.root_id, child.id], "values of other weights don't count"


async def test_workers_that_ask_at_once_all_see_everything():
    scorer, (tree, child) = Scorer(), grown()
    judge = critic(scorer)
    judge.begin(tree, [], None)
    found = await asyncio.gather(*(judge.snapshot(tree) for _ in range(3)))
    assert all(child.id in snapshot.values for snapshot in found)
    assert len(scorer.asked) == 1


async def test_a_critic_that_fails_stops_the_search():
    tree, _ = grown()
    judge = critic(Scorer(RuntimeError("out of memory\nmore")))
    judge.begin(tree, [], None)
    with pytest.raises(ModelUnavailable, match=r"^the critic failed: out of memory$"):
        await judge.snapshot(tree)


def record(parent: str, child: str | None, gain: float | None, tree_return: float | None = None) -> ExperienceRecord:
    after = None if gain is None else 0.5 + gain
    return ExperienceRecord(parent, child, "edit", 0.5, after, 4, None, tree_return=tree_return)


def test_known_returns_follow_the_edges_of_the_tree():
    """a -> b gains .1, then b -> c gains .2 and b -> d loses .3: y of the first is .1 + .9 * .2."""
    records = [record("a", "b", 0.1), record("b", "c", 0.2), record("b", "d", -0.3), record("a", None, None)]
    assert known_returns(records, 0.9) == {"a": [pytest.approx(0.28)], "b": [-0.3, pytest.approx(0.2)]}


def test_what_came_before_does_not_count_and_training_has_its_own():
    records = [record("b", "c", 0.5), record("a", "b", 0.1), record("a", "b", 0.1, tree_return=0.7)]
    assert known_returns(records, 0.9) == {"a": [0.7, pytest.approx(0.1)], "b": [0.5]}


async def test_confidence_comes_with_known_returns():
    """V is the length of the prompt here, and the longer the name the better its edits were."""
    tree = Tree.seed(workflow("n"), {"p": 0.5}).overlay()
    nodes = [tree.root_id] + [tree.add_child(tree.root_id, workflow("n" * k), str(k)).id for k in (2, 3, 4)]
    judge = critic(Scorer())
    judge.begin(tree, [record(node, None, 0.1 * k) for k, node in enumerate(nodes[:3])], None)
    assert (await judge.snapshot(tree)).confidence == 0.0
    judge.learned(record(nodes[3], None, 0.9))
    judge.changed(nodes[:1])
    assert (await judge.snapshot(tree)).confidence == 1.0
