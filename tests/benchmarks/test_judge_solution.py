"""Which program is in a reply. AFlow's rule is written out here line by line, and ours must choose what it chooses."""

import ast
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.benchmarks.judge.solution import longest_run, solution


def parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def lines_of_longest_run(text: str) -> int:
    """All runs of lines, one by one."""
    lines = text.split("\n")
    runs = [lines[i:j] for i in range(len(lines)) for j in range(i + 1, len(lines) + 1)]
    return max((sum(1 for line in run if line.strip()) for run in runs if parses("\n".join(run))), default=0)


LINES = [
    "Here it is:", "```python", "```", "def f(x):", "    return x", "    y = (x +", "    1)", "", '    """Doc',
    '    """', "class A:", "    pass", "try:", "except ValueError:", "    x = [1,", "    2]", "Done", "import math",
    "@cache", "if x:", "else:", "  odd indent", "f(3)", "'''", "x = 'open", "for i in range(3):", "        deep()",
    'print(f"{x")', "# comment", "foo(", ")", "1 2", "lambda:", "\tz = 1", "return 3", "x = y = \\", "async def g():",
    "    await z", "match x:", "    case 1:", "        pass", "}", "a = {", "x = '\\d'",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid escape")
@given(st.lists(st.sampled_from(LINES), max_size=12).map("\n".join))
def test_the_longest_run_of_lines_that_parses(text: str) -> None:
    assert longest_run(text, "absent")[1] == lines_of_longest_run(text)


def test_prose_and_fences_are_left_out() -> None:
    reply = "Sure! Here it is:\n\n```python\nimport math\n\ndef f(x):\n    return math.sqrt(x)\n```\nIt uses math."
    assert solution(reply, ["f"]) == "import math\ndef f(x):\n    return math.sqrt(x)"


def test_only_what_the_entry_point_reaches_is_kept() -> None:
    kept = "LIMIT = 3\ndef f(x):\n    return helper(x)\ndef helper(x):\n    return min(x, LIMIT)"
    examples = "print(f(3))\nassert f(1) == 2\nif __name__ == '__main__':\n    f(input())"
    assert solution(f"UNUSED = open('x')\n{kept}\ndef other():\n    pass\n{examples}", ["f"]) == kept


def test_the_solution_comes_before_a_longer_block_of_examples() -> None:
    """AFlow takes the longer block, which defines nothing."""
    reply = "```python\ndef f(x):\n    return x\n```\nExamples:\n```python\na = 1\nb = 2\nc = 3\nprint(f(a))\n```"
    assert solution(reply, ["f"]) == "def f(x):\n    return x"


def test_of_two_solutions_the_longer_one() -> None:
    reply = "```\ndef f(x):\n    return x\n```\nBetter:\n```\ndef f(x):\n    y = x\n    return y\n```"
    assert "y = x" in solution(reply, ["f"])


def test_one_line_is_a_program() -> None:
    """AFlow takes the first line of such a reply."""
    assert solution("Answer:\nf = lambda x: x + 1\nThat's it.", ["f"]) == "f = lambda x: x + 1"


@pytest.mark.parametrize(
    "line", ["memo: dict = {}", "memo, other = ({}, 1)", "memo = {}\nmemo[0] = 1", "memo = []\nmemo += [1]"]
)
def test_every_kind_of_assignment_counts(line: str) -> None:
    """AFlow keeps plain assignments to one name."""
    kept = solution(f"{line}\ndef f(x):\n    return memo", ["f"])
    assert kept.startswith(line)


def test_imports_inside_try_are_kept() -> None:
    imports = "try:\n    from functools import cache\nexcept ImportError:\n    cache = int"
    assert solution(f"{imports}\n\n@cache\ndef f():\n    return 1", ["f"]).startswith(imports)


def test_names_that_the_tests_use_are_reached() -> None:
    reply = "class Pair:\n    pass\n\ndef f(pairs):\n    return len(pairs)"
    assert solution(reply, ["f"]) == "def f(pairs):\n    return len(pairs)"
    assert solution(reply, ["f", "Pair"]).startswith("class Pair")


OPENING = 'def f(x):\n    """Twice x."""\n'


@pytest.mark.parametrize(
    "body", ["    return 2 * x", "```python\n    return 2 * x\n```", "    y = x\n    return x + y\n"]
)
def test_a_reply_may_continue_the_prompt(body: str) -> None:
    """AFlow finds no function in a body alone."""
    namespace: dict[str, object] = {}
    exec(solution(body, ["f"], OPENING), namespace)
    assert namespace["f"](4) == 8  # type: ignore[operator]


def test_a_reply_that_defines_the_function_never_continues() -> None:
    assert solution("def f(x):\n    return 1", ["f"], OPENING) == "def f(x):\n    return 1"


@pytest.mark.parametrize("reply", ["", "I can't do that.", "\0", "def f(x:\n  ]", "(" * 5000, "\ud800"])
def test_no_program(reply: str) -> None:
    assert "def f" not in solution(reply, ["f"])
