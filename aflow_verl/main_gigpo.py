"""The entry point: recipe -> checks -> run.

    python -m aflow_verl.main_gigpo RECIPE.yaml [key=value ...] [--check | --print] [--assume gpus=8,gpu_gb=80]

Exit codes: 0 when all went well, 2 with one line on stderr for whatever the user can mend. Nothing heavy is imported,
and nothing started, before the recipe has passed every check.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from aflow_verl.checks.machine import Machine, detect, parse_assume
from aflow_verl.checks.telling import check
from aflow_verl.errors import RecipeError, UserError
from aflow_verl.recipe.load import is_base, load_recipe
from aflow_verl.schema import suggestion

USAGE = (
    "usage: python -m aflow_verl.main_gigpo RECIPE.yaml [key=value ...] [--check | --print] [--assume gpus=8,gpu_gb=80]"
)

HELP = f"""{USAGE}

  RECIPE.yaml   path of a recipe, for example recipes/quickstart.yaml
  key=value     changes to it in Hydra's grammar: a.b=c, +a=1 (new key), ++a=1, ~a
  --check       check recipe, data, keys and hardware, say what was found, start nothing
  --print       show the recipe with verl's and our defaults filled in, start nothing
  --assume      with --check: plan for this hardware; keys, named files and GPU packages are taken as given"""

OPTIONS = ("--check", "--print", "--assume", "--help")


@dataclass(frozen=True)
class Arguments:
    """The command line, taken apart."""

    recipe: str
    overrides: tuple[str, ...] = ()
    check: bool = False
    show: bool = False
    assume: Machine | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not set(given).isdisjoint(("-h", "--help")):
        print(HELP)
        return 0
    try:
        return _command(parse_arguments(given))
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def parse_arguments(given: Sequence[str]) -> Arguments:
    """Take the command line apart; options may stand anywhere. Raises ``UserError`` for wrong usage."""
    options, words = [], []
    rest = iter(given)
    assume: Machine | None = None
    for word in rest:
        name, equals, value = word.partition("=")
        if name == "--assume":
            assume = parse_assume(value if equals else next(rest, ""))
        elif word in OPTIONS:
            options.append(word)
        elif word.startswith("-"):
            raise UserError(f"unknown option {word}{suggestion(word, OPTIONS)}; {USAGE}")
        else:
            words.append(word)
    if not words:
        raise UserError(f"no recipe given; {USAGE}")
    if {"--check", "--print"} <= set(options):
        raise UserError(f"--check and --print exclude one another; {USAGE}")
    if assume is not None and "--check" not in options:
        raise UserError("--assume plans for hardware that is not here, so it goes with --check only")
    if "=" in words[0]:
        raise UserError(f"the recipe's path comes first, found '{words[0]}'; {USAGE}")
    return Arguments(words[0], tuple(words[1:]), "--check" in options, "--print" in options, assume)


def _command(arguments: Arguments) -> int:
    if is_base(arguments.recipe):
        return _base(arguments)
    recipe = load_recipe(arguments.recipe, list(arguments.overrides))
    if arguments.show:
        print(recipe.to_yaml(), end="")
        return 0
    machine = arguments.assume or detect()
    check(recipe, machine, aloud=arguments.check)
    if arguments.check:
        return 0
    from aflow_verl.run import run  # torch, Ray and verl come with it

    return run(recipe)


def _base(arguments: Arguments) -> int:
    """``recipes/base.yaml`` names no benchmark and no policy; its keys and types can be checked all the same."""
    if not arguments.check:
        raise RecipeError(f"{arguments.recipe}: holds the defaults under every recipe; run another one from recipes/")
    load_recipe(arguments.recipe, [*arguments.overrides, "benchmark.name=simulated"])
    print(f"{arguments.recipe}: keys and types are right (the defaults under every recipe, not one to run)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
