"""``aflow-verl evaluate``: the score of one workflow on one benchmark, with its interval, cost and failures."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from aflow_verl.benchmarks.base import Benchmark, Split
from aflow_verl.benchmarks.catalog import BENCHMARKS, SCORERS, create_benchmark
from aflow_verl.commands.arguments import Parser, parse_budget, parse_settings, run_command
from aflow_verl.config import BenchmarkConfig, ModelConfig, SandboxConfig
from aflow_verl.errors import InfrastructureError, InvalidAction, RecipeError, UserError
from aflow_verl.evaluation.evaluate import EvaluationBudget, evaluate
from aflow_verl.models.catalog import check_client, price_for
from aflow_verl.operators.catalog import OPERATORS
from aflow_verl.report.progress import console_on
from aflow_verl.schema import suggestion
from aflow_verl.types import Evaluation
from aflow_verl.workflow.graph_source import UNPARSABLE, strip_header, used_operators
from aflow_verl.workflow.parse import check_graph
from aflow_verl.workflow.state import WorkflowState

SPLITS: dict[str, Split] = {"train": "train", "validation": "validation", "test": "heldout", "heldout": "heldout"}
EPILOG = """\
WORKFLOW is AFlow's graph.py (with prompt.py beside it, if it has one) or their folder. Examples:

  aflow-verl evaluate runs/search_only/.../best_workflow gsm8k --split test --problems 200 \\
      --executor kind=anthropic model=claude-haiku-4-5 max_tokens=1024 --budget 2usd
  aflow-verl evaluate graph.py reasoning_gym --benchmark tasks=[gcd]"""
SHOWN_FAILURES = 5


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, 2 with one line for what the user can mend, 1 where problems could not be graded."""
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    executor = parse_settings(ModelConfig, given.executor, "--executor", {})
    sandbox = parse_settings(SandboxConfig, given.sandbox, "--sandbox", {})
    limit = dict([parse_budget(given.budget)]) if given.budget is not None else {}
    budget = EvaluationBudget(split=SPLITS[given.split], **limit)  # type: ignore[arg-type]
    benchmark = _benchmark(given.name, given.benchmark, SPLITS[given.split], given.problems)
    workflow = read_workflow(given.workflow, benchmark)
    _check(executor, given.name, budget.usd)
    try:
        evaluation = asyncio.run(evaluate(workflow, benchmark, budget, executor=executor, sandbox=sandbox))
    except InfrastructureError as failure:
        print(f"aflow-verl: {failure}", file=sys.stderr)
        return 1
    _show(given.name, given.split, evaluation, priced=price_for(executor) is not None)
    return 0 if evaluation.complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="aflow-verl evaluate",
        description="Score a workflow on a benchmark.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workflow", metavar="WORKFLOW", type=Path, help="graph.py, or the folder that it is in")
    parser.add_argument("name", metavar="BENCHMARK", help=", ".join([*SCORERS, *BENCHMARKS]))
    parser.add_argument("--split", choices=sorted(SPLITS), default="validation", help="default: validation")
    parser.add_argument("--problems", type=int, metavar="N", help="of the split; default: as in recipes (24, test 48)")
    words = {"nargs": "+", "default": [], "metavar": "key=value"}
    parser.add_argument("--executor", help="models.executor of a recipe", **words)  # type: ignore[arg-type]
    parser.add_argument("--benchmark", help="benchmark of a recipe, e.g. path=...", **words)  # type: ignore[arg-type]
    parser.add_argument("--sandbox", help="sandbox of a recipe, e.g. programs=monty", **words)  # type: ignore[arg-type]
    parser.add_argument("--budget", metavar="USD|CALLS", help="5usd or 200calls: a hard limit")
    return parser


def read_workflow(path: Path, benchmark: Benchmark) -> WorkflowState:
    """A workflow from AFlow's files. Raises ``UserError`` for one that can't run, with the reason."""
    graph = path / "graph.py" if path.is_dir() else path
    code = _text(graph)
    prompt = graph.with_name("prompt.py")
    prompts = _text(prompt) if prompt.is_file() else ""
    try:
        operators = tuple(used_operators(strip_header(code)))
        entry_point = any(problem.entry_point is not None for problem in benchmark.problems("validation"))
        check_graph(code, prompts, tuple(OPERATORS), entry_point=entry_point)
    except UNPARSABLE as error:
        raise UserError(f"{graph}: no Python: {error}") from None
    except InvalidAction as unusable:
        raise UserError(f"{graph}: {unusable}") from None
    return WorkflowState(benchmark.name, code, prompts, operators)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise UserError(f"{file}: {reason}; name AFlow's graph.py or its folder") from None


def _benchmark(name: str, words: Sequence[str], split: Split, problems: int | None) -> Benchmark:
    known = [*SCORERS, *BENCHMARKS]
    if name not in known:
        hint = suggestion(name, known) or f"; choose from {', '.join(known)}"
        raise UserError(f"no benchmark {name!r}{hint}")
    # One problem of each other split is enough; which problems a split has doesn't depend on the training problems.
    size: dict[str, int] = {} if problems is None else {split: problems}
    return create_benchmark(parse_settings(BenchmarkConfig, words, "--benchmark", {"name": name, "train": 1, **size}))


def _check(executor: ModelConfig, benchmark: str, usd: float | None) -> None:
    if (benchmark == "simulated") != (executor.kind == "simulated") and executor.kind in ("simulated", "local"):
        raise UserError(
            "--executor: only the simulated executor knows simulated problems, and it knows no others; "
            "write --executor kind=simulated model=ladder for these"
        )
    try:
        check_client(executor, where="--executor", budget_usd=usd)
    except RecipeError as refused:
        raise UserError(str(refused)) from None


def _show(benchmark: str, split: str, evaluation: Evaluation, *, priced: bool) -> None:
    console = console_on(sys.stdout)
    interval = evaluation.interval()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("benchmark", "split", "problems", "score (95%)", "calls", "cost", "failed runs"):
        table.add_column(title, no_wrap=True)
    failed = [grade for grade in evaluation.grades if grade.error is not None]
    score = f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]" if evaluation.n else "-"
    cost = f"${evaluation.cost_usd:.4f}" if priced else "price unknown"
    cells = [benchmark, split, str(evaluation.n), score, str(evaluation.calls), cost, str(len(failed))]
    table.add_row(*map(Text, cells))
    console.print(table)
    for reason, count in Counter(str(grade.error) for grade in failed).most_common(SHOWN_FAILURES):
        console.print(Text(f"failed {count} times: {' '.join(reason.split())[:200]}"))
    if not evaluation.complete:
        console.print(Text(f"{len(evaluation.missing)} problems could not be graded: {evaluation.reason}"))
