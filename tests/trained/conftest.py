"""What a training has left, and what is made of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aflow_verl.trained.export import export_checkpoint
from aflow_verl.trained.training import Trained, find_trained

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="session")
def verl_files() -> ModuleType:
    """Writes checkpoints as verl does; see the module."""
    spec = importlib.util.spec_from_file_location("training_run", REFERENCE / "training_run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["training_run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def training(verl_files: ModuleType, tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A training run of two ranks; read it only."""
    return verl_files.write_training_run(tmp_path_factory.mktemp("training") / "run", tiny_policy)


@pytest.fixture(scope="session")
def exported(training: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Its policy and critic as transformers directories; read them only."""
    return export_checkpoint(find_trained(training.run_dir), tmp_path_factory.mktemp("exported"))
