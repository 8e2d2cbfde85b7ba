"""Reading recorded searches: AFlow's CSV files and the compact form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from aflow_verl.errors import UserError
from aflow_verl.study.recorded import read_compact, read_trees

GRAPH = """\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.custom = operator.Custom(create_llm_instance(llm_config))

    async def __call__(self, problem):
        return (await self.custom(input=problem, instruction={text!r}))["response"], 0.0
"""


def write_round(dataset: Path, number: int, text: str, father: int | None = None) -> Path:
    folder = dataset / "workflows" / f"round_{number}"
    folder.mkdir(parents=True)
    (folder / "graph.py").write_text(GRAPH.format(text=text))
    (folder / "prompt.py").write_text("")
    if father is not None:
        told = {"father node": father, "modification": text, "before": 0.5, "after": 0.5, "succeed": False}
        (folder / "experience.json").write_text(json.dumps(told))
    return folder


def write_run(folder: Path, name: str, scores: dict[str, object], header: str = "question,score,cost") -> None:
    rows = [f'"{question}",{score},0.001' for question, score in scores.items()]
    (folder / name).write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    dataset = tmp_path / "workspace" / "GSM8K"
    (dataset / "workflows").mkdir(parents=True)
    (dataset / "workflows" / "results.json").write_text("[]")
    first = write_round(dataset, 1, "")
    write_run(first, "0.5_20241011_120000.csv", {"a, or b?": 1.0, "c\nd?": 0.0})
    write_run(first, "0.75_20241011_130000.csv", {"c\nd?": 0.5, "a, or b?": 1.0})
    second = write_round(dataset, 2, "Think.", 1)
    write_run(second, "1.0_20241011_140000.csv", {"a, or b?": 1, "c\nd?": 1})
    third = write_round(dataset, 3, "Think.", 2)
    write_run(third, "0.0_20241011_150000.csv", {"a, or b?": 0, "c\nd?": 0}, "Inputs, Score ,cost")
    return tmp_path


def test_runs_parents_and_programs(workspace: Path) -> None:
    (tree,), notices = read_trees(workspace)
    assert notices == []
    assert tree.name == "gsm8k"
    assert tree.scores_NRP[0].tolist() == [[1.0, 0.0], [1.0, 0.5]]
    assert tree.scores_NRP[1, 0].tolist() == [1.0, 1.0]
    assert np.isnan(tree.scores_NRP[1, 1]).all()
    assert tree.runs_N.tolist() == [2, 1, 1]
    assert tree.mean_N.tolist() == [0.625, 1.0, 0.0]
    assert tree.parents == (None, 0, 1)
    assert tree.programs is not None
    assert tree.programs[1] == tree.programs[2] != tree.programs[0]


def test_every_level_of_the_workspace_will_do(workspace: Path) -> None:
    for part in ("workspace", "workspace/GSM8K", "workspace/GSM8K/workflows"):
        assert len(read_trees(workspace / part)[0]) == 1


def test_broken_runs_are_named_and_left_out(workspace: Path) -> None:
    rounds = workspace / "workspace" / "GSM8K" / "workflows"
    write_run(rounds / "round_1", "bad.csv", {"a, or b?": "none", "c\nd?": 1})
    write_run(rounds / "round_2", "short.csv", {"a, or b?": 1})
    (rounds / "round_3" / "other.csv").write_text("question,answer\nx,y\n")
    (tree,), notices = read_trees(workspace)
    assert tree.runs_N.tolist() == [2, 1, 1]
    assert [notice.split(": ", 1)[1] for notice in notices] == [
        "round_1/bad.csv: no column 'score' with numbers in [0, 1]; left out",
        "round_3/other.csv: no column 'score' with numbers in [0, 1]; left out",
        "1 runs on other problems than most; left out",
    ]


def test_equal_questions_are_told_apart(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = write_round(tmp_path / "X", number, str(number), 1 if number == 2 else None)
        (folder / "s.csv").write_text("question,score\nsame,1\nsame,0\n")
    (tree,), _ = read_trees(tmp_path)
    assert tree.scores_NRP[:, 0].tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_a_workspace_without_a_seed_is_named_and_the_others_are_read(workspace: Path) -> None:
    folder = write_round(workspace / "workspace" / "MATH", 2, "")
    write_run(folder, "1.0.csv", {"a": 1, "b": 1})
    trees, notices = read_trees(workspace)
    assert [tree.name for tree in trees] == ["gsm8k"]
    assert len(notices) == 1
    assert "no readable round_1" in notices[0]


def test_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no AFlow workspace with scores"):
        read_trees(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        read_trees(tmp_path / "none")


def test_compact(tmp_path: Path) -> None:
    nodes = [
        {"node": 1, "parent": None, "runs": [[1, 0, 0.5]]},
        {"node": 4, "parent": 1, "runs": [[1, 1, 1], [0, 1, 1]]},
        {"node": 5, "parent": 3, "runs": [[0, 0, 0]]},
    ]
    line = json.dumps({"dataset": "MATH", "problems": 3, "seed": 1, "nodes": nodes})
    plain, zipped = tmp_path / "t.jsonl", tmp_path / "t.jsonl.gz"
    plain.write_text(line + "\n")
    zipped.write_bytes(gzip.compress(line.encode()))
    for file in (plain, zipped):
        (tree,) = read_compact(file)
        assert tree.name == "1 MATH"
        assert tree.parents == (None, 0, None)
        assert tree.runs_N.tolist() == [1, 2, 1]
        assert tree.mean_N == pytest.approx([0.5, 5 / 6, 0.0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no json", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"dataset": "x", "nodes": []}', "two workflows"),
        ('{"dataset": "x", "nodes": [{"node": 1, "parent": 0}, {"node": 2, "parent": 0}]}', "runs"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(UserError, match=rf"t.jsonl: no file of recorded searches .*{reason}"):
        read_compact(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    ("runs", "reason"),
    [([[1, 0]], "the same ones in each run"), ([[1, 0, 2]], r"numbers in \[0, 1\]"), ([], "a run at least each")],
)
def test_runs_that_cannot_be_compared(tmp_path: Path, runs: list[list[float]], reason: str) -> None:
    nodes = [{"node": 1, "parent": None, "runs": [[1, 0, 1]]}, {"node": 2, "parent": 1, "runs": runs}]
    (tmp_path / "t.jsonl").write_text(json.dumps({"dataset": "x", "nodes": nodes}))
    with pytest.raises(UserError, match=reason):
        read_compact(tmp_path / "t.jsonl")
