"""The search server without Ray: episodes, merges, critic values, resume, the best workflow."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aflow_verl.config import (
    AflowConfig,
    BenchmarkConfig,
    BudgetConfig,
    EnvConfig,
    ExperienceConfig,
    ModelConfig,
    ModelsConfig,
    SandboxConfig,
)
from aflow_verl.env.dataset import make_row
from aflow_verl.env.episode import Episode
from aflow_verl.env.factory import action_format, env_settings
from aflow_verl.env.server import SearchServer
from aflow_verl.env.shared_search import StepShape
from aflow_verl.env.workflow_env import WorkflowEnv
from aflow_verl.errors import BudgetExhausted, ModelUnavailable, UserError
from aflow_verl.search.replay import ReplayRow
from aflow_verl.types import Completion, Evaluation, Message, SamplingParams, Usage
from aflow_verl.workflow.state import WorkflowState

OURS = AflowConfig(
    benchmark=(BenchmarkConfig("simulated", train=12, validation=6, heldout=8),),
    env=EnvConfig(steps=2, problems=4),
    models=ModelsConfig(ModelConfig(kind="simulated", model="ladder")),
    sandbox=SandboxConfig(programs="monty"),
)
SHAPE = StepShape(rows=2, sessions=3, gamma=0.9)
Open = Callable[..., Any]


@pytest.fixture
def open_server(tmp_path: Path, tiny_policy: Path) -> Open:
    """``async with open_server(ours) as server``: a started server on this test's run directory."""

    @asynccontextmanager
    async def opened(ours: AflowConfig = OURS, step: int = 0, gateway: Any = None) -> AsyncIterator[SearchServer]:
        server = SearchServer(ours, str(tmp_path), str(tiny_policy), 512, SHAPE)
        await server.start()
        try:
            await server.serve_policy(gateway, step)
            await server.resume(step)
            yield server
        finally:
            await server.close()

    return opened


async def _episode(server: SearchServer, step: int, index: int, session: int, picks: tuple[int, ...]) -> Episode:
    """Play one episode that takes the listed replies by position."""
    row = make_row(0, ("simulated",), OURS.env.start, index)
    start = await server.begin_episode(step, vars(row))
    ids = [problem.id for problem in start.problems]

    async def evaluate(state: WorkflowState) -> Evaluation:
        return await server.evaluate(start.benchmark, state, ids)

    env = WorkflowEnv(
        start, session, env_settings(OURS), OURS.search, action_format(OURS, start.task, server.write), evaluate, 0
    )
    for pick in picks:
        observation = await env.observe()
        assert observation.replies is not None
        await env.step(observation.replies[pick], log_prob=-0.7)
    episode = env.episode()
    await server.finish_episode("uid", episode)
    return episode


async def test_episodes_merge_in_key_order_and_make_the_next_snapshot(open_server: Open, tmp_path: Path) -> None:
    async with open_server() as server:
        second = await _episode(server, 1, 0, session=1, picks=(1, 0))
        first = await _episode(server, 1, 0, session=0, picks=(0, 1))
        lost = await _episode(server, 1, 0, session=2, picks=(2,))
        merged = await server.merge(1, [("uid", 1), ("uid", 0)])
        metrics = merged.metrics
        tree = server._search.trees["simulated"]
        assert metrics["search/tree_size"] == len(tree) == metrics["search/new_workflows"] + 1
        assert {first.children[0], second.children[0]} <= {node.id for node in tree}
        assert lost.children[0] not in tree or lost.children[0] in {*first.children, *second.children}
        assert metrics["search/valid_action_rate"] == 1.0
        assert metrics["search/q_coverage"] == metrics["search/alpha_effective"] == 0.0
        assert metrics["env/rows_can_gain"] == 1.0
        assert set(merged.targets) == {("uid", k, t) for k in range(2) for t in range(2)}
        lines = [json.loads(line) for line in (tmp_path / "choices.jsonl").read_text().splitlines()]
        assert [(line.get("session"), line.get("t")) for line in lines] == [
            (None, None),
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
        ]


async def test_a_rows_workflow_is_graded_once_for_all_of_its_sessions(open_server: Open) -> None:
    async with open_server() as server:
        before = server._models.totals()["runs"]
        row = make_row(0, ("simulated",), OURS.env.start, 0)
        starts = await asyncio.gather(*(server.begin_episode(1, vars(row)) for _ in range(5)))
        assert all(start is starts[0] for start in starts)
        assert server._models.totals()["runs"] - before == OURS.env.problems


async def test_only_what_these_weights_have_not_scored_is_offered(open_server: Open) -> None:
    async with open_server() as server:
        for session in range(2):
            await _episode(server, 1, 0, session, (session,))
        await server.merge(1, [("uid", 0), ("uid", 1)])
        tree = server._search.trees["simulated"]
        groups, kept = await server.to_score(1)
        assert kept == {}
        assert [group.node_id for group in groups] == [node.id for node in tree]
        assert all(group.actions == () for group in groups)
        stale, *fresh = tree.children(tree.root_id)
        await server.publish(1, dict.fromkeys((tree.root_id, *fresh), 0.5), {})
        groups, kept = await server.to_score(1)
        assert [group.node_id for group in groups] == [stale]
        assert kept == pytest.approx(dict.fromkeys((tree.root_id, *fresh), 0.5)), "above the centre, as it said them"
        groups, kept = await server.to_score(2)
        assert (len(groups), kept) == (len(tree), {}), "the critic was updated"
        await server.publish(2, {node.id: 0.5 for node in tree}, {})
        groups, kept = await server.to_score(2)
        assert (groups, set(kept)) == ([], {node.id for node in tree})


async def test_published_promises_reach_the_next_episodes(open_server: Open) -> None:
    async with open_server() as server:
        episode = await _episode(server, 1, 0, 0, (0,))
        merged = await server.merge(1, [("uid", 0)])
        tree = server._search.trees["simulated"]
        said = {key: (target.v, target.q) for key, target in merged.targets.items()}
        metrics = await server.publish(1, {node.id: 0.1 * k for k, node in enumerate(tree)}, said)
        assert metrics["critic/comparisons_edits"] == len(episode.children)
        assert metrics["critic/confidence_edits"] == 0.0, "one edit proves nothing"
        later = await _episode(server, 2, 2, 0, (0, 0))
        metrics = (await server.merge(2, [("uid", 0)])).metrics
        assert metrics["search/q_coverage"] == 1.0
        assert metrics["search/alpha_effective"] == 0.0, "so it has no say yet"
        assert later.choices[0]["best"][0]["q"] is not None


async def test_a_resume_sees_the_tree_of_its_step_and_evaluates_nothing_again(open_server: Open) -> None:
    async with open_server() as server:
        await _episode(server, 1, 0, 0, (0, 0))
        await server.merge(1, [("uid", 0)])
        await server.finish_step(1)
        nodes = {node.id: dict(node.grades) for node in server._search.trees["simulated"]}
        await _episode(server, 2, 2, 0, (3, 2))
        await server.merge(2, [("uid", 0)])
        await server.finish_step(2)
        runs = server._models.totals()["runs"]
    async with open_server(step=1) as server:
        assert {node.id: dict(node.grades) for node in server._search.trees["simulated"]} == nodes
        await _episode(server, 2, 2, 0, (3, 2))
        await server.merge(2, [("uid", 0)])
        assert server._models.totals()["runs"] == runs
        assert len(server._search.trees["simulated"]) > len(nodes)


async def test_the_best_workflow_is_written_and_compared_on_heldout(open_server: Open, tmp_path: Path) -> None:
    async with open_server() as server:
        seed_score = json.loads((tmp_path / "best_workflow" / "score.json").read_text())["validation"]
        for session in range(3):
            await _episode(server, 1, 0, session, (session, 0))
        await server.merge(1, [("uid", k) for k in range(3)])
        metrics = await server.finish_step(1)
        assert metrics["search/best_score"] >= seed_score
        assert metrics["eval/model_calls"] > 0
        assert metrics["eval/infrastructure_failures"] == 0
        assert (await server.finish_step(2))["eval/model_calls"] >= 0
        await server.finish()
        result = await server.result()
        entry = result["benchmarks"]["simulated"]
        assert entry["best"]["heldout"]["n"] == entry["gain"]["n"] == 8
        assert entry["best"]["heldout"]["low"] <= entry["best"]["heldout"]["mean"] <= entry["best"]["heldout"]["high"]
        assert "class Workflow" in (tmp_path / "best_workflow" / "graph.py").read_text()
        assert result["totals"]["cost_usd"] == 0.0
        assert await server.status() == {"phase": "starting the workers", "starting": False, "notices": []}
        assert (tmp_path / "tree.sqlite.good").exists()


async def test_every_start_stands_alone(open_server: Open) -> None:
    async with open_server() as server:
        for session in range(2):
            await _episode(server, 1, 0, session, (session, 0))
        await server.merge(1, [("uid", k) for k in range(2)])
        root = server._search.trees["simulated"].root_id
        rows = [make_row(0, ("simulated",), OURS.env.start, index) for index in range(2, 20)]
        kinds = {row.start for row in rows}
        assert kinds == {"snapshot", "root", "random"}
        for row in rows:
            start = await server.begin_episode(2, vars(row))
            assert len(start.tree) == 1
            assert start.start == row.start
            assert (start.tree.root_id == root) or row.start != "root"
            assert all(problem.reference == "" for problem in start.problems)


async def test_a_failed_start_reaches_everyone_who_waits(tmp_path: Path, tiny_policy: Path) -> None:
    (tmp_path / "tree.sqlite").write_text("not a database, but long enough to be read as one " * 40)
    server = SearchServer(OURS, str(tmp_path), str(tiny_policy), 512, SHAPE)
    with pytest.raises(UserError):
        await server.start()
    with pytest.raises(UserError, match=r"tree\.sqlite"):
        await server.resume(0)


async def test_a_failed_session_is_counted_and_a_users_mistake_stops_the_run(open_server: Open) -> None:
    async with open_server() as server:
        await _episode(server, 1, 0, 0, (0,))
        await server.session_failed("uid", 1, ModelUnavailable("overloaded"))
        with pytest.raises(ModelUnavailable, match="overloaded"):
            await server.raise_failure()
        assert (await server.merge(1, [("uid", 0)])).metrics["env/failed_sessions"] == 1.0
        await server.raise_failure()  # nothing is left to raise
        await server.session_failed("uid", 2, ModelUnavailable("overloaded"))
        await server.raise_failure(UserError)  # a model that is down is nobody's mistake
        await server.session_failed("uid", 3, UserError("the key was refused"))
        for kind in (UserError, Exception):
            with pytest.raises(UserError, match="the key was refused"):
                await server.raise_failure(kind)


async def test_keys_reach_the_servers_process_only_through_start(
    tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    server = SearchServer(OURS, str(tmp_path), str(tiny_policy), 512, SHAPE)
    await server.start({"SOME_KEY": "secret"})
    assert os.environ.pop("SOME_KEY") == "secret"
    await server.close()


async def test_a_spent_budget_stops_and_a_larger_one_goes_on(open_server: Open, tmp_path: Path) -> None:
    scarce = replace(OURS, budget=BudgetConfig(calls=3))
    with pytest.raises(BudgetExhausted, match=r"budget\.calls: 3 of 3 calls are used"):
        async with open_server(scarce):
            pass  # the seed takes 6 problems to grade
    with pytest.raises(BudgetExhausted):
        async with open_server(scarce):
            pass
    async with open_server(replace(OURS, budget=BudgetConfig(calls=1000))) as server:
        assert server._models.totals()["answered_calls"] == 6
        assert (await server.finish_step(1))["eval/cost_usd"] == 0.0


async def test_the_policy_grades_its_workflows_by_the_weights_it_has(open_server: Open, tiny_policy: Path) -> None:
    executor = ModelConfig(kind="rollout", max_tokens=4)

    class Gateway:
        def __init__(self, step: int) -> None:
            self.step, self.asked = step, 0
            self.generate = SimpleNamespace(remote=self._generate)

        async def _generate(self, prompt_ids: list[int], params: dict[str, Any]) -> tuple[list[int], int]:
            self.asked += 1
            return [20, 2], self.step

    ours = replace(OURS, models=ModelsConfig(executor))
    before, after = Gateway(0), Gateway(1)
    async with open_server(ours, gateway=before) as server:
        assert before.asked == 6  # the seed on the validation problems
        await server.pause_policy()
        await server.serve_policy(after, 1)
        await server.finish()
        assert before.asked == 6
        assert after.asked >= 8


async def test_the_editor_writes_behind_the_cache(
    tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Editor:
        fingerprint = "editor"
        asked = 0

        async def complete(self, messages: Any, params: SamplingParams) -> Completion:
            self.asked += 1
            assert params.max_tokens == 4096
            return Completion("<modification>", Usage(1, 1, None))

        async def close(self) -> None:
            pass

    editor = Editor()
    monkeypatch.setattr("aflow_verl.models.stack.create_client", lambda settings, **_: editor)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-some")
    ours = replace(OURS, env=EnvConfig(action_format="suggest", steps=2, problems=4))
    server = SearchServer(ours, str(tmp_path), str(tiny_policy), 512, SHAPE)
    await server.start()
    asked: list[Message] = [{"role": "user", "content": "x"}]
    assert await server.write(asked) == await server.write(asked) == "<modification>"
    assert editor.asked == 1
    totals = server._models.totals()
    assert (totals["editor_calls"], totals["cost_usd"]) == (1, None)  # its price is unknown
    await server.close()


async def test_rows_are_replayed_in_later_steps_and_survive_a_resume(open_server: Open) -> None:
    ours = replace(OURS, experience=ExperienceConfig("recent", replay_fraction=0.5, replay_rows=5))

    async def play(server: SearchServer, step: int) -> None:
        for session in range(2):
            await _episode(server, step, 0, session, (session, session))
        rows = {("uid", k, t): ReplayRow((step, k), (t, 2), 0.1 * step, 0.2) for k in range(2) for t in range(2)}
        lost = {("uid", 7, 0): ReplayRow((0,), (0, 2), 0.0, 0.0)}
        await server.merge(step, [("uid", 0), ("uid", 1)])
        await server.keep_rows(step, {**rows, **lost})

    async with open_server(ours) as server:
        await play(server, 1)
        assert await server.replay(1, 9) == [], "the step's own rows are no replay"
        assert [row.prompt_ids for row in await server.replay(2, 2)] == [(1, 1), (1, 1)]
        known = server._search.replay._keys
        assert all(key.after is not None for key in known)
        await play(server, 2)
        third = await server.replay(3, 9)
        assert [row.prompt_ids for row in third] == [(2, 1), (2, 1), (2, 0), (2, 0), (1, 1)], "the newest five"
    async with open_server(ours, step=1) as server:
        assert server._search.replay._keys == known
        assert len(await server.replay(2, 9)) == 4, "step 2 is forgotten"
        await play(server, 2)
        assert await server.replay(3, 9) == third


async def test_what_is_sampled_follows_from_the_seed_and_the_step(open_server: Open) -> None:
    ours = replace(OURS, experience=ExperienceConfig("surprising", replay_fraction=1.0))
    async with open_server(ours) as server:
        await _episode(server, 1, 0, 0, (0, 1))
        await server.merge(1, [("uid", 0)])
        await server.keep_rows(1, {("uid", 0, t): ReplayRow((t,), (2,), 0.0, 0.0) for t in range(2)})
        drawn = [await server.replay(step, 1) for step in range(2, 12)]
        assert drawn == [await server.replay(step, 1) for step in range(2, 12)]
        assert {row.prompt_ids for rows in drawn for row in rows} == {(0,), (1,)}
