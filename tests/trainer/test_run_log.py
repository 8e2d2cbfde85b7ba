"""metrics.jsonl: durable strict JSON, cut back on resume."""

import json
from pathlib import Path

import numpy as np
import torch

from trainer.run_log import MetricsFile, write_metrics


def test_values_become_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsFile(path, resume_step=0)
    log.log({"a": np.float32(0.5), "b": torch.tensor(2), "c": float("nan"), "d": {1}, "e": True, "f": 3}, step=1)
    assert json.loads(path.read_text()) == {"step": 1, "a": 0.5, "b": 2, "c": None, "d": "{1}", "e": True, "f": 3}


def test_a_resume_drops_later_and_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "x"')
    MetricsFile(path, resume_step=2).log({}, step=3)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_a_step_that_was_saved_but_not_logged_is_restored(tmp_path: Path) -> None:
    path, saved = tmp_path / "metrics.jsonl", tmp_path / "metrics.json"
    path.write_text('{"step": 1}\n')
    write_metrics(saved, 2, {"search/best_score": 0.5})
    for _ in range(2):  # once is enough
        MetricsFile(path, resume_step=2).restore(2, saved)
    MetricsFile(path, resume_step=2).restore(3, tmp_path / "none.json")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1},
        {"step": 2, "search/best_score": 0.5},
    ]
