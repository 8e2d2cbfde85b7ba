"""How a child's results are paid for: all validation problems at once, or in stages as long as it may be the best.

A grader gets the results it asks for through ``run`` and pays one unit for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aflow_verl.search.gains import PairedGain
from aflow_verl.search.racing import may_be_best, stages
from aflow_verl.search.view import TreeView

Run = Callable[[Sequence[int]], Mapping[str, float]]
"""Indices of problems -> results of the child, by problem id."""
Grader = Callable[[Run, Run, TreeView, str, Sequence[int]], dict[str, float]]
"""(run of the child, run of its parent, tree, the parent's id, order of the problems) -> the child's grades."""


def full(run: Run, run_parent: Run, tree: TreeView, parent_id: str, order: Sequence[int]) -> dict[str, float]:
    """All problems."""
    return dict(run(order))


def race(run: Run, run_parent: Run, tree: TreeView, parent_id: str, order: Sequence[int]) -> dict[str, float]:
    """Stage by stage (``search.racing``). A parent that was not graded on the whole stage is graded on it, too: a gain
    is worth what it is paired with."""
    estimates, parent = tree.estimates(), dict(tree[parent_id].grades)
    best_x = max(estimates.x.values())
    grades: dict[str, float] = {}
    for stop in stages(len(order)):
        if stop > len(parent):
            parent.update(run_parent(order[len(parent) : stop]))
        grades.update(run(order[len(grades) : stop]))
        differences = [score - parent[problem] for problem, score in grades.items() if problem in parent]
        n = len(differences)
        gain = PairedGain(n, sum(differences) / n if n else 0.0, 0.0)
        if not may_be_best(gain, estimates.x[parent_id], best_x, estimates):
            break
    return grades


GRADERS: Mapping[str, Grader] = {"full": full, "race": race}
"""Name -> grader."""
