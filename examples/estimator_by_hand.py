"""The GiGPO estimator by hand: one group of three searches, every number derived in a comment, beside the library's.

    python examples/estimator_by_hand.py

Three trajectories edit the same workflow, the seed S. A step's reward is the gain in score of the workflow it makes
over the one it edits. The second search goes back to S for its second edit; the third writes a broken workflow.

    1:  S -(+0.1)-> A -(+0.4)-> B
    2:  S -(+0.3)-> C,   S -(+0.1)-> A,   C -(-0.2)-> D
    3:  S -(-0.1)-> nothing (invalid),   S -(+0.1)-> A
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from trainer.gigpo import GigpoResult, gigpo, gigpo_statistics

GAMMA, OMEGA = 0.5, 1.0
S, A, C = 1, 2, 3
NAMES = {S: "S", A: "A", C: "C"}


@dataclass(frozen=True)
class Step:
    """One row of the batch, and what a pencil makes of it."""

    trajectory: int
    step: int
    anchor: int
    """State that is edited."""
    parent_step: int
    """Step that made that state; -1 for the seed."""
    reward: float
    step_return: float
    episode_advantage: float
    step_advantage: float
    invalid: bool = False

    @property
    def advantage(self) -> float:
        return self.episode_advantage + OMEGA * self.step_advantage


# Step returns along the tree, y = r + 0.5 max(0, best child's y), from the last step to the first:
#   1:  y_1 = 0.4                    y_0 = 0.1 + 0.5 * 0.4 = 0.3
#   2:  y_2 = -0.2    y_1 = 0.1      y_0 = 0.3 + 0.5 * max(0, -0.2) = 0.3      (step 1 edited S, so it is no child of 0)
#   3:  y_1 = 0.1                    y_0 = -0.1                                 (no node, so nothing can follow)
# Episode returns R = sum r: 0.5, 0.2, 0.0; their mean is 0.7 / 3, so A^E = 0.8 / 3, -0.1 / 3, -0.7 / 3.
# Step groups, the steps that edited the same state:
#   S: y = 0.3, 0.3, 0.1, 0.1 of valid edits; mean 0.2; A^S = 0.1, 0.1, -0.1, -0.1, and -0.1 - 0.2 = -0.3 for the
#      invalid one, which is in no mean
#   A: y = 0.4, C: y = -0.2, each alone, so they are compared with all six valid edits, whose mean is 1 / 6;
#      A^S = 1.4 / 6 and -2.2 / 6
BY_HAND = (
    Step(1, 0, S, -1, 0.1, 0.3, 0.8 / 3, 0.1),
    Step(1, 1, A, 0, 0.4, 0.4, 0.8 / 3, 1.4 / 6),
    Step(2, 0, S, -1, 0.3, 0.3, -0.1 / 3, 0.1),
    Step(2, 1, S, -1, 0.1, 0.1, -0.1 / 3, -0.1),
    Step(2, 2, C, 0, -0.2, -0.2, -0.1 / 3, -2.2 / 6),
    Step(3, 0, S, -1, -0.1, -0.1, -0.7 / 3, -0.3, invalid=True),
    Step(3, 1, S, -1, 0.1, 0.1, -0.7 / 3, -0.1),
)


def estimate(steps: tuple[Step, ...]) -> GigpoResult:
    """The library's answer for the same rows, with one response token a row."""
    return gigpo(
        [s.reward for s in steps],
        [0 for _ in steps],
        [s.trajectory for s in steps],
        [s.step for s in steps],
        [s.anchor for s in steps],
        torch.ones(len(steps), 1),
        parent_step_B=[s.parent_step for s in steps],
        invalid_B=[s.invalid for s in steps],
        gamma=GAMMA,
        omega=OMEGA,
    )


def numbers(row: int, step: Step, result: GigpoResult) -> tuple[tuple[float, float], ...]:
    """R, A^E, A^S and A of a row, each by hand and by the library."""
    return (
        (step.step_return, float(result.returns_BT[row, 0])),
        (step.episode_advantage, float(result.episode_advantage_B[row])),
        (step.step_advantage, float(result.step_advantage_B[row])),
        (step.advantage, float(result.advantages_BT[row, 0])),
    )


def comparison(result: GigpoResult) -> Table:
    """One row a step, with two lines; raises AssertionError where they differ."""
    title = f"GiGPO by hand (gamma {GAMMA}, omega {OMEGA}, returns along the tree)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for heading in ("search", "step", "edits", "made at", "reward", "", "R", "A^E", "A^S", "A"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, step in enumerate(BY_HAND):
        pairs = numbers(row, step, result)
        for by_hand, by_library in pairs:
            assert math.isclose(by_hand, by_library, rel_tol=1e-6, abs_tol=1e-7), (row, by_hand, by_library)
        made_at = "seed" if step.parent_step < 0 else f"step {step.parent_step}"
        left = (str(step.trajectory), str(step.step), NAMES[step.anchor], made_at, f"{step.reward:+.1f}")
        table.add_row(*left, "by hand\nlibrary", *(f"{a:+.3f}\n{b:+.3f}" for a, b in pairs), end_section=True)
    return table


def main() -> None:
    result = estimate(BY_HAND)
    console = Console(width=100)
    console.print(comparison(result))
    for name, value in gigpo_statistics(result).items():
        console.print(f"{name:32} {value:.3f}", highlight=False)
    console.print("The library agrees with the pencil in every row.", style="green")


if __name__ == "__main__":
    main()
