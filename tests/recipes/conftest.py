"""The command line, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aflow_verl.commands.search import main as search_main
from aflow_verl.main_gigpo import main
from aflow_verl.recipe.load import Recipe

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def _started(recipe: Recipe) -> int:
    raise AssertionError(f"a run of {recipe.path} was started")


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Outcome]:
    """Runs ``main`` from the repository's root, without API keys, prepared data, visible GPUs and without a run."""
    monkeypatch.chdir(ROOT)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AFLOW_VERL_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("aflow_verl.run.run", _started)

    def run(*argv: str, search: bool = False) -> Outcome:
        capsys.readouterr()
        code = (search_main if search else main)(list(argv))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
