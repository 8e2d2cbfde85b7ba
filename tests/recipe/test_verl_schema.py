"""verl's keys as its source has them; these fail first when an upgrade moves them."""

from __future__ import annotations

from omegaconf import OmegaConf

from aflow_verl.recipe.origins import Origins, key_lines
from aflow_verl.recipe.verl_schema import FREE_FORM, config_dir, read_schema


def test_fields_of_dataclasses_are_read_with_the_inherited_ones() -> None:
    fields = read_schema().fields
    assert fields["FSDPEngineConfig"]["mixed_precision"] == "Optional[dict[str, Any]]"
    assert "ppo_mini_batch_size" in fields["FSDPActorConfig"]  # of ActorConfig
    assert "override_config" in fields["HFModelConfig"]
    assert "adv_estimator" in fields["AlgoConfig"]


def test_a_node_knows_the_fields_of_its_target() -> None:
    node = OmegaConf.create({"_target_": "verl.workers.config.FSDPEngineConfig", "fsdp_size": -1})
    assert read_schema().knows(node, "mixed_precision")
    assert not read_schema().knows(node, "mixed_precisionn")
    assert not read_schema().knows(OmegaConf.create({"a": 1}), "mixed_precision")


def test_free_nodes() -> None:
    schema = read_schema()
    assert schema.is_free("a.b", OmegaConf.create({}), None)
    assert schema.is_free("ray_kwargs.ray_init", OmegaConf.create({"num_cpus": None}), None)
    assert not schema.is_free("trainer", OmegaConf.create({"nnodes": 1}), None)
    parent = OmegaConf.create(
        {"_target_": "verl.workers.config.FSDPOptimizerConfig", "override_optimizer_config": None}
    )
    assert schema.is_free("actor.optim.override_optimizer_config", None, parent)
    assert not schema.is_free("actor.optim.warmup_style", None, parent)
    assert len(FREE_FORM) < 10


def test_config_directory_is_found_without_importing_verl() -> None:
    assert (config_dir() / "ppo_trainer.yaml").is_file()


def test_lines_of_keys() -> None:
    lines = key_lines("a: 1\nb:\n  c: 2\n  d:\n    - e: 1\n    - e: 2\n")
    assert lines == {"a": 1, "b": 2, "b.c": 3, "b.d": 4, "b.d[0]": 5, "b.d[0].e": 5, "b.d[1]": 6, "b.d[1].e": 6}
    assert key_lines("") == {}


def test_the_nearest_place_wins() -> None:
    origins = Origins("r.yaml", {"a": 1, "a.b": 2}, "base.yaml", {"a.b": 7, "a.c": 8}, {"a.d": "a.d=1", "e": "e={f:1}"})
    assert origins.locate("a.b") == "r.yaml:2"
    assert origins.locate("a.c") == "base.yaml:8"
    assert origins.locate("a.d") == "override 'a.d=1'"
    assert origins.locate("e.f") == "override 'e={f:1}'"
    assert origins.locate("z") == "r.yaml"
