"""What a grade depends on besides workflow and problem, as one short text: part of the key that grades are kept by."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from aflow_verl.config import ModelConfig
from aflow_verl.sandbox.limits import Limits

RULES_VERSION = 2
"""Raise it when equal replies would be graded differently: stored grades of other versions don't count."""


class Fingerprints:
    """Fingerprints of one engine. The model's own is read for each evaluation: a policy's changes as it learns."""

    def __init__(
        self,
        executor: ModelConfig,
        limits: Limits,
        program_limits: Limits,
        programs: str,
        max_calls: int,
        attempts: int,
    ) -> None:
        """``programs``: the backend that programs run on. ``attempts``: of an operator that sees its own failure."""
        sampling = (executor.temperature, executor.resample_temperature, executor.max_tokens)
        limited = (asdict(limits), asdict(program_limits), max_calls, attempts)
        self._rules = (sampling, limited, programs, RULES_VERSION)
        self._known: dict[str, str] = {}

    def of(self, model: str) -> str:
        """16 hex digits."""
        if model not in self._known:
            self._known[model] = hashlib.sha256(repr((model, *self._rules)).encode()).hexdigest()[:16]
        return self._known[model]
