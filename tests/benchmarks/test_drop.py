"""DROP: parts of an answer, and what enumerating earns."""

import pytest

from aflow_verl.benchmarks.drop import Drop
from aflow_verl.benchmarks.scorer import RowError
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem


def problem(answers: str) -> Problem:
    return Drop().parse_row(1, {"context": "Passage: ...\nQuestion: ...?\nAnswer:", "ref_text": answers})


@pytest.mark.parametrize(
    ("answers", "answer", "score"),
    [
        ("42", "42", 1.0),
        ("42|42 yards", "42 yards", 1.0),
        ("42|42 yards", "It was 42 yards", 2 * 2 / (2 + 4)),
        ("Jay Feely|Feely", "feely", 1.0),
        ("Pakistanis|Filipinos", "Pakistanis|Filipinos", 1.0),
        ("Pakistanis|Filipinos", "Filipinos", 1.0),
        ("Pakistanis, Filipinos", "Filipinos and Pakistanis", 2 * 2 / (2 + 3)),
        ("42", "42|.", 1.0),
        ("42", "|42|", 1.0),
        ("42", "", 0.0),
        ("42", "|", 0.0),
    ],
)
async def test_honest_answers_keep_aflows_number(
    answers: str, answer: str, score: float, no_programs: ProgramSandbox
) -> None:
    assert await Drop().grade(problem(answers), answer, no_programs) == pytest.approx(score)


@pytest.mark.parametrize(
    ("attack", "most"),
    [
        ("|".join(map(str, range(200))), 1 / 200),
        ("41|42", 1 / 2),
        ("41|42|42|42|43", 3 / 5),  # no better than its chance of being right
        (" ".join(map(str, range(200))), 1 / 100),
        (", ".join(map(str, range(40, 50))), 1 / 10),
        ("40 or 41 or 42", 1 / 3),
        ("40\n41\n42\n43", 1 / 4),
        ("4.2", 0.0),
        ("42%" * 100, 0.0),
        ("|" * 100_000, 0.0),
    ],
)
async def test_enumerating_earns_no_more_than_guessing(attack: str, most: float, no_programs: ProgramSandbox) -> None:
    assert await Drop().grade(problem("42"), attack, no_programs) <= most + 1e-9


def test_rows() -> None:
    with pytest.raises(RowError, match="ref_text has no answer"):
        problem("| |")
    with pytest.raises(RowError, match="needs the text context"):
        Drop().parse_row(1, {"ref_text": "1"})
