"""Every workflow of a growing tree has a value of its own, read on its prompt as it stands, and judged by what came."""

import asyncio

import pytest

from aflow_verl.critic.scorer import Scores
from aflow_verl.env.actions import NO_CONTEXT, Offer, Reply
from aflow_verl.errors import ModelUnavailable
from aflow_verl.search.returns import node_promises
from aflow_verl.search.tree import Tree
from aflow_verl.trained.critic import Said, TreeCritic, comparisons
from aflow_verl.workflow.state import WorkflowState

CENTRE = 0.5


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
    """V is the length of the prompt in thousandths, Q that of the reply; remembers what it was asked."""

    weights_step = 4

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.groups: list[int] = []
        self.failure = failure

    async def score(self, groups):
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.asked.append([g.node_id for g in groups if g.node_id is not None])
        self.groups.append(len(groups))
        read = [(len(g.prompt_ids) / 1000, tuple(len(ids) / 1000 for _, ids in g.actions)) for g in groups]
        return Scores.of(4, groups, read)


def critic(scorer: Scorer, weights_step: int = 4) -> TreeCritic:
    return TreeCritic(scorer, Format(), Tokens(), weights_step=weights_step, gamma=0.9, centre=CENTRE)  # type: ignore[arg-type]


def grown():
    tree = Tree.seed(workflow("seed"), {"p": 0.5}).overlay()
    child = tree.add_child(tree.root_id, workflow("child"), "edit", {"p": 1.0})
    return tree, child


async def test_all_are_scored_and_then_those_whose_prompts_have_changed():
    scorer, (tree, child) = Scorer(), grown()
    judge = critic(scorer)
    first = await judge.snapshot(tree, [])
    assert (first.weights_step, first.node_confidence, first.edit_confidence) == (4, 0.0, 0.0)
    assert set(first.values) == {tree.root_id, child.id}
    assert CENTRE < first.values[child.id] < CENTRE + 0.2, "a promise is an absolute score"
    assert await judge.snapshot(tree, []) == first
    assert len(scorer.asked) == 1, "nothing has changed"
    tree.mark_tried(child.id, "another edit")
    second = await judge.snapshot(tree, [])
    assert scorer.asked[1:] == [[child.id]]
    assert second.values[tree.root_id] == first.values[tree.root_id]


async def test_edits_are_read_before_they_are_made():
    scorer = Scorer()
    offers = [Offer([{"role": "user", "content": text}], None) for text in ("first", "second")]
    replies = [Reply("", None, tuple(range(n))) for n in (3, 5, 7)]
    q = await critic(scorer).edits([(offers[0], replies[0]), (offers[1], replies[1]), (offers[0], replies[2])])
    assert q == pytest.approx([CENTRE + 0.003, CENTRE + 0.005, CENTRE + 0.007])
    assert (scorer.groups, scorer.asked) == ([2], [[]]), "each prompt is read once, and no V is wanted"
    assert await critic(scorer).edits([]) == []


async def test_a_resume_goes_on_with_what_was_kept():
    scorer, (tree, child) = Scorer(), grown()
    judge = critic(scorer)
    kept = await judge.snapshot(tree, [])
    again = critic(scorer)
    again.resume(kept, judge.prompts)
    assert await again.snapshot(tree, []) == kept
    tree.mark_tried(child.id, "another edit")
    await again.snapshot(tree, [])
    assert scorer.asked[1:] == [[child.id]]
    others = critic(scorer, weights_step=5)
    others.resume(kept, judge.prompts)
    await others.snapshot(tree, [])
    assert scorer.asked[-1] == [tree.root_id, child.id], "values of other weights don't count"


async def test_workers_that_ask_at_once_all_see_everything():
    scorer, (tree, child) = Scorer(), grown()
    judge = critic(scorer)
    found = await asyncio.gather(*(judge.snapshot(tree, []) for _ in range(3)))
    assert all(child.id in snapshot.values for snapshot in found)
    assert len(scorer.asked) == 1


async def test_a_critic_that_fails_stops_the_search():
    tree, _ = grown()
    with pytest.raises(ModelUnavailable, match=r"^the critic failed: out of memory$"):
        await critic(Scorer(RuntimeError("out of memory\nmore"))).snapshot(tree, [])


def test_promises_are_compared_with_what_the_tree_knows_now():
    """The edit's child has X x1 and a child of its own that is better: Q is compared with x1 + .9 * (x2 - x1)."""
    tree = Tree.seed(workflow("seed"), {"p": 0.0, "q": 0.0}).overlay()
    one = tree.add_child(tree.root_id, workflow("one"), "a", {"p": 1.0, "q": 0.0}).id
    two = tree.add_child(one, workflow("two"), "b", {"p": 1.0, "q": 1.0}).id
    said = [
        Said(tree.root_id, one, v=0.7, v_shown=0.3, q=0.6, q_shown=0.2),
        Said(tree.root_id, None, v=0.9, v_shown=0.3, q=0.1, q_shown=0.2),
        Said(one, two, v=None, v_shown=0.4, q=None, q_shown=0.4),
    ]
    nodes, edits = comparisons(tree, said, 0.9)
    x1, x2 = tree.x(one), tree.x(two)
    assert x2 > x1
    [edit] = edits
    assert (edit.value, edit.shown, edit.outcome) == (0.6, 0.2, pytest.approx(x1 + 0.9 * (x2 - x1)))
    [node] = nodes
    reached = node_promises(tree, 0.9)[tree.root_id]
    assert (node.value, node.shown, node.outcome) == (0.7, 0.3, reached), "its first promise"


def bushes(right: bool, parents: int = 5, each: int = 4):
    """Workflows that are alike, and edits of each that bring more or less; the critic says so, or the opposite."""
    tree = Tree.seed(workflow("seed"), {f"p{k}": 0.5 for k in range(40)}).overlay()
    said = []
    for k in range(parents):
        parent = tree.add_child(tree.root_id, workflow(f"parent {k}"), str(k), {f"p{j}": 0.5 for j in range(40)}).id
        for i in range(each):
            level = 0.2 + 0.6 * (7 * (each * k + i) % (parents * each)) / (parents * each)
            grades = {f"p{j}": level for j in range(40)}
            child = tree.add_child(parent, workflow(f"child {k} {i}"), str(i), grades).id
            q = level if right else 1.0 - level
            said.append(Said(parent, child, v=0.5, v_shown=0.5, q=q, q_shown=0.5 + 0.001 * (i % 3)))
    return tree, said


async def test_a_critic_earns_its_say_within_the_search_and_one_that_is_wrong_has_none():
    tree, said = bushes(right=True)
    assert (await critic(Scorer()).snapshot(tree, said[:6])).edit_confidence == 0.0, "too few edits to tell"
    found = await critic(Scorer()).snapshot(tree, said)
    assert found.edit_confidence > 0.6
    assert found.node_confidence == 0.0, "five workflows are too few"
    tree, said = bushes(right=False)
    assert (await critic(Scorer()).snapshot(tree, said)).edit_confidence == 0.0


async def test_edits_of_one_workflow_alone_earn_nothing():
    tree, said = bushes(right=True, parents=1, each=20)
    assert (await critic(Scorer()).snapshot(tree, said)).edit_confidence == 0.0
