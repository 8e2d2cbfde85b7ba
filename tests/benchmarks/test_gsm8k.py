"""GSM8K: AFlow's number on honest answers, each departure from it, and attacks."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.benchmarks.gsm8k import Gsm8k, answer_number
from aflow_verl.benchmarks.scorer import RowError
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.types import Problem


def aflow_number(text: str) -> float | None:
    """AFlow's rule, restated: the last number, commas dropped."""
    found = re.findall(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?|\d+\.\d+", text)
    return float(found[-1].replace(",", "")) if found else None


@pytest.mark.parametrize(
    "text",
    [
        "42",
        "#### 1,234",
        "It costs 3 + 4 = $7.50.",
        "the total is -3",
        "She pays 18 dollars.",
        "First 5 * 8 = 40. Then 40 + 2 = 42 eggs.",
        "Answer: 6 * 7 = 42",
        "The answer is 3 + 4 = 7 dollars",
        "He gets 15% of 200, so 30",
        "My first answer is 41. Wait, 6 * 7 = 42.",
        "The answer is 41. Actually it is 42.",
        r"\boxed{42}",
        "Answer: see below. It is six times seven, that is\n42",
        "He ends on step 42.",
        "She has 3 boxes of 14 (42 eggs)",
        "[42]",
        "1,2,3",
        "no number",
        "nothing (see step three)",
        "١٢",
        "",
    ],
)
def test_honest_answers_keep_aflows_number(text: str) -> None:
    assert answer_number(text) == aflow_number(text)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.sampled_from([" apples. ", " plus ", "\n", " = "]))
def test_plain_texts_keep_aflows_number(numbers: list[int], between: str) -> None:
    text = between.join(f" {number:,}" for number in numbers)
    assert answer_number(text) == aflow_number(text) == numbers[-1]


@pytest.mark.parametrize(
    ("text", "number", "aflow"),
    [
        ("42 (see step 3)", 42.0, 3.0),
        ("42 (steps 1 to 3)", 42.0, 3.0),
        ("42, by steps 1 and 2", 42.0, 2.0),
        ("**Step 1**: 6 * 7 = 42\nStep 2: that is all", 42.0, 2.0),
        ("42. [1]", 42.0, 1.0),
        ("42 [1][2]", 42.0, 2.0),
        ("42\n\nConfidence: 100%", 42.0, 100.0),
        ("42. I am 95% sure.", 42.0, 95.0),
        ("42 (confidence 9/10)", 42.0, 10.0),
        ("The answer is 42. [1]", 42.0, 1.0),
        ("The answer is 42. It took 3 steps.", 42.0, 3.0),
        ("The answer is 42 because she buys 6 boxes of 7.", 42.0, 7.0),
        ("Answer: 42\n\nI used 2 facts.", 42.0, 2.0),
        (r"\boxed{42}, which uses all 3 numbers", 42.0, 3.0),
        ("#### 42\nChecked in 2 ways.", 42.0, 2.0),
        ("<answer>42</answer> 7", 42.0, 7.0),
        ("It weighs .5", 0.5, 5.0),
    ],
)
def test_departures_from_aflow(text: str, number: float, aflow: float) -> None:
    assert answer_number(text) == number
    assert aflow_number(text) == aflow


@pytest.mark.parametrize(
    "attack",
    [
        "nan",
        "inf",
        "1e999",
        "9" * 400,
        "9" * 1_000_000,
        "-42",
        "42 or 43",
        "Answer: 42\nAnswer: 43",
        r"\boxed{42} \boxed{43}",
        "41 42 43",
        " ".join(map(str, range(200))),
        "forty-two",
        "4 2",
        "42.00001",
        "4²",
        "",
        "\0",
    ],
)
async def test_attacks_score_nothing(attack: str, no_programs: ProgramSandbox) -> None:
    assert await Gsm8k().grade(Problem("p", "?", "6*7=42\n#### 42"), attack, no_programs) == 0.0


@pytest.mark.parametrize(
    "text",
    ["<answer>" * 50_000, "\\boxed{" * 50_000, "answer: " * 50_000, " " * 400_000, "1," * 200_000, "(step " * 60_000],
)
def test_long_answers_are_read_in_linear_time(text: str) -> None:
    assert answer_number(text + "42") == 42.0


async def test_the_tolerance_is_aflows(no_programs: ProgramSandbox) -> None:
    problem = Problem("gsm8k/1", "?", "6*7=42\n#### 42")
    assert await Gsm8k().grade(problem, "6 * 7 = 42.0000000001", no_programs) == 1.0
    assert await Gsm8k().grade(problem, "42.00001", no_programs) == 0.0


def test_rows() -> None:
    scorer = Gsm8k()
    problem = scorer.parse_row(3, {"question": "How many?", "answer": "#### 4"})
    assert (problem.prompt, problem.reference) == ("How many?", "#### 4")
    assert problem.id == scorer.parse_row(9, {"question": "How many?", "answer": "#### 4"}).id
    for row, message in [
        ({"question": "?"}, "needs the text answer"),
        ({"question": " ", "answer": "1"}, "question is empty"),
        ({"question": "?", "answer": "none"}, "no number in answer"),
        ({"question": "?", "answer": "9" * 400}, "no number in answer"),
    ]:
        with pytest.raises(RowError, match=message):
            scorer.parse_row(1, row)
