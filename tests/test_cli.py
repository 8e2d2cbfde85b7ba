"""The command ``aflow-verl``: its subcommands and wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from aflow_verl.cli import COMMANDS, main, usage

ROOT = Path(__file__).parents[1]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.strip() == usage()
    assert all(f"\n  {name}" in usage() for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "no command given"), (["trian"], "no command 'trian'; did you mean train?")]
)
def test_unknown_commands_exit_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "no recipe given"),
        (["data", "prepare", "simulated"], "needs no data"),
        (["report", "/nothing"], "no run directory"),
    ],
)
def test_commands_get_their_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "aflow_verl", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, usage())
