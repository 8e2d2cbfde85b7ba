"""MATH: what counts as the answer, what is equal to it, and that a model's text is never run as code."""

import asyncio
import time
from pathlib import Path

import pytest

from aflow_verl.benchmarks.math import Math, given_answer, gold_answer, number, plain, quick_equal
from aflow_verl.benchmarks.sandboxed import warm_math
from aflow_verl.benchmarks.sandboxed.math_equality import equal
from aflow_verl.benchmarks.scorer import RowError
from aflow_verl.errors import SandboxUnavailable
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.types import Problem


def boxed(gold: str) -> Problem:
    return Problem("math/1", "?", f"So it is $\\boxed{{{gold}}}$.")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} and then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\frac{\sqrt{2}}{2}}", r"\frac{\sqrt{2}}{2}"),  # two levels: AFlow's pattern stops at one
        (r"\fbox{3}", "3"),
        (r"\boxed 9", "9"),
        (r"\boxed{7", r"\boxed{7"),
        (r"\boxed{7} \boxed{8", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("It is odd. So x = 3", "So x = 3"),
        ("3.5", "3.5"),
        ("", ""),
    ],
)
def test_the_last_box_counts_else_the_last_sentence(text: str, answer: str) -> None:
    assert gold_answer(text) == given_answer(text) == answer


def test_an_announced_answer_is_read_out_of_the_last_sentence() -> None:
    """AFlow compares the whole sentence."""
    assert given_answer("We add. The answer is $5$.") == "$5$"
    assert gold_answer("We add. The answer is $5$.") == "The answer is $5$."


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("12", "12"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\left( 1, 2 \right)", "(1,2)"),
        ("1,234", "1234"),
        (r"\$5", "5"),
        (r"5\text{ cm}", "5"),
        (r"30^\circ", "30"),
        (r"50\%", "0.5"),
        ("3.1415", "3.1416"),
        ("Evelyn", r"\text{Evelyn}"),
    ],
)
def test_equal_at_a_glance(given: str, wanted: str) -> None:
    assert quick_equal(given, wanted) is True


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2", "3"),
        ("0", "0.0005"),  # within AFlow's 1e-3
        ("1,2", "12"),  # AFlow drops every comma
        ("nylevE", r"\text{Evelyn}"),  # the same letters: equal as a product
        ("sdrawkcab", "backwards"),
        ("", "3"),
        ("x" * 600, "x"),
        ("1e999", "2"),
    ],
)
def test_unequal_at_a_glance(given: str, wanted: str) -> None:
    assert not quick_equal(given, wanted)


def test_numbers_are_plain_and_finite() -> None:
    assert number("1,250.5") == 1250.5
    assert number(r"25\%") == 0.25
    assert number("-.5") == -0.5
    for text in ("nan", "inf", "1e999", "1,2", "1_000", "٣", "9" * 1000, ""):
        assert number(text) is None
    assert len(plain("x" * 1_000_000)) < 10_000


SYMBOLIC = [
    (r"\frac{1}{2}", r"\frac{2}{4}", 1.0),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", 1.0),
    (r"\frac{\sqrt{2}}{2}", "0.707", 1.0),
    ("x^2+2x+1", "(x+1)^2", 1.0),
    ("5", "x=5", 1.0),
    (r"\frac{1}{2016}", "0", 0.0),
    (r"\sqrt{2}", "1.41", 0.0),
    ("2", "1, 2", 0.0),
    ("2", r"\{1, 2, 3\}", 0.0),
    ("2", r"1 \text{ or } 2", 0.0),
    ("3", r"3 \pm 1", 0.0),
    ("(1,2)", "[1,2]", 0.0),
    ("(1,2)", "(2,1)", 0.0),
    ("x+1", "x+2", 0.0),
    ("2", r"\pm 2", 0.0),
    ("2", r"x \in \{1,2\}", 0.0),
    ("2", "1 < 2", 0.0),
    ("x < 3", r"x \le 3", 0.0),
    ("x+1", r"\frac{", 0.0),
    ("x+1", "?", 0.0),
    ("0", r"\infty - \infty", 0.0),
    ("x", "$x$ and $y$", 0.0),
]


@pytest.mark.parametrize(("gold", "given", "score"), SYMBOLIC)
def test_symbolic_equality(gold: str, given: str, score: float) -> None:
    known = quick_equal(given, gold)
    assert (equal(plain(gold), plain(given), 1e-3, 1e-2) if known is None else known) == bool(score)


@pytest.mark.asyncio(loop_scope="session")
async def test_grades_come_out_of_the_sandbox(grading_programs: ProcessSandbox) -> None:
    some = SYMBOLIC[:4] + SYMBOLIC[5:8]
    grades = await asyncio.gather(*(Math().grade(boxed(g), f"\\boxed{{{a}}}", grading_programs) for g, a, _ in some))
    assert grades == [score for _, _, score in some]


BOMBS = [r"9^{9^{9^{9^{9}}}}", "99999999!", r"\frac{" * 80 + "1", "(" * 240 + "2" + ")" * 240, r"\sqrt[9^{99999}]{2}"]


@pytest.mark.asyncio(loop_scope="session")
async def test_no_answer_takes_longer_than_the_limit(
    grading_programs: ProcessSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aflow_verl.benchmarks.math.LIMITS", Limits(seconds=1.0, memory_mb=512))
    begun = time.monotonic()
    for bomb in BOMBS:
        assert await Math().grade(boxed("2"), f"\\boxed{{{bomb}}}", grading_programs) == 0.0
    assert time.monotonic() - begun < 5 * len(BOMBS)
    assert await Math().grade(boxed(r"\frac{1}{2}"), r"\boxed{\frac{3}{6}}", grading_programs) == 1.0


PAYLOAD = "__import__('pathlib').Path('{path}').touch()"


@pytest.mark.parametrize(
    "disguise",
    [
        "{0}",
        "\\text{{{0}}}",
        "1 + {0}",
        "\\operatorname{{{0}}}",
        "\\sin({0})",
        "$${0}$$",
        "\\begin{{pmatrix}} {0} \\\\ 1 \\end{{pmatrix}}",
        "\\mathrm{{eval}}({0!r})",
        "x_{{{0}}}",
        "\\frac{{{0}}}{{1}}",
        "lambda: {0}",
        "Symbol({0})",
        "sympify({0!r})",
        "\\left[{0}\\right]",
        "x = {0}",
        "1)) or {0} or ((1",
        "'] + {0} + ['",
        "\\verb|{0}|",
        "\n{0}\n",
        '""")\n{0}\n("""',
    ],
)
def test_text_is_never_run_as_code(disguise: str, tmp_path: Path) -> None:
    """In this very process, without a jail: the canary would be written if anything evaluated the text."""
    canary = tmp_path / "canary"
    text = disguise.format(PAYLOAD.format(path=canary))
    assert equal("2", text, 1e-3, 1e-2) is False
    assert equal(text, "2", 1e-3, 1e-2) is False
    assert not canary.exists()


@pytest.mark.asyncio(loop_scope="session")
async def test_text_is_never_part_of_the_program(grading_programs: ProcessSandbox) -> None:
    """The program's last line would return True."""
    for text in ('"))\nTrue\n#', "'))\nTrue\n#", '\\"))\nTrue\n#', "\u2028True", "\\\nTrue"):
        assert await Math().grade(boxed("x+1"), f"\\boxed{{{text}}}", grading_programs) == 0.0


async def test_a_sandbox_without_math_verify_is_refused_not_graded() -> None:
    async with MontySandbox(workers=1, program_workers=1) as monty:
        with pytest.raises(SandboxUnavailable, match=r"math: grading needs sandbox\.programs=process") as refused:
            await Math().grade(boxed("x+1"), r"\boxed{1+x}", monty)
    assert not refused.value.retryable


def test_rows() -> None:
    problem = Math().parse_row(1, {"problem": "Add.", "solution": r"\boxed{3}", "level": "Level 5"})
    assert (problem.prompt, problem.reference) == ("Add.", r"\boxed{3}")
    with pytest.raises(RowError, match="needs the text solution"):
        Math().parse_row(1, {"problem": "Add."})
    with pytest.raises(RowError, match="no answer in solution"):
        Math().parse_row(1, {"problem": "Add.", "solution": r"\boxed{}"})


def test_the_warm_up_reads_every_pair_the_long_way() -> None:
    warm_math.warm_up()
    assert not any(equal(*pair, 1e-3, 1e-2) for pair in warm_math.EXAMPLES)
