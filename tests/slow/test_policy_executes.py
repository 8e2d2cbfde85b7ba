"""The policy as its own executor: whole runs on the training's rollout servers."""

import json
import math
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

OVERRIDES = (
    "models.executor.kind=rollout",
    # a random policy writes whatever comes to its mind, one character a token
    "models.executor.max_tokens=4",
    "env.steps=2",
    "trainer.total_training_steps=2",
)


def test_the_policy_runs_its_own_workflows_and_weights_are_never_mixed(start_run: Callable[..., Any]) -> None:
    run = start_run(*OVERRIDES)
    code, out, err = run.finish()
    assert code == 0, err
    metrics = run.metrics()
    assert [line["step"] for line in metrics] == [1, 2]
    for line in metrics:
        assert line["eval/model_calls"] > 0
        assert line["eval/infrastructure_failures"] == 0
        assert line["env/failed_sessions"] == 0
        # a random model solves nothing, so no edit is better than another, and only invalid replies could teach it
        assert math.isfinite(line["rollout/weights_change"])
    with sqlite3.connect(run.run_dir / "tree.sqlite") as store:
        # weights of step 0 for the first episodes, 1 for the second ones, 2 for the comparison at the end
        assert len(store.execute("SELECT DISTINCT fingerprint FROM grades").fetchall()) == 3
    assert "held-out" in out

    done = start_run(*OVERRIDES)  # nothing left to train; the same weights, so nothing left to grade
    code, _, err = done.finish()
    assert code == 0, err
    with sqlite3.connect(run.run_dir / "tree.sqlite") as store:
        assert len(store.execute("SELECT DISTINCT fingerprint FROM grades").fetchall()) == 3
    assert [line["step"] for line in done.metrics()] == [1, 2]
    assert json.loads((run.run_dir / "result.json").read_text())["steps"] == 2


def test_a_policy_suggests_and_writes_the_code_itself(start_run: Callable[..., Any]) -> None:
    run = start_run(
        "env.action_format=suggest",
        "models.editor.kind=rollout",
        "models.editor.max_tokens=8",
        "env.steps=2",
        "data.max_prompt_length=3000",
        "data.max_response_length=16",
        "trainer.total_training_steps=1",
    )
    code, _, err = run.finish()
    assert code == 0, err
    (line,) = run.metrics()
    # no random text is a workflow: each reply with words in it is the editor's failure, and a row to learn from
    assert line["search/editor_failures"] > 0
    assert line["eval/editor_calls"] > 0
    assert line["search/new_workflows"] == 0
    assert line["env/failed_sessions"] == 0
    assert line["actor/grad_norm"] >= 0
