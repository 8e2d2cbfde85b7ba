"""From the recipe to the parts of an episode."""

import dataclasses

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import AflowConfig, BenchmarkConfig, EnvConfig
from aflow_verl.env.factory import action_format, root_state, task_text

BENCHMARK = Simulated({"train": 1, "validation": 1, "heldout": 1})
EDIT = AflowConfig(benchmark=(BenchmarkConfig("simulated"),), env=EnvConfig(action_format="edit"))
CODE = dataclasses.replace(EDIT, env=EnvConfig(action_format="code"))


def _prompt(ours: AflowConfig) -> str:
    offer = action_format(ours, task_text(ours, BENCHMARK)).offer(root_state(ours, "simulated"), frozenset())
    return "\n".join(message["content"] for message in offer.messages)


def test_a_code_prompt_says_what_answers_look_like_and_the_short_edit_prompt_does_not() -> None:
    assert f"## Task\n{BENCHMARK.task} {BENCHMARK.answer_format}\n" in _prompt(CODE)
    assert BENCHMARK.task in _prompt(EDIT)
    assert BENCHMARK.answer_format not in _prompt(EDIT)
