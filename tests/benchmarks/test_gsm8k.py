"""GSM8K from a file: splits, AFlow's number, broken files."""

import json
from pathlib import Path

import pytest

from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.benchmarks.gsm8k import Gsm8k, answer_number
from aflow_verl.errors import RecipeError
from aflow_verl.types import Problem

SIZES: dict[Split, int] = {"train": 5, "validation": 3, "heldout": 4}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "gsm8k.jsonl"
    rows = [
        {"question": f"What is {i} + {i}?", "answer": f"{i}+{i}=<<{i}+{i}={2 * i}>>{2 * i}\n#### {2 * i}"}
        for i in range(12)
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return path


def test_splits_are_disjoint_seeded_and_stable(data: Path) -> None:
    one = Gsm8k(data, SIZES, seed=1)
    assert [len(one.problems(split)) for split in SPLITS] == [5, 3, 4]
    assert len({p.id for split in SPLITS for p in one.problems(split)}) == 12
    assert Gsm8k(str(data), SIZES, seed=1).problems("train") == one.problems("train")
    assert Gsm8k(data, SIZES, seed=2).problems("heldout") != one.problems("heldout")
    assert Gsm8k(data, {**SIZES, "train": 1}, seed=1).problems("heldout") == one.problems("heldout")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 1,234", 1234.0),
        ("It costs 3 + 4 = $7.50.", 7.5),
        ("the total is -3", -3.0),
        ("42 (see step 3)", 42.0),
        ("42, by steps 1 and 2", 42.0),
        ("step 3", 3.0),
        ("no number", None),
    ],
)
def test_the_last_number_counts_unless_it_names_a_step(text: str, number: float | None) -> None:
    assert answer_number(text) == number


def test_grade(data: Path) -> None:
    benchmark = Gsm8k(data, SIZES)
    problem = Problem("gsm8k/1", "?", "6*7=42\n#### 42")
    assert benchmark.grade(problem, "6 * 7 = 42.0000000001") == 1.0
    assert benchmark.grade(problem, "42.00001") == 0.0
    assert benchmark.grade(problem, "I don't know") == 0.0


def test_missing_broken_and_small_files_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"benchmark\.path: gsm8k needs"):
        Gsm8k(None, SIZES)
    with pytest.raises(RecipeError, match="does not exist"):
        Gsm8k(tmp_path / "nothing.jsonl", SIZES)
    with pytest.raises(RecipeError, match="has 12 problems"):
        Gsm8k(data, {**SIZES, "train": 6})
    broken = tmp_path / "broken.jsonl"
    for line, message in [
        ("{", r"broken\.jsonl:2: not JSON"),
        ("[1]", r"broken\.jsonl:2: needs the texts"),
        ('{"question": "?"}', r"broken\.jsonl:2: needs the texts"),
        ('{"question": "?", "answer": "none"}', r"broken\.jsonl:2: no number"),
    ]:
        broken.write_text('{"question": "?", "answer": "1"}\n' + line)
        with pytest.raises(RecipeError, match=message):
            Gsm8k(broken, SIZES)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not UTF-8"):
        Gsm8k(broken, SIZES)
