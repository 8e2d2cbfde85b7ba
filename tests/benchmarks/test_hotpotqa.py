"""HotpotQA: the prompt that AFlow writes, and attacks on the score."""

import pytest

from aflow_verl.benchmarks.hotpotqa import HotpotQa
from aflow_verl.benchmarks.scorer import RowError
from aflow_verl.sandbox.base import ProgramSandbox

ROW = {
    "question": "Where does the river that crosses Aberwick end?",
    "answer": "the North Sea",
    "context": [["Aberwick", ["Aberwick is a town.", "The Wick crosses it."]], ["Wick", ["It ends in the North Sea."]]],
}


def test_the_prompt_is_aflows() -> None:
    problem = HotpotQa().parse_row(1, ROW)
    assert problem.reference == "the North Sea"
    assert problem.prompt == (
        "Context: Aberwick is a town. The Wick crosses it.\nIt ends in the North Sea.\n\n"
        "Question: Where does the river that crosses Aberwick end?\n\nAnswer:"
    )


@pytest.mark.parametrize(("answer", "score"), [("North Sea", 1.0), ("The north sea.", 1.0), ("the Baltic Sea", 0.5)])
async def test_honest_answers(answer: str, score: float, no_programs: ProgramSandbox) -> None:
    assert await HotpotQa().grade(HotpotQa().parse_row(1, ROW), answer, no_programs) == pytest.approx(score)


@pytest.mark.parametrize(
    "attack",
    [
        "Aberwick is a town. The Wick crosses it. It ends in the North Sea.",
        "north " * 100,
        "sea " * 1000 + "north",
        "n o r t h s e a",
        "the a an " * 50,
        "North\u200bSea",
        "",
    ],
)
async def test_attacks_earn_less_than_half(attack: str, no_programs: ProgramSandbox) -> None:
    assert await HotpotQa().grade(HotpotQa().parse_row(1, ROW), attack, no_programs) < 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": "text"}, "needs the list context"),
        ({"context": [["title"]]}, r"context must hold pairs \[title, \[sentence"),
        ({"context": [["title", ["one", 2]]]}, "context must hold pairs"),
        ({"answer": ""}, "answer is empty"),
    ],
)
def test_broken_rows(change: dict[str, object], message: str) -> None:
    with pytest.raises(RowError, match=message):
        HotpotQa().parse_row(1, {**ROW, **change})
