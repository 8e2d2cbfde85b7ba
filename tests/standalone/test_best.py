"""A new best workflow leads on the validation problems and is no worse on fresh ones."""

from typing import Any

from aflow_verl.env.champion import Champion
from aflow_verl.evaluation.race import Race
from aflow_verl.search.tree import Tree
from aflow_verl.standalone.best import OUTCOMES, Best
from aflow_verl.types import Evaluation, Grade, Problem

VALIDATION = tuple(Problem(f"v{k}", "", "") for k in range(10))
FRESH = (Problem("fresh", "", ""),)
SOLVED = {"": 2, "a": 4, "b": 6, "c": 8, "d": 2}
"""Of ten; d equals the seed."""


class Contest:
    """Races end as ``gains`` says; ``down`` are cut short."""

    def __init__(self, gains: dict[str, float], down: str = "") -> None:
        self.gains = gains
        self.down = down
        self.raced: list[tuple[str, str]] = []

    async def evaluate(self, workflow: Any, problems: Any) -> Evaluation:
        count = SOLVED["".join(workflow.history)]
        return Evaluation(tuple(Grade(p.id, float(k < count)) for k, p in enumerate(problems)))

    async def race(self, child: Any, parent: Any, problems: Any, *, seed: int) -> Race:
        assert problems == FRESH
        name = "".join(child.history)
        self.raced.append((name, "".join(parent.history)))
        return Race("incomplete" if name in self.down else "cap", {}, {}, self.gains.get(name, 0.0), 1, 0)


async def race(searches: Any, contest: Contest, names: str, store: Any = None) -> Best:
    best = Best(store or searches.Memory(), contest, VALIDATION, FRESH)
    await best.resume(Tree.seed(searches.workflow()))
    for name in names:
        state = searches.workflow((name,))
        best.consider(Champion(state.hash, state, await contest.evaluate(state, VALIDATION)))
    await best.settled()
    return best


def name(best: Best) -> str:
    return "".join(best.now.state.history)


async def test_the_highest_score_races_first_and_the_others_no_more(searches):
    contest = Contest({})
    assert name(await race(searches, contest, "abcd")) == "c"
    assert contest.raced == [("c", "")]


async def test_luck_on_the_validation_problems_is_not_enough(searches):
    contest = Contest({"c": -0.1, "b": 0.1})
    assert name(await race(searches, contest, "abc")) == "b"
    assert contest.raced == [("c", ""), ("b", "")]


async def test_an_interrupted_race_is_no_outcome(searches):
    store = searches.Memory()
    assert name(await race(searches, Contest({}, down="a"), "a", store)) == ""
    assert store.get_meta(OUTCOMES) is None
    contest = Contest({})
    assert name(await race(searches, contest, "a", store)) == "a"
    again = await race(searches, contest, "a", searches.Memory())
    assert contest.raced == [("a", ""), ("a", "")]
    again.cancel()


async def test_a_resume_knows_the_winner_and_lets_race_who_had_not(searches):
    store, contest = searches.Memory(), Contest({"b": -1.0})
    tree = Tree.seed(searches.workflow()).overlay()
    for edit in "ab":
        state = searches.workflow((edit,))
        grades = {g.problem_id: g.score for g in (await contest.evaluate(state, VALIDATION)).grades}
        tree.add_child(tree.root_id, state, edit, grades)
    first = Best(store, contest, VALIDATION, FRESH)
    await first.resume(tree)
    assert name(first) == "a"
    assert contest.raced == [("b", ""), ("a", "")]
    second = Best(store, contest, VALIDATION, FRESH)
    await second.resume(tree)
    assert name(second) == "a"
    assert len(contest.raced) == 2
