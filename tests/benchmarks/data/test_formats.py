"""Files of all kinds, and broken ones."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.benchmarks.data.formats import files_of, part_of, read_objects
from aflow_verl.errors import RecipeError, UserError

Write = Callable[[str, Any], Path]


def test_every_kind_of_file_gives_the_same_rows(write: Write) -> None:
    rows = [{"a": 1, "b": ["x"]}, {"a": 2, "b": []}]
    for name in ("rows.jsonl", "rows.json", "rows.parquet"):
        path = write(name, rows)
        assert list(read_objects(path)) == [(f"{path}:1", rows[0]), (f"{path}:2", rows[1])]
        packed = path.with_name(f"{path.name}.gz")
        if path.suffix != ".parquet":
            packed.write_bytes(gzip.compress(path.read_bytes()))
            assert [row for _, row in read_objects(packed)] == rows


def test_one_object_and_a_mapping_of_passages(write: Write) -> None:
    assert [row for _, row in read_objects(write("one.json", {"a": 1}))] == [{"a": 1}]
    passages = {"p1": {"passage": "x", "qa_pairs": []}, "p2": {"passage": "y", "qa_pairs": []}}
    assert [row["passage"] for _, row in read_objects(write("many.json", passages))] == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"{", "is not a JSON file"),
        ("x.json", b"\xff", "is not a JSON file"),
        ("x.json.gz", b"no gzip", "is not a JSON file"),
        ("x.json", b"[1]", "entry 1 is not an object"),
        ("x.json", b"7", "entry 1 is not an object"),
        ("x.parquet", b"PAR1", "is not a parquet file"),
        ("x.jsonl", b"[1]", "1: not a JSON object"),
    ],
)
def test_broken_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((UserError, RecipeError), match=message):
        list(read_objects(tmp_path / name))


def test_a_folder_and_its_part(write: Write, tmp_path: Path) -> None:
    for name in ("train/1.json", "test/2.json", "test/1.json", "notes.txt"):
        write(name, {})
    folder = tmp_path / "official"
    assert [path.relative_to(folder).as_posix() for path in part_of(files_of(folder), folder, "test")] == [
        "test/1.json",
        "test/2.json",
    ]
    assert part_of(files_of(folder), folder, "sanitized") == files_of(folder)
    assert len(files_of(folder)) == 3
    assert files_of(folder / "notes.txt") == [folder / "notes.txt"]
    with pytest.raises(UserError, match="does not exist"):
        files_of(folder / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no \.jsonl, .* file in"):
        files_of(tmp_path / "empty")
