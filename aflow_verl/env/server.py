"""The Ray actor that owns a run's search: store, trees, executor and evaluations. One a run, in a process of its own.

Agent loops ask it for episodes and evaluations; the trainer asks it to merge, hands it the critic's values, and lets
it declare the best workflow. Everything that costs something is on disk before it is answered.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aflow_verl.benchmarks.base import SPLITS, Benchmark
from aflow_verl.benchmarks.catalog import create_benchmark, requirements
from aflow_verl.config import AflowConfig
from aflow_verl.env.champion import Champions, compare_on_heldout, write_workflow
from aflow_verl.env.dataset import DatasetRow
from aflow_verl.env.episode import Episode, EpisodeStart
from aflow_verl.env.factory import action_format, root_state, task_text
from aflow_verl.env.policy_model import PolicyModel
from aflow_verl.env.run_models import RunModels
from aflow_verl.env.shared_search import NO_ROWS, SharedSearch
from aflow_verl.env.step_metrics import search_metrics
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import UserError
from aflow_verl.evaluation.bound import BenchmarkEngine
from aflow_verl.jsonl import JsonLines
from aflow_verl.run_lock import RunLock
from aflow_verl.search.qvalues import QSnapshot, QValue, ScoreGroup
from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.run_store import open_run_store
from aflow_verl.types import Evaluation, Message, Problem
from aflow_verl.workflow.state import WorkflowState

NO_SECRETS: Mapping[str, str] = {}
LOCK_SECONDS = 60.0
"""How long a start waits for the server of a killed run to be gone."""


class SearchServer:
    """See the module's docstring. Made into an actor by ``aflow_verl.run``; methods are called by name."""

    def __init__(
        self,
        ours: AflowConfig,
        run_dir: str,
        policy_path: str,
        max_prompt_tokens: int,
        context_tokens: int | None = None,
    ) -> None:
        """``context_tokens``: what the rollout servers take, prompt and reply; None is what the policy takes."""
        self._ours = ours
        self._run_dir = Path(run_dir)
        self._policy_path = policy_path
        self._max_prompt_tokens = max_prompt_tokens
        self._context_tokens = context_tokens
        self._phase = "starting the workers"
        self._starting = True
        self._opened = asyncio.Event()
        self._failure: Exception | None = None
        self._failures: list[Exception] = []
        self._notices: tuple[str, ...] = ()
        self._result: dict[str, Any] = {}

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
        self._store = await asyncio.to_thread(open_run_store, ours.store, self._run_dir)
        self._notices = self._store.notices
        tokenizer = await asyncio.to_thread(self._tokenizer)
        self._tokens = PolicyTokens(tokenizer, max_prompt_tokens=self._max_prompt_tokens)
        self._policy = PolicyModel(self._store, self._policy_path, tokenizer, self._context)
        self._models = RunModels(ours, self._run_dir, self._store, self._policy)
        await self._models.open(requirements(ours.benchmark).preload)
        self._graders = {
            name: BenchmarkEngine(self._models.engine, benchmark) for name, benchmark in self._benchmarks.items()
        }
        formats = {
            name: action_format(ours, task_text(ours, benchmark), self.write)
            for name, benchmark in self._benchmarks.items()
        }
        roots = {name: root_state(ours, benchmark) for name, benchmark in self._benchmarks.items()}
        choices = JsonLines(self._run_dir / "choices.jsonl")
        self._search = SharedSearch(self._store, choices, roots, formats, ours.seed, ours.experience)
        self._champions = {
            name: Champions(
                name,
                self._store,
                self._graders[name],
                benchmark.problems("validation"),
                ours.evaluation.candidates_per_step,
            )
            for name, benchmark in self._benchmarks.items()
        }

    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._policy_path)

    def _context(self) -> int:
        from transformers import AutoConfig

        if self._context_tokens is not None:
            return self._context_tokens
        return int(AutoConfig.from_pretrained(self._policy_path).get_text_config().max_position_embeddings)

    async def close(self) -> None:
        """Release models, sandboxes and store."""
        await self._models.close()
        self._store.close()
        self._lock.release()

    async def set_phase(self, name: str) -> None:
        """What the run is doing now."""
        self._phase = name

    async def status(self) -> dict[str, Any]:
        """For the terminal: the phase, whether training has not begun yet, and lines that stay."""
        return {"phase": self._phase, "starting": self._starting, "notices": list(self._notices)}

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
        return await self._graders[benchmark].evaluate(state, [known[problem_id] for problem_id in problem_ids])

    async def write(self, messages: Sequence[Message]) -> str:
        """One reply of the editor model. Raises InvalidAction for a prompt that it can't take, and ModelUnavailable."""
        await self._ready()
        return await self._models.write(messages)

    async def finish_episode(self, uid: str, episode: Episode) -> None:
        """Take in a finished episode; it is durable when this returns."""
        self._search.finish(uid, episode)

    async def session_failed(self, uid: str, session: int, error: Exception) -> None:
        """Take note of an episode that could not be played; it is never scored."""
        self._failures.append(error)

    # ---- for the trainer ------------------------------------------------------------------------------------------

    async def serve_policy(self, gateway: Any, step: int) -> None:
        """``gateway`` (``trainer.rollout.gateway``) answers with the policy's weights of ``step``."""
        await self._ready()
        self._policy.serve(gateway, step)

    async def pause_policy(self) -> None:
        """The policy is about to be updated; returns when nothing asks it any more."""
        await self._policy.pause()

    async def resume(self, step: int) -> None:
        """Go back to the state after ``step``."""
        await self._ready()
        self._search.resume(step)
        self._policy.resume(step)
        for name, champions in self._champions.items():
            await champions.resume(self._search.trees[name], step)
            self._write_best(name)

    async def merge(
        self,
        step: int,
        sessions: Sequence[tuple[str, int]],
        rows: Mapping[tuple[str, int, int], ReplayRow] = NO_ROWS,
    ) -> dict[str, float]:
        """Merge the step's episodes, and keep their training rows for replay; returns ``search/*`` metrics."""
        before = sum(len(tree) for tree in self._search.trees.values())
        episodes = self._search.merge(step, sessions, rows)
        failed, self._failures = len(self._failures), []
        return {**search_metrics(episodes, self._search.trees, before), "env/failed_sessions": float(failed)}

    async def replay(self, step: int, count: int) -> list[ReplayRow]:
        """At most ``count`` training rows of steps before this one."""
        return await asyncio.to_thread(self._search.replay.draw, step, count)

    async def raise_failure(self, kind: type[Exception] = Exception) -> None:
        """Raise what made episodes fail since the last merge, if it is of this kind: a user's mistake first."""
        for error in sorted(self._failures, key=lambda error: not isinstance(error, UserError)):
            if isinstance(error, kind):
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
        """Let new workflows challenge the best one; returns the best score and the step's ``eval/*`` metrics.

        The checkpoint of the step comes after it, so a damaged store is restored to that step or a later one.
        """
        for name, champions in self._champions.items():
            await champions.challenge(self._search.trees[name], step)
            self._write_best(name)
        bests = [champions.best.validation.mean for champions in self._champions.values()]
        metrics = {"search/best_score": sum(bests) / len(bests), **self._models.step_metrics()}
        await asyncio.to_thread(self._store.keep_good_copy)
        return metrics

    # ---- results --------------------------------------------------------------------------------------------------

    def _best_folder(self, benchmark: str) -> Path:
        folder = self._run_dir / "best_workflow"
        return folder if len(self._benchmarks) == 1 else folder / benchmark

    def _write_best(self, benchmark: str, result: dict[str, Any] | None = None) -> None:
        best = self._champions[benchmark].best
        score = result or {"node": best.node_id, "validation": best.validation.mean, "n": best.validation.n}
        write_workflow(self._best_folder(benchmark), best.state, {"benchmark": benchmark, **score})

    async def finish(self) -> None:
        """Grade seed and best workflow on held-out problems."""
        results: dict[str, Any] = {}
        for name, champions in self._champions.items():
            await champions.refresh()
            results[name] = await compare_on_heldout(
                champions.seed,
                champions.best,
                self._graders[name].evaluate,
                self._benchmarks[name].problems("heldout"),
                self._ours.evaluation.confidence,
            )
            self._write_best(name, results[name])
            results[name]["path"] = str(self._best_folder(name))
        totals = dict(self._models.totals())
        self._result = {"benchmarks": results, "seconds": totals.pop("wall_seconds"), "totals": totals}

    async def result(self) -> dict[str, Any]:
        """What ``finish`` found; JSON-able: ``benchmarks``, ``totals``, ``seconds``."""
        return self._result
