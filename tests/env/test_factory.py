"""From the recipe to the parts of an episode."""

from dataclasses import replace

from aflow_verl.benchmarks.base import Split
from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import AflowConfig, BenchmarkConfig, EnvConfig
from aflow_verl.env.factory import action_format, root_state, task_text
from aflow_verl.types import Message, Problem

BENCHMARK = Simulated({"train": 1, "validation": 1, "heldout": 1})
EDIT = AflowConfig(benchmark=(BenchmarkConfig("simulated"),), env=EnvConfig(action_format="edit"))
CODE = replace(EDIT, env=EnvConfig(action_format="code"))
SUGGEST = replace(EDIT, env=EnvConfig(action_format="suggest"))


async def _nobody(messages: list[Message]) -> str:
    raise AssertionError("showing a workflow asks no editor")


def _prompt(ours: AflowConfig) -> str:
    offer = action_format(ours, task_text(ours, BENCHMARK), _nobody).offer(root_state(ours, BENCHMARK), frozenset())
    return "\n".join(message["content"] for message in offer.messages)


def test_long_prompts_say_what_answers_look_like_and_the_short_edit_prompt_does_not() -> None:
    for ours in (CODE, SUGGEST):
        assert f"## Task\n{BENCHMARK.task} {BENCHMARK.answer_format}\n" in _prompt(ours)
    assert BENCHMARK.task in _prompt(EDIT)
    assert BENCHMARK.answer_format not in _prompt(EDIT)


class _Functions(Simulated):
    """Problems that ask for a function."""

    def problems(self, split: Split) -> list[Problem]:
        return [replace(problem, entry_point="solve") for problem in super().problems(split)]


def test_code_tasks_start_from_the_operator_that_writes_functions() -> None:
    functions = _Functions({"train": 1, "validation": 1, "heldout": 1})
    assert "operator.CustomCodeGenerate(" in root_state(EDIT, functions).code
    assert "operator.CustomCodeGenerate(" not in root_state(EDIT, BENCHMARK).code
