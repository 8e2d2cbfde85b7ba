"""What the agent loop hands on; whole episodes are played in ``tests/trainer/test_learning.py``."""

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from aflow_verl.config import AflowConfig, SearchConfig
from aflow_verl.env.agent_loop import _portable, _values_on_demand
from aflow_verl.errors import AflowVerlError, BudgetExhausted, InvalidAction, ModelUnavailable
from aflow_verl.search.qvalues import QSnapshot


class _Odd(Exception):
    def __init__(self) -> None:
        super().__init__("an odd thing")
        self.held = lambda: None  # does not pickle


@pytest.mark.parametrize(
    "error",
    [
        BudgetExhausted("budget.usd: spent"),
        ModelUnavailable("overloaded", kind="overloaded", retryable=False),
        InvalidAction("prompt_too_long", "too long"),
    ],
)
def test_our_errors_travel_as_they_are_out_of_rays_wrapper(error: AflowVerlError) -> None:
    wrapped = RayTaskError("evaluate", "traceback", error).as_instanceof_cause()
    for given in (error, wrapped):
        arrived = pickle.loads(pickle.dumps(_portable(given)))
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)
        assert vars(arrived) == vars(error)


def test_the_critic_is_asked_where_the_recipe_says_so_and_an_export_was_made() -> None:
    tokenizer = SimpleNamespace(eos_token_id=2)
    loop: Any = SimpleNamespace(tokenizer=tokenizer, rollout_config=SimpleNamespace(prompt_length=64))

    def asked(source: Any, q: QSnapshot | None) -> bool:
        ours = AflowConfig(benchmark=(), search=SearchConfig(q_source=source))
        start: Any = SimpleNamespace(q=q, tree=None, lessons=(), centre=0.5)
        return _values_on_demand(ours, start, None, loop) is not None  # type: ignore[arg-type]

    assert asked("server", QSnapshot(1, {}))
    assert not asked("server", None)
    assert not asked("snapshot", QSnapshot(1, {}))


def test_other_errors_travel_as_text() -> None:
    arrived = pickle.loads(pickle.dumps(_portable(_Odd())))
    assert (type(arrived), str(arrived)) == (RuntimeError, "_Odd: an odd thing")
