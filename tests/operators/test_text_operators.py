"""AnswerGenerate, Format, Review, Revise and MdEnsemble with a scripted model."""

from typing import Any

import pytest

from aflow_verl.errors import InvalidAction
from aflow_verl.operators.answer_generate import AnswerGenerate
from aflow_verl.operators.format import Format
from aflow_verl.operators.md_ensemble import MdEnsemble
from aflow_verl.operators.review import Review
from aflow_verl.operators.revise import Revise


@pytest.mark.parametrize(
    ("reply", "thought", "answer", "broken"),
    [
        ("<thought>2 and 2</thought>\n<answer> 4 </answer>", "2 and 2", "4", 0),
        ("<Thought>2 and 2<ANSWER>4", "2 and 2", "4", 0),
        ("<answer>4</answer> Hope this helps!", "", "4", 0),
        ("It is 4.\n", "", "It is 4.", 1),
        ("<thought>2 and 2, so 4</thought>", "2 and 2, so 4", "2 and 2, so 4", 1),
        ("<thought>x</thought><answer></answer>", "x", "x", 1),
        ("", "", "", 1),
    ],
)
async def test_answer_generate(script: Any, reply: str, thought: str, answer: str, broken: int) -> None:
    script.replies = [reply]
    assert await AnswerGenerate(script.context())(input="2 + 2?") == {"thought": thought, "answer": answer}
    assert script.malformed["AnswerGenerate/fields"] == broken
    assert "2 + 2?" in script.text()
    assert "<answer>" in script.text()


async def test_aflows_mode_is_taken(script: Any) -> None:
    script.replies = ["<answer>4</answer>"] * 5
    assert (await AnswerGenerate(script.context())(input="q", mode="xml_fill"))["answer"] == "4"
    both = {"problem": "q", "solution": "s", "mode": "xml_fill"}
    await Format(script.context())(**both)
    await Review(script.context())(**both)
    await Revise(script.context())(feedback="f", **both)
    await MdEnsemble(script.context())(solutions=["s"], problem="q", mode=None, vote_count=1)


@pytest.mark.parametrize(("reply", "solution", "broken"), [(" 4\n", "4", 0), (" ", "The answer is 4.", 1)])
async def test_format(script: Any, reply: str, solution: str, broken: int) -> None:
    script.replies = [reply]
    result = await Format(script.context())(problem="2 + 2?", solution="The answer is 4.")
    assert result == {"solution": solution, "response": solution}
    assert script.malformed["Format/empty"] == broken


@pytest.mark.parametrize(
    ("reply", "verdict", "feedback", "broken"),
    [
        ("<review_result>True</review_result><feedback>fine</feedback>", True, "fine", 0),
        ("<review_result>\nfalse.\n</review_result><feedback>off by one</feedback>", False, "off by one", 0),
        ("<review_result>true</review_result>", True, "", 0),
        ("<review_result>perhaps</review_result><feedback>hm</feedback>", False, "perhapshm", 1),
        ("Looks good to me.", False, "Looks good to me.", 1),
        ("", False, "", 1),
    ],
)
async def test_review(script: Any, reply: str, verdict: bool, feedback: str, broken: int) -> None:
    script.replies = [reply]
    result = await Review(script.context())(problem="2 + 2?", solution="5")
    assert result == {"review_result": verdict, "feedback": feedback}
    assert script.malformed["Review/fields"] == broken


@pytest.mark.parametrize(
    ("reply", "solution", "broken"),
    [
        ("<solution>4</solution>", "4", 0),
        ("<solution>\n```python\nx = 4\n```\n</solution>", "x = 4", 0),
        ("Now it is 4.", "Now it is 4.", 1),
        ("```python\nx = 4\n```", "x = 4", 1),
        ("<solution></solution>", "5", 1),
        ("", "5", 1),
    ],
)
async def test_revise(script: Any, reply: str, solution: str, broken: int) -> None:
    script.replies = [reply]
    result = await Revise(script.context())(problem="2 + 2?", solution="5", feedback="too much")
    assert result == {"solution": solution}
    assert script.malformed["Revise/fields"] == broken
    assert all(part in script.text() for part in ("2 + 2?", "Solution: 5", "too much"))


def shown(text: str) -> dict[str, str]:
    """Letter to solution, as a vote of MdEnsemble lists them."""
    return {line[0]: line[3:] for line in text.splitlines() if line[1:3] == ": " and line[0] in "ABC"}


class Preferring:
    """A model that votes for one solution, wherever it stands."""

    def __init__(self, script: Any, solution: str) -> None:
        self._script, self._solution = script, solution

    async def __call__(self, messages: Any) -> str:
        self._script.asked.append(list(messages))
        options = shown(messages[-1]["content"])
        return next(letter for letter, solution in options.items() if solution == self._solution)


async def test_md_ensemble_votes_over_shuffled_solutions(script: Any) -> None:
    script.model = Preferring(script, "blue")
    arguments = {"solutions": ["red", "green", "blue"], "problem": "Which colour?"}
    assert await MdEnsemble(script.context())(**arguments) == {"solution": "blue"}
    assert len(script.asked) == 5
    orders = [tuple(shown(messages[-1]["content"]).values()) for messages in script.asked]
    assert {frozenset(order) for order in orders} == {frozenset(arguments["solutions"])}
    assert len(set(orders)) > 1
    script.asked.clear()
    await MdEnsemble(script.context())(**arguments)
    assert [tuple(shown(messages[-1]["content"]).values()) for messages in script.asked] == orders


async def test_md_ensemble_ignores_broken_votes_and_survives_none(script: Any) -> None:
    script.replies = ["Z", "", "no idea"]
    arguments = {"solutions": [{"response": "red"}, "blue"], "**": {"vote_count": 3}}
    assert await MdEnsemble(script.context())(**arguments) == {"solution": {"response": "red"}}
    assert script.malformed == {"MdEnsemble/letter": 3}


@pytest.mark.parametrize(
    "arguments",
    [
        {"solutions": []},
        {"solutions": "text"},
        {"solutions": ["a"], "vote_count": 0},
        {"solutions": ["a"], "vote_count": "5"},
    ],
)
async def test_md_ensemble_refuses(script: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidAction, match="MdEnsemble: "):
        await MdEnsemble(script.context())(**arguments)
