"""Races of new workflows: who is graded on what, and what a partial set is worth."""

import pytest

from aflow_verl.search.tree import Tree
from aflow_verl.standalone.grading import Grading
from aflow_verl.standalone.scores import error_of, is_whole, score_of
from aflow_verl.types import Evaluation, Grade, Problem

PROBLEMS = tuple(Problem(f"v{k}", f"question {k}", "") for k in range(20))


class Table:
    """Right on the first problems of the order, as many as the table says; counts what it is asked."""

    def __init__(self, right: dict[str, int], failing: str = "") -> None:
        self.right = right
        self.failing = failing
        self.order: list[str] = []
        self.asked: list[tuple[str, int]] = []

    async def evaluate(self, workflow, problems):
        name = "".join(workflow.history)
        self.order += [p.id for p in problems if p.id not in self.order]
        self.asked.append((name, len(problems)))
        error = "NameError" if name and name in self.failing else None
        return Evaluation(
            tuple(Grade(p.id, float(self.order.index(p.id) < self.right[name]), error=error) for p in problems)
        )


def grading(searches, table, race=True):
    """The stages of 20 problems end at 4, 8, 16 and 20."""
    tree = Tree.seed(searches.workflow()).overlay()
    return tree, Grading(tree, table, PROBLEMS, race=race, max_logs=3, seed=1)


async def test_without_a_race_all_problems_are_graded_at_once(searches):
    table = Table({"": 5, "a": 0})
    tree, grades = grading(searches, table, race=False)
    await grades.know(tree.root_id)
    evaluation = await grades.child(searches.workflow(("a",)), tree.root_id)
    assert [g.problem_id for g in evaluation.grades] == [p.id for p in PROBLEMS]
    assert table.asked == [("", 20), ("a", 20), ("", 20)], "the parent's grades are known by then"


async def test_a_race_is_over_when_the_child_can_hardly_win(searches):
    """The seed solves all; a nothing, b the first eight, c all. A child that ties is graded to the end."""
    table = Table({"": 20, "a": 0, "b": 8, "c": 20})
    tree, grades = grading(searches, table)
    assert not grades.is_known(tree.root_id)
    await grades.know(tree.root_id)
    assert grades.is_known(tree.root_id)
    counts = {}
    for name in "abc":
        counts[name] = (await grades.child(searches.workflow((name,)), tree.root_id)).n
    assert counts == {"a": 4, "b": 16, "c": 20}
    assert len(tree.root.grades) == 20


async def test_the_parent_is_graded_on_the_same_problems(searches):
    table = Table({"": 0, "a": 20, "b": 20})
    tree, grades = grading(searches, table)
    a = searches.workflow(("a",))
    tree.add_child(tree.root_id, a, "a", {PROBLEMS[0].id: 1.0})
    child = await grades.child(searches.workflow(("b",)), a.hash)
    assert child.n == 20
    assert tree[a.hash].grades.keys() == {g.problem_id for g in child.grades}


async def test_a_workflow_that_fails_everywhere_is_not_graded_on(searches):
    table = Table({"": 0, "a": 0}, failing="a")
    tree, grades = grading(searches, table)
    evaluation = await grades.child(searches.workflow(("a",)), tree.root_id)
    assert (evaluation.n, evaluation.failed_everywhere) == (4, True)


async def test_all_workflows_see_one_order_and_prompts_show_the_first_failures(searches):
    table = Table({"": 2, "a": 3})
    tree, grades = grading(searches, table)
    await grades.know(tree.root_id)
    assert len(tree.root.failures) == 2
    assert tree.root.failures[0].startswith("Problem: question ")
    evaluation = await grades.child(searches.workflow(("a",)), tree.root_id)
    assert [g.problem_id for g in evaluation.grades[:4]] == table.order[:4] != [p.id for p in PROBLEMS[:4]]


def test_the_score_of_a_part_is_x(searches):
    tree = Tree.seed(searches.workflow(), {"p": 1.0, "q": 0.0}).overlay()
    whole = tree.add_child(tree.root_id, searches.workflow(("a",)), "a", {"p": 1.0, "q": 1.0}).id
    part = tree.add_child(tree.root_id, searches.workflow(("b",)), "b", {"p": 1.0}).id
    assert (score_of(tree, whole), error_of(tree, whole)) == (1.0, 0.0)
    assert (score_of(tree, tree.root_id), error_of(tree, tree.root_id)) == (0.5, pytest.approx(0.5))
    assert score_of(tree, part) == tree.x(part) == pytest.approx(0.5, abs=0.01), "no gain on the shared problem"
    assert error_of(tree, part) == tree.estimates().sd[part] > 0
    assert [is_whole(tree, tree[n]) for n in (tree.root_id, whole, part)] == [True, True, False]


def test_a_race_saves_gradings(searches):
    """Most edits hurt by a lot: their workflows are hardly graded, and what is found is as good."""
    problems = tuple(Problem(f"v{k}", f"validation {k}", "") for k in range(64))

    class Steep(searches.Ladder):
        def level(self, workflow):
            return 0.6 + sum(0.1 if int(edit) % 6 == 0 else -0.4 for edit in workflow.history)

    def run(seed: int, race: bool) -> tuple[int, float]:
        async def search() -> tuple[int, float]:
            ladder, editor, history = Steep(seed), searches.RandomEdits(seed), searches.Ledger()
            loop = await searches.make_loop(
                ladder, editor.ask, history, rounds=30, seed=seed, race=race, validation=problems
            )
            await loop.run()
            return sum(ladder.graded.values()), ladder.level(loop.tree.best().state)

        return searches.in_virtual_time(search)[0]

    raced, whole = [run(seed, True) for seed in range(4)], [run(seed, False) for seed in range(4)]
    assert sum(cost for cost, _ in raced) < 0.5 * sum(cost for cost, _ in whole)
    assert sum(best for _, best in raced) > sum(best for _, best in whole) - 0.11


async def test_what_was_imported_is_graded_with_what_it_is_compared_with(searches):
    table = Table({"": 0, "a": 2, "b": 4})
    tree, grades = grading(searches, table)
    a = tree.add_child(tree.root_id, searches.workflow(("a",)), "a").id
    b = tree.add_child(a, searches.workflow(("b",)), "b").id
    await grades.know(b)
    assert [tree[each].mean for each in (tree.root_id, a, b)] == [0.0, 0.5, 1.0]
    assert tree.x(tree.root_id) < tree.x(a) < tree.x(b)
