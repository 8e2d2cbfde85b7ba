"""Composition, overrides, free-form nodes and derived values."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from aflow_verl.errors import RecipeError, UserError
from aflow_verl.recipe.load import BASE, Recipe, load_recipe

RECIPE = """
benchmark: {name: simulated}
actor_rollout_ref:
  model: {path: some/model, override_config: {attn_implementation: sdpa}}
  actor: {fsdp_config: {mixed_precision: {param_dtype: fp32}}, use_rollout_log_probs: true}
  rollout: {name: hf, engine_kwargs: {vllm: {seed: 1}}}
trainer: {device: cpu, n_gpus_per_node: 2}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(RECIPE)
    return file


def test_layers_lie_on_one_another(path: Path) -> None:
    recipe = load_recipe(path, ["search.rl_weight=0.25", "data.train_batch_size=8"])
    assert recipe.ours.search.rl_weight == 0.25  # override
    assert recipe.get("data.train_batch_size") == 8  # override of verl's key
    assert recipe.get("trainer.n_gpus_per_node") == 2  # recipe
    assert recipe.get("algorithm.gamma") == 0.95  # base
    assert recipe.get("actor_rollout_ref.actor.clip_ratio") == 0.2  # verl
    assert recipe.get("critic.model.path") == "some/model"  # reference in base


def test_nodes_that_verl_takes_as_dictionaries_take_new_keys(path: Path) -> None:
    recipe = load_recipe(path, ["+actor_rollout_ref.model.override_config.x=1", "+ray_kwargs.ray_init.namespace=a"])
    assert recipe.get("actor_rollout_ref.model.override_config") == {"attn_implementation": "sdpa", "x": 1}
    assert recipe.get("actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype") == "fp32"
    assert recipe.get("actor_rollout_ref.actor.use_rollout_log_probs") is True  # a field of verl's dataclass only
    assert recipe.get("ray_kwargs.ray_init.namespace") == "a"


def test_hydras_grammar(path: Path) -> None:
    overrides = [
        "++search.c_puct=3",
        "~trainer.balance_batch",
        "env.operators=[Custom,Programmer]",
        "env.start={root:1}",
    ]
    recipe = load_recipe(path, overrides)
    assert recipe.ours.search.c_puct == 3.0
    assert "balance_batch" not in recipe.config.trainer
    assert recipe.ours.env.operators == ("Custom", "Programmer")
    assert recipe.ours.env.start.root == 1.0
    assert recipe.ours.env.start.random == 0.25


def test_benchmark_is_one_or_several(path: Path) -> None:
    several = load_recipe(path, ["benchmark=[{name:simulated,train:9},{name:reasoning_gym,tasks:[gcd]}]"])
    assert [b.name for b in several.ours.benchmark] == ["simulated", "reasoning_gym"]
    assert several.ours.benchmark[0].train == 9
    assert several.ours.benchmark[1].tasks == ("gcd",)
    assert several.ours.benchmark[1].validation == 200
    with pytest.raises(RecipeError, match=r"benchmark\[0\]\.nam: unknown key"):
        load_recipe(path, ["benchmark=[{name:simulated,nam:9}]"])
    path.write_text("benchmark:\n  - {name: simulated, train: 3}\n")
    assert load_recipe(path, []).ours.benchmark[0].train == 3
    with pytest.raises(UserError, match="benchmark is a list here"):
        load_recipe(path, ["benchmark.heldout=4"])


def test_run_directory_is_named_after_recipe_and_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    recipe = load_recipe(path, [], now=datetime(2026, 1, 2, 3, 4, 5))
    assert recipe.run_dir == path.parent / "runs" / "mine" / "2026-01-02_03-04-05"
    assert recipe.get("trainer.default_local_dir") == f"{recipe.run_dir}/checkpoints"
    assert load_recipe(path, ["run_dir=there"]).run_dir == path.parent / "there"


def test_logical_resources_of_a_cpu_run(path: Path) -> None:
    recipe = load_recipe(path, [])
    assert recipe.ranks == 2
    assert recipe.get("ray_kwargs.ray_init.num_gpus") == 2
    assert recipe.get("ray_kwargs.ray_init.num_cpus") >= 3 * 2 + 1
    assert load_recipe(path, ["ray_kwargs.ray_init.num_cpus=99"]).get("ray_kwargs.ray_init.num_cpus") == 99
    on_gpus = load_recipe(path, ["trainer.device=cuda"])
    assert on_gpus.get("ray_kwargs.ray_init.num_gpus") is None


def test_places(path: Path) -> None:
    recipe = load_recipe(path, ["search.c_puct=3"])
    assert recipe.locate("search.c_puct") == "override 'search.c_puct=3'"
    assert recipe.locate("actor_rollout_ref.model.path") == f"{path}:4"
    assert recipe.locate("env.steps").rpartition(":")[0].endswith("base.yaml")
    assert recipe.locate("actor_rollout_ref.actor.clip_ratio") == str(path)


def test_resolved_text_has_no_references_left(path: Path) -> None:
    text = load_recipe(path, []).to_yaml()
    assert "${" not in text
    assert OmegaConf.create(text).critic.model.path == "some/model"


def test_base_lies_beside_the_recipes() -> None:
    assert BASE.name == "base.yaml"
    assert BASE.is_file()


def test_recipe_is_frozen(path: Path) -> None:
    recipe = load_recipe(path, [])
    assert isinstance(recipe, Recipe)
    with pytest.raises(AttributeError):
        recipe.name = "other"  # type: ignore[misc]
