"""From a recipe's sections to an engine that runs: the one way to open sandboxes and executor together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aflow_verl.config import EvaluationConfig, ModelConfig, SandboxConfig
from aflow_verl.evaluation.engine import Engine
from aflow_verl.evaluation.grades import GradeStore
from aflow_verl.models.budget import Budget
from aflow_verl.models.client import ModelClient
from aflow_verl.models.stack import open_model
from aflow_verl.models.tallies import Tallies
from aflow_verl.sandbox.catalog import open_programs
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox


@asynccontextmanager
async def open_engine(
    *,
    executor: ModelConfig,
    sandbox: SandboxConfig,
    evaluation: EvaluationConfig,
    store: GradeStore,
    cache_path: Path | None = None,
    budget: Budget | None = None,
    tallies: Tallies | None = None,
    preload: tuple[str, ...] = (),
    client: ModelClient | None = None,
) -> AsyncIterator[Engine]:
    """An engine with its own sandboxes and executor, which are closed with it.

    Args:
        store: where grades are kept; stays open.
        cache_path: where the executor's replies are kept; None: nowhere.
        budget, tallies: shared with other models of the run.
        preload: packages that the benchmarks' graders import in the programs' sandbox (``Benchmark.preload``).
        client: the executor where it is made elsewhere (kind ``rollout``); ``executor`` says how it is called.

    Raises RecipeError and UserError, with one line on what to do.
    """
    tallies = tallies or Tallies()
    async with AsyncExitStack() as stack:
        workflows = await stack.enter_async_context(MontySandbox(workers=sandbox.workers))
        programs = await open_programs(sandbox, preload=preload)
        stack.push_async_callback(programs.close)
        model = await asyncio.to_thread(
            open_model, executor, cache_path=cache_path, budget=budget, tallies=tallies, client=client
        )
        stack.push_async_callback(model.close)
        engine = Engine(
            workflows=workflows,
            programs=programs,
            model=model,
            store=store,
            limits=Limits(sandbox.seconds, sandbox.memory_mb, sandbox.max_output_chars),
            program_limits=Limits(sandbox.program_seconds, sandbox.program_memory_mb, sandbox.max_output_chars),
            executor=executor,
            evaluation=evaluation,
            tallies=tallies,
            workers=sandbox.workers,
        )
        stack.push_async_callback(engine.close)
        yield engine
