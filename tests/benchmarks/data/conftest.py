"""Made-up official files of each data set: the formats are theirs, the problems are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows under a name: JSON lines, one JSON value, or parquet, as its ending says."""

    def write_file(name: str, rows: Any) -> Path:
        path = tmp_path / "official" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        elif path.suffix == ".json":
            path.write_text(json.dumps(rows))
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write_file


@pytest.fixture
def gsm8k_rows() -> list[dict[str, str]]:
    return [{"question": f"What is {i} + 7?", "answer": f"#### {i + 7}"} for i in range(20)]
