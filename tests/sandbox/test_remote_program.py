"""What runs at a remote endpoint, run here."""

import json
import os
import sys

import pytest
from _pytest.capture import CaptureFixture

from aflow_verl.sandbox import remote_program


class Ended(BaseException):
    """Instead of the end of the process."""


@pytest.fixture
def _ends_softly(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)


@pytest.mark.usefixtures("_ends_softly")
@pytest.mark.parametrize(
    ("code", "value", "error", "stdout"),
    [
        ("print('a')\n(1, {2: [3]})", {"t": [1, {"d": {"2": [3]}}]}, None, "a\n"),
        ("async def f():\n    return 3\nawait f()", 3, None, ""),
        ("x = 1", None, None, ""),
        ("print('b' * 50)\n1 / 0", None, "ZeroDivisionError: division by zero (line 2)", "b" * 20),
        ("f(", None, "SyntaxError: '(' was never closed (line 1)", ""),
        ("raise KeyError", None, "KeyError (line 1)", ""),
        ("1 << 20_000", None, "the result can't be returned: an integer of 20001 bits", ""),
    ],
)
def test_run(
    code: str,
    value: object,
    error: str | None,
    stdout: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # is put back afterwards
    with pytest.raises(Ended):
        remote_program.run(code, "MARK", 20)
    outcome = json.loads(capsys.readouterr().out.partition("\nMARK")[2])
    assert outcome == {"value": value, "error": error, "stdout": stdout}


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


def test_errors_without_a_text() -> None:
    assert remote_program.text_of(Mute()) == "an exception without a text"


def test_plain_is_bounded() -> None:
    assert remote_program.plain([[True, "abc", "\ud800", {5}]], 2, [10]) == [[True, "ab", "?", "{5"]]
    deep: list[object] = []
    for _ in range(30):
        deep = [deep]
    assert str(remote_program.plain(deep, 2, [100])) == "[" * 20 + "'...'" + "]" * 20
    with pytest.raises(ValueError, match="parts"):
        remote_program.plain([0] * 10, 2, [10])
