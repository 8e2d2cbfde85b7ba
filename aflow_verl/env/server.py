"""The Ray actor that owns a run's search: store, trees, executor and evaluations. One a run, in a process of its own.

Agent loops ask it for episodes and evaluations; the trainer asks it to merge, hands it the critic's values, and lets
it declare the best workflow. Everything that costs something is on disk before it is answered.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aflow_verl.benchmarks.base import SPLITS, Benchmark
from aflow_verl.benchmarks.catalog import create_benchmark, requirements
from aflow_verl.config import AflowConfig
from aflow_verl.env.dataset import DatasetRow
from aflow_verl.env.episode import Episode, EpisodeStart
from aflow_verl.env.factory import action_format, root_state, task_text
from aflow_verl.env.policy_model import PolicyModel
from aflow_verl.env.run_models import RunModels
from aflow_verl.env.shared_search import SharedSearch, StepShape
from aflow_verl.env.step_metrics import search_metrics
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import InvalidAction, UserError
from aflow_verl.evaluation.best_workflow import BestWorkflow, compare_on_heldout, write_result, write_workflow
from aflow_verl.evaluation.bound import BenchmarkEngine
from aflow_verl.evaluation.dry_run import FAILS_DRY_RUN
from aflow_verl.jsonl import JsonLines
from aflow_verl.run_lock import RunLock
from aflow_verl.search.qvalues import ScoreGroup
from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.run_store import open_run_store
from aflow_verl.search.targets import MergedStep, RowKey
from aflow_verl.types import Evaluation, Message, Problem
from aflow_verl.workflow.state import WorkflowState

CENTRES = "critic.json"
"""In the run directory: the scores that the critic's 0 stands for, by benchmark; for a search with what was trained."""
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
        shape: StepShape,
        context_tokens: int | None = None,
    ) -> None:
        """``context_tokens``: what the rollout servers take, prompt and reply; None is what the policy takes."""
        self._shape = shape
        self._runs: set[str] = set()
        """Workflows that have passed a dry run, by hash."""
        self._begun: dict[tuple[int, int], asyncio.Task[EpisodeStart]] = {}
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
        train = {name: tuple(benchmark.problems("train")) for name, benchmark in self._benchmarks.items()}
        self._search = SharedSearch(self._store, choices, roots, formats, train, ours, self._shape)
        self._bests = {
            name: BestWorkflow(f"best/{name}", self._store, self._graders[name], benchmark.problems("validation"))
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
        """What a dataset row means at this training step. Its workflow is graded once, for all of its sessions."""
        self._starting = False
        await self._ready()
        row = DatasetRow.from_extra_info(extra_info)
        if (step, row.index) not in self._begun:
            self._begun = {key: task for key, task in self._begun.items() if key[0] >= step}
            self._begun[step, row.index] = asyncio.ensure_future(self._begin_row(step, row))
        return await asyncio.shield(self._begun[step, row.index])

    async def _begin_row(self, step: int, row: DatasetRow) -> EpisodeStart:
        start = self._search.row_start(row, step)
        states = self._search.to_grade(start)
        graded = await asyncio.gather(*(self.evaluate(row.benchmark, state, tuple(start.weights)) for state in states))
        return self._search.begin(start, task_text(self._ours, self._benchmarks[row.benchmark]), graded)

    async def evaluate(self, benchmark: str, state: WorkflowState, problem_ids: Sequence[str]) -> Evaluation:
        """Grade a workflow on problems of its benchmark."""
        await self._ready()
        known = self._problems[benchmark]
        return await self._graders[benchmark].evaluate(state, [known[problem_id] for problem_id in problem_ids])

    async def evaluate_child(self, benchmark: str, state: WorkflowState, problem_ids: Sequence[str]) -> Evaluation:
        """``evaluate`` of what a reply has made. Raises InvalidAction for a workflow that fails on a stub executor
        already: nothing is paid for it. What the ``edit`` format builds always runs."""
        await self._ready()
        if self._ours.env.action_format != "edit" and state.hash not in self._runs:
            if (fault := await self._graders[benchmark].dry_run(state)) is not None:
                raise InvalidAction(FAILS_DRY_RUN, fault)
            self._runs.add(state.hash)
        return await self.evaluate(benchmark, state, problem_ids)

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
        for name, best in self._bests.items():
            tree = self._search.trees[name]
            states = {node.id: node.state for node in tree}
            await best.resume(tree.root_id, tree.root.state, states.__getitem__, step)
            self._write_best(name)

    async def merge(self, step: int, sessions: Sequence[tuple[str, int]]) -> MergedStep:
        """Merge the step's episodes: the ``search/*`` metrics, and what the trees say of the step's rows now."""
        before = sum(len(tree) for tree in self._search.trees.values())
        confidence = 0.0 if self._search.q is None else self._search.q.node_confidence
        episodes, targets, can_gain = self._search.merge(step, sessions)
        failed, self._failures = len(self._failures), []
        write_centres(self._run_dir / CENTRES, self._search.centres())
        metrics = search_metrics(list(episodes.values()), self._search.trees, before, self._search.plan_choices)
        return MergedStep(
            {
                **metrics,
                "search/confidence": confidence,
                "env/rows_can_gain": can_gain,
                "env/failed_sessions": float(failed),
            },
            targets,
        )

    async def keep_rows(self, step: int, rows: Mapping[RowKey, ReplayRow]) -> None:
        """Keep training rows of the step that was merged last, for the critic's replay."""
        await asyncio.to_thread(self._search.keep_rows, step, rows)

    async def replay(self, step: int, count: int) -> list[ReplayRow]:
        """At most ``count`` training rows of steps before this one."""
        return await asyncio.to_thread(self._search.replay.draw, step, count)

    async def raise_failure(self, kind: type[Exception] = Exception) -> None:
        """Raise what made episodes fail since the last merge, if it is of this kind: a user's mistake first."""
        for error in sorted(self._failures, key=lambda error: not isinstance(error, UserError)):
            if isinstance(error, kind):
                raise error

    async def to_score(self, weights_step: int) -> tuple[list[ScoreGroup], dict[str, float]]:
        """What the critic of ``weights_step`` is asked to score, and the values that it gave already."""
        return await asyncio.to_thread(self._search.to_score, self._tokens, weights_step)

    async def publish(
        self, step: int, values: Mapping[str, float], predictions: Mapping[RowKey, tuple[float, float]]
    ) -> dict[str, float]:
        """Take over the critic's promises; returns how right it has been so far, ``critic/*``."""
        return self._search.publish(step, values, predictions)

    async def finish_step(self, step: int) -> dict[str, float]:
        """Let new workflows challenge the best one; returns the best score and the step's ``eval/*`` metrics.

        The checkpoint of the step comes after it, so a damaged store is restored to that step or a later one.
        """
        for name, best in self._bests.items():
            tree = self._search.trees[name]
            ranked = [(node.id, node.state) for node in tree.ranked()]
            await best.challenge(ranked, step, self._ours.evaluation.candidates_per_step)
            self._write_best(name)
        scores = [best.best.validation.mean for best in self._bests.values()]
        metrics = {"search/best_score": sum(scores) / len(scores), **self._models.step_metrics()}
        await asyncio.to_thread(self._store.keep_good_copy)
        return metrics

    # ---- results --------------------------------------------------------------------------------------------------

    def _best_folder(self, benchmark: str) -> Path:
        folder = self._run_dir / "best_workflow"
        return folder if len(self._benchmarks) == 1 else folder / benchmark

    def _write_best(self, benchmark: str) -> None:
        best = self._bests[benchmark].best
        score = {"node": best.node_id, "validation": best.validation.mean, "n": best.validation.n}
        write_workflow(self._best_folder(benchmark), best.state, {"benchmark": benchmark, **score})

    async def finish(self) -> None:
        """Grade seed and best workflow on held-out problems."""
        results: dict[str, Any] = {}
        for name, best in self._bests.items():
            await best.refresh()
            folder = self._best_folder(name)
            heldout, confidence = self._benchmarks[name].problems("heldout"), self._ours.evaluation.confidence
            found = await compare_on_heldout(best.seed, best.best, self._graders[name].evaluate, heldout, confidence)
            found["verdict"] = best.verdict(confidence)
            write_result(folder, best.seed, best.best, {"benchmark": name, **found})
            results[name] = {**found, "path": str(folder)}
        totals = dict(self._models.totals())
        self._result = {"benchmarks": results, "seconds": totals.pop("wall_seconds"), "totals": totals}

    async def result(self) -> dict[str, Any]:
        """What ``finish`` found; JSON-able: ``benchmarks``, ``totals``, ``seconds``."""
        return self._result


def write_centres(path: Path, centres: Mapping[str, float]) -> None:
    """Keep them as JSON; the file appears whole."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(json.dumps({"centre": dict(centres)}, indent=2) + "\n", encoding="utf-8")
    os.replace(beside, path)
