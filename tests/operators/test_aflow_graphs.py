"""Graphs in AFlow's own format, of both its code bases, run unchanged with the real operators and a scripted model."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from aflow_verl.operators.base import OperatorContext
from aflow_verl.operators.catalog import OPERATORS, operator_caller
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.result import RunResult
from aflow_verl.types import Message
from aflow_verl.workflow.parse import parse_code_reply
from aflow_verl.workflow.state import CODE_SEED_CODE, WorkflowState, seed_state

QA = ("Custom", "AnswerGenerate", "ScEnsemble")
MATH = ("Custom", "ScEnsemble", "Programmer")
CODE = ("Custom", "CustomCodeGenerate", "ScEnsemble", "Test")
LIMITS = Limits(seconds=2.0)

NEW = """\
from typing import Literal
import workspace.{dataset}.workflows.template.operator as operator
import workspace.{dataset}.workflows.round_7.prompt as prompt_custom
from scripts.async_llm import create_llm_instance


from scripts.evaluator import DatasetType

"""
OLD = """\
from typing import Literal
import metagpt.ext.aflow.scripts.optimized.{dataset}.workflows.template.operator as operator
import metagpt.ext.aflow.scripts.optimized.{dataset}.workflows.round_7.prompt as prompt_custom
from metagpt.provider.llm_provider_registry import create_llm_instance
from metagpt.utils.cost_manager import CostManager

DatasetType = Literal["HumanEval", "MBPP", "GSM8K", "MATH", "HotpotQA", "DROP"]

"""
INIT = """\
class Workflow:
    def __init__(
        self,
        name: str,
        llm_config,
        dataset: DatasetType,
    ) -> None:
        self.name = name
        self.dataset = dataset
        self.llm = create_llm_instance(llm_config)
"""
PROMPTS = '''\
SOLVE_PROMPT = """
Solve it. Use "quotes", {braces} and \\\\boxed{}.
"""

FORMAT_PROMPT = """
Give the answer only.
"""
'''

HOTPOTQA = (
    OLD.format(dataset="HotpotQA")
    + INIT
    + '''\
        self.llm.cost_manager = CostManager()
        self.custom = operator.Custom(self.llm)
        self.answer_generate = operator.AnswerGenerate(self.llm)
        self.sc_ensemble = operator.ScEnsemble(self.llm)

    async def __call__(self, problem: str):
        """
        Implementation of the workflow
        """
        solutions = []
        for _ in range(3):
            initial = await self.answer_generate(input=problem)
            if "unsure" in initial['thought'].lower():
                initial['answer'] += " (unsure)"
            solutions.append(initial['answer'])
        best = await self.sc_ensemble(solutions=solutions)
        final = await self.custom(
            input=f"Question: {problem}\\nBest answer: {best['response']}", instruction=prompt_custom.FORMAT_PROMPT
        )
        return final['response'], self.llm.cost_manager.total_cost
'''
)
DROP = (
    NEW.format(dataset="DROP")
    + INIT
    + """\
        self.answer_generate = operator.AnswerGenerate(self.llm)
        self.sc_ensemble = operator.ScEnsemble(self.llm)

    async def __call__(self, problem: str):
        answers = [await self.answer_generate(input=problem) for _ in range(2)]
        votes = [a["answer"] for a in answers]
        common = max(set(votes), key=votes.count)
        if votes.count(common) > 1:
            return common, self.llm.get_usage_summary()["total_cost"]
        ensemble = await self.sc_ensemble(votes, problem)
        return ensemble["response"], self.llm.get_usage_summary()["total_cost"]
"""
)
MATH_GRAPH = (
    NEW.format(dataset="MATH")
    + INIT
    + '''\
        self.custom = operator.Custom(self.llm)
        self.programmer = operator.Programmer(self.llm)
        self.sc_ensemble = operator.ScEnsemble(self.llm)

    async def __call__(self, problem: str):
        """
        Implementation of the workflow
        """
        code_solution = await self.programmer(problem=problem)  # default analysis
        refined = await self.custom(
            input=problem + f"\\nCode output: {code_solution['output']}", instruction=prompt_custom.FORMAT_PROMPT
        )
        solutions = [refined['response']]
        for i in range(2):
            solution = await self.custom(input=f"{i}: {problem}", instruction=prompt_custom.SOLVE_PROMPT)
            solutions.append(solution['response'])
        import re
        boxed = [m.group(1) for s in solutions if (m := re.search(r"\\\\boxed\\{([^}]*)\\}", s))]
        final = await self.sc_ensemble(solutions=solutions, problem=problem)
        return final['response'] + f" {len(boxed)}", self.llm.get_usage_summary()["total_cost"]
'''
)
HUMANEVAL = (
    NEW.format(dataset="HumanEval")
    + "from scripts.logs import logger\n"
    + INIT
    + '''\
        self.custom = operator.Custom(self.llm)
        self.custom_code_generate = operator.CustomCodeGenerate(self.llm)
        self.sc_ensemble = operator.ScEnsemble(self.llm)
        self.test = operator.Test(self.llm, dataset=self.dataset)

    async def __call__(self, problem: str, entry_point: str):
        """
        Implementation of the workflow
        """
        solutions = []
        for _ in range(3):
            solution = await self.custom_code_generate(
                problem=problem, entry_point=entry_point, instruction=prompt_custom.SOLVE_PROMPT
            )
            solutions.append(solution['response'])
        best = await self.sc_ensemble(solutions=solutions, problem=problem)
        test_result = await self.test(problem=problem, solution=best['response'], entry_point=entry_point)
        logger.info(f"tested: {test_result['result']}")
        if test_result['result']:
            return test_result['solution'], self.llm.usage_tracker.get_summary()["total_cost"]
        fixed = await self.custom(input=f"Failed: {test_result['solution']}", instruction=prompt_custom.FORMAT_PROMPT)
        return fixed['response'], self.llm.get_usage_summary()["total_cost"]
'''
)
REVIEWED = (
    NEW.format(dataset="GSM8K")
    + INIT
    + """\
        self.custom = operator.Custom(llm=self.llm, name="Solver")
        self.review = operator.Review(self.llm)
        self.revise = operator.Revise(self.llm)
        self.format = operator.Format(self.llm)
        self.md_ensemble = operator.MdEnsemble(self.llm, vote_count=3)

    async def __call__(self, problem: str):
        first = (await self.custom(input=problem, instruction=""))["response"]
        review = await self.review(problem=problem, solution=first, mode="xml_fill")
        second = first
        if not review["review_result"]:
            revised = await self.revise(problem=problem, solution=first, feedback=review["feedback"])
            second = revised["solution"]
        chosen = await self.md_ensemble(solutions=[first, second], problem=problem)
        return (await self.format(problem=problem, solution=chosen["solution"]))["solution"], 0.0
"""
)

ADD = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"


class World:
    """A sandbox, and a model that answers with what a rule makes of the prompt; unknown prompts are failures."""

    def __init__(self, sandbox: MontySandbox) -> None:
        self._sandbox = sandbox
        self.malformed: Counter[str] = Counter()
        self.prompts: list[str] = []

    async def run(
        self,
        code: str,
        answer: Callable[[str], str],
        operators: tuple[str, ...],
        *,
        entry_point: str | None = None,
        public_tests: tuple[str, ...] = (),
    ) -> RunResult:
        async def model(messages: Sequence[Message]) -> str:
            self.prompts.append(messages[-1]["content"])
            return answer(self.prompts[-1])

        async def programs(code: str) -> RunResult:
            return await self._sandbox.run_program(code, LIMITS)

        call = operator_caller(operators, OperatorContext(model, programs, self.malformed, 3, public_tests))
        return await self._sandbox.run_workflow(code, PROMPTS, "D", "What is 6 * 7?", entry_point, call, LIMITS)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with MontySandbox(workers=2, program_workers=1) as sandbox:
        yield World(sandbox)


def in_turn(*replies: str) -> Callable[[str], str]:
    left = list(replies)
    return lambda prompt: left.pop(0)


async def test_a_question_answering_graph(world: World) -> None:
    sure, unsure = "<thought>6 * 7</thought><answer>42</answer>", "<thought>Unsure.</thought><answer>41</answer>"
    replies = in_turn(sure, unsure, "forty-two", "A", "42!")
    result = await world.run(HOTPOTQA, replies, QA)
    assert result == RunResult("42!")
    assert world.prompts[4].startswith("Give the answer only.\n\nQuestion: What is 6 * 7?\nBest answer: 42")
    assert "B: 41 (unsure)" in world.prompts[3]
    assert world.malformed == {"AnswerGenerate/fields": 1}


@pytest.mark.parametrize(("second", "answer"), [("42", "42"), ("41", "41")])
async def test_a_drop_graph_with_a_majority_in_code(world: World, second: str, answer: str) -> None:
    replies = in_turn("<answer>42</answer>", f"<answer>{second}</answer>", "<solution_letter>B</solution_letter>")
    assert await world.run(DROP, replies, QA) == RunResult(answer)


async def test_a_mathematical_graph(world: World) -> None:
    """The first program fails and is written again, with its error in sight."""
    replies = in_turn(
        "```python\ndef solve():\n    return 6 * x\n```",
        "```python\ndef solve():\n    x = 7\n    return 6 * x\n```",
        "The answer is \\boxed{42}",
        "\\boxed{42}",
        "41",
        "A",
    )
    result = await world.run(MATH_GRAPH, replies, MATH)
    assert result == RunResult("The answer is \\boxed{42} 2")
    assert "NameError" in world.prompts[1]
    assert "Code output: 42" in world.prompts[2]
    assert 'Use "quotes", {braces} and \\boxed{}.' in world.prompts[3]
    assert not world.malformed


async def test_a_code_graph_whose_solution_is_repaired(world: World) -> None:
    replies = in_turn(f"```python\n{WRONG}```", WRONG, f"Here:\n{WRONG}", f"The sign is wrong.\n```python\n{ADD}```")
    result = await world.run(HUMANEVAL, replies, CODE, entry_point="add", public_tests=("assert add(1, 2) == 3",))
    assert result == RunResult(ADD)
    assert "assert add(1, 2) == 3: got -1" in world.prompts[3]


async def test_a_code_graph_whose_solution_stays_wrong(world: World) -> None:
    replies = in_turn(*[WRONG] * 6, "I give up.")
    result = await world.run(HUMANEVAL, replies, CODE, entry_point="add", public_tests=("assert add(1, 2) == 3",))
    assert result == RunResult("I give up.")


async def test_the_seed_of_code_tasks(world: World) -> None:
    result = await world.run(CODE_SEED_CODE, in_turn(ADD), CODE, entry_point="add")
    assert result == RunResult(ADD)
    assert "add" in world.prompts[0]


async def test_review_revise_format_and_votes(world: World) -> None:
    def model(prompt: str) -> str:
        if "<review_result>" in prompt:
            return "<review_result>False</review_result><feedback>too small</feedback>"
        if "<solution>" in prompt:
            return "<solution>It is 42.</solution>"
        if "<solution_letter>" in prompt:
            return "<solution_letter>" + ("A" if "A: It is 42." in prompt else "B") + "</solution_letter>"
        return "42" if "one or a few words" in prompt else "It is 41."

    assert await world.run(REVIEWED, model, tuple(OPERATORS)) == RunResult("42")
    assert len(world.prompts) == 7
    assert not world.malformed


@pytest.mark.parametrize(
    ("code", "operators", "entry_point", "broken"),
    [
        (HOTPOTQA, QA, None, {"AnswerGenerate/fields": 3, "Custom/empty": 1}),
        (DROP, QA, None, {"AnswerGenerate/fields": 2}),
        (MATH_GRAPH, MATH, None, {"Programmer/empty": 3, "Programmer/failed": 1, "Custom/empty": 3}),
        (HUMANEVAL, CODE, "add", {"CustomCodeGenerate/no_code": 3, "Test/no_code": 3, "Custom/empty": 1}),
        (REVIEWED, tuple(OPERATORS), None, {"Custom/empty": 1, "Review/fields": 1, "Revise/fields": 1}),
    ],
)
async def test_empty_replies_end_no_graph(
    world: World, code: str, operators: tuple[str, ...], entry_point: str | None, broken: dict[str, int]
) -> None:
    result = await world.run(code, lambda prompt: "", operators, entry_point=entry_point)
    assert result.error is None
    assert broken.items() <= world.malformed.items()


@pytest.mark.parametrize(
    ("code", "operators", "code_task"),
    [(HOTPOTQA, QA, False), (DROP, QA, False), (MATH_GRAPH, MATH, False), (HUMANEVAL, CODE, True)],
)
def test_a_policy_may_write_them(code: str, operators: tuple[str, ...], code_task: bool) -> None:
    parent: WorkflowState = seed_state("d", operators, code_task=code_task)
    child, _ = parse_code_reply(
        f"<modification>m</modification><graph>{code}</graph><prompt>{PROMPTS}</prompt>", parent
    )
    assert child.hash != parent.hash
