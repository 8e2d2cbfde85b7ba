"""The page about one training step says what the library computes."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE, PAGE = ROOT / "examples" / "training_step.py", ROOT / "docs" / "training_step.md"


@pytest.fixture
def example() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(EXAMPLE), run_name="training_step"))


async def test_the_page_has_the_numbers_of_the_example(example: SimpleNamespace) -> None:
    step = await example.play_step()
    text = PAGE.read_text()
    for row in step.rows:
        numbers = (row.target.step_return, *row.advantages, row.target.q, row.target.v)
        shown = " | ".join(f"{number:+.3f}".replace("0.", ".", 1) for number in numbers)
        line = rf"\| {row.key[1]} \| {row.key[2]} \| [^|]+ \| {re.escape(shown)} \|"
        assert re.search(line, text), f"{row.key}: {shown}"
    for choice in step.choices.values():
        shown = " | ".join(f"{score:.3f}".replace("0.", ".", 1) for score in choice.score_K)
        assert shown in text
    assert step.rows[0].prompt in text


async def test_by_hand(example: SimpleNamespace) -> None:
    rows = (await example.play_step()).rows
    assert [row.reward for row in rows] == pytest.approx([0.25, 0.25, -0.125, 0.25, -0.1, 0.25])
    assert [row.episode_return for row in rows] == pytest.approx([0.5, 0.5, 0.25, 0.25, 0.25, 0.25])
    returns = [row.target.step_return for row in rows]
    valid = [returns[k] for k in (0, 2, 3, 5)]
    baseline = sum(valid) / 4
    assert [rows[k].advantages[1] for k in (0, 2, 3, 4, 5)] == pytest.approx(
        [returns[k] - baseline for k in (0, 2, 3, 4, 5)]
    )
    assert rows[1].advantages[1] == pytest.approx(returns[1] - (sum(valid) + returns[1]) / 5)
