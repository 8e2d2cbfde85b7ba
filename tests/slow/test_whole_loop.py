"""The closed loop end to end, its proofs in the metrics, kill and resume, two ranks."""

import json
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.commands.search import main as search_command

pytestmark = pytest.mark.slow

NAMES = [
    "search/best_score",
    "search/tree_size",
    "search/new_workflows",
    "search/valid_action_rate",
    "search/q_coverage",
    "search/confidence",
    "search/largest_share",
    "env/rows_can_gain",
    "search/q_changed_choice",
    "search/alpha_effective",
    "policy/legal_mass",
    "policy/parameter_change",
    "gigpo/live_rows",
    "gigpo/step_group_size",
    "gigpo/singleton_share",
    "gigpo/equal_return_groups",
    "gigpo/episode_advantage_std",
    "gigpo/step_advantage_std",
    "critic_export/nodes",
    "critic_export/seconds",
    "critic/parameter_change",
    "critic/confidence_nodes",
    "critic/confidence_edits",
    "health/policy",
    "health/advantage",
    "health/critic",
    "health/q",
    "eval/model_calls",
    "eval/cache_hit_rate",
    "eval/seconds",
    "eval/infrastructure_failures",
]


def _grades(path: Path) -> set[tuple[Any, ...]]:
    if not path.exists():
        return set()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
        try:
            return set(store.execute("SELECT state_hash, fingerprint, problem_id FROM grades"))
        except sqlite3.OperationalError:
            return set()


def _watch_for_second_evaluations(path: Path) -> None:
    """Let the store itself note every attempt to add a grade that it has."""
    with sqlite3.connect(path) as store:
        store.execute("CREATE TABLE again (problem_id TEXT)")
        store.execute(
            "CREATE TRIGGER watch BEFORE INSERT ON grades WHEN EXISTS (SELECT 1 FROM grades WHERE state_hash ="
            " NEW.state_hash AND fingerprint = NEW.fingerprint AND problem_id = NEW.problem_id)"
            " BEGIN INSERT INTO again VALUES (NEW.problem_id); END"
        )


def test_the_loop_is_closed_and_survives_kill_9_in_the_middle_of_a_step(
    start_run: Callable[..., Any], tmp_path: Path
) -> None:
    overrides = (
        "trainer.total_training_steps=4",
        "critic.optim.lr=3e-3",
        "experience.replay_fraction=0.5",
        "search.q_source=server",  # its copy of the critic has to have the right weights again after the kill
    )
    run = start_run(*overrides)
    store = run.run_dir / "tree.sqlite"
    known: dict[str, int] = {}

    def in_the_middle_of_step_2() -> bool:
        if not (run.run_dir / "checkpoints" / "global_step_1" / "complete").exists():
            return False
        known.setdefault("after step 1", len(_grades(store)))
        return len(run.metrics()) == 1 and len(_grades(store)) > known["after step 1"]

    run.kill_when(in_the_middle_of_step_2)
    before = _grades(store)
    assert len(before) > known["after step 1"]
    _watch_for_second_evaluations(store)

    resumed = start_run(*overrides)
    code, out, err = resumed.finish()
    assert code == 0, err
    metrics = resumed.metrics()
    assert [line["step"] for line in metrics] == [1, 2, 3, 4]
    with sqlite3.connect(store) as opened:
        assert opened.execute("SELECT count(*) FROM again").fetchone() == (0,)
    assert before <= _grades(store)

    for line in metrics:
        assert set(NAMES) <= set(line)
        assert line["actor/grad_norm"] > 0
        assert math.isfinite(line["critic/vf_loss"])
        assert line["gigpo/step_group_size"] > 1
        assert line["rollout/weights_change"] > 0
        assert line["critic_export/nodes"] == line["search/tree_size"]
        assert 0 < line["policy/legal_mass"] < 1
        assert line["eval/infrastructure_failures"] == 0
        assert line["policy/parameter_change"] > 0
        assert line["critic/parameter_change"] > 0
        assert line["health/policy"] == line["health/advantage"] == 1
    assert metrics[0]["search/alpha_effective"] == metrics[0]["search/confidence"] == 0
    assert metrics[0]["health/critic"] is None, "too early to tell"
    assert metrics[-1]["critic/comparisons_edits"] > metrics[0]["critic/comparisons_edits"] > 0
    assert all(line["env/failed_sessions"] == 0 for line in metrics)
    sizes = [line["search/tree_size"] for line in metrics]
    assert sizes == sorted(sizes)
    rows = [line["env/rows"] for line in metrics]
    replayed = [min(math.ceil(rows[i] / 2), sum(rows[:i])) for i in range(4)]
    assert [line["critic/replayed_rows"] for line in metrics] == replayed
    assert all(math.isfinite(line["critic/replay_vf_loss"]) for line in metrics[1:])

    files = {path.name for path in resumed.run_dir.iterdir()}
    assert {"recipe.resolved.yaml", "metrics.jsonl", "choices.jsonl", "tree.sqlite", "log.txt", "result.json"} <= files
    assert {"graph.py", "prompt.py", "score.json"} <= {p.name for p in (resumed.run_dir / "best_workflow").iterdir()}
    choices = [json.loads(line) for line in (resumed.run_dir / "choices.jsonl").read_text().splitlines()]
    assert {choice["step"] for choice in choices} == {1, 2, 3, 4}
    edits = [choice for choice in choices if "session" in choice]
    assert len(edits) == sum(line["env/rows"] for line in metrics)
    later = [choice for choice in edits if choice["step"] > 1]
    assert all(choice["own_q"] == choice["candidates"] for choice in later), "the copy of the critic knows all of them"
    assert json.loads((resumed.run_dir / "critic.json").read_text())["centre"].keys() == {"simulated"}
    assert "held-out" in out
    assert str(resumed.run_dir / "best_workflow") in out
    assert "WorkerDict" not in out  # verl's and Ray's output is in the log
    _search_with_what_was_trained(resumed.run_dir, tmp_path)


def _search_with_what_was_trained(run_dir: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "search.yaml"
    recipe.write_text(
        "kind: search\nbenchmark: {name: simulated, train: 4, validation: 8, heldout: 8}\n"
        "models: {executor: {kind: simulated, model: ladder}}\nsandbox: {programs: monty}\n"
        f"standalone: {{rounds: 3, trained: {{run: {run_dir}}}}}\n"
    )
    found = tmp_path / "found"
    assert search_command([str(recipe), f"run_dir={found}"]) == 0
    choices = [json.loads(line) for line in (found / "choices.jsonl").read_text().splitlines()]
    assert len(choices) == 3
    assert all(choice["weights_step"] == 4 and choice["own_q"] == choice["candidates"] for choice in choices)
    assert all(candidate["q"] is not None for choice in choices for candidate in choice["best"])


def test_two_ranks_without_padding_and_without_q(start_run: Callable[..., Any]) -> None:
    run = start_run(
        "trainer.n_gpus_per_node=2",
        # each rank has half of a mini-batch of 8 rows
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4",
        "critic.ppo_micro_batch_size_per_gpu=4",
        "actor_rollout_ref.model.use_remove_padding=true",
        "critic.model.use_remove_padding=true",
        "search.rl_weight=0",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        "experience.replay_fraction=0.5",
    )
    code, out, err = run.finish()
    assert code == 0, err
    assert "plain AFlow-style search" in out
    first, second = run.metrics()
    assert first["actor/grad_norm"] > 0
    assert second["search/alpha_effective"] == 0
    assert second["search/q_changed_choice"] == 0
    assert second["critic_export/nodes"] == second["search/tree_size"]
    assert second["training/rollout_probs_diff_max"] < 1e-3  # rollout and packed actor see the same policy
    assert first["critic/replayed_rows"] == 0
    assert second["critic/replayed_rows"] == min(math.ceil(second["env/rows"] / 2), first["env/rows"])
    assert math.isfinite(second["critic/replay_vf_loss"])
