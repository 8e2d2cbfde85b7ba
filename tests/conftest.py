"""Fixtures that tests of several folders share."""

import gc
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# Read by verl when it is imported, so before any test module is.
os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REFERENCE = Path(__file__).parent / "reference"
MOST_WORKERS = 4
"""Each imports PyTorch and verl: half a gigabyte."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Files of the fast suite side by side; what starts Ray, needs a GPU or measures has the machine to itself."""
    if config.option.markexpr not in config.getini("addopts"):
        return 0
    config.option.dist = "loadfile"
    return min(MOST_WORKERS, os.cpu_count() or 1)


def pytest_collection_finish() -> None:
    """A sandbox collects garbage where it closes: not among the million objects that imports and collection made."""
    gc.collect()
    gc.freeze()


def _reference(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REFERENCE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def gigpo_loops() -> Callable[..., Any]:
    """The estimator written loop by loop from the paper: what ``trainer.gigpo`` must agree with, and beat."""
    return _reference("gigpo_loops").gigpo_loops


@pytest.fixture(scope="session")
def harmful() -> Callable[[type], str | None]:
    """Reads the verifier of a reasoning-gym data set and names what in it might evaluate an answer as code."""
    return _reference("verifier_scan").harmful


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint folder of a tiny random Qwen2 chat model whose tokenizer has one token for each character."""
    return _reference("tiny_policy").write_tiny_policy(tmp_path_factory.mktemp("tiny_policy"))


@pytest.fixture(scope="session")
def faulty_server() -> ModuleType:
    """A model server on the loopback with seeded faults: ``async with faulty_server.FaultyServer(reply, rate=0.3)``."""
    return _reference("faulty_server")
