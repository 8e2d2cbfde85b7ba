"""Every recipe in ``recipes/`` passes its checks, printed ones read back as themselves, and the command is quick."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.recipe.load import load_recipe
from aflow_verl.recipe.search_recipe import is_search, load_search_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def plan(path: Path) -> list[str]:
    """The ``--assume`` of the recipe's header, where its hardware is not everybody's."""
    match = re.search(r"--assume \S+", path.read_text().split("\n\n")[0])
    return match[0].split() if match else []


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_check_passes(path: Path, command: Callable[..., Any]) -> None:
    outcome = command(str(path), "--check", *plan(path), search=is_search(path))
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert path.name in outcome.out.splitlines()[-1]


@pytest.mark.parametrize("path", [p for p in RECIPES if p.name != "base.yaml"], ids=lambda p: p.name)
def test_header_says_what_hardware_and_command(path: Path) -> None:
    header = path.read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for word in ("# What:", "# Hardware:", "# Command:"):
        assert word in header
    command = "aflow-verl search" if is_search(path) else "python -m aflow_verl.main_gigpo"
    assert f"{command} recipes/{path.name}" in header


@pytest.mark.parametrize("name", ["quickstart", "qwen7b"])
def test_printed_recipe_reads_back_as_itself(name: str, command: Callable[..., Any], tmp_path: Path) -> None:
    run_dir = f"run_dir={tmp_path / 'run'}"
    first = command(f"recipes/{name}.yaml", run_dir, "search.c_puct=2", "--print")
    printed = tmp_path / f"{name}.yaml"
    printed.write_text(first.out)
    again = command(str(printed), "--print")
    assert (first.code, again.code) == (0, 0)
    assert again.out == first.out
    assert load_recipe(printed, []).ours.search.c_puct == 2.0


def test_ci_recipe_passes_with_a_model(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    outcome = command("tests/recipes/ci_tiny.yaml", f"actor_rollout_ref.model.path={tmp_path}", "--check")
    assert outcome.code == 0, outcome.err


def test_the_7b_recipe_names_all_that_is_missing_here(command: Callable[..., Any]) -> None:
    outcome = command("recipes/qwen7b.yaml", "--check")
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    for thing in ("8 GPUs", "ANTHROPIC_API_KEY", "the data of gsm8k", "recipes/qwen7b.yaml:"):
        assert thing in outcome.err
    assert "found; run on a machine with GPUs" in outcome.out


def test_the_7b_recipe_holds_the_users_keys() -> None:
    recipe = load_recipe(ROOT / "recipes" / "qwen7b.yaml", [])
    assert recipe.get("actor_rollout_ref.model.path") == "Qwen/Qwen2.5-7B-Instruct"
    assert recipe.get("actor_rollout_ref.model.use_remove_padding") is True
    assert recipe.get("actor_rollout_ref.model.enable_gradient_checkpointing") is True
    assert recipe.get("actor_rollout_ref.rollout.name") == "vllm"
    assert recipe.get("critic.enable") is True
    assert recipe.get("critic.model.path") == "Qwen/Qwen2.5-7B-Instruct"
    assert recipe.get("algorithm.adv_estimator") == "gigpo"
    assert recipe.ours.models.executor.kind == "anthropic"


def test_the_search_recipe_is_plain_aflow() -> None:
    ours = load_search_recipe(ROOT / "recipes" / "search_only.yaml", []).ours
    assert (ours.search.selector, ours.search.rl_weight, ours.env.action_format) == ("soft_mixed", 0.0, "code")
    assert (ours.standalone.rounds, ours.standalone.workers, ours.standalone.convergence) == (20, 1, True)
    assert ours.benchmark[0].validation + ours.benchmark[0].train == 264
    assert (ours.models.editor.kind, ours.models.executor.kind) == ("anthropic", "anthropic")


def test_the_trained_search_fits_the_training_that_it_names() -> None:
    ours = load_search_recipe(ROOT / "recipes" / "search_trained.yaml", []).ours
    learned = load_recipe(ROOT / "recipes" / "qwen7b.yaml", []).ours
    assert ours.env == replace(learned.env, steps=ours.env.steps, problems=ours.env.problems)
    assert ours.benchmark[0].name == learned.benchmark[0].name
    assert (ours.standalone.trained.run, ours.search.rl_weight, ours.asks_editor) == ("runs/qwen7b", 0.5, False)


def test_search_without_q_says_so(command: Callable[..., Any]) -> None:
    outcome = command("recipes/quickstart.yaml", "search.rl_weight=0", "critic.enable=false", "--check")
    assert outcome.code == 0
    assert "search without Q, as in AFlow" in outcome.out


def test_check_starts_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from aflow_verl.main_gigpo import main; code = main(['recipes/quickstart.yaml', '--check']);"
        "heavy = {'torch', 'verl', 'ray', 'transformers'} & set(sys.modules); print(heavy); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"


def test_module_prints_one_line_and_no_traceback() -> None:
    command = [sys.executable, "-m", "aflow_verl.main_gigpo", "recipes/quickstart.yaml", "critic.enable=false"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: override 'critic.enable=false'")
