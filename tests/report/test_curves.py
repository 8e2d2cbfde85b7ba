from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from aflow_verl.report.curves import PANELS, curves_svg, write_curves


def polylines(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in points.split())]
        for points in re.findall(r'<polyline[^>]* points="([^"]*)"', svg)
    ]


def test_a_curve_rises_with_its_metric_and_leaves_nulls_out(tmp_path: Path) -> None:
    values = [0.1, 0.3, None, 0.2]
    lines = [{"step": k, "search/best_score": v} for k, v in enumerate(values, 1)]
    path = write_curves(tmp_path, lines)
    svg = path.read_text()
    ElementTree.fromstring(svg)
    (curve,) = polylines(svg)
    assert [x for x, _ in curve] == [56.0, 159.3, 366.0]  # steps 1, 2 and 4 on an axis from 56 to 366
    assert [y for _, y in curve] == [160.0, 34.0, 97.0]  # 0.1, 0.3 and 0.2 on an axis from 160 up to 34
    assert svg.count("no values") == len(PANELS) - 1


def test_a_flat_line_and_a_single_point_are_drawn_in_the_middle() -> None:
    (curve,) = polylines(curves_svg([{"step": 1, "actor/grad_norm": 2.0}]))
    assert curve == [(211.0, 97.0)]
