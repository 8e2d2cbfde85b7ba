"""AFlow's graphs in Monty, with operators that are scripted on the host."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.errors import InvalidAction, ModelUnavailable, SandboxUnavailable
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.result import RunResult
from aflow_verl.workflow.edits import EditSpace, apply_edit
from aflow_verl.workflow.graph_source import normalize_code
from aflow_verl.workflow.state import SEED_CODE, seed_state

HEADER = """\
from typing import Literal
import workspace.GSM8K.workflows.template.operator as operator
import workspace.GSM8K.workflows.round_5.prompt as prompt_custom
from scripts.async_llm import create_llm_instance

from scripts.evaluator import DatasetType

"""
OLD_HEADER = """\
from typing import Literal
import metagpt.ext.aflow.scripts.optimized.MATH.workflows.template.operator as operator
import metagpt.ext.aflow.scripts.optimized.MATH.workflows.round_2.prompt as prompt_custom
from metagpt.provider.llm_provider_registry import create_llm_instance
from metagpt.utils.cost_manager import CostManager

DatasetType = Literal["HumanEval", "MBPP", "GSM8K", "MATH", "HotpotQA", "DROP"]

"""
ENSEMBLE = (
    HEADER
    + '''
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
        self.custom = operator.Custom(self.llm)
        self.programmer = operator.Programmer(self.llm)
        self.sc_ensemble = operator.ScEnsemble(self.llm)

    async def __call__(self, problem: str):
        """
        Implementation of the workflow
        """
        solutions = []
        for i in range(3):
            try:
                reply = await self.custom(input=problem, instruction=prompt_custom.SOLVE)
                solutions.append(f"{i}:{reply['response']}")
            except Exception as error:
                solutions.append(f"failed: {error}")
        program = await self.programmer(problem=problem, analysis="None")
        if program["output"]:
            solutions.append(str(program["output"]))
        final = await self.sc_ensemble(solutions=solutions, problem=problem)
        return final["response"], self.llm.get_usage_summary()["total_cost"]
'''
)
OLD_STYLE = (
    OLD_HEADER
    + """
class Workflow:
    def __init__(self, name: str, llm_config, dataset: DatasetType) -> None:
        self.llm = create_llm_instance(llm_config)
        self.llm.cost_manager = CostManager()
        self.custom = operator.Custom(self.llm)

    async def __call__(self, problem: str, entry_point: str):
        reply = await self.custom(input=problem + entry_point, instruction="")
        return reply["response"], self.llm.cost_manager.total_cost
"""
)
TOGETHER = (
    HEADER
    + """
import asyncio
import re
from collections import Counter

class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.custom = operator.Custom(create_llm_instance(llm_config), name="c")

    async def _one(self, problem, index):
        reply = await self.custom(f"{problem} {index}", "")
        return re.sub(r"\\D", "", reply["response"]) or "none"

    async def __call__(self, problem):
        replies = await asyncio.gather(*[self._one(problem, i % 2) for i in range(5)])
        return Counter(replies).most_common(1)[0][0]
"""
)


class Operators:
    """Host side of the operators: a scripted reply for each, and a record of the calls."""

    def __init__(self, **replies: Any) -> None:
        self.replies = replies
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((name, arguments))
        await asyncio.sleep(0)
        reply = self.replies.get(name)
        if isinstance(reply, Exception):
            raise reply
        return reply(arguments) if callable(reply) else {"response": reply, "output": reply}


async def run(
    sandbox: MontySandbox, code: str, operators: Operators, limits: Limits, prompts: str = "", entry: str | None = None
) -> RunResult:
    return await sandbox.run_workflow(code, prompts, "GSM8K", "2 + 2?", entry, operators, limits)


async def test_the_seed(sandbox: MontySandbox, limits: Limits) -> None:
    operators = Operators(Custom="four")
    assert await run(sandbox, SEED_CODE, operators, limits) == RunResult("four")
    assert operators.calls == [("Custom", {"input": "2 + 2?", "instruction": ""})]


async def test_an_ensemble_in_aflows_format(sandbox: MontySandbox, limits: Limits) -> None:
    operators = Operators(Custom="4", Programmer="5", ScEnsemble=lambda a: {"response": "|".join(a["solutions"])})
    result = await run(sandbox, ENSEMBLE, operators, limits, 'SOLVE = """\nSolve "it":\n"""\n')
    assert result == RunResult("0:4|1:4|2:4|5")
    assert operators.calls[0] == ("Custom", {"input": "2 + 2?", "instruction": '\nSolve "it":\n'})


async def test_older_graphs_and_the_entry_point(sandbox: MontySandbox, limits: Limits) -> None:
    operators = Operators(Custom=lambda a: {"response": a["input"]})
    assert (await run(sandbox, OLD_STYLE, operators, limits, entry=" add")).value == "2 + 2? add"


async def test_concurrent_calls_positional_arguments_and_a_bare_answer(sandbox: MontySandbox, limits: Limits) -> None:
    operators = Operators(Custom=lambda a: {"response": f"it is {a['*'][0][-1]}"})
    assert (await run(sandbox, TOGETHER, operators, limits)).value == "0"
    assert operators.calls[0] == ("Custom", {"*": ["2 + 2? 0", ""]})


async def test_written_pipelines_run(sandbox: MontySandbox, limits: Limits) -> None:
    space, state = EditSpace(), seed_state("d", EditSpace().operators)
    for key in ("samples:0:3", "insert:1:Custom:check", "insert:2:Programmer"):
        state = apply_edit(state, key, space)
    operators = Operators(Custom="c", ScEnsemble="s", Programmer="p")
    assert (await run(sandbox, state.code, operators, limits, state.prompts)).value == "p"
    names = [name for name, _ in operators.calls]
    assert names == ["Custom"] * 3 + ["ScEnsemble", "Custom", "Programmer"]
    assert operators.calls[4][1]["input"] == "2 + 2?\n\nDraft answer: s"
    assert operators.calls[5][1] == {"problem": "2 + 2?", "analysis": "c"}


AS_WRITTEN = """
from dataclasses import dataclass, field
from typing import List, Optional, cast as as_type

@dataclass
class Draft:
    text: str
    votes: int = 1
    notes: list = field(default_factory=list)

class Workflow:
    def __init__(self, name: str, llm_config, dataset: DatasetType) -> None:
        self.custom = operator.Custom(create_llm_instance(llm_config))

    async def __call__(self, problem: str) -> Optional[str]:
        drafts: List[Draft] = []
        try:
            drafts.append(Draft((await self.custom(input=problem, instruction=""))["response"]))
        except ValueError:
            "never"
        for draft in drafts:
            "only looked at"
        if len(drafts) > 5:
            "too many"
        else:
            drafts[0].votes += 1
        return as_type(str, drafts[0].text + str(drafts[0].votes) + str(drafts[0].notes)), 0.0
"""


async def test_a_workflow_is_run_as_it_was_written(sandbox: MontySandbox, limits: Limits) -> None:
    """Fields of a dataclass, statements that are only texts, annotations and what typing offers."""
    result = await run(sandbox, HEADER + AS_WRITTEN, Operators(Custom="4"), limits)
    assert result == RunResult("42[]")
    inside = SEED_CODE.replace("return solution", "from typing import cast, Any\n        return cast(Any, solution)")
    assert await run(sandbox, inside, Operators(Custom="4"), limits) == RunResult("4")


@pytest.mark.parametrize("code", [ENSEMBLE, OLD_STYLE, TOGETHER, SEED_CODE])
async def test_the_normal_form_runs_like_the_code(sandbox: MontySandbox, limits: Limits, code: str) -> None:
    """So that workflows of one hash have one score."""
    entry = " add" if code is OLD_STYLE else None
    results = [
        await run(sandbox, form, Operators(Custom="4", Programmer="5", ScEnsemble="6"), limits, 'SOLVE = "x"', entry)
        for form in (code, normalize_code(code))
    ]
    assert results[0].error is None
    assert results[0] == results[1]


def workflow(body: str) -> str:
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return SEED_CODE.split("        solution =")[0] + lines + "\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class Workflow(:", "SyntaxError"),
        ("x = 1", "NameError: name 'Workflow' is not defined"),
        (SEED_CODE.replace("Workflow:", "Workflow(Base):"), "the interpreter has no class inheritance"),
        (workflow("return None"), "returned None"),
        (workflow("return None, 0.0"), "returned None"),
        (workflow("return solution"), "NameError"),
        (workflow("while True:\n    pass"), "TimeoutError"),
        (workflow("while True:\n    await self.custom(input=problem)"), "more than 20 operator calls"),
        (workflow("return await self.custom(input='x' * 200_000)"), "longer than 100000"),
        (workflow("return await self.custom(input=2 ** 100_000)"), "100001 bits"),
        (workflow("return prompt_custom.MISSING"), "MISSING"),
        (workflow("return 'a' + 1, 0.0"), "(in: return ('a' + 1, 0.0))"),
        (workflow("import os\nreturn os.environ['ANTHROPIC_API_KEY']"), "not supported"),
        ("x" * 200_000, "longer than"),
    ],
)
async def test_a_workflows_own_faults(sandbox: MontySandbox, limits: Limits, code: str, message: str) -> None:
    result = await run(sandbox, code, Operators(Custom="4"), limits)
    assert result.value is None
    assert message in (result.error or "")


async def test_a_broken_prompt_module_is_the_workflows_fault(sandbox: MontySandbox, limits: Limits) -> None:
    assert "SyntaxError" in ((await run(sandbox, SEED_CODE, Operators(Custom="4"), limits, "A = '")).error or "")


async def test_a_wrong_operator_call_reaches_the_workflow(sandbox: MontySandbox, limits: Limits) -> None:
    operators = Operators(Custom=InvalidAction("operator_arguments", "Custom: missing a required argument: 'input'"))
    result = await run(sandbox, SEED_CODE, operators, limits)
    assert (result.error or "").startswith("TypeError: Custom: missing a required argument: 'input'")
    caught = workflow("try:\n    await self.custom()\nexcept TypeError as error:\n    return str(error)")
    assert (await run(sandbox, caught, operators, limits)).value == "Custom: missing a required argument: 'input'"


@pytest.mark.parametrize("word", ["", "import asyncio"])
@pytest.mark.parametrize(
    ("reply", "message"), [("\ud800", "surrogates not allowed"), (object(), "Cannot convert builtins.object")]
)
async def test_a_reply_that_cannot_be_brought_inside_is_an_exception_there(
    sandbox: MontySandbox, limits: Limits, reply: Any, message: str, word: str
) -> None:
    """With calls that may run together and with those that can't."""
    call = "await self.custom(input='x')"
    caught = workflow(f"{word}\ntry:\n    {call}\nexcept Exception as error:\n    return str(error)")
    operators = Operators(Custom=lambda arguments: {"response": reply})
    assert message in str((await run(sandbox, caught, operators, limits)).value)
    error = (await run(sandbox, workflow(f"{word}\nreturn {call}"), operators, limits)).error or ""
    assert message in error
    assert "self.custom(input='x')" in error


async def test_an_infrastructure_failure_is_raised_whatever_the_workflow_does(
    sandbox: MontySandbox, limits: Limits
) -> None:
    stubborn = workflow(
        "while True:\n    try:\n        await self.custom(input='x')\n    except Exception:\n        return 'fine'"
    )
    operators = Operators(Custom=ModelUnavailable("overloaded"))
    with pytest.raises(ModelUnavailable, match="overloaded"):
        await run(sandbox, stubborn, operators, limits)
    assert len(operators.calls) == 1


async def test_more_workflows_than_workers_and_programs_inside_them(limits: Limits) -> None:
    """Workflows hold all their workers while they wait for programs: the two must not share a pool."""
    code = workflow("return (await operator.Programmer(self.llm)(problem=problem))['output']")
    async with MontySandbox(workers=2, program_workers=1) as sandbox:

        async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return {"output": (await sandbox.run_program("6 * 7", limits)).value}

        runs = (sandbox.run_workflow(code, "", "d", "p", None, call, limits) for _ in range(12))
        results = await asyncio.wait_for(asyncio.gather(*runs), 30)
    assert [result.value for result in results] == [42] * 12


async def test_a_cancelled_run_frees_its_worker(limits: Limits) -> None:
    async def hang(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(1000)
        return {}

    async with MontySandbox(workers=1) as sandbox:
        for _ in range(3):
            task = asyncio.create_task(sandbox.run_workflow(SEED_CODE, "", "d", "p", None, hang, limits))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await run(sandbox, SEED_CODE, Operators(Custom="4"), limits)).value == "4"


async def test_a_killed_worker_is_no_ones_fault_once(limits: Limits) -> None:
    """Killed in the middle of a run: first the sandbox's failure (retry), the same code again: the code's own."""

    async def kill(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        for pid in monty_workers():
            os.kill(pid, 9)
        return {"response": "4"}

    async with MontySandbox(workers=1) as sandbox:
        with pytest.raises(SandboxUnavailable, match="worker died"):
            await sandbox.run_workflow(SEED_CODE, "", "d", "p", None, kill, limits)
        again = await sandbox.run_workflow(SEED_CODE, "", "d", "p", None, kill, limits)
        assert "the interpreter died" in (again.error or "")
        assert (await run(sandbox, SEED_CODE, Operators(Custom="4"), limits)).value == "4"


async def test_workers_hold_no_environment(
    sandbox: MontySandbox, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    found: list[bytes] = []

    async def look(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        found.extend(Path(f"/proc/{pid}/environ").read_bytes() for pid in monty_workers())
        return {"response": "4"}

    await sandbox.run_workflow(SEED_CODE, "", "d", "p", None, look, limits)
    assert found
    assert all(b"sk-test" not in environment for environment in found)


async def test_a_closed_sandbox_says_so(limits: Limits) -> None:
    sandbox = MontySandbox()
    with pytest.raises(SandboxUnavailable, match="not open"):
        await sandbox.run_program("1", limits)
    async with sandbox:
        pass
    await sandbox.close()
    assert not monty_workers()


def monty_workers() -> list[int]:
    """Process ids of the interpreter workers that this process has started."""
    children = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_mine(entry)]
    return sorted(children)


def _is_mine(entry: Path) -> bool:
    try:
        parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        return parent == os.getpid() and b"monty" in (entry / "cmdline").read_bytes()
    except (OSError, IndexError):
        return False
