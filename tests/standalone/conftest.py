"""The scripted search, and searches without models."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent / "scripted_search.py"


@pytest.fixture(scope="session")
def scripted() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scripted_search", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scripted_search"] = module
    spec.loader.exec_module(module)
    return module
