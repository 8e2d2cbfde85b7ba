"""Each of the six benchmarks end to end: an AFlow graph, canned model replies, honest and dishonest answers."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.benchmarks.catalog import SCORERS, create_benchmark, requirements
from aflow_verl.config import BenchmarkConfig, EvaluationConfig, ModelConfig, SandboxConfig
from aflow_verl.evaluation.grades import MemoryStore
from aflow_verl.evaluation.open_engine import open_engine
from aflow_verl.types import Completion, Message, SamplingParams, Usage
from aflow_verl.workflow.state import WorkflowState

HEADER = """\
from typing import Literal
import workspace.{dataset}.workflows.template.operator as operator
import workspace.{dataset}.workflows.round_3.prompt as prompt_custom
from scripts.async_llm import create_llm_instance
from scripts.evaluator import DatasetType

class Workflow:
    def __init__(self, name: str, llm_config, dataset: DatasetType) -> None:
        self.name = name
        self.dataset = dataset
        self.llm = create_llm_instance(llm_config)
"""
VOTE = """\
        self.custom = operator.Custom(self.llm)
        self.sc_ensemble = operator.ScEnsemble(self.llm)

    async def __call__(self, problem: str):
        solutions = []
        for _ in range(3):
            solutions.append((await self.custom(input=problem, instruction=prompt_custom.SOLVE))["response"])
        best = await self.sc_ensemble(solutions=solutions, problem=problem)
        return best["response"], self.llm.get_usage_summary()["total_cost"]
"""
PROGRAM = """\
        self.programmer = operator.Programmer(self.llm)

    async def __call__(self, problem: str):
        result = await self.programmer(problem=problem, analysis=prompt_custom.SOLVE)
        return result["output"], self.llm.get_usage_summary()["total_cost"]
"""
ANSWER = """\
        self.answer_generate = operator.AnswerGenerate(self.llm)

    async def __call__(self, problem: str):
        solution = await self.answer_generate(input=problem)
        return solution["answer"], self.llm.get_usage_summary()["total_cost"]
"""
TESTED = """\
        self.custom_code_generate = operator.CustomCodeGenerate(self.llm)
        self.test = operator.Test(self.llm)

    async def __call__(self, problem: str, entry_point: str):
        code = await self.custom_code_generate(
            problem=problem, entry_point=entry_point, instruction=prompt_custom.SOLVE
        )
        tested = await self.test(problem=problem, solution=code["response"], entry_point=entry_point)
        return tested["solution"], self.llm.get_usage_summary()["total_cost"]
"""
PROMPTS = 'SOLVE = """Think about it, then answer."""\n'
MATH_SET = ("Custom", "ScEnsemble", "Programmer")
QA_SET = ("Custom", "AnswerGenerate", "ScEnsemble")
CODE_SET = ("Custom", "CustomCodeGenerate", "ScEnsemble", "Test")
ROWS = range(3, 9)
EQUAL_TO_ALL = "class All(int):\n    def __eq__(self, other):\n        return True\n"


@dataclass(frozen=True)
class Case:
    marker: str
    """Occurs in whatever the model is asked about a row, and about no other."""
    graph: str
    operators: tuple[str, ...]
    row: dict[str, Any]
    """``{i}`` is the number of the row, ``{sum}`` is 7 more."""
    honest: str
    """What the model replies; the same places are filled in."""
    dishonest: tuple[str, ...]


def function(body: str) -> str:
    return f"```python\ndef plus_{{i}}(a):\n    {body}\n```"


CASES = {
    "gsm8k": Case(
        "Ann has {i} pens",
        VOTE,
        MATH_SET,
        {"question": "Ann has {i} pens and buys 7. How many?", "answer": "{i}+7=<<{i}+7={sum}>>\n#### {sum}"},
        "She has {i} + 7 = {sum} pens.",
        ("It is 3 (see step {sum}).", "0 or 1 or 2"),
    ),
    "math": Case(
        "Compute ${i} + 7$",
        PROGRAM,
        MATH_SET,
        {"problem": "Compute ${i} + 7$.", "solution": "The sum is $\\boxed{{{sum}}}$."},
        "```python\ndef solve():\n    return {i} + 7\n```",
        ("```python\n'\\\\boxed{{9' + '9' * 5000 + '}}'\n```", "```python\nwhile True: pass\n```"),
    ),
    "hotpotqa": Case(
        "town of Aberwick {i}?",
        ANSWER,
        QA_SET,
        {
            "question": "How many boats has the town of Aberwick {i}?",
            "answer": "{sum} boats",
            "context": [["Aberwick {i}", ["It lies by the sea.", "It has {sum} boats."]], ["Sea", ["It is wet."]]],
        },
        "<thought>The passage says so.</thought><answer>{sum} boats</answer>",
        ("<answer>Aberwick lies by the sea and it is wet</answer>", "No idea."),
    ),
    "drop": Case(
        "Passage: {i} goals",
        ANSWER,
        QA_SET,
        {"context": "Passage: {i} goals, then 7.\nQuestion: How many?\nAnswer:", "ref_text": "{sum}|{sum} goals"},
        "<thought>They add up.</thought><answer>{sum}</answer>",
        (f"<answer>{'|'.join(map(str, range(200)))}</answer>", "<answer>many</answer>"),
    ),
    "humaneval": Case(
        "Add {i}.",
        TESTED,
        CODE_SET,
        {
            "task_id": "made-up/{i}",
            "prompt": 'def plus_{i}(a: int) -> int:\n    """Add {i}.\n\n    >>> plus_{i}(0)\n    {i}\n    """\n',
            "entry_point": "plus_{i}",
            "canonical_solution": "    return a + {i}\n",
            "test": "def check(candidate):\n    assert candidate(7) == {sum}\n    assert candidate(-{i}) == 0\n",
        },
        function("return a + {i}"),
        (function("raise SystemExit(0)"), function("import os; os._exit(0)"), function("return {i}")),
    ),
    "mbpp": Case(
        "function that adds {i}.",
        TESTED,
        CODE_SET,
        {
            "task_id": "made-up/{i}",
            "prompt": "Write a function that adds {i}.\n\ndef plus_{i}(a):",
            "entry_point": "plus_{i}",
            "code": "def plus_{i}(a):\n    return a + {i}\n",
            "test": "def check():\n    assert plus_{i}(7) == {sum}\n    assert plus_{i}(-{i}) == 0\n",
        },
        function("return a + {i}"),
        (f"```python\n{EQUAL_TO_ALL}\ndef plus_{{i}}(a):\n    return All()\n```", function("return {i}")),
    ),
}


def filled(text: Any, i: int) -> Any:
    """``text`` with its places filled in, also within lists and dicts."""
    if isinstance(text, str):
        return text.format(i=i, sum=i + 7)
    if isinstance(text, dict):
        return {key: filled(value, i) for key, value in text.items()}
    return [filled(value, i) for value in text]


class Canned:
    """Replies with the text that it was given for the problem's benchmark; knows problems by their markers."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    @property
    def fingerprint(self) -> str:
        return f"canned:{sorted(self.texts.items())}"

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        asked = messages[-1]["content"]
        [(name, i)] = [(name, i) for name, case in CASES.items() for i in ROWS if filled(case.marker, i) in asked]
        return Completion(filled(self.texts[name], i), Usage(10, 5, 0.001))

    async def close(self) -> None:
        pass


def made_up(folder: Path, name: str) -> BenchmarkConfig:
    """A benchmark with six rows, two a split."""
    lines = [json.dumps(filled(CASES[name].row, i)) for i in ROWS]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return BenchmarkConfig(name, path=str(folder / f"{name}.jsonl"), train=2, validation=2, heldout=2)  # type: ignore[arg-type]


def workflow(name: str) -> WorkflowState:
    graph = HEADER.format(dataset=name.upper()) + CASES[name].graph
    return WorkflowState(name.upper(), graph, PROMPTS, CASES[name].operators)


def test_all_benchmarks_with_data_have_a_case() -> None:
    assert set(CASES) == set(SCORERS)


async def test_honest_answers_score_and_dishonest_ones_do_not(tmp_path: Path) -> None:
    settings = [made_up(tmp_path, name) for name in CASES]
    benchmarks = {entry.name: create_benchmark(entry) for entry in settings}
    model = Canned()
    async with open_engine(
        executor=ModelConfig(kind="simulated", model="flat"),
        sandbox=SandboxConfig(workers=6, program_seconds=2.0, minimum_level="limits"),
        evaluation=EvaluationConfig(),
        store=MemoryStore(),
        preload=requirements(settings).preload,
        client=model,
    ) as engine:

        async def scores(replies: dict[str, str]) -> dict[str, list[float]]:
            model.texts = replies
            evaluations = await asyncio.gather(
                *(
                    engine.evaluate(workflow(name), benchmarks[name].problems("validation"), benchmarks[name])
                    for name in replies
                )
            )
            assert [e.reason for e in evaluations] == [None] * len(replies)
            assert all(grade.calls > 0 for e in evaluations for grade in e.grades)
            return {name: [g.score for g in e.grades] for name, e in zip(replies, evaluations, strict=True)}

        honest = await scores({name: case.honest for name, case in CASES.items()})
        dishonest = [
            await scores({name: case.dishonest[k] for name, case in CASES.items() if k < len(case.dishonest)})
            for k in range(3)
        ]
    assert honest == {name: [1.0, 1.0] for name in CASES}
    for found in dishonest:
        assert {name: max(two) for name, two in found.items()} == {name: pytest.approx(0.0, abs=0.01) for name in found}
