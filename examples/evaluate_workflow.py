"""Evaluate one workflow on GSM8K with Claude: its score with an interval, what it costs, and where it fails.

    export ANTHROPIC_API_KEY=...
    aflow-verl data prepare gsm8k
    python examples/evaluate_workflow.py [--model claude-haiku-4-5] [--problems 50] [--usd 1.0]

    python examples/evaluate_workflow.py --offline     # made-up problems and a scripted model: no key, no network

The workflow is AFlow code: three answers, and a vote. It runs in a sandbox that holds no key. Stop it when you like:
replies and grades are kept in ``--keep``, and the next start asks only for what is left. It ends before the call that
could cross ``--usd``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.benchmarks.catalog import create_benchmark
from aflow_verl.config import BenchmarkConfig, ModelConfig, SandboxConfig
from aflow_verl.errors import UserError
from aflow_verl.evaluation.comparison import failures
from aflow_verl.evaluation.evaluate import EvaluationBudget, evaluate
from aflow_verl.models.client import ModelClient
from aflow_verl.search.store import Store
from aflow_verl.types import Completion, Evaluation, Message, SamplingParams, Usage
from aflow_verl.workflow.state import WorkflowState

WORKFLOW = WorkflowState(
    dataset="GSM8K",
    code="""\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)
        self.vote = operator.ScEnsemble(self.llm)

    async def __call__(self, problem):
        answers = []
        for _ in range(3):
            answer = await self.custom(input=problem, instruction=prompt_custom.STEPS)
            answers.append(answer["response"])
        best = await self.vote(solutions=answers, problem=problem)
        return best["response"], self.llm.get_usage_summary()["total_cost"]
""",
    prompts='STEPS = "Solve the problem step by step, in short. End with the number alone on the last line."\n',
    operators=("Custom", "ScEnsemble"),
)
PROBLEMS_OFFLINE = 12
SHOWN = 3
"""Failures in the output."""


class Scripted:
    """Adds the numbers of a made-up problem, and forgets the second one where the first is a multiple of five."""

    fingerprint = "scripted:v1"

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        text = messages[-1]["content"]
        first, second = (int(digits) for digits in re.findall(r"\d+", text)[-2:])
        return Completion(f"There are\n{first + (second if first % 5 else 0)}", Usage(len(text.split()), 3, 0.0))

    async def close(self) -> None:
        """Nothing to release."""


def made_up_problems(file: Path) -> None:
    """Problems in GSM8K's own format; their answers are sums."""
    rows = [
        {"question": f"A shelf holds {k} red and {k + 3} blue books. How many books?", "answer": f"#### {2 * k + 3}"}
        for k in range(3 * PROBLEMS_OFFLINE)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def table(evaluation: Evaluation, benchmark: Benchmark) -> Table:
    """Score, calls and cost; then the first failures."""
    interval = evaluation.interval()
    result = Table(title=f"{benchmark.name}: {evaluation.n} problems", show_header=False)
    result.add_row("score", f"{interval.mean:.3f}, 95 % interval {interval.low:.3f} to {interval.high:.3f}")
    result.add_row("calls", f"{evaluation.calls}")
    result.add_row("cost", f"${evaluation.cost_usd:.4f}")
    if not evaluation.complete:
        result.add_row("missing", f"{len(evaluation.missing)} problems: {evaluation.reason}")
    for failure in failures(evaluation, benchmark.problems("validation"), SHOWN):
        result.add_row("failed", f"{failure.problem}\n-> {failure.error or failure.answer}")
    return result


async def run(options: argparse.Namespace, folder: Path) -> Table:
    client: ModelClient | None = None
    executor = ModelConfig(kind="anthropic", model=options.model, max_tokens=512)
    path, problems = options.path, options.problems
    if options.offline:
        client, executor = Scripted(), ModelConfig(kind="simulated", model="flat")
        path, problems = str(folder / "made_up.jsonl"), PROBLEMS_OFFLINE
        made_up_problems(Path(path))
    benchmark = create_benchmark(BenchmarkConfig("gsm8k", path=path, train=1, validation=problems, heldout=1))
    with Store(folder / "grades.sqlite") as store:
        evaluation = await evaluate(
            WORKFLOW,
            benchmark,
            EvaluationBudget(usd=options.usd),
            executor=executor,
            sandbox=SandboxConfig(programs="monty"),  # this workflow runs no programs
            store=store,
            cache_path=folder / "replies.sqlite",
            client=client,
        )
    return table(evaluation, benchmark)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Evaluate one workflow on GSM8K with Claude.")
    parser.add_argument("--model", default="claude-haiku-4-5")
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--path", help="prepared folder or JSON-lines file; default: where data prepare writes to")
    parser.add_argument("--usd", type=float, default=1.0, help="what it may cost, at most")
    parser.add_argument(
        "--keep", type=Path, default=Path("runs/evaluate_workflow"), help="folder for replies and grades"
    )
    parser.add_argument("--offline", action="store_true", help="made-up problems and a scripted model")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.offline else options.keep
        folder.mkdir(parents=True, exist_ok=True)
        try:
            Console().print(asyncio.run(run(options, folder)))
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
