"""The example that evaluates one workflow: offline, against a server on the loopback, and without a key."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "evaluate_workflow.py"


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    names = {name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"}
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), *arguments],
        env={**names, "COLUMNS": "160", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def row(output: str, name: str) -> str:
    [cells] = [line.split("│") for line in output.splitlines() if line.startswith(f"│ {name}")][:1]
    return cells[2].strip()


def test_offline_it_shows_score_and_failures() -> None:
    process = start("--offline")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    score = float(row(output, "score").split(",")[0])
    failed = [int(number) for number in re.findall(r"holds (\d+) red", output)]
    assert all(number % 5 == 0 for number in failed)  # those that the scripted model gets wrong
    assert len(failed) == min(3, round(12 * (1 - score)))
    assert row(output, "calls") == "36"


def test_without_a_key_it_says_so_in_one_line(tmp_path: Path) -> None:
    data = tmp_path / "gsm8k.jsonl"
    data.write_text("".join(json.dumps({"question": f"{k}?", "answer": f"#### {k}"}) + "\n" for k in range(4)))
    process = start("--path", str(data), "--problems", "2", "--keep", str(tmp_path / "kept"))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "ANTHROPIC_API_KEY" in errors
    assert len(errors.strip().splitlines()) == 1


async def test_with_claude_nothing_is_paid_twice(tmp_path: Path, faulty_server: Any) -> None:
    import asyncio

    data = tmp_path / "gsm8k.jsonl"
    data.write_text("".join(json.dumps({"question": f"{k}?", "answer": f"#### {k}"}) + "\n" for k in range(6)))
    arguments = ["--path", str(data), "--problems", "4", "--keep", str(tmp_path / "kept")]

    def reply(messages: Any) -> str:
        return re.findall(r"(\d+)\?", messages[-1]["content"])[0]

    outputs = []
    async with faulty_server.FaultyServer(reply) as server:
        for _ in range(2):
            process = start(*arguments, ANTHROPIC_API_KEY="test-key", ANTHROPIC_BASE_URL=server.base_url)
            output, errors = await asyncio.to_thread(process.communicate, timeout=300)
            assert process.returncode == 0, errors
            outputs.append(output)
        assert server.counts == {"ok": 12}
    assert outputs[0] == outputs[1]
    assert row(outputs[0], "score").startswith("1.000")
    assert float(row(outputs[0], "cost").removeprefix("$")) > 0
