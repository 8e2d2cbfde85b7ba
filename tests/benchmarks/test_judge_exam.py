"""What is worked out of trusted tests before any answer is seen."""

import pytest

from aflow_verl.benchmarks.judge.exam import COMMON, definitions, make_exam


def test_names_that_nobody_defines_come_from_the_answer() -> None:
    tests = (
        "import copy\n"
        "def check(candidate):\n    x = copy.copy([Pair(1, 2)])\n    assert candidate(x, n=2) == math.floor(OTHER)\n"
        "OTHER = 3\n"
        "check(f)"
    )
    assert make_exam(tests, "f").names == ("f", "Pair")


def test_names_of_inner_scopes_are_found() -> None:
    tests = "assert [g(y) for y in range(3)] == [0, 1, 2] and (lambda z: h(z))(1)\nclass A:\n    x = k()"
    assert make_exam(tests, "f").names == ("f", "g", "h", "k")


def test_the_prelude_defines_names() -> None:
    exam = make_exam("assert f(helper(1))", "f", prelude="def helper(x): return x\n", opening="def f(x):\n")
    assert exam.names == ("f",)
    assert exam.prelude == COMMON + "def helper(x): return x\n"
    assert exam.opening == "def f(x):\n"


def test_modules_are_imported_and_never_taken_from_the_answer() -> None:
    exam = make_exam("assert f(1) == sys.getsizeof(1)", "f")
    assert exam.names == ("f",)
    assert exam.tests.startswith("import sys\n")


def test_tests_that_are_no_program() -> None:
    with pytest.raises(ValueError, match=r"\(line 2\)"):
        make_exam("x = 1\nassert f(", "f")


def test_definitions_of_a_prompt() -> None:
    helper = "def helper(x):\n    return x\n"
    prompt = f'import math\nfrom typing import List\n\n{helper}\nprint(1)\nN = 3\n\ndef f(x):\n    """Doc."""\n'
    kept = definitions(prompt, without="f")
    assert kept == f"import math\nfrom typing import List\n{helper}N = 3\n"
    assert definitions("Write a function that", without="f") == ""
