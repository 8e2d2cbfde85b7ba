"""What the commands read alike from their command lines."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from aflow_verl.errors import RecipeError, UserError
from aflow_verl.schema import build

T = TypeVar("T")
_BUDGET = re.compile(r"\$?(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>usd|calls)?", re.I)


class Parser(argparse.ArgumentParser):
    """Wrong usage is a ``UserError``."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see '{self.prog} --help'")


def run_command(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """The exit code: the command's, or 2 with one line on stderr for what the user can mend."""
    try:
        return command(arguments)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def parse_budget(text: str) -> tuple[str, float | int]:
    """``5usd``, ``$5``, ``0.5`` or ``200calls`` -> (key of ``budget``, its value). Raises ``UserError``."""
    match = _BUDGET.fullmatch(text.strip())
    calls = match is not None and (match["unit"] or "").lower() == "calls"
    if match is None or (calls and not match["number"].isdigit()):
        raise UserError(f"--budget: {text!r} is no budget; write 5usd or 200calls")
    return ("calls", int(match["number"])) if calls else ("usd", float(match["number"]))


def parse_settings(cls: type[T], words: Sequence[str], option: str, defaults: dict[str, Any]) -> T:
    """``key=value`` words as an instance of a section of the recipe. Raises ``UserError`` naming the option."""
    values = dict(defaults)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"{option}: {word!r} is no key=value")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"{option}: {word!r}: the value can't be read") from None
    try:
        return build(cls, values, "", lambda key: option)
    except RecipeError as wrong:
        raise UserError(str(wrong)) from None


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all, because a resume compares with it."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
