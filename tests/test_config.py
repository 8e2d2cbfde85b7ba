"""The schema of our keys, and its defaults beside those of ``recipes/base.yaml``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from aflow_verl.config import ROOT_KEYS, AflowConfig, BenchmarkConfig, from_config
from aflow_verl.errors import RecipeError

BASE = Path(__file__).parents[1] / "recipes" / "base.yaml"


def test_base_and_dataclasses_have_the_same_defaults() -> None:
    base = OmegaConf.load(BASE)
    base.benchmark.name = "simulated"
    assert from_config(base) == AflowConfig(benchmark=(BenchmarkConfig(name="simulated"),))


def test_base_lists_every_key_of_ours() -> None:
    base: Any = OmegaConf.to_container(OmegaConf.load(BASE))
    ours = asdict(AflowConfig(benchmark=(BenchmarkConfig(name="simulated"),)))
    for key in ROOT_KEYS:
        expected = ours[key][0] if key == "benchmark" else ours[key]
        assert names(base[key]) == names(expected), key
    assert names(base["algorithm"]["gigpo"]) == names(ours["gigpo"])


def names(value: Any) -> Any:
    return {key: names(child) for key, child in value.items()} if isinstance(value, dict) else None


def test_whole_numbers_are_accepted_for_fractions() -> None:
    config = from_config(OmegaConf.create({"benchmark": {"name": "simulated"}, "search": {"rl_weight": 1}}))
    assert config.search.rl_weight == 1.0
    assert isinstance(config.search.rl_weight, float)


def test_gigpo_stands_in_verls_algorithm_section() -> None:
    text = {"benchmark": {"name": "simulated"}, "algorithm": {"gamma": 0.9, "gigpo": {"omega": 0.5}}}
    assert from_config(OmegaConf.create(text)).gigpo.omega == 0.5


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"seed": True}, "seed: expected a whole number, found True"),
        ({"env": {"steps": "3"}}, "env.steps: expected a whole number, found '3'"),
        ({"env": {"samples": [3, "x"]}}, r"env.samples\[1\]: expected a whole number, found 'x'"),
        ({"env": None}, "env: expected a mapping, found None"),
        ({"search": {"soft_mixed": {"lambda": 1}}}, "unknown key; did you mean search.soft_mixed.lambda_?"),
        ({"algorithm": {"gigpo": {"norm": "std"}}}, "'std' is not one of mean_norm, mean_std_norm"),
        ({"benchmark": []}, "benchmark: none given"),
        ({"benchmark": [{"name": "simulated"}, {}]}, r"benchmark\[1\].name: missing"),
        ({"benchmark": 3}, "benchmark: expected a mapping, found 3"),
    ],
)
def test_what_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")):
        from_config(OmegaConf.create({"benchmark": {"name": "simulated"}, **section}), lambda key: "here")
