"""How the workflows of a search are graded: on all validation problems, or in stages for as long as they may win."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aflow_verl.env.prompts import failure_lines
from aflow_verl.env.seeds import generator
from aflow_verl.evaluation.best_workflow import Contest
from aflow_verl.evaluation.comparison import scores
from aflow_verl.search.gains import paired_gain
from aflow_verl.search.node import Node
from aflow_verl.search.racing import may_be_best, stages
from aflow_verl.search.tree import Overlay
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState


class Grading:
    """Grades on a live tree. Known grades are free, so what is asked for again costs nothing."""

    def __init__(
        self,
        tree: Overlay,
        contest: Contest,
        validation: Sequence[Problem],
        *,
        race: bool,
        max_logs: int,
        seed: int,
    ) -> None:
        """
        Args:
            race: in stages (``search.racing``), else each workflow on all problems at once.
            max_logs: failed problems that a workflow's prompt shows.
            seed: the recipe's; draws the one order in which all workflows see the problems.
        """
        self._tree = tree
        self._contest = contest
        self._asked = {problem.id: problem.prompt for problem in validation}
        self._max_logs = max_logs
        n = len(validation)
        order = generator(seed, "race").permutation(n).tolist() if race else range(n)
        stops = stages(n) if race else (n,)
        self._stages = [
            [validation[k] for k in order[start:stop]] for start, stop in zip((0, *stops), stops, strict=False)
        ]

    def add(self, node_id: str, evaluation: Evaluation) -> Node:
        """These grades in the tree."""
        failed = None if self._tree[node_id].failures else self.failures(evaluation)
        return self._tree.add_grades(node_id, scores(evaluation), failures=failed)

    def failures(self, evaluation: Evaluation) -> tuple[str, ...]:
        """What a prompt shows of it."""
        return failure_lines(evaluation, self._asked, self._max_logs)

    def is_known(self, node_id: str) -> bool:
        """Whether the node has the grades that it needs before it is edited; what an import brought has none yet."""
        return {problem.id for problem in self._stages[0]} <= self._tree[node_id].grades.keys()

    async def know(self, node_id: str) -> None:
        """Grade the node on the first stage; one without grades with its ancestors, which it is compared with."""
        path = [node_id] if self._tree[node_id].grades else [node_id, *self._tree.ancestors(node_id)]
        await asyncio.gather(*(self._grade(each, self._stages[0]) for each in path))

    async def child(self, state: WorkflowState, parent_id: str) -> Evaluation:
        """A new workflow's grades, stage by stage, until it fails everywhere or can hardly be the best one.

        Its parent is graded on the same problems: a gain is worth what it is paired with.
        """
        graded = Evaluation(())
        for problems in self._stages:
            found, _ = await asyncio.gather(self._contest.evaluate(state, problems), self._grade(parent_id, problems))
            graded = Evaluation((*graded.grades, *found.grades))
            if graded.failed_everywhere or not self._may_be_best(state, graded, parent_id):
                break
        return graded

    async def _grade(self, node_id: str, problems: Sequence[Problem]) -> None:
        self.add(node_id, await self._contest.evaluate(self._tree[node_id].state, problems))

    def _may_be_best(self, state: WorkflowState, graded: Evaluation, parent_id: str) -> bool:
        estimates = self._tree.estimates()
        gain = paired_gain(Node(state.hash, parent_id, state, grades=scores(graded)), self._tree[parent_id])
        return may_be_best(gain, estimates.x[parent_id], max(estimates.x.values()), estimates)
