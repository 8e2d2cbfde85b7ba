"""Who challenges the best workflow, and that one challenge is under way at a time."""

from aflow_verl.evaluation.best_workflow import BestWorkflow
from aflow_verl.search.tree import Tree
from aflow_verl.standalone.challenges import Challenges, leaders
from aflow_verl.types import Evaluation, Grade, Problem

VALIDATION = tuple(Problem(f"v{k}", "", "") for k in range(10))
FRESH = tuple(Problem(f"t{k}", "", "") for k in range(200))
SOLVED = {"": (2, 40), "a": (4, 80), "b": (6, 160), "c": (8, 20), "d": (1, 200)}
"""Of the validation problems, and of the training problems: c is lucky, and nobody looks at d."""


class Contest:
    def __init__(self) -> None:
        self.tried: list[str] = []

    async def evaluate(self, workflow, problems):
        name = "".join(workflow.history)
        fresh = problems[0].id.startswith("t")
        if fresh and name not in self.tried:
            self.tried.append(name)
        count = SOLVED[name][fresh]
        return Evaluation(tuple(Grade(p.id, float(int(p.id[1:]) < count)) for p in problems))


async def challenged(searches, store, contest, names="abcd", part="", end=False):
    """``part``: workflows that were graded on a part alone."""
    tree = Tree.seed(searches.workflow()).overlay()
    best = BestWorkflow("challenges", store, contest, VALIDATION, FRESH)
    await best.resume(tree.root_id, tree.root.state, lambda node_id: tree[node_id].state, 0)
    for name in ("", *names):
        state = searches.workflow((name,) if name else ())
        graded = await contest.evaluate(state, VALIDATION[: 5 if name and name in part else 10])
        grades = {g.problem_id: g.score for g in graded.grades}
        if name:
            tree.add_child(tree.root_id, state, name, grades)
        else:
            tree.add_grades(tree.root_id, grades)
    challenges = Challenges(best, tree, [])
    challenges.begin()
    challenges.begin()
    await (challenges.finish() if end else challenges.settled())
    return best, tree


async def test_those_that_lead_challenge_the_highest_first(searches):
    contest = Contest()
    best, tree = await challenged(searches, searches.Memory(), contest)
    assert [state.history for _, state in leaders(tree, tree.root_id)] == [("c",), ("b",), ("a",)]
    assert contest.tried == ["", "c"], "one at a time"
    assert best.best.node_id == tree.root_id
    assert "no workflow beat the seed" in best.verdict()


async def test_at_the_end_all_that_are_left_have_their_turn(searches):
    contest = Contest()
    best, _ = await challenged(searches, searches.Memory(), contest, end=True)
    assert sorted(contest.tried) == ["", "a", "b", "c"]
    assert best.best.state.history == ("b",)


async def test_nobody_challenges_twice_or_on_a_part_of_the_problems(searches):
    store, contest = searches.Memory(), Contest()
    await challenged(searches, store, contest, names="ac", part="a", end=True)
    assert contest.tried == ["", "c"]
    again = Contest()
    await challenged(searches, store, again, names="ac", part="a", end=True)
    assert again.tried == []


async def test_none_leads(searches):
    contest = Contest()
    best, tree = await challenged(searches, searches.Memory(), contest, names="d", end=True)
    assert (contest.tried, best.best.node_id) == ([], tree.root_id)
