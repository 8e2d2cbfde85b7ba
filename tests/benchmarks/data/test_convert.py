"""Official rows of every kind -> the fields that AFlow reads."""

from collections.abc import Mapping
from typing import Any

import pytest

from aflow_verl.benchmarks.data.convert import drop, gsm8k, hotpotqa, humaneval, math, mbpp

PASSAGE = "The Rams scored 3, then 7."


@pytest.mark.parametrize(
    ("convert", "row", "expected"),
    [
        (gsm8k, {"question": "?", "answer": "1", "extra": 0}, [{"question": "?", "answer": "1"}]),
        (
            math,
            {"problem": "?", "solution": "1", "level": "Level 5", "type": "Counting & Probability"},
            [{"problem": "?", "solution": "1"}],
        ),
        (
            math,
            {"problem": "?", "solution": "1", "level": 5, "subject": "Precalculus"},
            [{"problem": "?", "solution": "1"}],
        ),
        (math, {"problem": "?", "solution": "1", "level": "Level 4", "type": "Prealgebra"}, []),
        (math, {"problem": "?", "solution": "1", "level": "Level 5", "type": "Algebra"}, []),
        (math, {"problem": "?", "solution": "1"}, [{"problem": "?", "solution": "1"}]),
        (
            humaneval,
            {"task_id": "T/0", "prompt": "p", "entry_point": "f", "canonical_solution": "c", "test": "t", "x": 1},
            [{"task_id": "T/0", "prompt": "p", "entry_point": "f", "canonical_solution": "c", "test": "t"}],
        ),
        (
            mbpp,
            {"text": "p", "code": "c", "task_id": 3, "test_list": ["assert f()"], "test_setup_code": None},
            [{"prompt": "p", "code": "c", "task_id": 3, "test_list": ["assert f()"]}],
        ),
        (
            mbpp,
            {"prompt": "p", "code": "c", "entry_point": "f", "test": "t"},
            [{"prompt": "p", "code": "c", "entry_point": "f", "test": "t"}],
        ),
        (
            hotpotqa,
            {"question": "?", "answer": "a", "context": {"title": ["T", "U"], "sentences": [["1.", "2."], ["3."]]}},
            [{"question": "?", "answer": "a", "context": [["T", ["1.", "2."]], ["U", ["3."]]]}],
        ),
        (
            hotpotqa,
            {"_id": "x", "question": "?", "answer": "a", "context": [["T", ["1."]]]},
            [{"question": "?", "answer": "a", "context": [["T", ["1."]]]}],
        ),
        (drop, {"context": "c", "completion": " 3", "ref_text": "3|three"}, [{"context": "c", "ref_text": "3|three"}]),
        (
            drop,
            {"passage": PASSAGE, "question": "How many?", "answers_spans": {"spans": ["3", "7"], "types": []}},
            [{"context": f"Passage: {PASSAGE}\nQuestion: How many?\nAnswer:", "ref_text": "3, 7"}],
        ),
        (
            drop,
            {
                "passage": PASSAGE,
                "qa_pairs": [
                    {
                        "question": "How many?",
                        "answer": {"number": "10", "date": {"day": "", "month": "", "year": ""}, "spans": []},
                        "validated_answers": [
                            {"number": "", "date": {"day": "1", "month": "May", "year": ""}, "spans": []},
                            {"number": "", "spans": ["the Rams", "a|b"]},
                            {"number": "10"},
                            {"number": "", "date": {}, "spans": []},
                        ],
                    },
                    {"question": "Who?", "answer": {"spans": ["Rams"]}},
                ],
            },
            [
                {"context": f"Passage: {PASSAGE}\nQuestion: How many?\nAnswer:", "ref_text": "10|1 May|the Rams, a b"},
                {"context": f"Passage: {PASSAGE}\nQuestion: Who?\nAnswer:", "ref_text": "Rams"},
            ],
        ),
    ],
)
def test_rows(convert: Any, row: Mapping[str, Any], expected: list[dict[str, Any]]) -> None:
    assert list(convert(row)) == expected


@pytest.mark.parametrize(
    ("convert", "row", "message"),
    [
        (gsm8k, {"question": "?"}, "needs the field answer"),
        (hotpotqa, {"question": "?", "answer": "a"}, "needs the field context"),
        (drop, {"question": "?"}, "needs the fields context and ref_text"),
        (drop, {"passage": "p", "qa_pairs": [{"question": "Who?", "answer": {}}]}, "no answer to 'Who"),
        (mbpp, {"prompt": "p"}, "needs the field code"),
    ],
)
def test_rows_of_something_else(convert: Any, row: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(convert(row))
