"""Reads a workspace. What is broken is named, one line each, and the rest is kept.

A round without a readable graph is left out. A round whose father is unknown, was left out, or comes later, hangs under
the seed. Scores that can't be read are missing, never 0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aflow_verl.errors import UserError
from aflow_verl.workflow.graph_source import UNPARSABLE, strip_header, used_operators
from aflow_verl.workflow.state import WorkflowState
from aflow_verl.workspace.layout import (
    AFLOW_NAMES,
    EXPERIENCE,
    LOG,
    RESULTS,
    ROUND,
    SEED_ROUND,
    WORKFLOWS,
    Made,
    Round,
    Run,
    Workspace,
)

_ROUND = re.compile(rf"{ROUND}(\d+)")
_HEADER = re.compile(r"^\s*import\s+workspace\.(\w+)\.workflows\.", re.M)
UNKNOWN_MODIFICATION = "(modification not recorded)"


def read_workspace(path: Path, operators: Sequence[str] | None = None) -> tuple[Workspace, list[str]]:
    """The workspace and what is broken in it.

    Args:
        path: the folder ``workflows``, the dataset's folder above it, or the folder of a single dataset's folder.
        operators: what workflows may use; a round that uses others is left out. None: whatever the rounds use.

    Raises:
        UserError: there is no workspace, or no readable seed.
    """
    folder = _workflows_folder(path)
    notices: list[str] = []
    numbers = sorted(int(match.group(1)) for entry in folder.iterdir() if (match := _ROUND.fullmatch(entry.name)))
    name = _dataset_of(folder)
    runs = _runs(folder / RESULTS, notices)
    rounds: dict[int, Round] = {}
    for number in numbers:
        found = _round(folder / f"{ROUND}{number}", number, name, rounds, runs.pop(number, ()), notices)
        if found is not None and _permitted(found, operators, notices):
            rounds[number] = found
    if SEED_ROUND not in rounds:
        raise UserError(f"{folder}: no readable {ROUND}{SEED_ROUND}, and a search starts from that one")
    notices += [f"{RESULTS}: a score of round {number}, which is not there" for number in sorted(runs)]
    allowed = operators or sorted({used for kept in rounds.values() for used in kept.state.operators})
    return Workspace(name, tuple(_with_operators(kept, tuple(allowed)) for kept in rounds.values())), notices


def _workflows_folder(path: Path) -> Path:
    candidates = [path, path / WORKFLOWS]
    if path.is_dir():
        candidates += [child / WORKFLOWS for child in sorted(path.iterdir())]
    found = [folder for folder in candidates if folder.is_dir() and any(folder.glob(f"{ROUND}*"))]
    if not found:
        raise UserError(f"{path}: no AFlow workspace (a folder '{WORKFLOWS}' with {ROUND}1, {ROUND}2, ...)")
    if len(found) > 1:
        names = ", ".join(folder.parent.name for folder in found)
        raise UserError(f"{path}: several datasets ({names}); name one of their folders")
    return found[0]


def _dataset_of(folder: Path) -> str:
    """Our name of the dataset, from the import header of the seed, else from the folder's name."""
    header = _HEADER.search(_text(folder / f"{ROUND}{SEED_ROUND}" / "graph.py", []) or "")
    name = header.group(1) if header else folder.resolve().parent.name
    return next((ours for ours, aflows in AFLOW_NAMES.items() if aflows.lower() == name.lower()), name)


def _permitted(found: Round, operators: Sequence[str] | None, notices: list[str]) -> bool:
    others = sorted(set(found.state.operators) - set(operators)) if operators is not None else []
    if others:
        notices.append(f"{ROUND}{found.number}: uses {', '.join(others)}, which this search lacks; it is left out")
    return not others


def _with_operators(found: Round, operators: tuple[str, ...]) -> Round:
    """A search has one set of operators for all its workflows, and it is part of their hash."""
    return replace(found, state=replace(found.state, operators=operators))


def _round(
    folder: Path, number: int, dataset: str, known: Mapping[int, Round], runs: tuple[Run, ...], notices: list[str]
) -> Round | None:
    where = folder.name
    code = _text(folder / "graph.py", notices)
    if code is None:
        return None
    try:
        operators = tuple(used_operators(strip_header(code)))
    except UNPARSABLE as error:
        notices.append(f"{where}/graph.py: no Python ({error}); the round is left out")
        return None
    if "class Workflow" not in code:
        notices.append(f"{where}/graph.py: no class Workflow; the round is left out")
        return None
    prompts = _text(folder / "prompt.py", notices) or ""
    made = None if number == SEED_ROUND else _made(folder / EXPERIENCE, number, known, notices)
    logs = _json(folder / LOG, notices, optional=True)
    entries = logs if isinstance(logs, list) else [logs] if isinstance(logs, dict) else []
    state = WorkflowState(dataset, code, prompts, operators)
    return Round(number, state, made, runs, tuple(entry for entry in entries if isinstance(entry, dict)))


def _made(file: Path, number: int, known: Mapping[int, Round], notices: list[str]) -> Made:
    where = f"{file.parent.name}/{file.name}"
    seed = known.get(SEED_ROUND)
    fallback = Made(SEED_ROUND, UNKNOWN_MODIFICATION, (seed.score if seed else None) or 0.0, None)
    data = _json(file, notices)
    if not isinstance(data, dict):
        return fallback
    father, before, after = data.get("father node"), _number(data.get("before")), _number(data.get("after"))
    modification = data.get("modification")
    if not isinstance(modification, str) or not modification.strip():
        notices.append(f"{where}: no modification")
        modification = UNKNOWN_MODIFICATION
    if not isinstance(father, int) or father not in known:
        notices.append(f"{where}: its father node {father!r} is not there; it hangs under the seed")
        return replace(fallback, modification=modification, after=after)
    if before is None:
        notices.append(f"{where}: no score before")
        before = known[father].score or 0.0
    return Made(father, modification, before, after)


def _runs(file: Path, notices: list[str]) -> dict[int, tuple[Run, ...]]:
    """Rows by round, in their order; a file that breaks off gives the rows that are whole."""
    text = _text(file, notices)
    runs: dict[int, tuple[Run, ...]] = {}
    for place, row in enumerate(_rows(text or "[]", notices), start=1):
        number, score = row.get("round"), _number(row.get("score"))
        if not isinstance(number, int) or isinstance(number, bool) or score is None or not 0.0 <= score <= 1.0:
            notices.append(f"{RESULTS}: row {place} has no round and score in [0, 1]; it is left out")
            continue
        average, total = (_number(row.get(key)) or 0.0 for key in ("avg_cost", "total_cost"))
        runs[number] = (*runs.get(number, ()), Run(score, average, total, str(row.get("time") or "")))
    return runs


def _rows(text: str, notices: list[str]) -> Iterator[dict[str, Any]]:
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        notices.append(f"{RESULTS}: not JSON ({error}); the rows before that are kept")
        data = _whole_objects(text)
    if not isinstance(data, list):
        notices.append(f"{RESULTS}: no list of rows")
        return
    for row in data:
        if isinstance(row, dict):
            yield row
        else:
            notices.append(f"{RESULTS}: {str(row)[:40]!r} is no row")


def _whole_objects(text: str) -> list[Any]:
    decoder, found = json.JSONDecoder(), []
    place = text.find("{")
    while place >= 0:
        try:
            row, place = decoder.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError):
            break
        found.append(row)
        place = text.find("{", place)
    return found


def _json(file: Path, notices: list[str], *, optional: bool = False) -> Any:
    if optional and not file.is_file():
        return None
    text = _text(file, notices)
    if text is None or (optional and not text.strip()):
        return None
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        notices.append(f"{file.parent.name}/{file.name}: not JSON ({error})")
        return None


def _text(file: Path, notices: list[str]) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 text ({error.reason})"
    notices.append(f"{file.parent.name}/{file.name}: {reason}")
    return None


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
