"""What the agent loop hands on; whole episodes are played in ``tests/trainer/test_learning.py``."""

import pickle

import pytest
from ray.exceptions import RayTaskError

from aflow_verl.env.agent_loop import _portable
from aflow_verl.errors import AflowVerlError, BudgetExhausted, InvalidAction, ModelUnavailable


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


def test_other_errors_travel_as_text() -> None:
    arrived = pickle.loads(pickle.dumps(_portable(_Odd())))
    assert (type(arrived), str(arrived)) == (RuntimeError, "_Odd: an odd thing")
