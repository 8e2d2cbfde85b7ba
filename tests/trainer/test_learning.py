"""Thirty training steps, without Ray: the policy finds the one good edit, and finds nothing in shuffled rewards.

Real parts: agent loop, environment, search server, simulated executor in the sandbox, rollout server with restricted
decoding, GiGPO, the CPU engine with verl's PPO loss, weight sync. Only the processes between them are left out.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import NonTensorStack, TensorDict
from transformers import AutoTokenizer
from verl.utils import tensordict_utils as tu
from verl.workers.config import ActorConfig
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import response_from_nested, response_to_nested

from aflow_verl.env import agent_loop
from aflow_verl.env.dataset import make_row
from aflow_verl.env.server import SearchServer
from aflow_verl.env.shared_search import StepShape
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.recipe.load import load_recipe
from aflow_verl.search.targets import MergedStep
from trainer.advantage import advantage_context, gigpo_estimator, step_rows
from trainer.rollout.server import TransformersServer

RECIPE = Path(__file__).parents[1] / "recipes" / "ci_tiny.yaml"
GOOD_EDIT = "replace:0:Programmer"
STEPS, ROWS, SESSIONS = 30, 2, 4


class _Actor:
    """A plain object called as Ray calls an actor."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._target, name))


class _Rollout:
    """verl's client of the rollout servers, for one server in this process."""

    def __init__(self, server: TransformersServer) -> None:
        self._server = server

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        output = await self._server.generate(prompt_ids, sampling_params, request_id)
        output.extra_fields |= {"min_global_steps": 0, "max_global_steps": 0}
        return output


class _Loop:
    """One run of the closed loop in this process."""

    def __init__(self, engine: Any, policy: Path, run_dir: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = load_recipe(
            RECIPE,
            [
                f"actor_rollout_ref.model.path={policy}",
                f"seed={seed}",
                "models.executor.model=one_good_edit",
                "env.start={snapshot: 0.0, root: 1.0, random: 0.0}",
                "env.steps=2",
                "env.max_workflow_steps=1",  # without it a Programmer may also be added, and two edits are good
                f"run_dir={run_dir}",
            ],
        )
        self.ours, self.config = recipe.ours, recipe.config
        run_dir.mkdir()
        self.engine = engine
        self.search = SearchServer(self.ours, str(run_dir), str(policy), 512, StepShape(ROWS, SESSIONS, gamma=0.95))
        rollout = {"load_format": "auto", "dtype": "float32", "max_num_seqs": 64, "response_length": 2}
        self.rollout = TransformersServer(OmegaConf.create(rollout), OmegaConf.create({"path": str(policy)}), 0)
        self.tokenizer = AutoTokenizer.from_pretrained(policy)
        monkeypatch.setattr(agent_loop.ray, "get_actor", lambda name: _Actor(self.search))

    async def open(self) -> None:
        await self.search.start()
        await self.search.resume(0)
        await self.sync(0)

    async def sync(self, step: int) -> None:
        weights, _ = self.engine.get_per_tensor_param()
        await self.rollout.receive_weights({name: value.detach().clone() for name, value in weights})
        await self.rollout.finish_update(step)

    async def play(self, step: int) -> tuple[list[tuple[str, Any]], MergedStep]:
        """All sessions of the step at once; (key, output) of every row, and what the merged tree says of them."""

        async def session(index: int, number: int) -> list[tuple[str, Any]]:
            loop = object.__new__(agent_loop.AflowAgentLoop)
            loop.config, loop.tokenizer = self.config, self.tokenizer
            loop.rollout_config = SimpleNamespace(prompt_length=512, response_length=2)
            loop.server_manager = _Rollout(self.rollout)
            row = make_row(self.ours.seed, ("simulated",), self.ours.env.start, ROWS * step + index)
            outputs = await loop.run(
                {"temperature": 1.0, "logprobs": True},
                uid=f"u{index}",
                session_id=number,
                global_steps=step,
                extra_info=vars(row),
            )
            return [(f"u{index}_{number}_{t}", output) for t, output in enumerate(outputs)]

        played = await asyncio.gather(*(session(i, n) for i in range(ROWS) for n in range(SESSIONS)))
        merged = await self.search.merge(step, [(f"u{i}", n) for i in range(ROWS) for n in range(SESSIONS)])
        return [row for rows in played for row in rows], merged

    def update(self, rows: list[tuple[str, Any]], merged: MergedStep, shuffle: np.random.Generator | None) -> float:
        """One PPO update on the rows; with ``shuffle`` their rewards are dealt out anew. Returns the gradient norm."""
        batch = _batch([output for _, output in rows])
        fields = [output.extra_fields for _, output in rows]
        steps = step_rows([key for key, _ in rows], [{}] * len(rows), fields, merged.targets)
        if shuffle is not None:
            order = shuffle.permutation(len(rows))
            episodes, first = np.unique(steps.trajectory_B, return_index=True)
            dealt = dict(zip(episodes, steps.episode_returns_B[shuffle.permutation(first)], strict=True))
            steps = replace(
                steps,
                targets_B=tuple(steps.targets_B[k] for k in order),
                episode_returns_B=np.array([dealt[t] for t in steps.trajectory_B], dtype=np.float32),
            )
        with self.engine.eval_mode():
            old = self.engine.infer_batch(batch, loss_function=None)["model_output"]["log_probs"]
        mask = batch["response_mask"]
        with advantage_context(steps, "tree"):
            advantages, _ = gigpo_estimator(
                mask.to_padded_tensor(0.0), mask.to_padded_tensor(0), config=self.config.algorithm
            )
        batch["old_log_probs"] = response_from_nested(old, mask)
        batch["advantages"] = response_to_nested(advantages, mask)
        actor = ActorConfig(
            strategy="fsdp2",
            rollout_n=1,
            ppo_micro_batch_size_per_gpu=1,
            use_dynamic_bsz=False,
            loss_agg_mode=self.config.actor_rollout_ref.actor.loss_agg_mode,
        )
        with self.engine.train_mode():
            output = self.engine.train_batch(batch, loss_function=partial(ppo_loss, config=actor))
        return float(output["metrics"]["grad_norm"])

    def probability(self, key: str) -> float:
        """Of an edit of the seed workflow, under the restricted policy."""
        tree = self.search._search.trees["simulated"]
        actions = self.search._search._formats["simulated"]
        state = replace(tree.root.state, score=0.5)
        offer = actions.offer(state, frozenset())
        tokens = PolicyTokens(self.tokenizer, max_prompt_tokens=512)
        assert offer.replies is not None
        ids = tokens.label_ids(offer.replies)
        with torch.no_grad():
            logits = self.rollout._model(input_ids=torch.tensor([tokens.prompt_ids(offer.messages)])).logits[0, -1]
        legal = list(ids.values())
        chosen = ids[str(actions.reply_of(state, key))]
        return float(logits[legal].softmax(-1)[legal.index(chosen)])


def _batch(outputs: list[Any]) -> TensorDict:
    """Rows as verl's data queue hands them to an engine."""

    def nest(rows: list[list[int]]) -> torch.Tensor:
        return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)

    whole = [output.prompt_ids + output.response_ids for output in outputs]
    batch = TensorDict(
        {
            "input_ids": nest(whole),
            "position_ids": nest([list(range(len(ids))) for ids in whole]),
            "prompts": nest([output.prompt_ids for output in outputs]),
            "responses": nest([output.response_ids for output in outputs]),
            "response_mask": nest([output.response_mask for output in outputs]),
            "loss_mask": nest([output.response_mask for output in outputs]),
            "extra_fields": NonTensorStack(*[output.extra_fields for output in outputs]),
        },
        batch_size=[len(outputs)],
    )
    tu.assign_non_tensor(
        batch,
        temperature=1.0,
        use_remove_padding=False,
        use_dynamic_bsz=False,
        micro_batch_size_per_gpu=len(outputs),
        use_fused_kernels=False,
        calculate_entropy=False,
        global_batch_size=len(outputs),
    )
    return batch


async def _train(loop: _Loop, shuffle: np.random.Generator | None) -> tuple[float, float]:
    """(probability of the good edit before, after) thirty steps."""
    await loop.open()
    before = loop.probability(GOOD_EDIT)
    for step in range(1, STEPS + 1):
        rows, merged = await loop.play(step)
        norm = loop.update(rows, merged, shuffle)
        assert np.isfinite(norm)
        await loop.sync(step)
    after = loop.probability(GOOD_EDIT)
    await loop.search.close()
    return before, after


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
async def test_the_good_edit_is_learned_and_noise_is_not(
    make_engine: Callable[..., Any],
    tiny_policy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    learned = await _train(
        _Loop(make_engine("language_model"), tiny_policy, tmp_path / "true", seed, monkeypatch), None
    )
    noise = await _train(
        _Loop(make_engine("language_model"), tiny_policy, tmp_path / "shuffled", seed, monkeypatch),
        np.random.default_rng(seed),
    )
    print(f"\nP(good edit), seed {seed}: rewards {learned[0]:.3f} -> {learned[1]:.3f}, shuffled -> {noise[1]:.3f}")
    assert learned[0] == pytest.approx(noise[0])
    assert learned[1] > 0.6
    assert learned[1] > 3 * learned[0]
    assert noise[1] < learned[1] / 2
