"""The policy as a model of its own search: names of weights across resumes, failures of the gateway."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError
from transformers import AutoTokenizer

from aflow_verl.env.policy_model import PolicyModel
from aflow_verl.errors import ModelUnavailable
from aflow_verl.search.store import Store
from aflow_verl.types import Message, SamplingParams

ASK: list[Message] = [{"role": "user", "content": "vote"}]


class Gateway:
    """An actor handle's look, without Ray."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.generate = SimpleNamespace(remote=self._generate)

    async def _generate(self, prompt_ids: list[int], params: dict[str, Any]) -> Any:
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


@pytest.fixture
def policy(tmp_path: Path, tiny_policy: Path) -> PolicyModel:
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    return PolicyModel(Store(tmp_path / "tree.sqlite"), "some/tiny", tokenizer, lambda: 64)


def _names(policy: PolicyModel, *steps: int) -> list[str]:
    client = policy.client(0)
    names = []
    for step in steps:
        policy.serve(Gateway(([1], step)), step)
        names.append(client.fingerprint)
    return names


async def test_the_weights_of_two_runs_of_one_store_have_different_names(tmp_path: Path, tiny_policy: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    names = set()
    for run in ("one", "two"):
        policy = PolicyModel(Store(tmp_path / "shared.sqlite", run), "some/tiny", tokenizer, lambda: 64)
        names |= set(_names(policy, 1))
    assert len(names) == 2


async def test_weights_trained_again_have_another_name(policy: PolicyModel) -> None:
    policy.resume(0)
    first = _names(policy, 0, 1, 2, 3)
    assert len(set(first)) == 4
    policy.resume(2)  # killed in step 4; the checkpoint is that of step 2
    second = _names(policy, 0, 1, 2, 3)
    assert second[:3] == first[:3]
    assert second[3] != first[3]
    policy.resume(1)
    third = _names(policy, 0, 1, 2, 3)
    assert third[:2] == first[:2]
    assert third[2] not in (first[2], second[2])
    assert third[3] not in (first[3], second[3])


async def test_all_clients_are_served_and_paused(policy: PolicyModel) -> None:
    executor, editor = policy.client(0), policy.client(1)
    policy.serve(Gateway(([50, 2], 7)), 7)
    params = SamplingParams(max_tokens=4)
    assert (await executor.complete(ASK, params)).text == (await editor.complete(ASK, params)).text != ""
    await policy.pause()


@pytest.mark.parametrize(
    ("reply", "message", "retryable"),
    [
        (RayTaskError("generate", "Traceback\nValueError: too long", ValueError("too long")), "too long", True),
        (([1], 6), "weights of step 6, not 7", False),
    ],
)
async def test_a_failing_server_is_infrastructure(
    policy: PolicyModel, reply: Any, message: str, retryable: bool
) -> None:
    client = policy.client(0)
    policy.serve(Gateway(reply), 7)
    with pytest.raises(ModelUnavailable, match=message) as failure:
        await client.complete(ASK, SamplingParams(max_tokens=4))
    assert failure.value.retryable is retryable


async def test_a_server_that_does_not_tell_its_step_is_believed(policy: PolicyModel) -> None:
    client = policy.client(0)
    policy.serve(Gateway(([50, 2], None)), 7)
    assert (await client.complete(ASK, SamplingParams(max_tokens=4))).finish_reason == "stop"
