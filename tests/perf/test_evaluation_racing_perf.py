"""Racing beside five full passes over the validation problems, on AFlow's split sizes, with a sampled executor.

Both see the same outcomes: five runs of each workflow on each problem. Five passes take the higher mean of all of
them. A race draws from them until it is over.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from aflow_verl.config import RacingConfig
from aflow_verl.evaluation.race import PASSES, Race, race
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.state import WorkflowState

SIZES = {"HumanEval": 33, "MBPP": 86, "MATH": 119, "HotpotQA": 200, "DROP": 200, "GSM8K": 264}
"""Validation problems in AFlow."""
GAPS = (0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
LARGE = 0.1
RACES = 150
"""For each size and gap."""
SETTINGS = RacingConfig()
PARENT, CHILD = (WorkflowState("toy", code, "", ()) for code in ("a = 1", "a = 2"))
Outcomes = NDArray[np.bool_]


def one_race(parent: Outcomes, child: Outcomes, seed: int) -> Race:
    """``parent`` and ``child``: [passes, problems]."""
    problems = tuple(Problem(str(k), "", "") for k in range(parent.shape[1]))

    async def stage(workflow: WorkflowState, chosen: Sequence[Problem], sample: int) -> Evaluation:
        row = (child if workflow is CHILD else parent)[sample]
        return Evaluation(tuple(Grade(p.id, float(row[int(p.id)])) for p in chosen))

    return asyncio.run(race(stage, CHILD, PARENT, problems, SETTINGS, seed=seed, repeats=True))


def compare(size: int, gap: float, rates: Callable[..., tuple[NDArray, NDArray]], seed: int) -> NDArray[np.float64]:
    """[races, 3]: whether five passes and the race chose the child (a half for a tie), and the race's runs."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(RACES):
        outcomes = [rng.random((PASSES, size)) < chances for chances in rates(size, gap, rng)]
        difference = int(outcomes[1].sum()) - int(outcomes[0].sum())
        ended = one_race(outcomes[0], outcomes[1], k)
        rows.append((0.5 + 0.5 * np.sign(difference), 0.5 + 0.5 * np.sign(ended.gain), ended.runs))
    return np.array(rows, dtype=float)


@pytest.mark.perf
def test_racing_chooses_as_five_passes_do_with_a_third_of_the_calls(success_rates: ModuleType, capsys) -> None:
    found = {
        (name, gap): compare(size, gap, success_rates.parent_and_child, seed=1000 * i + j)
        for i, (name, size) in enumerate(SIZES.items())
        for j, gap in enumerate(GAPS)
    }
    with capsys.disabled():
        print("\nchosen rightly by five passes / by racing (share of their calls)")
        print(f"{'gap':<10}" + "".join(f"{100 * gap:>17g}" for gap in GAPS))
        for name, size in SIZES.items():
            cells = [
                (*found[name, gap][:, :2].mean(0), found[name, gap][:, 2].mean() / (PASSES * size)) for gap in GAPS
            ]
            print(f"{name:<10}" + "".join(f"   {five:.2f}/{own:.2f} ({share:.2f})" for five, own, share in cells))
    runs = sum(rows[:, 2].sum() for rows in found.values())
    share = runs / sum(PASSES * SIZES[name] * RACES for name, _ in found)
    large = np.concatenate([rows for (_, gap), rows in found.items() if gap >= LARGE])
    # Expected loss: how much better the workflow is that was not chosen, times how often that is.
    lost = {key: 100 * key[1] * (rows[:, 0] - rows[:, 1]).mean() for key, rows in found.items() if key[1] < LARGE}
    by_gap = {gap: np.mean([loss for key, loss in lost.items() if key[1] == gap]) for gap in GAPS if gap < LARGE}
    with capsys.disabled():
        print(f"all races: {share:.3f} of the calls of five passes (x{1 / share:.1f} fewer)")
        print(f"gaps of 10 points and more: five passes {large[:, 0].mean():.4f}, racing {large[:, 1].mean():.4f}")
        print("points lost below: " + ", ".join(f"{100 * gap:g}: {loss:.2f}" for gap, loss in by_gap.items()))
    assert share <= 1 / 3
    noise = 2 * (large[:, 1] - large[:, 0]).std() / np.sqrt(len(large))
    assert large[:, 1].mean() >= large[:, 0].mean() - max(0.005, noise)
    assert max(by_gap.values()) <= 1.0
