"""A recipe's models as clients, or one line on why not."""

import dataclasses
from pathlib import Path

import pytest

from aflow_verl.config import KEY_VARIABLES, ModelConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models.anthropic import AnthropicClient
from aflow_verl.models.catalog import KINDS, check_client, create_client, price_for, resolve_model
from aflow_verl.models.local import LocalClient
from aflow_verl.models.openai import OpenAIClient
from aflow_verl.models.simulated import SimulatedClient

VARIABLES = (*KEY_VARIABLES.values(), "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL")
LOCAL_SERVER = "http://localhost:8000/v1"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


async def test_each_kind(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES.values():
        monkeypatch.setenv(name, "test-key")
    made = {
        SimulatedClient: ModelConfig(kind="simulated", model="one_good_edit"),
        AnthropicClient: ModelConfig(kind="anthropic", model="claude-sonnet-4-5"),
        OpenAIClient: ModelConfig(kind="openai", model="gpt-4o-mini"),
        LocalClient: ModelConfig(kind="local", model=str(tiny_policy), device="cpu"),
    }
    for kind, settings in made.items():
        client = create_client(settings)
        assert type(client) is kind
        await client.close()
    assert set(KINDS) == {settings.kind for settings in made.values()} | {"rollout"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ModelConfig(kind="simulated"), r"\.model: a simulated model knows the landscapes one_good_edit"),
        (ModelConfig(kind="anthropic", model="gpt-4o"), r"\.model: .*no Claude model"),
        (ModelConfig(kind="anthropic", model="claude-sonnet-4-5"), r"\.kind: .*ANTHROPIC_API_KEY, which is not set"),
        (ModelConfig(kind="openai", model="gpt-4o-mini"), r"\.kind: .*OPENAI_API_KEY, which is not set"),
        (ModelConfig(kind="openai", model="m", key_variable="MINE"), r"\.key_variable: .*MINE, which is not set"),
        (ModelConfig(kind="openai", base_url=LOCAL_SERVER), r"\.model: 'smollm2-135m' is no model of a server"),
        (ModelConfig(kind="openai", model="m", base_url="localhost:8000"), r"\.base_url: .*no address"),
        (ModelConfig(kind="openai", model="m", base_url="http://x:99999999"), r"\.base_url: .*no address"),
        (ModelConfig(kind="local", model="/no/such/folder"), r"\.model: .*has no config.json"),
        (ModelConfig(kind="rollout"), r"\.kind: rollout"),
    ],
)
@pytest.mark.parametrize("where", ["models.executor", "models.editor"])
def test_refusals_are_one_line_and_name_the_key(settings: ModelConfig, message: str, where: str) -> None:
    with pytest.raises(RecipeError, match=f"^{where}{message}") as caught:
        create_client(settings, where=where)
    assert "\n" not in str(caught.value)


def test_a_key_with_odd_characters_is_refused_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant…")
    with pytest.raises(RecipeError, match="characters that no API key has"):
        check_client(ModelConfig(kind="anthropic", model="claude-haiku-4-5"))


async def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    named = create_client(ModelConfig(kind="openai", model="m", base_url=LOCAL_SERVER))
    monkeypatch.setenv("OPENAI_BASE_URL", LOCAL_SERVER)
    from_environment = create_client(ModelConfig(kind="openai", model="m"))
    assert named.fingerprint == from_environment.fingerprint == f"openai:m@{LOCAL_SERVER}:v1"
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway:1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    gateway = create_client(ModelConfig(kind="anthropic", model="house-model"))
    assert gateway.fingerprint == "anthropic:house-model@http://gateway:1:v1"


def test_nothing_speaks_against_the_default() -> None:
    check_client(ModelConfig())


def test_keys_can_be_assumed() -> None:
    check_client(ModelConfig(kind="anthropic", model="claude-sonnet-4-5"), assume_keys=True)


def test_prices_by_kind() -> None:
    claude = price_for(ModelConfig(kind="anthropic", model="claude-haiku-4-5"))
    assert claude is not None
    assert claude.output == 5.0
    assert price_for(ModelConfig(kind="openai", model="m", base_url=LOCAL_SERVER)) is None
    for kind in ("local", "rollout", "simulated"):
        free = price_for(ModelConfig(kind=kind))
        assert free is not None
        assert free.cost(10**9, 10**9) == 0.0
    with pytest.raises(RecipeError, match=r"^budget\.usd"):
        check_client(ModelConfig(kind="openai", model="m", base_url=LOCAL_SERVER), budget_usd=1.0)


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert resolve_model(str(tmp_path)) == tmp_path
    assert dataclasses.asdict(ModelConfig())["model"] == "smollm2-135m"
