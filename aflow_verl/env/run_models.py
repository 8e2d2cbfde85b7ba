"""The models of a run: the executor, inside the evaluation engine, and the editor of a policy that suggests; either may
be the policy itself. They share one reply cache, one budget and one set of tallies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aflow_verl.config import AflowConfig, ModelConfig
from aflow_verl.env.policy_model import PolicyModel
from aflow_verl.env.usage import RunUsage
from aflow_verl.evaluation.engine import Engine
from aflow_verl.evaluation.open_engine import open_engine
from aflow_verl.models.client import ModelClient
from aflow_verl.models.replies import spent_in
from aflow_verl.models.stack import open_model
from aflow_verl.search.store import Store
from aflow_verl.types import Message, SamplingParams

REPLIES = "calls.sqlite"
"""In the run directory: every reply that the run has paid or computed."""


class RunModels:
    """Open first; close when all evaluations have ended."""

    engine: Engine
    usage: RunUsage

    def __init__(self, ours: AflowConfig, run_dir: Path, store: Store, policy: PolicyModel) -> None:
        self._ours = ours
        self._replies = run_dir / REPLIES
        self._store = store
        self._policy = policy
        self._resources = AsyncExitStack()
        self._editor: ModelClient | None = None
        self._editor_calls = self._unpriced_calls = 0

    async def open(self, preload: Sequence[str]) -> None:
        """Load and connect; sandboxes import ``preload``. On failure nothing stays open.

        Raises UserError where a model, a key, the budget or the sandbox can't be had.
        """
        models = self._ours.models
        self.usage = RunUsage(self._store, self._ours.budget, await spent_in(self._replies))
        async with AsyncExitStack() as resources:
            self.engine = await resources.enter_async_context(
                open_engine(
                    executor=models.executor,
                    sandbox=self._ours.sandbox,
                    evaluation=self._ours.evaluation,
                    store=self._store,
                    preload=tuple(preload),
                    **self._shared(models.executor),
                )
            )
            if self._ours.env.action_format == "suggest":
                # In a thread: a local model takes seconds to load.
                self._editor = await asyncio.to_thread(
                    open_model, models.editor, role="editor", **self._shared(models.editor)
                )
                resources.push_async_callback(self._editor.close)
            self._resources = resources.pop_all()

    def _shared(self, settings: ModelConfig) -> dict[str, Any]:
        """What the models of a run have in common, and the policy's client where the model is the policy."""
        return {
            "cache_path": self._replies,
            "budget": self.usage.budget,
            "tallies": self.usage.tallies,
            "client": self._policy.client(settings.seed) if settings.kind == "rollout" else None,
        }

    async def close(self) -> None:
        await self._resources.aclose()

    async def write(self, messages: Sequence[Message]) -> str:
        """One reply of the editor.

        Raises InvalidAction for a prompt that it can't take, ModelUnavailable, UserError.
        """
        assert self._editor is not None
        settings = self._ours.models.editor
        params = SamplingParams(temperature=settings.temperature, max_tokens=settings.max_tokens)
        completion = await self._editor.complete(messages, params)
        if not completion.cached:
            self._editor_calls += 1
            self._unpriced_calls += completion.usage.cost_usd is None
        return completion.text

    def step_metrics(self) -> dict[str, float]:
        """``eval/*`` since the last call."""
        return self.usage.step_metrics(self._counters())

    def totals(self) -> Mapping[str, Any]:
        """What the run has used; ``cost_usd`` is None where some price is unknown."""
        totals = self.usage.totals(self._counters())
        return {**totals, "cost_usd": None if totals["unpriced_calls"] else totals["cost_usd"]}

    def _counters(self) -> dict[str, float]:
        counters = self.engine.counters().as_dict()
        counters["unpriced_calls"] += self._unpriced_calls
        return {**counters, "editor_calls": float(self._editor_calls)}
