"""The Ray actor that owns a run's search: store, trees, executor and evaluations. One a run, in a process of its own.

Agent loops ask it for episodes and evaluations; the trainer asks it to merge, hands it the critic's values, and lets
it declare the best workflow. Everything that costs something is on disk before it is answered.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aflow_verl.benchmarks.base import SPLITS, Benchmark
from aflow_verl.benchmarks.catalog import create_benchmark
from aflow_verl.config import AflowConfig
from aflow_verl.env.champion import Champions, compare_on_heldout, write_workflow
from aflow_verl.env.dataset import DatasetRow
from aflow_verl.env.episode import Episode, EpisodeStart
from aflow_verl.env.factory import action_format, root_state, task_text
from aflow_verl.env.shared_search import SharedSearch
from aflow_verl.env.step_metrics import search_metrics
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import UserError
from aflow_verl.evaluation.engine import Evaluator
from aflow_verl.jsonl import JsonLines
from aflow_verl.models.cache import CachedClient
from aflow_verl.models.catalog import create_client
from aflow_verl.run_lock import RunLock
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.search.qvalues import QSnapshot, QValue, ScoreGroup
from aflow_verl.search.store import Store
from aflow_verl.types import Evaluation, Problem
from aflow_verl.workflow.state import WorkflowState

NO_SECRETS: Mapping[str, str] = {}
LOCK_SECONDS = 60.0
"""How long a start waits for the server of a killed run to be gone."""
USED = "used"
"""Store's key of what a run has used up to its last finished step."""


class SearchServer:
    """See the module's docstring. Made into an actor by ``aflow_verl.run``; methods are called by name."""

    def __init__(self, ours: AflowConfig, run_dir: str, policy_path: str, max_prompt_tokens: int) -> None:
        self._ours = ours
        self._run_dir = Path(run_dir)
        self._policy_path = policy_path
        self._max_prompt_tokens = max_prompt_tokens
        self._phase = "starting the workers"
        self._starting = True
        self._started = time.time()
        self._opened = asyncio.Event()
        self._failure: Exception | None = None
        self._counted: dict[str, float] = {}
        self._earlier: dict[str, float] = {}
        self._failures: list[Exception] = []

    # ---- life -----------------------------------------------------------------------------------------------------

    async def start(self, secrets: Mapping[str, str] = NO_SECRETS) -> None:
        """Open the store, start the sandbox, load the executor. A failure reaches everyone who waits for it.

        Args:
            secrets: environment variables with API keys; of all processes of a run only this one has them.
        """
        os.environ.update(secrets)
        try:
            await self._open()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._opened.set()

    async def _ready(self) -> None:
        await self._opened.wait()
        if self._failure is not None:
            raise self._failure

    async def _open(self) -> None:
        self._lock = await asyncio.to_thread(RunLock(self._run_dir / ".server.lock").acquire, LOCK_SECONDS)
        ours = self._ours
        self._benchmarks: dict[str, Benchmark] = {c.name: create_benchmark(c) for c in ours.benchmark}
        self._problems: dict[str, dict[str, Problem]] = {}
        for name, benchmark in self._benchmarks.items():
            splits = [benchmark.problems(split) for split in SPLITS]
            self._problems[name] = {problem.id: problem for split in splits for problem in split}
        self._store = Store(self._run_dir / ours.store.path)
        formats = {
            name: action_format(ours, task_text(ours, benchmark)) for name, benchmark in self._benchmarks.items()
        }
        roots = {name: root_state(ours, name) for name in self._benchmarks}
        self._earlier = self._store.get_meta(USED, {})
        choices = JsonLines(self._run_dir / "choices.jsonl")
        self._search = SharedSearch(self._store, choices, roots, formats, ours.seed)
        self._tokens = PolicyTokens(await asyncio.to_thread(self._tokenizer), max_prompt_tokens=self._max_prompt_tokens)
        client = await asyncio.to_thread(create_client, ours.models.executor)
        self._model = CachedClient(client, self._run_dir / "calls.sqlite")
        self._sandbox = await MontySandbox(workers=ours.sandbox.workers).__aenter__()
        limits = Limits(
            seconds=ours.sandbox.seconds,
            memory_mb=ours.sandbox.memory_mb,
            max_output_chars=ours.sandbox.max_output_chars,
        )
        self._evaluators = {
            name: Evaluator(
                sandbox=self._sandbox,
                model=self._model,
                benchmark=benchmark,
                store=self._store,
                limits=limits,
                executor=ours.models.executor,
                evaluation=ours.evaluation,
            )
            for name, benchmark in self._benchmarks.items()
        }
        self._champions = {
            name: Champions(
                name,
                self._store,
                self._evaluators[name].evaluate,
                benchmark.problems("validation"),
                ours.evaluation.candidates_per_step,
            )
            for name, benchmark in self._benchmarks.items()
        }

    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._policy_path)

    async def close(self) -> None:
        """Release model, sandbox and store."""
        for evaluator in self._evaluators.values():
            await evaluator.close()
        await self._model.close()
        await self._sandbox.close()
        self._store.close()
        self._lock.release()

    async def set_phase(self, name: str) -> None:
        """What the run is doing now."""
        self._phase = name

    async def status(self) -> dict[str, Any]:
        """For the terminal: the phase, and whether training has not begun yet."""
        return {"phase": self._phase, "starting": self._starting}

    # ---- for the agent loops --------------------------------------------------------------------------------------

    async def begin_episode(self, step: int, extra_info: dict[str, Any]) -> EpisodeStart:
        """What a dataset row means at this training step."""
        self._starting = False
        await self._ready()
        row = DatasetRow.from_extra_info(extra_info)
        benchmark = self._benchmarks[row.benchmark]
        return self._search.start(row, step, task_text(self._ours, benchmark), self._row_problems(row))

    def _row_problems(self, row: DatasetRow) -> list[Problem]:
        train = self._benchmarks[row.benchmark].problems("train")
        count = min(self._ours.env.problems, len(train))
        return random.Random(row.problem_seed).sample(list(train), count)

    async def evaluate(self, benchmark: str, state: WorkflowState, problem_ids: Sequence[str]) -> Evaluation:
        """Grade a workflow on problems of its benchmark."""
        await self._ready()
        known = self._problems[benchmark]
        return await self._evaluators[benchmark].evaluate(state, [known[problem_id] for problem_id in problem_ids])

    async def finish_episode(self, uid: str, episode: Episode) -> None:
        """Take in a finished episode; it is durable when this returns."""
        self._search.finish(uid, episode)

    async def session_failed(self, uid: str, session: int, error: Exception) -> None:
        """Take note of an episode that could not be played; it is never scored."""
        self._failures.append(error)

    # ---- for the trainer ------------------------------------------------------------------------------------------

    async def resume(self, step: int) -> None:
        """Go back to the state after ``step``."""
        await self._ready()
        self._search.resume(step)
        for name, champions in self._champions.items():
            await champions.resume(self._search.trees[name], step)
            self._write_best(name)

    async def merge(self, step: int, sessions: Sequence[tuple[str, int]]) -> dict[str, float]:
        """Merge the step's episodes; returns ``search/*`` metrics."""
        before = sum(len(tree) for tree in self._search.trees.values())
        if any(isinstance(error, UserError) for error in self._failures):
            await self.raise_failure()
        episodes = self._search.merge(step, sessions)
        failed, self._failures = len(self._failures), []
        return {**search_metrics(episodes, self._search.trees, before), "env/failed_sessions": float(failed)}

    async def raise_failure(self) -> None:
        """Raise what made episodes fail since the last merge, a user's mistake first; nothing where none did."""
        for error in sorted(self._failures, key=lambda error: not isinstance(error, UserError)):
            raise error

    async def to_score(self, weights_step: int) -> tuple[list[ScoreGroup], dict[str, QValue], dict[str, list[float]]]:
        """What the critic of ``weights_step`` is asked to score, the values that it gave already, and the known
        returns to compare with."""
        groups, kept = await asyncio.to_thread(self._search.to_score, self._tokens, weights_step)
        return groups, kept, self._search.known_returns()

    async def publish(self, step: int, snapshot: QSnapshot) -> None:
        """Take over the critic's values."""
        self._search.publish(step, snapshot)

    async def finish_step(self, step: int) -> dict[str, float]:
        """Let new workflows challenge the best one; returns the best score and the step's ``eval/*`` metrics."""
        for name, champions in self._champions.items():
            await champions.challenge(self._search.trees[name], step)
            self._write_best(name)
        bests = [champions.best.validation.mean for champions in self._champions.values()]
        return {"search/best_score": sum(bests) / len(bests), **self._evaluation_metrics()}

    def _totals(self) -> dict[str, float]:
        """What all evaluators counted since the server started."""
        totals: Counter[str] = Counter()
        for evaluator in self._evaluators.values():
            totals.update(asdict(evaluator.counters()))
        return dict(totals)

    def _evaluation_metrics(self) -> dict[str, float]:
        totals = self._totals()
        step = {name: value - self._counted.get(name, 0.0) for name, value in totals.items()}
        self._counted = totals
        self._store.put_meta(USED, self._used())
        return {
            "eval/model_calls": step["model_calls"],
            "eval/cache_hit_rate": 1.0 - step["model_calls"] / step["calls"] if step["calls"] else 0.0,
            "eval/seconds": step["seconds"],
            "eval/infrastructure_failures": step["infrastructure_failures"],
            "eval/malformed_replies": step["malformed_replies"],
        }

    # ---- results --------------------------------------------------------------------------------------------------

    def _best_folder(self, benchmark: str) -> Path:
        folder = self._run_dir / "best_workflow"
        return folder if len(self._benchmarks) == 1 else folder / benchmark

    def _write_best(self, benchmark: str, result: dict[str, Any] | None = None) -> None:
        best = self._champions[benchmark].best
        score = result or {"node": best.node_id, "validation": best.validation.mean, "n": best.validation.n}
        write_workflow(self._best_folder(benchmark), best.state, {"benchmark": benchmark, **score})

    async def result(self) -> dict[str, Any]:
        """Grade seed and best workflow on held-out problems; JSON-able: ``benchmarks``, ``totals``, ``seconds``."""
        results: dict[str, Any] = {}
        for name, champions in self._champions.items():
            results[name] = await compare_on_heldout(
                champions.seed,
                champions.best,
                self._evaluators[name].evaluate,
                self._benchmarks[name].problems("heldout"),
                self._ours.evaluation.confidence,
            )
            self._write_best(name, results[name])
            results[name]["path"] = str(self._best_folder(name))
        used: dict[str, float | None] = dict(self._used())
        seconds = used.pop("wall_seconds")
        if used["unpriced_calls"]:
            used["cost_usd"] = None
        return {"benchmarks": results, "totals": used, "seconds": seconds}

    def _used(self) -> dict[str, float]:
        """What the run has used so far, the time before a resume included."""
        used = Counter(self._earlier)
        used.update(self._totals())
        used.update({"wall_seconds": time.time() - self._started})
        return dict(used)
