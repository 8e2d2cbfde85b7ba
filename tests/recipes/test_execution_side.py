"""Models, budget, sandboxes and benchmarks of a recipe: what is refused before anything starts, and what passes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.config import IsolationLevel
from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.process.level import LAYERS, Layers

ROOT = Path(__file__).parents[2]
QUICKSTART = "recipes/quickstart.yaml"
QWEN = "recipes/qwen7b.yaml"
PLANNED = ("--check", "--assume", "gpus=8,gpu_gb=80")
CODE = "env.operators=[Custom,CustomCodeGenerate,ScEnsemble,Test]"

RANGES: dict[str, str] = {
    "models.editor.max_tokens=0": "it has to be at least 1",
    "models.editor.timeout_s=0": "it has to be above 0",
    "models.executor.backoff_s=-1": "it has to be at least 0",
    "models.executor.patience_s=-1": "it has to be at least 0",
    "evaluation.confidence=0": "it lies between 0 and 1, for example 0.95",
    "evaluation.confidence=1.5": "it lies between 0 and 1",
    "sandbox.program_workers=0": "it has to be at least 1",
    "sandbox.program_seconds=0": "it has to be above 0",
    "sandbox.program_memory_mb=0": "it has to be at least 1",
    "budget.usd=-1": "it has to be at least 0",
    "budget.calls=-5": "it has to be at least 0",
}


@pytest.mark.parametrize("override", RANGES)
def test_out_of_range(override: str, command: Callable[..., Any]) -> None:
    key, _, value = override.partition("=")
    outcome = command(QUICKSTART, override)
    refused(outcome, f"{key}: ")
    refused(outcome, f"{value} is out of range" if "." in value else f"{value}")
    refused(outcome, RANGES[override])


REFUSED: dict[str, tuple[list[str], str]] = {
    "level that doesn't exist": (
        [QUICKSTART, "sandbox.minimum_level=some"],
        "sandbox.minimum_level: 'some' is not one of limits, filtered, confined, isolated",
    ),
    "programs somewhere": ([QUICKSTART, "sandbox.programs=docker"], "'docker' is not one of process, monty, remote"),
    "remote programs nowhere": (
        [QUICKSTART, "sandbox.programs=remote"],
        "sandbox.url: is not set, and programs run at a remote endpoint; for example http://localhost:8080",
    ),
    "remote programs at no address": (
        [QUICKSTART, "sandbox.programs=remote", "sandbox.url=localhost"],
        "sandbox.url: 'localhost' is no address; use one like http://localhost:8080",
    ),
    "remote programs at a broken address": (
        [QUICKSTART, "sandbox.programs=remote", "sandbox.url='http://[x'"],
        "is no address",
    ),
    "code in the small interpreter": (
        [
            QWEN,
            "benchmark={name:humaneval,train:20,validation:13,heldout:131}",
            "env.problems=20",
            CODE,
            "sandbox.programs=monty",
            *PLANNED,
        ],
        "sandbox.programs: humaneval is graded by CPython programs, which 'monty' can't run; set it to process",
    ),
    "symbolic answers at a remote endpoint": (
        [QWEN, "benchmark={name:math}", "sandbox.programs=remote", "sandbox.url=http://x:1", *PLANNED],
        "sandbox.programs: math is graded by CPython programs, which 'remote' can't run",
    ),
    "no seed operator for code": (
        [QWEN, "benchmark={name:mbpp}", *PLANNED],
        "env.operators: lacks CustomCodeGenerate, which the seed workflow of mbpp calls; add CustomCodeGenerate",
    ),
    "no seed operator for text": (
        [QUICKSTART, "env.operators=[Programmer]"],
        "env.operators: lacks Custom, which the seed workflow of reasoning_gym calls; add Custom",
    ),
    "operators for code on text": (
        [QUICKSTART, "env.operators=[Custom,Test]"],
        "env.operators: Test writes functions, and reasoning_gym asks for none; leave Test out",
    ),
    "operators of nothing": ([QUICKSTART, "env.operators=[]"], "env.operators: is empty; name at least Custom"),
    "budget without a price": (
        [QWEN, "models.executor.model=claude-of-tomorrow", "budget.usd=1", *PLANNED],
        "budget.usd: the price of 'claude-of-tomorrow' (models.executor) is unknown; limit budget.calls instead",
    ),
    "editor that can't write": (
        [QWEN, "env.action_format=suggest", "models.editor.kind=simulated", *PLANNED],
        "models.editor.kind: the simulated model can't write workflows; use anthropic, openai, local or rollout",
    ),
    "editor that isn't there": (
        [QWEN, "env.action_format=suggest", "models.editor.kind=local", "models.editor.model=/none", *PLANNED],
        "models.editor.model: /none has no config.json",
    ),
    "suggestions of a word": (
        [QWEN, "env.action_format=suggest", "data.max_response_length=4", *PLANNED],
        "data.max_response_length: 4 tokens can't hold a sentence; set it to 16 or more",
    ),
    "policy on a server without seeds": (
        [QWEN, "models.executor.kind=rollout", "actor_rollout_ref.rollout.name=sglang", *PLANNED],
        "models.executor.kind: the policy can't be asked on a 'sglang' rollout server",
    ),
    "policy without room for a prompt": (
        [QWEN, "models.executor.kind=rollout", "actor_rollout_ref.rollout.max_model_len=1024", *PLANNED],
        "models.executor.max_tokens: 1024 tokens a reply leave no room for a prompt in 1024",
    ),
    "server without an address": (
        [QUICKSTART, "models.executor.kind=openai", "models.executor.model=m", "models.executor.base_url=here"],
        "models.executor.base_url: 'here' is no address",
    ),
    "a real model for simulated problems": (
        [QUICKSTART, "benchmark={name:simulated}"],
        "benchmark: only the simulated executor knows simulated problems",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, command: Callable[..., Any]) -> None:
    argv, message = REFUSED[case]
    refused(command(*argv), message)


PASSES: dict[str, list[str]] = {
    "code, with what it needs": [
        QWEN,
        "benchmark={name:humaneval,train:20,validation:13,heldout:131}",
        "env.problems=20",
        CODE,
        *PLANNED,
    ],
    "text and code together": [QWEN, "benchmark=[{name:mbpp},{name:gsm8k}]", CODE, *PLANNED],
    "unknown price, budget in calls": [QWEN, "models.executor.model=claude-of-tomorrow", "budget.calls=9", *PLANNED],
    "suggestions": [QWEN, "env.action_format=suggest", *PLANNED],
    "an editor that nobody asks": [QUICKSTART, "models.editor.kind=simulated", "--check"],
    "the policy as executor": [QWEN, "models.executor.kind=rollout", *PLANNED],
    "a server of one's own": [
        QUICKSTART,
        "models.executor={kind:openai,model:m,base_url:'http://localhost:8000/v1'}",
        "--check",
    ],
    "remote programs": [QUICKSTART, "sandbox.programs=remote", "sandbox.url=https://sandbox:8080/run", "--check"],
}


@pytest.mark.parametrize("case", PASSES)
def test_passes(case: str, command: Callable[..., Any]) -> None:
    outcome = command(*PASSES[case])
    assert outcome.code == 0, outcome.err


def _found(monkeypatch: pytest.MonkeyPatch, answer: Layers | Exception) -> None:
    async def probe() -> Layers:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("aflow_verl.checks.programs.probe", probe)


@pytest.mark.parametrize(
    ("minimum", "code"), [("limits", 0), ("filtered", 0), ("confined", 2), ("isolated", 2)], ids=str
)
def test_a_kernel_below_the_minimum(
    minimum: IsolationLevel, code: int, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _found(
        monkeypatch, Layers({name: "not here" for name in LAYERS if name not in ("rlimits", "seccomp", "no_new_privs")})
    )
    outcome = command(QUICKSTART, "sandbox.programs=process", f"sandbox.minimum_level={minimum}", "--check")
    assert outcome.code == code
    if code:
        refused(outcome, f"sandbox.minimum_level: is {minimum}, but this machine offers filtered")


def test_planned_machines_are_not_probed(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _found(monkeypatch, AssertionError("probed"))
    assert command(QWEN, *PLANNED).code == 0


def test_another_system_has_no_jail(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    refused(
        command(QUICKSTART, "sandbox.programs=process", "--check"),
        "sandbox.programs: process needs Linux; set it to monty or remote",
    )


def test_a_broken_probe_is_reported(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _found(monkeypatch, SandboxUnavailable("the probe of the sandbox failed: no python"))
    refused(
        command(QUICKSTART, "sandbox.programs=process"), "the probe of the sandbox failed: no python; set it to monty"
    )


def test_without_a_key_nothing_starts(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    overrides = ["models.executor.kind=anthropic", "models.executor.model=claude-haiku-4-5", f"run_dir={run_dir}"]
    command = [sys.executable, "-m", "aflow_verl.main_gigpo", QUICKSTART, *overrides]
    environment = {name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "anthropic needs the environment variable ANTHROPIC_API_KEY, which is not set" in done.stderr
    assert not run_dir.exists()


def refused(outcome: Any, message: str) -> None:
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert "Traceback" not in outcome.err + outcome.out
