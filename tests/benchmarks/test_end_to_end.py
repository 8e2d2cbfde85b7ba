"""Every benchmark with data, from its file to the score: canned replies of a model, honest and dishonest ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.benchmarks.catalog import SCORERS
from aflow_verl.benchmarks.file_benchmark import FileBenchmark
from aflow_verl.benchmarks.sources import find_source
from aflow_verl.config import ModelConfig, SandboxConfig
from aflow_verl.evaluation.evaluate import EvaluationBudget, evaluate
from aflow_verl.types import Completion, Message, Problem, SamplingParams
from aflow_verl.workflow.state import CODE_SEED_CODE, SEED_CODE, WorkflowState

HONEST = {
    "gsm8k": "Let me add.\nThe answer is {answer} because 7 come to {i}.",
    "math": "We add, and get $\\boxed{{\\frac{{{twice}}}{{2}}}}$.",
    "hotpotqa": "{answer} boats",
    "drop": "{answer}",
    "humaneval": "```python\ndef plus_{i}(x):\n    return x + {i}\n```",
    "mbpp": "def plus_{i}(x):\n    return x + {i}",
}
DISHONEST = {
    "gsm8k": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
    "math": "\\boxed{{7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}}",
    "hotpotqa": "It lies by the sea. It has 7 8 9 10 11 12 13 14 15 16 17 18 boats. It is wet.",
    "drop": "7|8|9|10|11|12|13|14|15|16|17|18",
    "humaneval": "class All:\n    def __eq__(self, other):\n        return True\ndef plus_{i}(x):\n    return All()",
    "mbpp": "def plus_{i}(x):\n    raise SystemExit(0)",
}
CODE_ROWS: dict[str, list[dict[str, Any]]] = {
    "humaneval": [
        {
            "task_id": f"Made/{i}",
            "prompt": f'def plus_{i}(x):\n    """Add {i} to x."""\n',
            "entry_point": f"plus_{i}",
            "canonical_solution": f"    return x + {i}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {i + 1}\n    assert candidate(-1) == {i - 1}\n",
        }
        for i in range(12)
    ],
    "mbpp": [
        {
            "prompt": f"Write a function that adds {i}.\n\ndef plus_{i}(x):",
            "entry_point": f"plus_{i}",
            "code": f"def plus_{i}(x):\n    return x + {i}",
            "test": f"def check():\n    assert plus_{i}(2) == {i + 2}",
        }
        for i in range(12)
    ],
}


class Canned:
    """Replies with what was canned for the problem whose text it is asked."""

    fingerprint = "canned"

    def __init__(self, replies: Mapping[str, str]) -> None:
        self._replies = replies

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        text = "\n".join(message["content"] for message in messages)
        return Completion(next(reply for prompt, reply in self._replies.items() if prompt in text))

    async def close(self) -> None:
        """Nothing to release."""


def reply(template: str, problem: Problem) -> str:
    """``i``: the row that posed the problem; its answer is ``i + 7``."""
    if problem.entry_point:
        i = int(problem.entry_point.removeprefix("plus_"))
    else:
        i = int("".join(filter(str.isdigit, problem.reference.split("|")[0].split("####")[-1]))) - 7
    return template.format(i=i, answer=i + 7, twice=2 * (i + 7))


@pytest.mark.parametrize("name", SCORERS)
async def test_honest_answers_win_and_dishonest_ones_do_not(
    name: str, made_up_rows: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    code = name in CODE_ROWS
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (CODE_ROWS if code else made_up_rows)[name]))
    benchmark = FileBenchmark(SCORERS[name](), find_source(name, path), {"train": 2, "validation": 6, "heldout": 2})
    problems = benchmark.problems("validation")
    templates = [HONEST[name]] * 3 + [DISHONEST[name]] * 3
    result = await evaluate(
        WorkflowState(
            name, CODE_SEED_CODE if code else SEED_CODE, "", ("CustomCodeGenerate",) if code else ("Custom",)
        ),
        benchmark,
        EvaluationBudget(),
        executor=ModelConfig(kind="simulated", model="flat", max_tokens=1000),
        sandbox=SandboxConfig(programs="process" if code or name == "math" else "monty", minimum_level="limits"),
        client=Canned({p.prompt: reply(t, p) for p, t in zip(problems, templates, strict=True)}),
    )
    assert result.complete
    assert [grade.error for grade in result.grades] == [None] * 6
    assert [grade.score for grade in result.grades[:3]] == [1.0] * 3
    # A list of twelve candidates earns a twelfth, or its F1 of a few words in many.
    assert max(grade.score for grade in result.grades[3:]) < 0.25
