"""A search recipe whose editor is a server on the loopback, and whose executor is simulated."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.cli import main

RECIPE = """\
kind: search
benchmark: {{name: simulated, train: 4, validation: 8, heldout: 8}}
search: {{rl_weight: 0.0}}
models:
  executor: {{kind: simulated, model: one_good_edit}}
  editor: {{kind: openai, model: stand-in, base_url: {url}}}
sandbox: {{programs: monty}}
standalone: {{rounds: 3}}
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def _first_edit(messages: list[dict[str, str]]) -> str:
    """The label of the first edit that the prompt lists."""
    return re.findall(r"^(\w) ", messages[-1]["content"], re.M)[0]


@pytest.fixture
async def recipe(faulty_server: Any, tmp_path: Path) -> AsyncIterator[Path]:
    async with faulty_server.FaultyServer(_first_edit) as server:
        path = tmp_path / "small.yaml"
        path.write_text(RECIPE.format(url=server.openai_url))
        yield path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Outcome]]:
    """``await command("search", recipe, ...)``: ``aflow-verl`` in a thread, without API keys."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    async def run(*words: object) -> Outcome:
        capsys.readouterr()
        code = await asyncio.to_thread(main, list(map(str, words)))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
