"""Examples as prompts show them, and what is too unclear to be one."""

import pytest

from aflow_verl.benchmarks.docstring_examples import examples


def prompt(doc: str) -> str:
    return f'def f(x):\n    """Something.\n    {doc}\n    """\n'


@pytest.mark.parametrize(
    ("doc", "found"),
    [
        (">>> f(1)\n    2", "assert f(1) == 2"),
        (">>> round(f(1.5), 2)\n    2.25", "assert round(f(1.5), 2) == 2.25"),
        ("f([1, 2]) == [2]", "assert f([1, 2]) == [2]"),
        ("f(1) ➞ False", "assert f(1) == False"),
        ("f(1) => true", "assert f(1) == True"),
        ("f(1) ==> 'a'", "assert f(1) == 'a'"),
        ("* f(1) -> [1, 2]", "assert f(1) == [1, 2]"),
        ("f('a') returns 'b' # as said", "assert f('a') == 'b'"),
        ("f({'a': 1}) should return True.", "assert f({'a': 1}) == True"),
        ('f("(")   # returns "db1"', "assert f('(') == 'db1'"),
        ("f('x') # => 'No' (it starts with x)", "assert f('x') == 'No'"),
        ("f([\n        [1],\n        [2]\n    ], 1) == [(0, 0)]", "assert f([[1], [2]], 1) == [(0, 0)]"),
        ("for f(7, 34) == 34", "assert f(7, 34) == 34"),
        ("f(1) = None", "assert f(1) == None"),
    ],
)
def test_forms(doc: str, found: str) -> None:
    assert examples(prompt(doc), "f") == (found,)


@pytest.mark.parametrize(
    "doc",
    [
        "f(a) => 1", "f(1) == 1 + 9 + 0", "f(1) -> 19 - 5 = 8", "f(n) = n + 1, if n is even.", "f(1) is large", "f(1)",
        "g(1) == 2", "self.f(1) == 2", "f(1, key=2) == 3", "f((1 == 2", ">>> f(1)\n    Traceback", ">>> x = f(1)",
        ">>> g(1)\n    2", ">>>f(1)\n    2", "f(1)(2) == 3",
    ],
)  # fmt: skip
def test_what_is_unclear_is_left_out(doc: str) -> None:
    assert examples(prompt(doc), "f") == ()


def test_each_once_and_in_order() -> None:
    doc = ">>> f(2)\n    4\n    >>> f(1)\n    1\n    f(2) == 4\n    f(3) == 9"
    assert examples(prompt(doc), "f") == ("assert f(2) == 4", "assert f(1) == 1", "assert f(3) == 9")


@pytest.mark.parametrize(
    "text", ["Write f(1) == 2.", "x = 1", "def f(x):\n    return x\n", "def g(x):\n    'f(1) == 2'"]
)
def test_prompts_without_a_docstring(text: str) -> None:
    assert examples(text, "f") == ()
