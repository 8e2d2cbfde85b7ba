"""Writes a workspace that AFlow can load and go on from: all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aflow_verl.errors import UserError
from aflow_verl.types import OperatorInfo
from aflow_verl.workflow.graph_source import with_header
from aflow_verl.workspace.layout import (
    AFLOW_NAMES,
    EXPERIENCE,
    LOG,
    PROCESSED,
    RESULTS,
    ROUND,
    SEED_ROUND,
    WORKFLOWS,
    Made,
    Round,
    Workspace,
)


def write_workspace(workspace: Workspace, path: Path, operators: Sequence[OperatorInfo]) -> Path:
    """Writes ``path/{DATASET}/workflows`` and returns that folder.

    AFlow imports workflows as ``workspace.{DATASET}...``, so there ``path`` is called ``workspace``; the code of its
    operators (``template/operator.py`` and what that imports) is AFlow's own and has to be copied from there.
    Raises UserError where the dataset's folder exists, or can't be written.
    """
    dataset = AFLOW_NAMES.get(workspace.dataset, workspace.dataset)
    target = path / dataset
    if target.exists():
        raise UserError(f"{target}: exists already; name another folder, or move it away")
    try:
        path.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{dataset}-", dir=path))
        try:
            _write(workspace, beside / WORKFLOWS, dataset, operators)
            beside.chmod(0o755)
            os.rename(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{target}: can't be written: {error.strerror or error}") from error
    return target / WORKFLOWS


def _write(workspace: Workspace, folder: Path, dataset: str, operators: Sequence[OperatorInfo]) -> None:
    rows = [_row(r, run) for r in workspace.rounds for run in r.runs]
    described = {info.name: {"description": info.description, "interface": info.interface} for info in operators}
    _json(folder / RESULTS, rows)
    _json(folder / PROCESSED, _processed(workspace))
    _json(folder / "template" / "operator.json", described)
    _text(folder / "template" / "__init__.py", "")
    for r in workspace.rounds:
        _write_round(r, folder / f"{ROUND}{r.number}", dataset)


def _write_round(r: Round, folder: Path, dataset: str) -> None:
    _text(folder / "__init__.py", "")
    _text(folder / "graph.py", with_header(r.state.code, dataset, folder.name))
    _text(folder / "prompt.py", r.state.prompts)
    _json(folder / LOG, list(r.logs))
    if r.made is not None:
        _json(folder / EXPERIENCE, _experience(r.made))


def _row(r: Round, run: Any) -> dict[str, Any]:
    costs = {"avg_cost": run.avg_cost, "total_cost": run.total_cost}
    return {"round": r.number, "score": run.score, **costs, "time": run.time}


def _experience(made: Made) -> dict[str, Any]:
    succeed = None if made.after is None else made.after > made.before
    told = {"father node": made.father, "modification": made.modification}
    return {**told, "before": made.before, "after": made.after, "succeed": succeed}


def _processed(workspace: Workspace) -> Mapping[str, Any]:
    """Experience by father, as AFlow sums it up."""
    fathers: dict[str, dict[str, Any]] = {}
    for r in workspace.rounds:
        if r.made is None or r.number == SEED_ROUND:
            continue
        entry = fathers.setdefault(str(r.made.father), {"score": r.made.before, "success": {}, "failure": {}})
        helped = r.made.after is not None and r.made.after > r.made.before
        told = {"modification": r.made.modification, "score": r.made.after}
        entry["success" if helped else "failure"][str(r.number)] = told
    return fathers


def _json(file: Path, data: Any) -> None:
    _text(file, json.dumps(data, indent=4, ensure_ascii=False))


def _text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
