"""Token F1: AFlow's number on honest answers, and no pay for lists of candidates."""

import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.benchmarks.token_f1 import answer_f1, token_f1, tokens


def aflow_f1(given: str, gold: str) -> float:
    """AFlow's rule, restated: lower-case, no punctuation, no articles, F1 over bags of words."""

    def bag(text: str) -> Counter[str]:
        bare = "".join(character for character in text.lower() if character not in string.punctuation)
        return Counter(re.sub(r"\b(a|an|the)\b", " ", bare).split())

    found, wanted = bag(given), bag(gold)
    same = sum((found & wanted).values())
    precision, recall = (same / sum(found.values()), same / sum(wanted.values())) if same else (0.0, 0.0)
    return 2 * precision * recall / (precision + recall) if same else 0.0


HONEST = [
    ("The Eiffel Tower", "Eiffel Tower"),
    ("U.S. Navy", "US Navy"),
    ("Answer: Paris.", "Paris"),
    ("It was built in 1889, in Paris", "1889"),
    ("yes", "yes"),
    ("Yes, both are cities", "yes"),
    ("12 yards", "12"),
    ("1,000", "1000"),
    ("7-10", "7-10"),
    ("1941, 1945", "1941, 1945"),
    ("Scott Derrickson and Ed Wood", "Ed Wood"),
    ("12 - 5 = 7", "7"),
    ("", "Paris"),
]


@pytest.mark.parametrize(("answer", "gold"), HONEST)
def test_honest_answers_keep_aflows_number(answer: str, gold: str) -> None:
    assert answer_f1(answer, gold) == pytest.approx(aflow_f1(answer, gold), abs=1e-12)


words = st.lists(st.sampled_from(["the", "a", "paris", "river,", "Old", "(new)", "st.", "o'neill"]), max_size=12)


@given(words, words)
def test_texts_without_numbers_keep_aflows_number(answer: list[str], gold: list[str]) -> None:
    if tokens(" ".join(gold)):
        assert token_f1(" ".join(answer), " ".join(gold)) == pytest.approx(aflow_f1(" ".join(answer), " ".join(gold)))


@pytest.mark.parametrize(
    ("answer", "gold", "ours", "aflow"),
    [
        ("23", "2.3", 0.0, 1.0),
        ("2.30", "2.3", 1.0, 0.0),
        ("A", "A", 1.0, 0.0),
        ("B", "A", 0.0, 0.0),
        ("yes no", "yes", 0.0, 2 / 3),
        ("no yes", "yes", 0.0, 2 / 3),
        ("12 13", "12", 1 / 2, 2 / 3),
        ("12, 13 or 14", "12", 1 / 3, 2 / 5),
    ],
)
def test_departures_from_aflow(answer: str, gold: str, ours: float, aflow: float) -> None:
    assert answer_f1(answer, gold) == pytest.approx(ours)
    assert aflow_f1(answer, gold) == pytest.approx(aflow)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True), st.integers(0, 99))
def test_a_list_of_numbers_earns_what_one_of_them_earns_on_average(guesses: list[int], gold: int) -> None:
    score = answer_f1(", ".join(map(str, guesses)), str(gold))
    assert score == pytest.approx((gold in guesses) / len(guesses))


@pytest.mark.parametrize("text", ["1," * 200_000, "the " * 100_000, "a.b" * 100_000, "9" * 400_000, "1,111" * 80_000])
def test_long_answers_earn_next_to_nothing(text: str) -> None:
    assert answer_f1(text, "42") < 0.01
    assert answer_f1(text, "the old town") < 0.01
