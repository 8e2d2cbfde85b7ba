"""kill -9 in the middle of an evaluation with a paid model: what was answered is not asked for again."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.benchmarks.simulated import Simulated
from aflow_verl.config import EvaluationConfig, ModelConfig, SandboxConfig
from aflow_verl.evaluation.open_engine import open_engine
from aflow_verl.models.landscape import PROBLEM, answer_of
from aflow_verl.search.store import Store
from aflow_verl.types import Evaluation
from aflow_verl.workflow.state import seed_state

PROBLEMS, CONCURRENCY = 60, 4


def reply(messages: Any) -> str:
    return answer_of(PROBLEM.findall(messages[-1]["content"])[-1])


async def evaluate(folder: Path, url: str) -> tuple[Evaluation, int]:
    """The evaluation, and how many calls the model was asked."""
    benchmark = Simulated({"train": PROBLEMS, "validation": 1, "heldout": 1})
    with Store(folder / "tree.sqlite") as store:
        async with open_engine(
            executor=ModelConfig(
                kind="anthropic", model="claude-haiku-4-5", base_url=url, concurrency=CONCURRENCY, backoff_s=0.01
            ),
            sandbox=SandboxConfig(workers=8, programs="monty"),
            evaluation=EvaluationConfig(),
            store=store,
            cache_path=folder / "calls.sqlite",
        ) as engine:
            state = seed_state("simulated", ("Custom",))
            evaluation = await engine.evaluate(state, benchmark.problems("train"), benchmark)
            return evaluation, engine.counters().model_calls


def rows(file: Path, table: str) -> int:
    with sqlite3.connect(file) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_nothing_is_paid_twice(tmp_path: Path, faulty_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with faulty_server.FaultyServer(reply, latency_s=0.05) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        child = subprocess.Popen([sys.executable, __file__, str(tmp_path), server.base_url])
        async with asyncio.timeout(300):
            while server.answered.total() < PROBLEMS // 2:
                await asyncio.sleep(0.01)
        child.kill()
        child.wait()
        await asyncio.sleep(0.2)  # calls in flight end
        before = server.answered.total()
        kept, graded = rows(tmp_path / "calls.sqlite", "completions"), rows(tmp_path / "tree.sqlite", "grades")
        assert PROBLEMS > before >= kept >= graded > 0
        assert before - kept <= 2 * CONCURRENCY  # only calls that nobody had seen the replies of
        evaluation, asked = await evaluate(tmp_path, server.base_url)
    assert (evaluation.n, evaluation.mean) == (PROBLEMS, 1.0)
    assert asked == PROBLEMS - kept
    assert server.answered.total() - before == PROBLEMS - kept
    assert set(server.answered.values()) <= {1, 2}


if __name__ == "__main__":
    asyncio.run(evaluate(Path(sys.argv[1]), sys.argv[2]))
