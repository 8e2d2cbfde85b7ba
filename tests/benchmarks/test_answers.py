"""Which part of a reply counts as its answer."""

import pytest

from aflow_verl.benchmarks.answers import final_answer, is_number, last_number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("42", "42"),
        ("Let me think.\nIt is planet.\n\ntenalp\n", "tenalp"),
        ("Answer: 7", "7"),
        ("The answer is **Paris**.", "Paris"),
        ("First answer: 3\nNo. Final answer: 4 apples", "4 apples"),
        ("<answer>a b</answer> trailing", "a b"),
        ("İ <ANSWER>a</ANSWER> <answer>b</answer>", "b"),  # a letter that is longer in lower case
        ("<answer>a</answer> </answer>", "a</answer>"),
        ("</answer> <answer>a", "</answer> <answer>a"),
        (r"\boxed{\frac{1}{\sqrt{2}}} and more", r"\frac{1}{\sqrt{2}}"),
        (r"so \boxed{12} it is", "12"),
        ('"tenalp"', "tenalp"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "number"),
    [("3 apples and 1,250.5 pears", "1250.5"), ("-7", "-7"), ("none", None), ("v1, 2, 3", "3"), ("1,2,3", "3")],
)
def test_last_number(text: str, number: str | None) -> None:
    assert last_number(text) == number


def test_is_number() -> None:
    assert all(map(is_number, ["3", "-3.5", "1,000", " 7 "]))
    assert not any(map(is_number, ["3 apples", "", "0x3", "1/2", "nan"]))
