"""API keys of whole runs: a wrong one stops a run and keeps it, a right one goes on; no other process sees any."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

RIGHT, WRONG = "sk-right-key", "sk-wrong-key"


async def test_a_wrong_key_stops_the_run_and_a_right_one_goes_on(
    start_run: Callable[..., Any], faulty_server: Any
) -> None:
    async with faulty_server.FaultyServer(lambda messages: "7", key=RIGHT) as server:
        overrides = (
            "models.executor.kind=anthropic",
            "models.executor.model=claude-haiku-4-5",
            f"models.executor.base_url={server.base_url}",
            "trainer.total_training_steps=1",
        )
        first = start_run(*overrides, ANTHROPIC_API_KEY=WRONG)
        code, _, err = await asyncio.to_thread(first.finish)
        assert code == 2
        assert len(err.splitlines()) == 1, err
        assert "ANTHROPIC_API_KEY" in err
        assert f"run_dir={first.run_dir}" in err
        assert "Traceback" not in err
        assert WRONG not in err
        assert server.counts["ok"] == 0
        assert 1 <= server.counts["401"] <= 64  # calls that were under way together; none after the first refusal
        assert (first.run_dir / "tree.sqlite").exists()

        second = start_run(*overrides, "budget.calls=100000", ANTHROPIC_API_KEY=RIGHT)
        code, _, err = await asyncio.to_thread(second.finish)
        assert code == 0, err
        assert [line["step"] for line in second.metrics()] == [1]
        with sqlite3.connect(second.run_dir / "calls.sqlite") as replies:
            # every paid call is a reply of its own: nothing was asked again
            assert replies.execute("SELECT count(*) FROM completions").fetchone() == (server.counts["ok"],)
    assert not _files_with(second.run_dir, RIGHT)


def _files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
