"""The operators with a scripted model: results, calls made, and what a broken reply becomes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.errors import InvalidAction, RecipeError
from aflow_verl.operators.catalog import OPERATORS, operator_caller, operator_infos
from aflow_verl.operators.custom import Custom
from aflow_verl.operators.programmer import Programmer, extract_code
from aflow_verl.operators.sc_ensemble import ScEnsemble, agreement_key
from aflow_verl.sandbox.result import RunResult

COUNTING = 'How many times does the letter "e" appear in "bee"?'


async def test_custom_asks_the_input_under_its_instruction(script: Any) -> None:
    custom = Custom(script.context())
    script.replies = [" four\n", "4"]
    assert await custom(input="2 + 2?", instruction="") == {"response": "four"}
    assert await custom(input="2 + 2?", instruction=" Short. ") == {"response": "4"}
    assert script.asked == [
        [{"role": "user", "content": "2 + 2?"}],
        [{"role": "user", "content": "Short.\n\n2 + 2?"}],
    ]
    assert not script.malformed


async def test_an_empty_reply_is_counted(script: Any) -> None:
    script.replies = ["  "]
    assert await Custom(script.context())(input="x") == {"response": ""}
    assert script.malformed == {"Custom/empty": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Custom: missing a required argument: 'input'"),
        ({"input": "x", "instructions": "y"}, "Custom: got an unexpected keyword argument 'instructions'"),
        ({"*": ["x", "y", "z"]}, "Custom: too many positional arguments"),
    ],
)
async def test_wrong_arguments_are_the_workflows_fault(script: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidAction, match=message) as caught:
        await Custom(script.context())(**arguments)
    assert caught.value.kind == "operator_arguments"


async def test_what_the_constructor_was_given_is_a_default(script: Any) -> None:
    """An option that the operator doesn't know has no effect: AFlow's graphs give the dataset to some of them."""
    script.replies = ["4", "4", "4"]
    custom = Custom(script.context())
    await custom(**{"input": "x", "**": {"instruction": "Short.", "dataset": "MBPP"}})
    await custom(**{"*": ["x", "Long."], "**": {"instruction": "Short."}})
    assert [script.text(0), script.text(1)] == ["Short.\n\nx", "Long.\n\nx"]
    with pytest.raises(InvalidAction, match="Custom: "):
        await custom(**{"input": "x", "**": 3})


async def test_positional_arguments(script: Any) -> None:
    script.replies = ["4"]
    await Custom(script.context())(**{"*": ["2 + 2?", "Short."]})
    assert script.asked[0][0]["content"] == "Short.\n\n2 + 2?"


@pytest.mark.parametrize(
    ("solutions", "problem", "winner"),
    [
        (["The letter appears 2 times.", "There are 2.", "3"], COUNTING, "The letter appears 2 times."),
        (["3", "It is 1,000", "1000.0"], "Calculate 10 * 100", "It is 1,000"),
        (["London", "paris.", " Paris"], "Which city?", "paris."),
        (["only one"], "", "only one"),
    ],
)
async def test_a_majority_needs_no_model(script: Any, solutions: list[str], problem: str, winner: str) -> None:
    ensemble = ScEnsemble(script.context())
    assert await ensemble(solutions=solutions, problem=problem) == {"response": winner}
    assert not script.asked


@pytest.mark.parametrize(
    ("reply", "winner", "broken"),
    [
        ("C", "blue", 0),
        (" c.", "blue", 0),
        ("<thought>A and B differ.</thought>\n<solution_letter>C</solution_letter>", "blue", 0),
        ("<solution_letter>B, then C</solution_letter>", "red", 1),
        ("The answer is C.", "blue", 0),
        ("B or C", "red", 1),
        ("D", "blue", 0),
        ("E", "red", 1),
        ("none of them", "red", 1),
        ("", "red", 1),
    ],
)
async def test_without_a_majority_the_model_picks(script: Any, reply: str, winner: str, broken: int) -> None:
    """Half is no majority: red twice of four. What names no single option falls back to the largest group."""
    solutions = ["green", "red", "blue", "Red"] if winner == "red" else ["green", "red", "blue", "blue"]
    script.replies = [reply]
    ensemble = ScEnsemble(script.context())
    result = await ensemble(solutions=solutions, problem="Which colour?")
    assert result == {"response": winner}
    assert script.malformed["ScEnsemble/letter"] == broken
    assert "C: blue" in script.asked[0][0]["content"]


async def test_the_solution_itself_is_returned(script: Any) -> None:
    """Graphs collect the dicts that operators return as well as the texts in them."""
    solutions = [{"response": "red"}, {"response": "blue"}, {"response": "Red"}]
    result = await ScEnsemble(script.context())(solutions=solutions)
    assert result == {"response": {"response": "red"}}


@pytest.mark.parametrize("solutions", [[], "text", 3, None])
async def test_what_is_no_list_of_solutions(script: Any, solutions: Any) -> None:
    with pytest.raises(InvalidAction, match="solutions must be a list"):
        await ScEnsemble(script.context())(solutions=solutions)


def test_agreement_is_on_numbers_only_where_a_number_is_asked_for() -> None:
    assert agreement_key("In 1990, Paris", "Which city?") != agreement_key("In 1990, London", "Which city?")
    assert agreement_key("so 2.50", COUNTING) == agreement_key("2.5", COUNTING) == "2.5"
    assert agreement_key("2.0", COUNTING) == agreement_key("2", COUNTING)
    assert agreement_key("100", COUNTING) == "100"
    assert agreement_key("none", COUNTING) == "none"
    code = "def count(x):\n    return {} + 1"
    assert agreement_key(code.format("x"), COUNTING) != agreement_key(code.format("0"), COUNTING)


@given(st.text(), st.sampled_from(["", COUNTING]))
def test_agreement_is_blind_to_outer_space_and_always_defined(text: str, problem: str) -> None:
    assert agreement_key(f"  {text}\n", problem) == agreement_key(text, problem)


@pytest.mark.parametrize(
    ("result", "output", "printed"),
    [
        (RunResult(2), "2", ""),
        (RunResult(0), "0", ""),
        (RunResult(False), "False", ""),
        (RunResult(None, "3\n"), "3", "3"),
        (RunResult(2, "working\n"), "2", "working"),
    ],
)
async def test_programmer_returns_its_value_and_what_it_printed(
    script: Any, result: RunResult, output: str, printed: str
) -> None:
    script.replies, script.results = ['"bee".count("e")'], [result]
    programmer = Programmer(script.context())
    reply = await programmer(problem=COUNTING)
    assert reply == {"code": '"bee".count("e")', "output": output, "printed": printed}
    assert script.programs == ['import math\n"bee".count("e")']
    assert script.asked[0][-1] == {"role": "user", "content": COUNTING}
    assert not script.malformed


@pytest.mark.parametrize("none", ["", "None", " None "])
async def test_programmer_shows_the_analysis(script: Any, none: str) -> None:
    script.replies, script.results = ["1", "1"], [RunResult(1), RunResult(1)]
    programmer = Programmer(script.context())
    await programmer(problem="p", analysis="two e's")
    await programmer(problem="p", analysis=none)
    assert [script.text(0), script.text(1)] == ["p\n\nAnalysis: two e's", "p"]


async def test_a_failed_program_is_empty_whatever_it_printed(script: Any) -> None:
    script.replies, script.results = ["1 / 0"], [RunResult(None, "4", "ZeroDivisionError: division by zero")]
    result = await Programmer(script.context())(problem="p")
    assert result == {"code": "1 / 0", "output": "", "printed": ""}
    assert script.malformed == {"Programmer/failed": 1}


async def test_programmer_tries_again_with_the_error(script: Any) -> None:
    script.replies = ["", "1 / 0", "```python\ndef solve():\n    return 4\n```"]
    script.results = [RunResult(), RunResult(error="ZeroDivisionError"), RunResult(4)]
    result = await Programmer(script.context(attempts=3))(problem="p")
    assert result == {"code": "def solve():\n    return 4", "output": "4", "printed": ""}
    assert "it computed nothing" in script.asked[1][-1]["content"]
    assert "ZeroDivisionError" in script.asked[2][-1]["content"]
    assert script.asked[2][-2] == {"role": "assistant", "content": "1 / 0"}
    assert script.malformed == {"Programmer/empty": 1}


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("1 + 1", "1 + 1"),
        ("Here:\n```python\n1 + 1\n```\nDone.", "1 + 1"),
        ("```\n1 + 1", "1 + 1"),
        ("```py\na = 1\n\na\n```\n```python\n2\n```", "a = 1\n\na"),
        ("  ", ""),
    ],
)
def test_extract_code(reply: str, code: str) -> None:
    assert extract_code(reply) == code


async def test_the_catalog(script: Any) -> None:
    script.replies = ["4"]
    call = operator_caller(["Custom"], script.context())
    assert await call("Custom", {"input": "2 + 2?"}) == {"response": "4"}
    with pytest.raises(InvalidAction, match="no operator 'Programmer'; there are Custom") as caught:
        await call("Programmer", {"problem": "x"})
    assert caught.value.kind == "unknown_operator"
    with pytest.raises(RecipeError, match="no operator 'Magic'"):
        operator_infos(["Magic"])


def test_every_operator_describes_itself() -> None:
    for name, info in zip(OPERATORS, operator_infos(list(OPERATORS)), strict=True):
        assert info.name == OPERATORS[name].name == name
        assert info.description.endswith(".")
        assert "-> dict with key" in info.interface
