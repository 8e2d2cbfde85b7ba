"""The models of a search: executor, inside the evaluation engine, and editor; and a critic where one has a say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aflow_verl.benchmarks.base import Benchmark
from aflow_verl.config import AflowConfig
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.usage import RunUsage
from aflow_verl.evaluation.engine import Engine
from aflow_verl.evaluation.open_engine import open_engine
from aflow_verl.models.client import ModelClient
from aflow_verl.models.stack import open_model
from aflow_verl.search.store import Store
from aflow_verl.standalone.editor import Editor, ModelEditor, TrainedEditor

if TYPE_CHECKING:  # PyTorch takes seconds to import: only who needs it
    from aflow_verl.trained.critic import TreeCritic
    from aflow_verl.trained.opening import Opened

REPLIES = "calls.sqlite"
"""In the run directory."""


@dataclass(frozen=True)
class Parts:
    """What a search asks."""

    engine: Engine
    editor: Editor
    trained: Opened | None = None
    """None: the editor is no policy of ours."""

    def critic(self, actions: ActionFormat) -> TreeCritic | None:
        """None: the search is without Q."""
        if self.trained is None or self.trained.critic is None:
            return None
        from aflow_verl.trained.critic import TreeCritic

        found = self.trained.trained
        return TreeCritic(
            self.trained.critic,
            actions,
            self.trained.policy.tokens,
            weights_step=found.step,
            gamma=found.manner.gamma,
            centre=self.trained.centre,
        )


@asynccontextmanager
async def open_parts(
    ours: AflowConfig,
    run_dir: Path,
    store: Store,
    usage: RunUsage,
    benchmark: Benchmark,
    say: Callable[[str], None],
    *,
    editor: Editor | None = None,
    client: ModelClient | None = None,
) -> AsyncIterator[Parts]:
    """Executor and editor share reply cache, budget and tallies; ``editor`` and ``client`` are made here if not given.

    Raises UserError where a model, a key, the budget, the sandbox or the weights can't be had.
    """
    shared: dict[str, Any] = {"cache_path": run_dir / REPLIES, "budget": usage.budget, "tallies": usage.tallies}
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            open_engine(
                executor=ours.models.executor,
                sandbox=ours.sandbox,
                evaluation=ours.evaluation,
                store=store,
                preload=benchmark.preload,
                client=client,
                **shared,
            )
        )
        if editor is not None:
            yield Parts(engine, editor)
            return
        writer = await _model_editor(ours, stack, shared) if ours.asks_editor else None
        if ours.standalone.trained.run is None:
            assert writer is not None
            yield Parts(engine, writer)
            return
        trained = await _trained(ours, run_dir, say)
        stack.push_async_callback(trained.policy.close)
        yield Parts(engine, TrainedEditor(trained.policy, writer), trained)


async def _model_editor(ours: AflowConfig, stack: AsyncExitStack, shared: dict[str, Any]) -> ModelEditor:
    settings = ours.models.editor
    # In a thread: a local model takes seconds to load.
    model = await asyncio.to_thread(open_model, settings, role="editor", **shared)
    stack.push_async_callback(model.close)
    return ModelEditor(model, settings)


async def _trained(ours: AflowConfig, run_dir: Path, say: Callable[[str], None]) -> Opened:
    from aflow_verl.trained.opening import open_trained

    with_critic = ours.search.rl_weight > 0
    settings = ours.standalone.trained
    name = ours.benchmark[0].name
    return await asyncio.to_thread(open_trained, settings, run_dir, name, seed=ours.seed, critic=with_critic, say=say)
