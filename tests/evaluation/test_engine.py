"""The engine: grades in order, nothing twice, faults are data, failures are not."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.errors import InfrastructureError, InvalidAction, ModelUnavailable, SandboxUnavailable, UserError
from aflow_verl.evaluation.engine import Evaluator
from aflow_verl.models.landscape import CHOICE_MARKER, LANDSCAPES, PROGRAM_MARKER, answer_of
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.types import Completion, Message, SamplingParams, Usage
from aflow_verl.workflow.instructions import LIBRARY
from aflow_verl.workflow.state import WorkflowState, seed_state

OPERATORS = ("Custom", "ScEnsemble", "Programmer")
SEED = seed_state("simulated", OPERATORS)


def workflow(body: str) -> WorkflowState:
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    code = f"""\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)
        self.programmer = operator.Programmer(self.llm)
        self.vote = operator.ScEnsemble(self.llm)

    async def __call__(self, problem):
{lines}
"""
    return WorkflowState("simulated", code, "", OPERATORS)


PROGRAM = workflow('return (await self.programmer(problem=problem, analysis=""))["output"], 0.0')


class Model:
    """Answers rightly; what a call raises first, and how long it takes, can be told."""

    fingerprint = "model:v1"

    def __init__(self, fail: Callable[[int], BaseException | None] = lambda i: None, cached: bool = False) -> None:
        self.fail = fail
        self.cached = cached
        self.asked: list[SamplingParams] = []
        self.open = 0
        self.most_open = 0

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        self.asked.append(params)
        number = len(self.asked)  # before others are let in
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        if (failure := self.fail(number)) is not None:
            raise failure
        return Completion(answer_of(messages[-1]["content"]), Usage(5, 2, 0.5), cached=self.cached)

    async def close(self) -> None:
        pass


async def test_known_skills_come_out(make_evaluator: Callable[..., Evaluator], benchmark: Simulated) -> None:
    problems = benchmark.problems("train")
    evaluator = make_evaluator()
    seed, program = await asyncio.gather(evaluator.evaluate(SEED, problems), evaluator.evaluate(PROGRAM, problems))
    assert [grade.problem_id for grade in seed.grades] == [problem.id for problem in problems]
    assert abs(seed.mean - 0.2) < 0.2
    assert abs(program.mean - 0.9) < 0.15
    again = await make_evaluator().evaluate(SEED, list(reversed(problems)))
    assert again.grades == tuple(reversed(seed.grades))


async def test_nothing_is_computed_twice(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated, store: Any
) -> None:
    problems, model = benchmark.problems("validation"), Model()
    evaluator = make_evaluator(model=model)
    both = await asyncio.gather(*(evaluator.evaluate(SEED, problems) for _ in range(3)))
    assert both[0] == both[1] == both[2]
    assert len(model.asked) == len(problems)
    assert store.portions == [1] * len(problems)
    later = make_evaluator(model=model)
    assert await later.evaluate(SEED, problems) == both[0]
    assert len(model.asked) == len(problems)
    assert (later.counters().stored, later.counters().runs) == (10, 0)


async def test_another_executor_does_not_share_grades(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated
) -> None:
    model, problems = Model(), benchmark.problems("validation")[:2]
    await make_evaluator(model=model).evaluate(SEED, problems)
    await make_evaluator(model=model, executor={"max_tokens": 3}).evaluate(SEED, problems)
    assert len(model.asked) == 4


async def test_equal_calls_of_a_run_are_different_samples(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated
) -> None:
    model = Model()
    state = workflow(
        """\
a = [(await self.custom(input=problem, instruction=""))["response"] for _ in range(3)]
b = await self.custom(input=problem, instruction="think")
return (await self.vote(solutions=a, problem=problem))["response"], 0.0"""
    )
    evaluation = await make_evaluator(model=model).evaluate(state, benchmark.problems("train")[:1])
    assert [(p.sample_index, p.temperature) for p in model.asked] == [(0, 0.0), (1, 0.7), (2, 0.7), (0, 0.0)]
    assert evaluation.mean == 1.0
    assert (evaluation.grades[0].calls, evaluation.grades[0].cost_usd) == (4, 2.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return undefined_name, 0.0", "undefined_name"),
        ("while True:\n    pass", "time|duration"),
        ("return None, 0.0", "None"),
        ('return (await self.custom(question="x"))["response"], 0.0', "Custom"),
        (
            'for i in range(30):\n    x = await self.custom(input=problem + str(i), instruction="")\nreturn "1", 0.0',
            "20",
        ),
        (
            'for i in range(30):\n    try:\n        x = await self.custom(input=problem + str(i), instruction="")\n'
            '    except Exception:\n        pass\nreturn "1", 0.0',
            "more than 20 executor calls",
        ),
    ],
)
async def test_a_workflows_own_fault_is_a_grade_of_zero(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated, body: str, reason: str
) -> None:
    import re

    evaluator = make_evaluator(model=Model())
    evaluation = await evaluator.evaluate(workflow(body), benchmark.problems("train")[:1])
    assert evaluation.failed_everywhere
    assert evaluation.mean == 0.0
    assert re.search(reason, str(evaluation.grades[0].error))
    assert evaluator.counters().faults == 1
    assert evaluator.counters().infrastructure_failures == 0


async def test_a_prompt_that_the_model_refuses_is_the_workflows_fault(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated
) -> None:
    model = Model(fail=lambda i: InvalidAction("prompt_too_long", "prompt is too long"))
    evaluation = await make_evaluator(model=model).evaluate(SEED, benchmark.problems("train")[:1])
    assert "prompt is too long" in str(evaluation.grades[0].error)


async def test_failures_of_the_model_are_retried_and_never_scored(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated
) -> None:
    problems = benchmark.problems("train")[:12]
    calm = await make_evaluator(model=Model(), store=type("S", (), _FORGETFUL)()).evaluate(SEED, problems)
    shaky = Model(fail=lambda i: ModelUnavailable("529") if i % 3 == 0 else None)
    evaluator = make_evaluator(model=shaky, store=type("S", (), _FORGETFUL)())
    assert await evaluator.evaluate(SEED, problems) == calm
    counters = evaluator.counters()
    assert counters.infrastructure_failures == len(shaky.asked) - 12 > 0
    assert (counters.calls, counters.model_calls, counters.runs) == (12, 12, 12)


_FORGETFUL = {"get_grades": lambda self, h, f, ids: {}, "put_grades": lambda self, h, f, grades: None}


async def test_a_failure_that_persists_is_raised_and_finished_grades_stay(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated, store: Any
) -> None:
    down = Model(fail=lambda i: ModelUnavailable("down") if i > 3 else None)
    evaluator = make_evaluator(model=down)
    with pytest.raises(InfrastructureError, match="down"):
        await evaluator.evaluate(SEED, benchmark.problems("train")[:6])
    await evaluator.close()
    assert len(store.grades) == 3
    assert all(grade.score == 1.0 for grade in store.grades.values())
    up = Model()
    assert (await make_evaluator(model=up).evaluate(SEED, benchmark.problems("train")[:6])).mean == 1.0
    assert len(up.asked) == 3


async def test_what_retrying_cannot_help_is_raised_at_once(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated
) -> None:
    for failure in (ModelUnavailable("closed", retryable=False), UserError("wrong key")):
        model = Model(fail=lambda i, failure=failure: failure)  # type: ignore[misc]
        with pytest.raises(type(failure), match=str(failure)):
            await make_evaluator(model=model).evaluate(SEED, benchmark.problems("train")[:1])
        assert len(model.asked) == 1


async def test_failures_of_the_sandbox_are_retried(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated, sandbox: Any
) -> None:
    class Shaky:
        tries = 0

        async def run_workflow(self, *args: Any) -> Any:
            self.tries += 1
            if self.tries % 2:
                raise SandboxUnavailable("worker died")
            return await sandbox.run_workflow(*args)

        async def run_program(self, *args: Any) -> Any:
            return await sandbox.run_program(*args)

    shaky = Shaky()
    evaluator = make_evaluator(model=Model(), sandbox=shaky)
    assert (await evaluator.evaluate(SEED, benchmark.problems("train")[:1])).mean == 1.0
    assert (shaky.tries, evaluator.counters().infrastructure_failures) == (2, 1)


async def test_calls_share_a_bounded_number_of_places(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated
) -> None:
    model = Model()
    await make_evaluator(model=model, executor={"concurrency": 2}).evaluate(SEED, benchmark.problems("train"))
    assert model.most_open == 2


async def test_cached_calls_cost_nothing(make_evaluator: Callable[..., Evaluator], benchmark: Simulated) -> None:
    evaluator = make_evaluator(model=Model(cached=True))
    evaluation = await evaluator.evaluate(SEED, benchmark.problems("train")[:3])
    counters = evaluator.counters()
    assert (counters.calls, counters.model_calls, counters.cost_usd) == (3, 0, 0.0)
    assert sum(grade.cost_usd for grade in evaluation.grades) == 0.0
    assert counters.seconds > 0.0


async def test_the_landscapes_markers_occur_in_what_operators_and_instructions_ask(
    make_evaluator: Callable[..., Evaluator], benchmark: Simulated
) -> None:
    seen: list[str] = []

    class Listening(SimulatedClient):
        async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
            seen.append("\n".join(message["content"] for message in messages))
            return await super().complete(messages, params)

    evaluator = make_evaluator(model=Listening(LANDSCAPES["ladder"]))
    vote = workflow('return (await self.vote(solutions=["1", "2", "3"], problem=problem))["response"], 0.0')
    for state in (SEED, PROGRAM, vote):
        await evaluator.evaluate(state, benchmark.problems("train")[:1])
    custom, program, choice = seen
    assert PROGRAM_MARKER in program
    assert PROGRAM_MARKER not in custom + choice
    assert CHOICE_MARKER in choice
    assert CHOICE_MARKER not in custom + program
    texts = list(LIBRARY.values())
    for marker in LANDSCAPES["ladder"].markers:
        assert marker == PROGRAM_MARKER or sum(marker in text for text in texts) >= 1
    assert not any(PROGRAM_MARKER in text or CHOICE_MARKER in text for text in texts)
