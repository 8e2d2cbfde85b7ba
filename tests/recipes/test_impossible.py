"""Values that verl would take and a run would stumble over: exit code 2, one line on stderr, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUICKSTART = "recipes/quickstart.yaml"
QWEN = "recipes/qwen7b.yaml"
PLANNED = ("--check", "--assume", "gpus=8,gpu_gb=80")

TYPES: dict[str, str] = {
    # override: what the line has to say after the key
    "trainer.total_training_steps=many": "expected a whole number, found 'many'",
    "trainer.total_training_steps=2.5": "expected a whole number, found 2.5",
    "trainer.total_training_steps=null": "is not set; say how many training steps the run has",
    "trainer.n_gpus_per_node=null": "is not set; it has to be a whole number, at least 1",
    "trainer.n_gpus_per_node=1.5": "expected a whole number, found 1.5",
    "trainer.save_freq=null": "is not set; it has to be a whole number, at least -1",
    "trainer.device=null": "is not set; it has to be a text",
    "trainer.device=5": "expected a text, found 5",
    "actor_rollout_ref.model.path=5": "expected a text, found 5",
    "actor_rollout_ref.model.path=null": "is not set; name a transformers checkpoint",
    "critic.model.path=7": "expected a text, found 7",
    "critic.model.path=null": "is not set; name a transformers checkpoint",
    "data.train_batch_size=null": "is not set; it has to be a whole number, at least 1",
    "data.train_batch_size=2.5": "expected a whole number, found 2.5",
    "data.max_response_length=null": "is not set; it has to be a whole number, at least 1",
    "actor_rollout_ref.actor.ppo_mini_batch_size=null": "is not set; it has to be a whole number, at least 1",
    "actor_rollout_ref.actor.ppo_mini_batch_size=0": "0 is out of range; it has to be at least 1",
    "actor_rollout_ref.actor.ppo_epochs=0": "0 is out of range; it has to be at least 1",
    "actor_rollout_ref.actor.optim.lr=-1": "-1 is out of range; it has to be at least 0",
    "actor_rollout_ref.actor.optim.lr=nan": "nan is out of range; it has to be at least 0",
    "actor_rollout_ref.rollout.n=null": "is not set; it has to be a whole number, at least 1",
    "actor_rollout_ref.rollout.agent.num_workers=0": "0 is out of range; it has to be at least 1",
    "actor_rollout_ref.rollout.top_p=1.5": "1.5 is out of range; it has to be between 0 and 1",
    "ray_kwargs.ray_init.num_cpus=many": "expected a whole number, found 'many'",
    "models.executor.device=gpuu": "'gpuu' is not one of auto, cpu, cuda",
    "models.executor.dtype=fp8": "'fp8' is not one of auto, float32, bfloat16",
    "sandbox.seconds=inf": "inf is out of range; it has to be above 0",
    "search.c_puct=nan": "nan is out of range; it has to be at least 0",
}


@pytest.mark.parametrize("override", TYPES)
def test_types_and_ranges(override: str, command: Callable[..., Any]) -> None:
    key = override.partition("=")[0]
    refused(command(QUICKSTART, override), f"override '{override}': {key}: {TYPES[override]}")


IMPOSSIBLE: dict[str, tuple[list[str], str]] = {
    "no GPU for the executor": (
        [QUICKSTART, "models.executor.device=cuda"],
        "models.executor.device: cuda is asked for, and there is no GPU; set it to auto or cpu",
    ),
    "top-k of the transformers server": (
        [QUICKSTART, "actor_rollout_ref.rollout.top_k=5"],
        "actor_rollout_ref.rollout.top_k: the transformers server has no top-k; set it to -1",
    ),
    "micro-batches that don't divide": (
        [QUICKSTART, "trainer.n_gpus_per_node=2"],
        "ppo_micro_batch_size_per_gpu: 6 doesn't divide a rank's share of a mini-batch, 2 * 3 / 2 = 3 rows",
    ),
    "an operator that no edit adds": (
        [QUICKSTART, "env.operators=[Custom,Review]"],
        "env.operators: no edit adds Review to a workflow; leave Review out, or use env.action_format=code or suggest",
    ),
    "values on demand that nobody weighs": (
        [QUICKSTART, "search.rl_weight=0", "search.q_source=server"],
        "search.q_source: server, and search.rl_weight is 0: nobody would use the values; set it to snapshot",
    ),
    "values on demand of no critic": (
        [QUICKSTART, "critic.enable=false", "search.q_source=server"],
        "critic.enable: is false while search.rl_weight is 0.7: the search would use a Q that nobody learns",
    ),
    "unknown way to resume": (
        [QUICKSTART, "trainer.resume_mode=never"],
        "trainer.resume_mode: 'never' is no way to resume; use auto or disable or resume_path",
    ),
    "resume from nowhere": (
        [QUICKSTART, "trainer.resume_mode=resume_path"],
        "trainer.resume_from_path: is not set; name a checkpoint",
    ),
    "more problems than anybody makes": (
        [QUICKSTART, "benchmark.train=100000000"],
        "benchmark.train: 100000000 problems; set it to 100000 or less",
    ),
    "more rows than anybody writes": (
        [QUICKSTART, "trainer.total_training_steps=100000000"],
        "100000000 steps of 2 rows are 200000000 rows, all written before the first step; make them 10000000 or less",
    ),
    "store without a name": ([QUICKSTART, "store.path=''"], "store.path: is empty; name a file"),
    "store is a directory": ([QUICKSTART, "run_dir=.", "store.path=recipes"], "store.path: 'recipes' is no file"),
    "another database": (
        [QUICKSTART, "store.url=mysql://host/x"],
        "store.url: mysql://host/x is no store; write sqlite",
    ),
    "a password in the recipe": (
        [QUICKSTART, "store.url=postgresql://me:secret@host/x"],
        "store.url: has a password, which would stand in the run directory's files; leave it out, and use PGPASSWORD",
    ),
    "a shared file that is anywhere": (
        [QUICKSTART, "store.url=sqlite:///shared.sqlite"],
        "store.url: shared.sqlite is a relative path; write it in full",
    ),
    "run directory of the kernel": ([QUICKSTART, "run_dir=/proc/x/y"], "run_dir: /proc can't be written to"),
    "run directory of nobody": ([QUICKSTART, "run_dir='~no_such_user/runs'"], "run_dir: '~no_such_user/runs': "),
    "run directory with a long name": ([QUICKSTART, f"run_dir={'x' * 300}"], "File name too long"),
    "verl's validation": (
        [QUICKSTART, "trainer.test_freq=2"],
        "trainer.test_freq: validation is ours: evaluation.candidates_per_step; set it to -1",
    ),
    "verl's validation before training": (
        [QUICKSTART, "trainer.val_before_train=true"],
        "trainer.val_before_train: validation is ours: evaluation.candidates_per_step; set it to false",
    ),
    "verl's validation alone": ([QUICKSTART, "trainer.val_only=true"], "trainer.val_only: validation is ours"),
    "more replayed than there is": (
        [QUICKSTART, "experience.replay_fraction=1.5"],
        "experience.replay_fraction: 1.5 is out of range; it has to be between 0 and 1",
    ),
    "no rows to replay": ([QUICKSTART, "experience.replay_rows=0"], "experience.replay_rows: 0 is out of range"),
    "a replay to nobody": (
        [QUICKSTART, "search.rl_weight=0", "critic.enable=false", "experience.replay_fraction=0.5"],
        "experience.replay_fraction: is 0.5, and there is no critic to replay rows to; set critic.enable=true, or",
    ),
    "surprise without values": (
        [QUICKSTART, "search.rl_weight=0", "critic.enable=false", "experience.sampling=surprising"],
        "experience.sampling: 'surprising' goes by the critic's V, and there is no critic; set critic.enable=true",
    ),
    "an unknown rule of sampling": (
        [QUICKSTART, "experience.sampling=worst"],
        "experience.sampling: 'worst' is not one of uniform, best, recent, surprising",
    ),
    "a rule with nothing to sample": (
        [QUICKSTART, "experience.sampling=best", "env.start={snapshot: 1.0, root: 0.0, random: 0.0}"],
        "experience.sampling: 'best' samples nothing: no rows are replayed and no episode starts at random",
    ),
    "a benchmark twice": (
        [QUICKSTART, "benchmark=[{name:reasoning_gym,tasks:[lcm]},{name:reasoning_gym,tasks:[gcd]}]"],
        "benchmark: reasoning_gym is named 2 times, and trees are kept by name; name it once",
    ),
    "KL in the reward": (
        [QUICKSTART, "algorithm.use_kl_in_reward=true"],
        "algorithm.use_kl_in_reward: GiGPO reads the rewards of steps, not of tokens, so the penalty would be lost; "
        "set it to false and use actor_rollout_ref.actor.use_kl_loss",
    ),
    "filtered groups": (
        [QUICKSTART, "algorithm.filter_groups.enable=true"],
        "algorithm.filter_groups.enable: a group without differences still teaches by its steps",
    ),
    "verl's reward function": (
        [QUICKSTART, "reward.custom_reward_function.path=mine.py"],
        "reward.custom_reward_function.path: rewards are the grades of executed workflows",
    ),
    "log-probabilities of the rollout": (
        [QUICKSTART, "algorithm.rollout_correction.bypass_mode=true"],
        "algorithm.rollout_correction.bypass_mode: policy/legal_mass is measured while log-probabilities",
    ),
    "split sequences": (
        [QUICKSTART, "actor_rollout_ref.actor.ulysses_sequence_parallel_size=2"],
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size: the edit format can't be split along the sequence",
    ),
    "split sequences, the engine's key": (
        [QUICKSTART, "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=2"],
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size: the edit format",
    ),
    "too few logical GPUs": (
        [QUICKSTART, "ray_kwargs.ray_init.num_gpus=0"],
        "ray_kwargs.ray_init.num_gpus: 0 GPUs in Ray, and 1 ranks are placed by them; set it to 1 or more",
    ),
    "hub name for the executor": (
        [QUICKSTART, "models.executor.model=org/model"],
        "models.executor.model: org/model has no config.json; name smollm2-135m or a checkpoint directory",
    ),
    "no model of Claude": (
        [QWEN, "models.executor.model=gpt", *PLANNED],
        "models.executor.model: 'gpt' is no Claude model",
    ),
    "unknown landscape": (
        [QUICKSTART, "models.executor.kind=simulated", "models.executor.model=x", "benchmark.name=simulated"],
        "models.executor.model: a simulated model knows the landscapes",
    ),
    "model of nobody": (
        [QUICKSTART, "actor_rollout_ref.model.path='~no_such_user/m'"],
        "no directory '~no_such_user/m'",
    ),
    "infinitely many GPUs": ([QWEN, "--check", "--assume", "gpus=inf"], "--assume: gpus=inf is not possible"),
    "GPUs that are no number": ([QWEN, "--check", "--assume", "gpus=nan"], "--assume: gpus=nan is not possible"),
    "memory that is no number": ([QWEN, "--check", "--assume", "gpus=8,gpu_gb=nan"], "gpu_gb=nan is not possible"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible(case: str, command: Callable[..., Any]) -> None:
    argv, message = IMPOSSIBLE[case]
    refused(command(*argv), message)


def test_code_may_be_split_along_the_sequence(command: Callable[..., Any]) -> None:
    assert command(QWEN, "actor_rollout_ref.actor.ulysses_sequence_parallel_size=2", *PLANNED).code == 0


def test_fractions_where_verl_writes_a_whole_number(command: Callable[..., Any]) -> None:
    overrides = ("actor_rollout_ref.rollout.top_p=0.9", "actor_rollout_ref.actor.entropy_coeff=0.01")
    assert command(QUICKSTART, *overrides, "actor_rollout_ref.model.lora.alpha=0.5", "--check").code == 0


@pytest.mark.parametrize("text", ["{", "[1]", "\udcff"])
def test_model_directory_with_a_broken_config(text: str, command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    message = f"actor_rollout_ref.model.path: config.json in {tmp_path} is no JSON mapping; name an intact"
    refused(command(QWEN, f"actor_rollout_ref.model.path={tmp_path}", *PLANNED), message)


def test_model_directory_with_odd_sizes(command: Callable[..., Any], tmp_path: Path) -> None:
    sizes = dict.fromkeys(("num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"), 8)
    (tmp_path / "config.json").write_text(json.dumps({**sizes, "hidden_size": "wide"}))
    outcome = command(QWEN, f"actor_rollout_ref.model.path={tmp_path}", *PLANNED)
    assert outcome.code == 0
    assert "is unknown; GPU memory is not checked" in outcome.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF\xff\xfe", "not UTF-8 text"),
        (b'{"question": "1 + 1?", "answer": "#### 2"}\n{', ":2: not JSON"),
        (b'{"question": "1 + 1?"}', ":1: needs the text answer"),
        (b'{"question": "1 + 1?", "answer": "two"}', ":1: no number in answer"),
    ],
)
def test_gsm8k_file_that_cant_be_read(
    content: bytes, message: str, command: Callable[..., Any], tmp_path: Path
) -> None:
    data = tmp_path / "gsm8k.jsonl"
    data.write_bytes(content)
    refused(command(QWEN, f"benchmark.path={data}", *PLANNED), f"benchmark.path: {data}")
    refused(command(QWEN, f"benchmark.path={data}", *PLANNED), message)


@pytest.mark.parametrize("text", ["a: [1", "\x00"])
def test_run_directory_with_a_broken_recipe(text: str, command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.resolved.yaml").write_text(text)
    refused(command(QUICKSTART, f"run_dir={tmp_path}"), "recipe.resolved.yaml can't be read; name another run_dir")


def test_looking_at_the_run_directory_leaves_nothing(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command(QUICKSTART, f"run_dir={tmp_path / 'run'}", "--check").code == 0
    assert list(tmp_path.iterdir()) == []


def refused(outcome: Any, message: str) -> None:
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert "Traceback" not in outcome.err + outcome.out
