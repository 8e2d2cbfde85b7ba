"""``curves.svg`` of a run directory: four curves over the training steps, drawn without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from aflow_verl.report.metrics import Line, number

FILE_NAME = "curves.svg"

PANELS = (
    ("best score", "search/best_score"),
    ("weight that the critic has earned (mean)", "search/alpha_effective"),
    ("step reward (mean)", "env/step_reward"),
    ("gradient norm of the policy", "actor/grad_norm"),
)

PANEL_WIDTH, PANEL_HEIGHT = 380, 190
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 34, 30

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #333 }
  .title { font-weight: 600 }
  .axis { stroke: #999; fill: none }
  .curve { stroke: #0a6ebd; stroke-width: 2; fill: none }
  .dot { fill: #0a6ebd }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .axis { stroke: #777 } .curve { stroke: #5ab0f2 } .dot { fill: #5ab0f2 }
  }
"""

Points = Sequence[tuple[float, float]]


def write_curves(run_dir: Path, lines: Sequence[Line]) -> Path:
    """Draw ``lines`` (of ``metrics.jsonl``) into the run directory; returns the picture's path."""
    path = run_dir / FILE_NAME
    path.write_text(curves_svg(lines), encoding="utf-8")
    return path


def curves_svg(lines: Sequence[Line]) -> str:
    """The picture as SVG text; a metric that is missing or null at a step leaves that step out."""
    panels = []
    for index, (title, name) in enumerate(PANELS):
        x, y = (index % 2) * PANEL_WIDTH, (index // 2) * PANEL_HEIGHT
        points = [(float(line["step"]), v) for line in lines if (v := number(line, name)) is not None]
        panels.append(f'<g transform="translate({x},{y})">{_panel(title, points)}</g>')
    width, height = 2 * PANEL_WIDTH, 2 * PANEL_HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<style>{STYLE}</style>\n" + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(title: str, points: Points) -> str:
    right, bottom = PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM
    parts = [
        f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>',
        f'<path class="axis" d="M{LEFT},{TOP} V{bottom} H{right}"/>',
    ]
    if not points:
        return "".join([*parts, f'<text x="{LEFT + 12}" y="{(TOP + bottom) // 2}">no values</text>'])
    low_x, high_x = _span([x for x, _ in points])
    low_y, high_y = _span([y for _, y in points])
    scaled = [
        (
            LEFT + (x - low_x) / (high_x - low_x) * (right - LEFT),
            bottom - (y - low_y) / (high_y - low_y) * (bottom - TOP),
        )
        for x, y in points
    ]
    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in scaled)
    parts += [
        f'<polyline class="curve" points="{curve}"/>',
        *(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in scaled),
        f'<text text-anchor="end" x="{LEFT - 6}" y="{TOP + 10}">{high_y:.3g}</text>',
        f'<text text-anchor="end" x="{LEFT - 6}" y="{bottom}">{low_y:.3g}</text>',
        f'<text x="{LEFT}" y="{bottom + 18}">step {low_x:.0f}</text>',
        f'<text text-anchor="end" x="{right}" y="{bottom + 18}">{high_x:.0f}</text>',
    ]
    return "".join(parts)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value; widened where they are equal, so that a flat line is drawn in the middle."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
