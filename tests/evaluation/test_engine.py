"""The engine: grades in order, nothing twice, faults are data, failures are not."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.errors import (
    BudgetExhausted,
    InfrastructureError,
    InvalidAction,
    ModelUnavailable,
    SandboxUnavailable,
    StorageError,
    UserError,
)
from aflow_verl.evaluation.bound import BenchmarkEngine
from aflow_verl.evaluation.engine import Engine
from aflow_verl.models.landscape import CHOICE_MARKER, LANDSCAPES, PROGRAM_MARKER, answer_of
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.models.tallies import Tallies
from aflow_verl.types import Completion, Message, SamplingParams, Usage
from aflow_verl.workflow.instructions import LIBRARY
from aflow_verl.workflow.state import WorkflowState, seed_state

SEED = seed_state("simulated", ("Custom", "ScEnsemble", "Programmer"))
Make = Callable[..., Engine]
Workflow = Callable[[str], WorkflowState]
PROGRAM = 'return (await self.programmer(problem=problem, analysis=""))["output"], 0.0'


class Model:
    """Answers rightly; what the i-th call raises, counted from 1, can be told."""

    def __init__(self, fail: Callable[[int], BaseException | None] = lambda i: None, cached: bool = False) -> None:
        self.fingerprint = "model:v1"
        self.fail = fail
        self.cached = cached
        self.asked: list[SamplingParams] = []
        self.problems: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        self.asked.append(params)
        self.problems.append(messages[-1]["content"])
        number = len(self.asked)  # before others are let in
        await asyncio.sleep(0)
        await self.gate.wait()
        if (failure := self.fail(number)) is not None:
            raise failure
        return Completion(answer_of(messages[-1]["content"]), Usage(5, 2, 0.5), cached=self.cached)

    async def close(self) -> None:
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


# ---- grades -----------------------------------------------------------------------------------------------------


async def test_known_skills_come_out(make_engine: Make, make_workflow: Workflow, benchmark: Simulated) -> None:
    problems, engine = benchmark.problems("train"), make_engine()
    seed, program = await asyncio.gather(
        engine.evaluate(SEED, problems, benchmark), engine.evaluate(make_workflow(PROGRAM), problems, benchmark)
    )
    assert [grade.problem_id for grade in seed.grades] == [problem.id for problem in problems]
    assert seed.complete
    assert abs(seed.mean - 0.2) < 0.2
    assert abs(program.mean - 0.9) < 0.15
    again = await make_engine().evaluate(SEED, list(reversed(problems)), benchmark)
    assert again.grades == tuple(reversed(seed.grades))


async def test_nothing_is_computed_twice(make_engine: Make, benchmark: Simulated, store: Any) -> None:
    problems, model = benchmark.problems("validation"), Model()
    engine = make_engine(model=model)
    both = await asyncio.gather(*(engine.evaluate(SEED, problems, benchmark) for _ in range(3)))
    assert both[0] == both[1] == both[2]
    assert len(model.asked) == sum(store.portions) == len(problems)
    reads = store.reads
    assert await engine.evaluate(SEED, problems, benchmark) == both[0]
    assert store.reads == reads  # it is still in memory
    later = make_engine(model=model)
    assert await later.evaluate(SEED, problems, benchmark) == both[0]
    assert len(model.asked) == len(problems)
    assert (later.counters().stored, later.counters().runs) == (10, 0)


async def test_no_problems_have_no_grades(make_engine: Make, benchmark: Simulated) -> None:
    evaluation = await make_engine(model=Model()).evaluate(SEED, [], benchmark)
    assert (evaluation.grades, evaluation.complete) == ((), True)


async def test_one_engine_serves_two_benchmarks(make_engine: Make, benchmark: Simulated) -> None:
    class Strict(Simulated):
        async def grade(self, *args: Any) -> float:
            return 0.5

    strict = Strict({"train": 3, "validation": 1, "heldout": 1}, seed=1)
    engine = make_engine()
    easy, hard = await asyncio.gather(
        BenchmarkEngine(engine, benchmark).evaluate(SEED, benchmark.problems("train")[:3]),
        BenchmarkEngine(engine, strict).evaluate(SEED, strict.problems("train")),
    )
    assert set(easy.grades).isdisjoint(hard.grades)
    assert {grade.score for grade in hard.grades} == {0.5}


async def test_another_executor_does_not_share_grades(make_engine: Make, benchmark: Simulated) -> None:
    model, problems = Model(), benchmark.problems("validation")[:2]
    await make_engine(model=model).evaluate(SEED, problems, benchmark)
    await make_engine(model=model, executor={"max_tokens": 3}).evaluate(SEED, problems, benchmark)
    assert len(model.asked) == 4


async def test_grades_of_a_policys_earlier_weights_do_not_count(make_engine: Make, benchmark: Simulated) -> None:
    model, problems = Model(), benchmark.problems("validation")[:2]
    engine = make_engine(model=model)
    await engine.evaluate(SEED, problems, benchmark)
    model.fingerprint = "model:v2"
    await engine.evaluate(SEED, problems, benchmark)
    assert len(model.asked) == 4
    model.fingerprint = "model:v1"
    await engine.evaluate(SEED, problems, benchmark)
    assert len(model.asked) == 4


async def test_a_run_during_which_the_weights_change_is_never_graded(
    make_engine: Make, benchmark: Simulated, store: Any
) -> None:
    model, problems = Model(), benchmark.problems("validation")[:2]
    model.gate.clear()
    engine = make_engine(model=model)
    waiting = asyncio.ensure_future(engine.evaluate(SEED, problems, benchmark))
    await until(lambda: len(model.asked) == 2)
    model.fingerprint = "model:v2"
    model.gate.set()
    evaluation = await waiting
    assert (evaluation.n, evaluation.reason, store.kept) == (0, "the model has changed during the run", [])


async def test_equal_calls_of_a_run_are_different_samples(
    make_engine: Make, make_workflow: Workflow, benchmark: Simulated
) -> None:
    model = Model()
    state = make_workflow(
        """\
a = [(await self.custom(input=problem, instruction=""))["response"] for _ in range(3)]
b = await self.custom(input=problem, instruction="think")
return (await self.vote(solutions=a, problem=problem))["response"], 0.0"""
    )
    evaluation = await make_engine(model=model).evaluate(state, benchmark.problems("train")[:1], benchmark)
    assert [(p.sample_index, p.temperature) for p in model.asked] == [(0, 0.0), (1, 0.7), (2, 0.7), (0, 0.0)]
    assert evaluation.mean == 1.0
    assert (evaluation.calls, evaluation.cost_usd) == (4, 2.0)


async def test_cached_calls_cost_nothing(make_engine: Make, benchmark: Simulated) -> None:
    engine = make_engine(model=Model(cached=True))
    evaluation = await engine.evaluate(SEED, benchmark.problems("train")[:3], benchmark)
    counters = engine.counters()
    assert (counters.calls, counters.model_calls, counters.cost_usd) == (3, 0, 0.0)
    assert evaluation.cost_usd == 0.0
    assert counters.seconds > 0.0


# ---- faults of the workflow -------------------------------------------------------------------------------------


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
    make_engine: Make, make_workflow: Workflow, benchmark: Simulated, body: str, reason: str
) -> None:
    engine = make_engine(model=Model())
    evaluation = await engine.evaluate(make_workflow(body), benchmark.problems("train")[:1], benchmark)
    assert evaluation.failed_everywhere
    assert evaluation.mean == 0.0
    assert re.search(reason, str(evaluation.grades[0].error))
    assert engine.counters().faults == 1
    assert engine.counters().infrastructure_failures == 0


async def test_a_prompt_that_the_model_refuses_is_the_workflows_fault(make_engine: Make, benchmark: Simulated) -> None:
    model = Model(fail=lambda i: InvalidAction("prompt_too_long", "prompt is too long"))
    evaluation = await make_engine(model=model).evaluate(SEED, benchmark.problems("train")[:1], benchmark)
    assert "prompt is too long" in str(evaluation.grades[0].error)


# ---- failures of the infrastructure -----------------------------------------------------------------------------


async def test_what_the_model_cannot_answer_is_missing_and_never_lower(
    make_engine: Make, benchmark: Simulated, store: Any
) -> None:
    problems = benchmark.problems("train")[:6]
    engine = make_engine(model=Model(fail=lambda i: ModelUnavailable("it is down") if i > 3 else None))
    evaluation = await engine.evaluate(SEED, problems, benchmark)
    assert not evaluation.complete
    assert (evaluation.n, evaluation.mean, evaluation.reason) == (3, 1.0, "it is down")
    assert {g.problem_id for g in evaluation.grades} | set(evaluation.missing) == {p.id for p in problems}
    assert len(store.kept) == 3
    assert (engine.counters().runs, engine.counters().missing) == (3, 3)
    with pytest.raises(InfrastructureError, match="3 of 6 problems could not be graded: it is down"):
        await BenchmarkEngine(engine, benchmark).evaluate(SEED, problems)
    up = Model()
    assert (await make_engine(model=up).evaluate(SEED, problems, benchmark)).complete
    assert len(up.asked) == 3


class Shaky:
    """A sandbox whose every ``period``-th run fails."""

    def __init__(self, inner: Any, period: int, retryable: bool = True) -> None:
        self.inner, self.period, self.retryable, self.tries = inner, period, retryable, 0

    async def run_workflow(self, *args: Any) -> Any:
        self.tries += 1
        if self.tries % self.period == 0:
            raise SandboxUnavailable("worker died", retryable=self.retryable)
        return await self.inner.run_workflow(*args)


async def test_failures_of_the_sandbox_are_retried(make_engine: Make, benchmark: Simulated, sandbox: Any) -> None:
    shaky = Shaky(sandbox, period=2)
    engine = make_engine(model=Model(), workflows=shaky)
    evaluation = await engine.evaluate(SEED, benchmark.problems("train")[:4], benchmark)
    assert (evaluation.n, evaluation.mean) == (4, 1.0)
    failed = shaky.tries - 4
    assert engine.counters().failures["sandbox"] == engine.counters().infrastructure_failures == failed > 0


@pytest.mark.parametrize(("retryable", "tries"), [(True, 4), (False, 1)])
async def test_a_sandbox_that_stays_down_leaves_problems_missing(
    make_engine: Make, benchmark: Simulated, sandbox: Any, retryable: bool, tries: int
) -> None:
    shaky = Shaky(sandbox, period=1, retryable=retryable)
    evaluation = await make_engine(model=Model(), workflows=shaky).evaluate(
        SEED, benchmark.problems("train")[:1], benchmark
    )
    assert (evaluation.grades, evaluation.reason, shaky.tries) == ((), "worker died", tries)


async def test_grading_that_fails_is_tried_again_without_asking_the_model(make_engine: Make) -> None:
    class Unsteady(Simulated):
        grading = 0

        async def grade(self, *args: Any) -> float:
            self.grading += 1
            if self.grading == 1:
                raise SandboxUnavailable("the judge died")
            return await super().grade(*args)

    benchmark, model = Unsteady({"train": 1, "validation": 1, "heldout": 1}), Model()
    assert (await make_engine(model=model).evaluate(SEED, benchmark.problems("train"), benchmark)).mean == 1.0
    assert (benchmark.grading, len(model.asked)) == (2, 1)


@pytest.mark.parametrize("refusal", [UserError("wrong key"), BudgetExhausted("budget.calls: 3 of 3 calls are used")])
async def test_a_refusal_stops_everything_at_once_and_what_is_finished_is_kept(
    make_engine: Make, benchmark: Simulated, store: Any, refusal: UserError
) -> None:
    model = Model(fail=lambda i: refusal if i > 3 else None)
    engine = make_engine(model=model, workers=2)
    with pytest.raises(type(refusal), match=str(refusal)):
        await engine.evaluate(SEED, benchmark.problems("train"), benchmark)
    await until(lambda: not engine._in_flight)
    assert len(store.kept) == 3
    assert len(model.asked) <= 5  # two places: nothing was begun after the refusal
    with pytest.raises(type(refusal)):
        await engine.evaluate(SEED, benchmark.problems("train"), benchmark)
    assert len(model.asked) <= 5
    known = [problem for problem in benchmark.problems("train") if problem.id in {g.problem_id for g in store.kept}]
    assert (await engine.evaluate(SEED, known, benchmark)).mean == 1.0
    await engine.close()


async def test_a_full_disk_stops_the_evaluation(make_engine: Make, benchmark: Simulated, store: Any) -> None:
    def full(*_: Any) -> None:
        raise StorageError("disk full")

    store.put_grades = full
    engine, model = make_engine(model=(model := Model()), workers=1), model
    with pytest.raises(StorageError, match="disk full"):
        await engine.evaluate(SEED, benchmark.problems("train"), benchmark)
    await until(lambda: not engine._in_flight)
    assert len(model.asked) < 40


async def test_a_waiter_that_gives_up_takes_nothing_from_the_others(make_engine: Make, benchmark: Simulated) -> None:
    model, problems = Model(), benchmark.problems("train")[:3]
    model.gate.clear()
    engine = make_engine(model=model)
    first = asyncio.ensure_future(engine.evaluate(SEED, problems, benchmark))
    second = asyncio.ensure_future(engine.evaluate(SEED, problems, benchmark))
    await until(lambda: len(model.asked) == 3)
    first.cancel()
    model.gate.set()
    assert (await second).mean == 1.0
    assert len(model.asked) == 3


# ---- the shared places ------------------------------------------------------------------------------------------


async def test_who_asks_first_is_served_first(make_engine: Make, make_workflow: Workflow, benchmark: Simulated) -> None:
    model = Model()
    engine = make_engine(model=model, workers=2)
    problems = benchmark.problems("train")[:8]
    second = make_workflow('return (await self.custom(input=problem, instruction="again"))["response"], 0.0')
    await asyncio.gather(engine.evaluate(SEED, problems, benchmark), engine.evaluate(second, problems, benchmark))
    again = [number for number, problem in enumerate(model.problems) if problem.startswith("again")]
    assert len(again) == 8
    assert min(again) >= 6  # at most one place still had a run of the first evaluation


async def test_closing_waits_for_runs_whose_calls_may_be_paid_for(
    make_engine: Make, benchmark: Simulated, store: Any
) -> None:
    model = Model()
    model.gate.clear()
    engine = make_engine(model=model, workers=2)
    waiting = asyncio.ensure_future(engine.evaluate(SEED, benchmark.problems("train"), benchmark))
    await until(lambda: len(model.asked) == 2)
    asyncio.get_running_loop().call_later(0.05, model.gate.set)
    await engine.close()
    with pytest.raises(UserError, match="closed"):
        await waiting
    assert (len(store.kept), len(model.asked)) == (2, 2)


async def test_closing_cancels_what_does_not_end(make_engine: Make, benchmark: Simulated, store: Any) -> None:
    model = Model()
    model.gate.clear()
    engine = make_engine(model=model)
    waiting = asyncio.ensure_future(engine.evaluate(SEED, benchmark.problems("train")[:2], benchmark))
    await until(lambda: len(model.asked) == 2)
    await engine.close(drain_s=0.01)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert store.kept == []


# ---- counters ---------------------------------------------------------------------------------------------------


async def test_counters_are_flat_and_name_the_kinds_of_failures(make_engine: Make, benchmark: Simulated) -> None:
    tallies = Tallies()
    tallies.add("rate_limited", 4)
    tallies.add("retries", 4)
    engine = make_engine(model=Model(), tallies=tallies)
    before = engine.counters().as_dict()
    assert (before["infrastructure_failures"], before["failures/rate_limited"]) == (4.0, 4.0)
    await engine.evaluate(SEED, benchmark.problems("train")[:2], benchmark)
    after = engine.counters().as_dict()
    assert {name: after[name] - before.get(name, 0.0) for name in ("runs", "calls", "model_calls", "cost_usd")} == {
        "runs": 2.0,
        "calls": 2.0,
        "model_calls": 2.0,
        "cost_usd": 1.0,
    }


async def test_unusable_replies_are_counted_by_operator(make_engine: Make, benchmark: Simulated) -> None:
    class Silent(Model):
        async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
            return Completion("")

    engine = make_engine(model=Silent())
    await engine.evaluate(SEED, benchmark.problems("train")[:3], benchmark)
    assert engine.malformed() == {"Custom/empty": 3}
    assert engine.counters().malformed_replies == 3


# ---- the simulated model and the library ------------------------------------------------------------------------


async def test_the_landscapes_markers_occur_in_what_operators_and_instructions_ask(
    make_engine: Make, make_workflow: Workflow, benchmark: Simulated
) -> None:
    seen: list[str] = []

    class Listening(SimulatedClient):
        async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
            seen.append("\n".join(message["content"] for message in messages))
            return await super().complete(messages, params)

    engine = make_engine(model=Listening(LANDSCAPES["ladder"]))
    vote = make_workflow('return (await self.vote(solutions=["1", "2", "3"], problem=problem))["response"], 0.0')
    for state in (SEED, make_workflow(PROGRAM), vote):
        await engine.evaluate(state, benchmark.problems("train")[:1], benchmark)
    custom, program, choice = seen
    assert PROGRAM_MARKER in program
    assert PROGRAM_MARKER not in custom + choice
    assert CHOICE_MARKER in choice
    assert CHOICE_MARKER not in custom + program
    texts = list(LIBRARY.values())
    for marker in LANDSCAPES["ladder"].markers:
        assert marker == PROGRAM_MARKER or sum(marker in text for text in texts) >= 1
    assert not any(PROGRAM_MARKER in text or CHOICE_MARKER in text for text in texts)
