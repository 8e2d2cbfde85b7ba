"""Rows that don't depend on the run's length; prompts and labels as tokens."""

from pathlib import Path

import pandas as pd
import pytest
from transformers import AutoTokenizer

from aflow_verl.config import AflowConfig, BenchmarkConfig, StartConfig
from aflow_verl.env.dataset import DatasetRow, make_row, write_dataset
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.errors import RecipeError


def test_a_longer_run_begins_with_the_same_rows(tmp_path: Path) -> None:
    ours = AflowConfig(benchmark=(BenchmarkConfig("simulated"), BenchmarkConfig("gsm8k")), seed=3)
    write_dataset(tmp_path / "short.parquet", ours, 4)
    write_dataset(tmp_path / "long.parquet", ours, 9)
    short, long = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("short", "long"))
    rows = [DatasetRow.from_extra_info(info) for info in long["extra_info"]]
    assert [DatasetRow.from_extra_info(info) for info in short["extra_info"]] == rows[:4]
    assert [row.benchmark for row in rows[:4]] == ["simulated", "gsm8k", "simulated", "gsm8k"]
    assert len({row.problem_seed for row in rows}) == 9


def test_starts_follow_the_mixture() -> None:
    mixture = StartConfig(snapshot=0.5, root=0.5, random=0.0)
    kinds = [make_row(0, ("x",), mixture, index).start for index in range(400)]
    assert 0.42 < kinds.count("root") / 400 < 0.58
    assert kinds.count("random") == 0


@pytest.fixture
def tokens(tiny_policy: Path) -> PolicyTokens:
    return PolicyTokens(AutoTokenizer.from_pretrained(tiny_policy), max_prompt_tokens=40)


def test_prompts_end_with_the_header_of_the_policys_turn(tokens: PolicyTokens) -> None:
    short = tokens.prompt_ids([{"role": "user", "content": "use"}])
    assert tokens.text(short).endswith("assistant\n")
    long = tokens.prompt_ids([{"role": "user", "content": "x" * 500}])
    assert len(long) == 40
    assert tokens.text(long).endswith("assistant\n")  # the middle goes, not the end
    assert long[:5] == short[:5]


def test_a_long_chat_gives_way_to_the_first_shorter_one_that_fits(tokens: PolicyTokens) -> None:
    long, less, least = ([{"role": "user", "content": "x" * count}] for count in (500, 60, 3))
    assert tokens.prompt_ids(least, [long]) == tokens.prompt_ids(long, [less, least])
    assert tokens.truncated == 0
    assert tokens.prompt_ids(long, [less]) == tokens.prompt_ids(less)
    assert tokens.truncated == 2


def test_labels_are_single_tokens(tokens: PolicyTokens) -> None:
    ids = tokens.label_ids(["0", "7", "A"])
    assert len(set(ids.values())) == 3
    assert tokens.text([ids["7"]]) == "7"
    with pytest.raises(RecipeError, match="one-token labels"):
        tokens.label_ids(["xyzzy!"])
