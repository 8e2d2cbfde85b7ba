"""Gain curves with 95 % bands, as PNG and SVG. matplotlib is an optional extra and imported only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aflow_verl.errors import UserError
from aflow_verl.study.curves import Floats, band
from aflow_verl.study.results import Results

COLUMNS = 4
"""Families side by side."""
MOST = 8
"""Curves that a picture can hold."""


def plot(results: Results, arms: Sequence[str], folder: Path) -> list[Path]:
    """Write ``mean`` (all families together) and ``families`` (a panel each). ``UserError`` without matplotlib."""
    pyplot = _pyplot()
    shown = [arm for arm in arms if arm in results.arms][:MOST]
    figure, axis = pyplot.subplots(figsize=(7.0, 4.5))
    _curves(axis, shown, {arm: _family_mean(results, arm) for arm in shown})
    axis.legend(fontsize=8)
    axis.set_title(f"Mean of {len(results.families)} families")
    written = _save(figure, folder, "mean")
    count = len(results.families)
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.6 * columns, 2.8 * rows), squeeze=False)
    for axis, family in zip(axes.flat, results.families, strict=False):
        _curves(axis, shown, {arm: band(results.gains[arm, family]) for arm in shown})
        axis.set_title(family, fontsize=9)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    axes.flat[0].legend(fontsize=6)
    return written + _save(figure, folder, "families")


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise UserError("plots need matplotlib: pip install 'aflow-verl[study]', or say --no-plots") from None
    matplotlib.use("Agg")
    # The same picture gives the same file, so that a repeated study changes nothing.
    matplotlib.rcParams["svg.hashsalt"] = "aflow-verl"
    from matplotlib import pyplot

    return pyplot


def _curves(axis: Any, arms: Sequence[str], bands: Mapping[str, tuple[Floats, Floats, Floats]]) -> None:
    for arm in arms:
        mean_E, low_E, high_E = bands[arm]
        cost_E = np.arange(1, len(mean_E) + 1)
        (line,) = axis.plot(cost_E, mean_E, label=arm, linewidth=1.4)
        axis.fill_between(cost_E, low_E, high_E, color=line.get_color(), alpha=0.12, linewidth=0)
    axis.axhline(0.0, color="grey", linewidth=0.5)
    axis.set_xlabel("full evaluations", fontsize=8)
    axis.set_ylabel("share of the possible gain", fontsize=8)
    axis.tick_params(labelsize=7)


def _family_mean(results: Results, arm: str) -> tuple[Floats, Floats, Floats]:
    """Mean over families; the variances of their means add up."""
    bands = [band(results.gains[arm, family]) for family in results.families]
    mean_E = np.mean([mean for mean, _, _ in bands], axis=0)
    half_E = np.sqrt(np.sum([(high - mean) ** 2 for mean, _, high in bands], axis=0)) / len(bands)
    return mean_E, mean_E - half_E, mean_E + half_E


def _save(figure: Any, folder: Path, name: str) -> list[Path]:
    figure.tight_layout()
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], dpi=120)
    figure.savefig(paths[1], metadata={"Date": None})
    figure.clear()
    return paths
