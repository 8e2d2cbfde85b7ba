"""Broken recipes, overrides and command lines: exit code 2, one line on stderr, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUICKSTART = "recipes/quickstart.yaml"
QWEN = "recipes/qwen7b.yaml"
PLANNED = ("--check", "--assume", "gpus=8,gpu_gb=80")

FILES: dict[str, tuple[str, str]] = {
    # name: the file's text, what the line has to say; {} is the file's path
    "typing error in our key": (
        "search:\n  rl_wieght: 0.5\n",
        "{}:2: search.rl_wieght: unknown key; did you mean search.rl_weight?",
    ),
    "typing error in our section": ("serch:\n  rl_weight: 0.5\n", "{}:1: serch: unknown key; did you mean search?"),
    "typing error in verl's key": (
        "trainer:\n  n_gpu_per_node: 1\n",
        "{}:2: trainer.n_gpu_per_node: unknown key; did you mean trainer.n_gpus_per_node?",
    ),
    "verl's key in the wrong place": (
        "rollout:\n  tensor_model_parallel_size: 1\n",
        "{}:1: rollout: unknown key; did you mean",
    ),
    "key of a nested dataclass": (
        "env:\n  start:\n    rot: 1.0\n",
        "{}:3: env.start.rot: unknown key; did you mean env.start.root?",
    ),
    "text for a number": ("search:\n  rl_weight: half\n", "{}:2: search.rl_weight: expected a number, found 'half'"),
    "fraction for a whole number": ("env:\n  steps: 2.5\n", "{}:2: env.steps: expected a whole number, found 2.5"),
    "number for a list": ("env:\n  operators: 3\n", "{}:2: env.operators: expected a list, found 3"),
    "number for a section": ("search: 0.5\n", "{}:1: search: expected a mapping, found 0.5"),
    "text for verl's number": (
        "trainer:\n  nnodes: two\n",
        "{}:2: trainer.nnodes: expected a whole number, found 'two'",
    ),
    "text for verl's switch": (
        "critic:\n  enable: maybe\n",
        "{}:2: critic.enable: expected true or false, found 'maybe'",
    ),
    "list for verl's section": ("trainer: [1]\n", "{}:1: trainer: expected a mapping, found [1]"),
    "a key that there was once": ("search:\n  fusion: mean\n", "{}:2: search.fusion: unknown key"),
    "executor that is not built": (
        "models:\n  executor: {{kind: llama}}\nbenchmark: {{name: simulated}}\n",
        "{}:2: models.executor.kind: 'llama' is not one of local",
    ),
    "unknown benchmark": (
        "benchmark:\n  name: gsm\n",
        "{}:2: benchmark.name: 'gsm' is not one of reasoning_gym, simulated, gsm8k",
    ),
    "no benchmark": ("seed: 1\n", "benchmark.name: missing"),
    "second benchmark is wrong": (
        "benchmark:\n  - name: gsm8k\n  - name: gsm8k\n    pth: a\n",
        "{}:4: benchmark[1].pth: unknown key; did you mean benchmark[1].path?",
    ),
    "YAML that doesn't end": ("search: [1, 2\n", "{}:2: not valid YAML"),
    "YAML with a tab": ("search:\n\trl_weight: 1\n", "{}:2: not valid YAML: found character"),
    "YAML with a key twice": ("seed: 1\nseed: 2\n", "{}:2: not valid YAML: found duplicate key seed"),
    "a list": ("- seed\n", "{}: a recipe is a YAML mapping of keys, found list"),
    "reference to nothing": (
        'benchmark: {{name: simulated}}\nsearch: {{c_puct: "${{env.stepz}}"}}\n',
        "{}:2: search.c_puct: Interpolation key 'env.stepz' not found",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_broken_file(case: str, command: Callable[..., Any], tmp_path: Path) -> None:
    text, message = FILES[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace("{{", "{").replace("}}", "}"))
    refused(command(str(path), "--check"), message.format(path))


OVERRIDES: dict[str, tuple[list[str], str]] = {
    "Q without a critic": (
        [QUICKSTART, "critic.enable=false", "search.rl_weight=0.5"],
        "override 'critic.enable=false': critic.enable: is false while search.rl_weight is 0.5: the search would use a "
        "Q that nobody learns; set critic.enable=true, or search.rl_weight=0",
    ),
    "weight above one": (
        [QUICKSTART, "search.rl_weight=1.5"],
        "search.rl_weight: 1.5 is out of range; it has to be between 0 and 1",
    ),
    "no steps": ([QUICKSTART, "env.steps=0"], "env.steps: 0 is out of range; it has to be at least 1"),
    "mixture above one": ([QUICKSTART, "env.start.root=0.5"], "env.start: snapshot, root and random sum to 1.25"),
    "one token for an edit": (
        [QUICKSTART, "data.max_response_length=1"],
        "data.max_response_length: 1 tokens can't hold a label",
    ),
    "server that can't restrict": (
        [QWEN, "actor_rollout_ref.rollout.name=sglang", "env.action_format=edit", *PLANNED],
        "actor_rollout_ref.rollout.name: 'sglang' can't restrict decoding, which the edit format needs; use hf or vllm",
    ),
    "unknown server": ([QUICKSTART, "actor_rollout_ref.rollout.name=vlm"], "'vlm' is no rollout server"),
    "GPU server on a CPU": ([QUICKSTART, "actor_rollout_ref.rollout.name=vllm"], "'vllm' needs GPUs; use hf on a CPU"),
    "another estimator": (
        [QUICKSTART, "algorithm.adv_estimator=grpo"],
        "algorithm.adv_estimator: 'grpo' can't learn from episodes",
    ),
    "trainer of a later version": (
        [QUICKSTART, "trainer.v1.trainer_mode=separate_async"],
        "trainer.v1.trainer_mode: 'separate_async' has no version of ours yet; use aflow_sync",
    ),
    "verl's own trainer": (
        [QUICKSTART, "trainer.v1.trainer_mode=sync"],
        "'sync' is verl's own, which can't read our step data",
    ),
    "engine of a later version": (
        [QWEN, "actor_rollout_ref.actor.strategy=deepspeed", *PLANNED],
        "actor_rollout_ref.actor.strategy: 'deepspeed' is not built yet; use fsdp2 or fsdp",
    ),
    "unknown selector": (
        [QUICKSTART, "search.selector=pucct"],
        "search.selector: 'pucct' is not one of ucb, puct, thompson, greedy, soft_mixed; did you mean puct?",
    ),
    "group of one": (
        [QUICKSTART, "actor_rollout_ref.rollout.n=1"],
        "actor_rollout_ref.rollout.n: 1 session a group leaves nothing",
    ),
    "benchmark without its file": (
        [QUICKSTART, "benchmark.name=gsm8k"],
        "benchmark.path: gsm8k needs data: run 'aflow-verl data prepare gsm8k' once, or name a folder",
    ),
    "unknown operator": (
        [QUICKSTART, "env.operators=[Custom,ScEnsembel]"],
        "env.operators: there is no operator 'ScEnsembel'; did you mean ScEnsemble?",
    ),
    "unknown instruction": (
        [QUICKSTART, "env.instructions=[stepwise]"],
        "env.instructions: no instruction 'stepwise' in the library; choose from direct",
    ),
    "real problems for the stand-in": (
        [QUICKSTART, "models.executor.kind=simulated"],
        "models.executor.kind: the simulated executor knows simulated problems only",
    ),
    "unknown task": (
        [QUICKSTART, "benchmark.tasks=[leter_counting]"],
        "reasoning_gym has no task 'leter_counting'; did you mean letter_counting?",
    ),
    "task that evaluates answers": (
        [QUICKSTART, "benchmark.tasks=[letter_counting,spiral_matrix]"],
        "sandbox.programs: the task spiral_matrix is graded by CPython programs, which 'monty' can't run; set it to "
        "process",
    ),
    "executor without its key": (
        [QUICKSTART, "models.executor.kind=anthropic", "models.executor.model=claude-haiku-4-5"],
        "override 'models.executor.kind=anthropic': models.executor.kind: anthropic needs the environment variable "
        "ANTHROPIC_API_KEY",
    ),
    "editor without its key": (
        [
            *(QUICKSTART, "env.action_format=suggest", "data.max_prompt_length=1024", "data.max_response_length=32"),
            "models.editor.key_variable=MY_KEY",
        ],
        "override 'models.editor.key_variable=MY_KEY': models.editor.key_variable: anthropic needs the environment "
        "variable MY_KEY, which is not set",
    ),
    "fewer GPUs than asked for": (
        [QWEN, "--check", "--assume", "gpus=4,gpu_gb=80"],
        "recipes/qwen7b.yaml:63: trainer.n_gpus_per_node: 8 GPUs asked for, 4 assumed",
    ),
    "GPUs too small": ([QWEN, "--check", "--assume", "gpus=8,gpu_gb=24"], "actor_rollout_ref.model.path: needs about"),
    "packed rows without flash-attention": (
        [QUICKSTART, "~actor_rollout_ref.model.override_config.attn_implementation"],
        "actor_rollout_ref.model.override_config.attn_implementation: flash-attention (verl's default) needs a GPU",
    ),
    "mini-batch above the batch": (
        [QUICKSTART, "actor_rollout_ref.actor.ppo_mini_batch_size=4"],
        "actor_rollout_ref.actor.ppo_mini_batch_size: 4 is more than the 2 rows of a step",
    ),
    "rows that don't divide": (
        [QUICKSTART, "trainer.n_gpus_per_node=3", "actor_rollout_ref.rollout.n=4"],
        "2 rows of 4 sessions don't divide over 3 ranks",
    ),
    "no micro-batch": (
        [QUICKSTART, "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=null"],
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu: is not set",
    ),
    "too few logical CPUs": (
        [QUICKSTART, "ray_kwargs.ray_init.num_cpus=3"],
        "3 logical CPUs, and 1 ranks need 4; set it to 4 or more",
    ),
    "no model there": ([QUICKSTART, "actor_rollout_ref.model.path=/no/such/model"], "no directory '/no/such/model'"),
    "no model in the directory": ([QUICKSTART, "actor_rollout_ref.model.path=recipes"], "no config.json in recipes"),
    "run directory is a file": ([QUICKSTART, "run_dir=README_is_no_directory"], "is a file; name a directory"),
    "override of nothing": (
        [QUICKSTART, "searhc.rl_weight=1"],
        "override 'searhc.rl_weight=1': searhc: unknown key; did you mean search?",
    ),
    "override in the wrong place": (
        [QUICKSTART, "rollout.n=2"],
        "rollout.n: unknown key; did you mean actor_rollout_ref.rollout.n?",
    ),
    "added key that nobody reads": (
        [QUICKSTART, "+trainer.nodes=1"],
        "trainer.nodes: unknown key; did you mean trainer.nnodes?",
    ),
    "our key removed": ([QUICKSTART, "~env.steps"], "override '~env.steps': env.steps: can't be removed"),
    "override without a value": ([QUICKSTART, "env.steps"], "override 'env.steps': missing EQUAL"),
    "several values": ([QUICKSTART, "env.steps=1,2"], "override 'env.steps=1,2': one value a run"),
    "too long an override": ([QUICKSTART, "env.steps=(1"], "override 'env.steps=(1': "),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_broken_override(case: str, command: Callable[..., Any], tmp_path: Path) -> None:
    argv, message = OVERRIDES[case]
    a_file = tmp_path / "file"
    a_file.touch()
    refused(command(*[a.replace("README_is_no_directory", str(a_file)) for a in argv]), message)


USAGE: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "no recipe given; usage: python -m aflow_verl.main_gigpo RECIPE.yaml"),
    "no such file": (["recipes/nothing.yaml"], "recipes/nothing.yaml: no such recipe file"),
    "a directory": (["recipes"], "recipes: no such recipe file"),
    "two modes": ([QUICKSTART, "--check", "--print"], "--check and --print exclude one another"),
    "unknown option": ([QUICKSTART, "--chek"], "unknown option --chek; did you mean --check?"),
    "override first": (["seed=1", QUICKSTART], "the recipe's path comes first, found 'seed=1'"),
    "assumption in a run": ([QUICKSTART, "--assume", "gpus=1"], "--assume plans for hardware that is not here"),
    "assumption of nothing": ([QUICKSTART, "--check", "--assume"], "--assume: unknown name ''"),
    "assumption misspelt": (
        [QUICKSTART, "--check", "--assume", "gpu=1"],
        "--assume: unknown name 'gpu'; did you mean gpus?",
    ),
    "assumption without a number": (
        [QUICKSTART, "--check", "--assume=gpus=many"],
        "--assume: gpus needs a number, found 'many'",
    ),
    "the base": (["recipes/base.yaml"], "recipes/base.yaml: holds the defaults under every recipe"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage(case: str, command: Callable[..., Any]) -> None:
    argv, message = USAGE[case]
    refused(command(*argv), message)


def test_another_recipe_in_the_run_directory(command: Callable[..., Any], tmp_path: Path) -> None:
    run = f"run_dir={tmp_path}"
    (tmp_path / "recipe.resolved.yaml").write_text(command(QUICKSTART, run, "--print").out)
    assert command(QUICKSTART, run, "trainer.total_training_steps=9", "--check").code == 0
    message = f"search.c_puct: is 2.0, and the run in {tmp_path} began with 0.1; use the same value to resume"
    refused(command(QUICKSTART, run, "search.c_puct=2.0"), message)


def test_a_run_directory_that_is_older_than_a_key(command: Callable[..., Any], tmp_path: Path) -> None:
    run = f"run_dir={tmp_path}"
    written = command(QUICKSTART, run, "--print").out
    (tmp_path / "recipe.resolved.yaml").write_text(written.replace("  replay_fraction: 0.0\n", ""))
    assert "replay_fraction" not in (tmp_path / "recipe.resolved.yaml").read_text()
    assert command(QUICKSTART, run, "--check").code == 0
    message = f"experience.replay_fraction: is 0.5, and the run in {tmp_path} began with 0.0"
    refused(command(QUICKSTART, run, "experience.replay_fraction=0.5"), message)


def test_run_directory_that_cant_be_written(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda place, mode: False)
    refused(command(QUICKSTART, f"run_dir={tmp_path / 'a' / 'b'}"), f"run_dir: {tmp_path} can't be written to")


def test_gsm8k_file_with_too_few_problems(command: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "gsm8k.jsonl"
    data.write_text("".join(f'{{"question": "{k} + 1?", "answer": "#### {k + 1}"}}\n' for k in range(10)))
    message = f"benchmark.path: gsm8k has 10 different problems ({data}), and the recipe asks for 1319; make train"
    refused(command(QWEN, f"benchmark.path={data}", *PLANNED), message)


def refused(outcome: Any, message: str) -> None:
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert "Traceback" not in outcome.err + outcome.out
