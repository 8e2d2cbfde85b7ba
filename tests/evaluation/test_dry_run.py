"""What a run on a stub executor tells, and what it must not."""

import pytest

from aflow_verl.evaluation.bound import BenchmarkEngine
from aflow_verl.types import Problem
from aflow_verl.workflow.state import CODE_SEED_CODE, SEED_CODE, WorkflowState

HEAD = """\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)
        self.sc_ensemble = operator.ScEnsemble(self.llm)
        self.programmer = operator.Programmer(self.llm)

    async def __call__(self, problem):
        text = (await self.custom(input=problem, instruction=prompt_custom.ASK))["response"]
"""


def workflow(body: str, prompts: str = 'ASK = "Think."') -> WorkflowState:
    code = HEAD + "".join(f"        {line}\n" for line in body.splitlines())
    return WorkflowState("simulated", code, prompts, ("Custom", "ScEnsemble", "Programmer"))


SOUND = {
    "the seed": WorkflowState("simulated", SEED_CODE, "", ("Custom",)),
    "a number": workflow("return str(int(text)), 0.0"),
    "a field": workflow('return text.split("<answer>")[1].split("</answer>")[0], 0.0'),
    "a box": workflow('import re\nreturn re.search(r"boxed{(.*?)}", text).group(1), 0.0'),
    "a program": workflow('return text.split("```python")[1].split("```")[0], 0.0'),
    "every operator": workflow(
        'drafts = [text, (await self.programmer(problem=problem, analysis=text))["output"]]\n'
        'return (await self.sc_ensemble(solutions=drafts, problem=problem))["response"], 0.0'
    ),
    "until it likes the answer": workflow(
        'while "certain" not in text:\n'
        '    text = (await self.custom(input=problem, instruction=text))["response"]\n'
        "return text, 0.0"
    ),
}
BROKEN = {
    "a name that is nowhere": (workflow("return answer, 0.0"), "answer"),
    "a prompt that is nowhere": (workflow("return text, 0.0", 'OTHER = ""'), "ASK"),
    "an operator that is nowhere": (workflow("return await self.review(text), 0.0"), "review"),
    "arguments that it lacks": (workflow("return (await self.sc_ensemble(text))['response'], 0.0"), "solutions"),
    "no Python": (WorkflowState("simulated", "class Workflow:\n  def", "", ("Custom",)), ""),
    "no Workflow": (WorkflowState("simulated", "x = 1\n", "", ("Custom",)), "Workflow"),
}


@pytest.fixture
def bound(make_engine, benchmark):
    return BenchmarkEngine(make_engine(), benchmark)


@pytest.mark.parametrize("name", SOUND)
async def test_what_works_is_not_called_broken(bound, name):
    assert await bound.dry_run(SOUND[name]) is None


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_broken_is_told_with_its_error(bound, name):
    state, error = BROKEN[name]
    assert error in str(await bound.dry_run(state))
    assert await bound.dry_run(state) is not None


async def test_nothing_is_asked_counted_or_kept(make_engine, benchmark, store):
    engine = make_engine()
    await BenchmarkEngine(engine, benchmark).dry_run(SOUND["the seed"])
    await BenchmarkEngine(engine, benchmark).dry_run(BROKEN["no Workflow"][0])
    counters = engine.counters()
    assert (counters.runs, counters.calls, counters.faults, store.kept) == (0, 0, 0, [])


async def test_a_code_task_is_given_its_function(make_engine):
    """The seed's code, and one that calls the function that the reply is to define."""
    seed = WorkflowState("simulated", CODE_SEED_CODE, "", ("CustomCodeGenerate",))
    needs = CODE_SEED_CODE.replace(
        "return solution", 'solution.split(f"def {entry_point}(")[1]\n        return solution'
    )
    calls = WorkflowState("simulated", needs, "", ("CustomCodeGenerate",))
    problem = Problem("x", "Write f.", "", entry_point="f")
    assert [await make_engine().dry_run(state, problem) for state in (seed, calls)] == [None, None]
