"""A search without training, in seconds on a CPU: select -> expand -> evaluate -> back up, for each selector.

    python examples/search_on_cpu.py [--seeds 4] [--evaluations 20]

The policy is a random legal edit, and the executor is simulated: a stand-in with known skill for each kind of call, so
that what a workflow is worth is known in advance. Everything else is real: the workflows are AFlow code, run in
the sandbox, graded, and kept in the tree that training uses too. The table shows the score, on held-out problems, of
the workflow that the search holds for the best after k evaluations.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from aflow_verl.benchmarks.base import Benchmark, Split
from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import EvaluationConfig, ModelConfig, SearchConfig
from aflow_verl.evaluation.comparison import scores
from aflow_verl.evaluation.engine import Engine
from aflow_verl.evaluation.grades import MemoryStore
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.search.catalog import SELECTORS, selector_named
from aflow_verl.search.selection import select
from aflow_verl.search.tree import Tree
from aflow_verl.search.view import TreeView
from aflow_verl.workflow.edits import STOP, Edit, EditSpace, apply_edit, legal_edits
from aflow_verl.workflow.state import WorkflowState, seed_state

LANDSCAPE = "ladder"
SPACE = EditSpace()
PROBLEMS: Mapping[Split, int] = {"train": 8, "validation": 1, "heldout": 32}
"""Few training problems, as in training: the search has to live with their noise."""
SHOWN = (0, 1, 2, 5, 10, 20, 50, 100)


def untried(tree: TreeView, node_id: str) -> list[Edit]:
    edits = legal_edits(tree[node_id].state, SPACE)
    return [edit for edit in edits if edit != STOP and edit.key not in tree.tried(node_id)]


async def search(
    selector: str, engine: Engine, benchmark: Benchmark, evaluations: int, rng: np.random.Generator
) -> list[WorkflowState]:
    """The best workflow known after 0, 1, ... ``evaluations`` evaluations."""
    problems = benchmark.problems("train")
    settings, rule = SearchConfig(rl_weight=0.0), selector_named(selector)
    seed = seed_state("simulated", SPACE.operators)
    tree = Tree.seed(seed, scores(await engine.evaluate(seed, problems, benchmark))).overlay()
    best = [tree.best().state]
    for _ in range(evaluations):
        choice = select(tree, None, settings, rule, rng, expandable=lambda node: bool(untried(tree, node)))
        node_id = choice.node_id
        edits = untried(tree, node_id)
        edit = edits[rng.integers(len(edits))]
        child = apply_edit(tree[node_id].state, edit.key, SPACE)
        tree.add_child(node_id, child, edit.key, scores(await engine.evaluate(child, problems, benchmark)))
        tree.visit(node_id)
        best.append(tree.best().state)
    return best


def shown(evaluations: int) -> list[int]:
    """The numbers of evaluations that the table has columns for."""
    return [k for k in SHOWN if k < evaluations] + [evaluations]


async def heldout_scores(seed: int, evaluations: int, sandbox: MontySandbox) -> dict[str, dict[int, float]]:
    """Selector -> held-out score of its best workflow after k evaluations, for the problems and replies of one seed."""
    benchmark = Simulated(PROBLEMS, seed)
    engine = Engine(
        workflows=sandbox,
        programs=sandbox,
        model=SimulatedClient(LANDSCAPES[LANDSCAPE], name=LANDSCAPE, seed=seed),
        store=MemoryStore(),
        limits=Limits(),
        program_limits=Limits(),
        executor=ModelConfig(kind="simulated", model=LANDSCAPE),
        evaluation=EvaluationConfig(),
    )
    curves = {}
    for selector in SELECTORS:
        best = await search(selector, engine, benchmark, evaluations, np.random.default_rng(seed))
        heldout = benchmark.problems("heldout")
        curves[selector] = {k: (await engine.evaluate(best[k], heldout, benchmark)).mean for k in shown(evaluations)}
    await engine.close()
    return curves


async def compare(seeds: int, evaluations: int) -> dict[str, list[dict[int, float]]]:
    """Selector -> one curve a seed."""
    async with MontySandbox(workers=4) as sandbox:
        runs = [await heldout_scores(seed, evaluations, sandbox) for seed in range(seeds)]
    return {selector: [run[selector] for run in runs] for selector in SELECTORS}


def table(curves: Mapping[str, Sequence[Mapping[int, float]]]) -> Table:
    first = next(iter(curves.values()))
    result = Table(title=f"held-out score after k evaluations, mean of {len(first)} seeds")
    result.add_column("selector")
    for k in first[0]:
        result.add_column(f"k = {k}", justify="right")
    for selector, runs in curves.items():
        result.add_row(selector, *(f"{statistics.fmean(run[k] for run in runs):.3f}" for k in first[0]))
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Search without training, on a CPU.")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--evaluations", type=int, default=20, help="workflows evaluated by each search")
    options = parser.parse_args(arguments)
    Console().print(table(asyncio.run(compare(options.seeds, options.evaluations))))


if __name__ == "__main__":
    main()
