"""The command ``aflow-verl``: one subcommand a line of ``COMMANDS``. Each imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from aflow_verl.schema import suggestion

Run = Callable[[Sequence[str]], int]
"""Arguments after the subcommand -> exit code."""


def _train(arguments: Sequence[str]) -> int:
    from aflow_verl.main_gigpo import main

    return main(arguments)


def _search(arguments: Sequence[str]) -> int:
    from aflow_verl.commands.search import main

    return main(arguments)


def _evaluate(arguments: Sequence[str]) -> int:
    from aflow_verl.commands.evaluate import main

    return main(arguments)


def _workspace(arguments: Sequence[str]) -> int:
    from aflow_verl.commands.workspace import main

    return main(arguments)


def _export_checkpoint(arguments: Sequence[str]) -> int:
    from aflow_verl.commands.export_checkpoint import main

    return main(arguments)


def _data(arguments: Sequence[str]) -> int:
    from aflow_verl.benchmarks.data.command import main

    return main(arguments)


def _study(arguments: Sequence[str]) -> int:
    from aflow_verl.commands.study import main

    return main(arguments)


def _report(arguments: Sequence[str]) -> int:
    from aflow_verl.report.__main__ import main

    return main(arguments)


COMMANDS: Mapping[str, tuple[str, Run]] = MappingProxyType(
    {
        "train": ("RECIPE.yaml [key=value ...]: train as a recipe says, or check it", _train),
        "search": ("RECIPE.yaml [key=value ...]: search without training, as a recipe of kind: search says", _search),
        "evaluate": ("WORKFLOW BENCHMARK: the score of any AFlow workflow", _evaluate),
        "workspace": (
            "import|export: take over a workspace of AFlow's, or write one that AFlow goes on from",
            _workspace,
        ),
        "export-checkpoint": ("RUN_DIR --out DIR: a training's policy and critic for transformers", _export_checkpoint),
        "data": ("prepare NAME: make the splits of a benchmark", _data),
        "study": ("[replay|training]: what the search is worth, on landscapes whose truth is known", _study),
        "report": ("RUN_DIR: the step table and the summary of a run", _report),
    }
)
"""Name -> what it does in one line, and what does it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns its exit code, 2 for one that doesn't exist."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in ("-h", "--help"):
        print(usage())
        return 0
    if not given or given[0] not in COMMANDS:
        wrong = f"no command {given[0]!r}{suggestion(given[0], COMMANDS)}" if given else "no command given"
        print(f"error: {wrong}; choose from {', '.join(COMMANDS)} (aflow-verl --help)", file=sys.stderr)
        return 2
    return COMMANDS[given[0]][1](given[1:])


def usage() -> str:
    """What ``--help`` prints."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{what}" for name, (what, _) in COMMANDS.items()]
    return "\n".join(["usage: aflow-verl COMMAND ...", "", *lines, "", "aflow-verl COMMAND --help says more."])
