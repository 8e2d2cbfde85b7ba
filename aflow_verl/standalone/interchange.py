"""Between a search's store and a workspace of AFlow's: what comes in is the search's past, what goes out is all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aflow_verl.errors import UserError
from aflow_verl.search.node import Node
from aflow_verl.search.store import Store
from aflow_verl.standalone.history import BENCHMARK, LEDGER, ROOT_PRIOR, load_tree, read_ledger
from aflow_verl.standalone.scores import score_of
from aflow_verl.workspace.layout import AFLOW_NAMES, Run, Workspace
from aflow_verl.workspace.trees import Imported, from_tree

RUNS, LOGS = "aflow/runs", "aflow/logs"
"""Keys of the store's meta: by node id."""
CUSTOM = ("Custom", "ScEnsemble")
OPERATORS: Mapping[str, tuple[str, ...]] = {
    "math": (*CUSTOM, "Programmer"),
    "code": ("Custom", "CustomCodeGenerate", "ScEnsemble", "Test"),
    "qa": ("Custom", "AnswerGenerate", "ScEnsemble"),
}
"""AFlow's sets by kind of task."""
KINDS = {"gsm8k": "math", "math": "math", "humaneval": "code", "mbpp": "code", "hotpotqa": "qa", "drop": "qa"}


def aflow_operators(benchmark: str) -> tuple[str, ...]:
    """What AFlow's workflows for this benchmark may use. Raises ``UserError`` for one that AFlow doesn't have."""
    if benchmark not in KINDS:
        raise UserError(f"{benchmark}: is no dataset of AFlow's ({', '.join(AFLOW_NAMES.values())}); name --operators")
    return OPERATORS[KINDS[benchmark]]


def put_imported(store: Store, imported: Imported) -> None:
    """Make it the beginning of a search. Raises ``UserError`` where the store holds one already."""
    if store.get_meta(BENCHMARK) is not None:
        raise UserError(f"{store.name}: holds a search already; name another run_dir")
    with store.together():
        store.put_root(imported.benchmark, imported.root)
        store.put_delta(imported.benchmark, 0, "import", imported.delta)
        store.commit_step(imported.benchmark, 0, ["import"])
        store.put_experience(imported.benchmark, imported.experience)
        store.put_meta(RUNS, {node_id: [asdict(run) for run in runs] for node_id, runs in imported.runs.items()})
        store.put_meta(LOGS, {node_id: list(logs) for node_id, logs in imported.logs.items()})
        store.put_meta(ROOT_PRIOR, imported.root_prior_mean)
        store.put_meta(LEDGER, [])
        store.put_meta(BENCHMARK, imported.benchmark)


def to_workspace(store: Store) -> Workspace:
    """The search as AFlow would have kept it. Raises ``UserError`` where the store holds no search."""
    benchmark = store.get_meta(BENCHMARK)
    if benchmark is None:
        raise UserError(f"{store.name}: holds no search; name the run directory of 'aflow-verl search'")
    rounds = read_ledger(store)
    done = {entry.child: entry for entry in reversed(rounds) if entry.child is not None}
    runs: Mapping[str, Sequence[Mapping[str, Any]]] = store.get_meta(RUNS, {})

    tree = load_tree(store, benchmark, len(rounds))

    def run_of(node: Node) -> Run | None:
        if not node.grades:
            return None
        score = score_of(tree, node.id)
        if (entry := done.get(node.id)) is None:
            return Run(score)
        return Run(score, entry.cost_usd / len(node.grades), entry.cost_usd, entry.time)

    return from_tree(
        tree,
        tuple(store.load_experience(benchmark, len(rounds))),
        {node_id: tuple(Run(**run) for run in found) for node_id, found in runs.items()},
        {node_id: tuple(found) for node_id, found in store.get_meta(LOGS, {}).items()},
        run_of,
    )
