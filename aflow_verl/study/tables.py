"""The study's results as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from aflow_verl.statistics import Interval
from aflow_verl.study.arms import BASELINE
from aflow_verl.study.curves import LEAST_GAIN, NOT_REACHED, Ratio
from aflow_verl.study.results import EARNED_AFTER, Results

SHARES = (0.8, 0.95)
"""Shares of the possible gain whose cost is told."""


def report(results: Results, about: Mapping[str, str]) -> str:
    """The whole report. ``about``: arm -> what it is."""
    parts = [
        "## Arms",
        overview(results, about),
        f"## Gain after {results.evaluations} evaluations, by family",
        by_family(results),
        "## Evaluations to 80 % and 95 % of the possible gain",
        evaluations(results),
        f"## Cost of AFlow's result at {results.evaluations} evaluations",
        costs(results),
    ]
    if any(len(found) for found in results.weights.values()):
        parts += [f"## Weight of the critic after {EARNED_AFTER} edits", critic_weights(results)]
    return "\n\n".join(parts) + "\n"


def overview(results: Results, about: Mapping[str, str]) -> str:
    """One row an arm: mean gains, paired difference to the baseline, families lost and won, relative cost."""
    checkpoints = results.checkpoints
    rows = []
    for arm in results.arms:
        last = checkpoints[-1]
        intervals = [results.difference(arm, family, last) for family in results.families]
        ratios = results.ratios[arm]
        rows.append(
            [
                arm,
                *(f"{results.mean_gain(arm, at):.3f}" for at in checkpoints),
                "" if arm == BASELINE else interval(results.mean_difference(arm, last)),
                "" if arm == BASELINE else str(sum(found.high < 0 for found in intervals)),
                "" if arm == BASELINE else str(sum(found.low > 0 for found in intervals)),
                ratio_text(ratios.mean),
                _ratio_value(ratios.worst),
                str(len(ratios.not_reached)),
                about.get(arm, ""),
            ]
        )
    gains = [f"gain at {at}" for at in checkpoints]
    head = [
        "arm",
        *gains,
        "difference to AFlow (95 %)",
        "families lost",
        "won",
        "relative cost (95 %)",
        "worst",
        "not reached",
        "what",
    ]
    return table(head, rows)


def by_family(results: Results) -> str:
    """Mean gain, and paired difference to the baseline with its interval; bold where it excludes 0."""
    last = results.evaluations
    rows = []
    for arm in results.arms:
        cells = []
        for family in results.families:
            gain = f"{results.gains[arm, family][:, -1].mean():.2f}"
            cells.append(gain if arm == BASELINE else f"{gain} {interval(results.difference(arm, family, last), 2)}")
        rows.append([arm, *cells])
    return table(["arm", *results.families], rows)


def evaluations(results: Results) -> str:
    """Medians over landscapes, ``80 % / 95 %``; ``-`` where half of the searches do not get there."""
    rows = [
        [
            arm,
            *(
                " / ".join(_count(results.evaluations_to(arm, family, share)) for share in SHARES)
                for family in results.families
            ),
        ]
        for arm in results.arms
    ]
    return table(["arm", *results.families], rows)


def costs(results: Results) -> str:
    """Share of the baseline's evaluations after which an arm's mean curve stays at or above the baseline's result, by
    family; then the mean over families of this, and of the cost of the last of ``SHARES`` over the baseline's.

    Families without a target are named below the table.
    """
    targets = [family for family in results.families if family in results.ratios[BASELINE].by_family]
    rows = [
        [
            arm,
            *(ratio_text(results.ratios[arm].by_family[family]) for family in targets),
            ratio_text(results.ratios[arm].mean),
            ratio_text(results.share_ratio(arm, SHARES[-1])),
        ]
        for arm in results.arms
    ]
    lines = [table(["arm", *targets, "mean", f"{SHARES[-1]:.0%} of the gain"], rows)]
    lines.append(f"`> 1`: ends below the baseline; counts as {NOT_REACHED:g} in the means.")
    rest = [family for family in results.families if family not in targets]
    if rest:
        gains = ", ".join(f"{family} ({results.gains[BASELINE, family][:, -1].mean():.2f})" for family in rest)
        lines.append(f"The baseline gains less than {LEAST_GAIN:g} there, which is no target: {gains}.")
    return "\n\n".join(lines)


def critic_weights(results: Results) -> str:
    """Mean effective weight over all searches, and the share of them in which it is below .05."""
    rows = []
    for arm in results.arms:
        found = np.concatenate([results.weights[arm, family] for family in results.families])
        if len(found):
            rows.append([arm, f"{found.mean():.3f}", f"{(found < 0.05).mean():.0%}"])
    return table(["arm", "mean", "below .05"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(found: Interval, digits: int = 3) -> str:
    """``+.12 [.05, .19]``, bold where the interval excludes 0."""
    low, high = _number(found.low, digits), _number(found.high, digits)
    text = f"{_number(found.mean, digits, sign=True)} [{low}, {high}]"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


def ratio_text(ratio: Ratio | None) -> str:
    """``0.53 [0.33, 0.60]``; ``> 1`` for what was not reached within the budget, ``-`` where there was no target."""
    if ratio is None:
        return "-"
    return f"{_ratio_value(ratio.value)} [{_ratio_value(ratio.low)}, {_ratio_value(ratio.high)}]"


def _ratio_value(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "> 1" if value >= NOT_REACHED else f"{value:.2f}"


def _number(value: float, digits: int, *, sign: bool = False) -> str:
    if math.isinf(value):
        return "-inf" if value < 0 else "inf"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def _count(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"
