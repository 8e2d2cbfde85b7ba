"""When values on demand are refused."""

from functools import cache
from pathlib import Path

import pytest

from aflow_verl.checks import q_source
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe, load_recipe
from aflow_verl.recipe.search_recipe import load_search_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
SERVED = "search.q_source=server"


@cache  # reading one takes a second
def _recipe(*overrides: str) -> Recipe:
    return load_recipe(RECIPES / "qwen7b.yaml", list(overrides))


def _search_recipe(*overrides: str) -> Recipe:
    return load_search_recipe(RECIPES / "search_only.yaml", list(overrides))


def _said(check: object, recipe: Recipe, machine: Machine) -> list[tuple[str, str]]:
    return [(found.kind, found.line(recipe)) for found in check(recipe, machine)]  # type: ignore[operator]


ROOMY = Machine(8, 80.0, memory_gb=1000.0)


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("search.rl_weight=0", "search.rl_weight is 0: nobody would use the values; set it to snapshot"),
        ("critic.enable=false", "critic.enable is false: there is no critic to copy; set it to snapshot"),
        ("critic.model.lora_rank=8", "server can't hold a critic with adapters (critic.model.lora_rank)"),
    ],
)
def test_server_needs_a_critic_of_use(override: str, why: str) -> None:
    [(kind, line)] = _said(q_source.served, _recipe(SERVED, override), ROOMY)
    assert kind == "error"
    assert "search.q_source" in line
    assert why in line


def test_nothing_is_said_of_what_fits() -> None:
    assert _said(q_source.served, _recipe(SERVED), ROOMY) == []
    plain = _recipe("search.rl_weight=0")
    assert _said(q_source.served, plain, ROOMY) == _said(q_source.memory, plain, Machine(8, 80.0, memory_gb=1.0)) == []


def test_the_copy_has_to_fit() -> None:
    # 7 billion parameters in bfloat16, half of the memory at most
    [(kind, line)] = _said(q_source.memory, _recipe(SERVED), Machine(8, 80.0, memory_gb=27.9))
    assert kind == "error"
    assert "about 14.0 GB for the copy of the critic (7.0 billion parameters), of 28 GB" in line
    assert _said(q_source.memory, _recipe(SERVED), Machine(8, 80.0, memory_gb=28.1)) == []
    single = _recipe(SERVED, "+critic.fsdp.mixed_precision={param_dtype:fp32}")
    [(kind, line)] = _said(q_source.memory, single, Machine(8, 80.0, memory_gb=50.0))
    assert kind == "error"
    assert "about 28.0 GB" in line


def test_what_is_not_known_is_a_note() -> None:
    [(kind, line)] = _said(q_source.memory, _recipe(SERVED), Machine(8, 80.0, assumed=True))
    assert (kind, "about 14.0 GB" in line) == ("note", True)
    [(kind, line)] = _said(q_source.memory, _recipe(SERVED, "critic.model.path=org/model"), ROOMY)
    assert (kind, "the size of the critic is unknown" in line) == ("note", True)


def test_a_search_has_no_exports() -> None:
    [(kind, line)] = _said(q_source.of_training, _search_recipe(SERVED), ROOMY)
    assert (kind, "leave it out" in line) == ("error", True)
    assert _said(q_source.of_training, _search_recipe(), ROOMY) == []
