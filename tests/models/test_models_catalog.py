"""A recipe's executor as a client, or one line on why not."""

import dataclasses
from pathlib import Path

import pytest

from aflow_verl.config import ExecutorConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models.anthropic import KEY_VARIABLE, AnthropicClient
from aflow_verl.models.catalog import check_client, create_client, resolve_model
from aflow_verl.models.local import LocalClient
from aflow_verl.models.simulated import SimulatedClient


async def test_each_kind(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "test-key")
    made = {
        SimulatedClient: ExecutorConfig(kind="simulated", model="one_good_edit"),
        AnthropicClient: ExecutorConfig(kind="anthropic", model="claude-sonnet-4-5"),
        LocalClient: ExecutorConfig(kind="local", model=str(tiny_policy), device="cpu"),
    }
    for kind, settings in made.items():
        client = create_client(settings)
        assert type(client) is kind
        await client.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ExecutorConfig(kind="simulated"), "landscapes one_good_edit"),
        (ExecutorConfig(kind="anthropic", model="gpt-4o"), "no Claude model"),
        (ExecutorConfig(kind="anthropic", model="claude-sonnet-4-5"), KEY_VARIABLE),
        (ExecutorConfig(kind="local", model="/no/such/folder"), "has no config.json"),
    ],
)
def test_refusals_are_one_line(settings: ExecutorConfig, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(RecipeError, match=message) as caught:
        create_client(settings)
    assert "\n" not in str(caught.value)


def test_keys_can_be_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    check_client(ExecutorConfig(kind="anthropic", model="claude-sonnet-4-5"), assume_keys=True)


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert resolve_model(str(tmp_path)) == tmp_path
    assert dataclasses.asdict(ExecutorConfig())["model"] == "smollm2-135m"
