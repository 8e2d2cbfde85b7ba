"""Rows of the official files, and of AFlow's own, -> rows with the fields that AFlow's benchmarks read.

A function takes one object of a file and yields the rows in it. It raises ValueError where the object is none of its
data set; rows that AFlow leaves out (MATH of other subjects and levels) are silently none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]

_MATH_TYPES = frozenset({"counting & probability", "number theory", "prealgebra", "precalculus"})


def gsm8k(row: Row) -> Iterator[dict[str, Any]]:
    yield _fields(row, "question", "answer")


def math(row: Row) -> Iterator[dict[str, Any]]:
    """Level 5 of four subjects; rows without level and type, such as AFlow's own, are taken as they are."""
    level, subject = str(row.get("level", "Level 5")), str(row.get("type", row.get("subject", "Prealgebra")))
    fields = _fields(row, "problem", "solution")
    if level.removeprefix("Level ") == "5" and subject.lower() in _MATH_TYPES:
        yield fields


def humaneval(row: Row) -> Iterator[dict[str, Any]]:
    yield _fields(row, "task_id", "prompt", "entry_point", "canonical_solution", "test")


def mbpp(row: Row) -> Iterator[dict[str, Any]]:
    """The sanitized rows (``prompt``), the full ones (``text``) or AFlow's (``entry_point`` and ``test``)."""
    named = {**row, "prompt": row.get("prompt", row.get("text"))}
    fields = _fields(named, "prompt", "code")
    optional = ("task_id", "entry_point", "test", "test_imports", "test_setup_code", "test_list", "challenge_test_list")
    yield fields | {name: row[name] for name in optional if row.get(name) is not None}


def hotpotqa(row: Row) -> Iterator[dict[str, Any]]:
    """``context`` as pairs [title, sentences]; the hub keeps titles and sentences apart."""
    context = row.get("context")
    if isinstance(context, Mapping):
        context = [list(pair) for pair in zip(context["title"], context["sentences"], strict=True)]
    if not isinstance(context, list):
        raise ValueError("needs the field context")
    yield _fields(row, "question", "answer") | {"context": context}


def drop(row: Row) -> Iterator[dict[str, Any]]:
    """Rows of simple-evals and AFlow (``context``, ``ref_text``), of the hub (``passage``), or whole passages with
    their questions (``qa_pairs``), which become the same prompt."""
    if "ref_text" in row:
        yield _fields(row, "context", "ref_text")
    elif "answers_spans" in row:
        yield _drop_row(str(row["passage"]), row, [{"spans": list(row["answers_spans"]["spans"])}])
    elif "qa_pairs" in row:
        for pair in row["qa_pairs"]:
            answers = [pair["answer"], *pair.get("validated_answers", ())]
            yield _drop_row(str(row["passage"]), pair, answers)
    else:
        raise ValueError("needs the fields context and ref_text, or passage and qa_pairs")


def _drop_row(passage: str, question: Row, answers: Iterable[Row]) -> dict[str, Any]:
    texts = dict.fromkeys(text for text in map(_drop_answer, answers) if text)
    if not texts:
        raise ValueError(f"no answer to {str(question.get('question'))[:60]!r}")
    context = f"Passage: {passage}\nQuestion: {question['question']}\nAnswer:"
    return {"context": context, "ref_text": "|".join(texts)}


def _drop_answer(answer: Row) -> str:
    """One annotator's answer as text: a number, a date, or its spans, several joined by commas."""
    if number := str(answer.get("number") or "").strip():
        return number
    if spans := [str(span).replace("|", " ").strip() for span in answer.get("spans") or ()]:
        return ", ".join(spans)
    date = answer.get("date") or {}
    return " ".join(str(date[part]).strip() for part in ("day", "month", "year") if date.get(part)).strip()


def _fields(row: Row, *names: str) -> dict[str, Any]:
    missing = [name for name in names if not isinstance(row.get(name), str)]
    if missing:
        raise ValueError(f"needs the field {missing[0]}")
    return {name: row[name] for name in names}
