"""``aflow-verl export-checkpoint``: what a training has learned, as directories that transformers and vLLM load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aflow_verl.commands.arguments import Parser, run_command
from aflow_verl.errors import UserError
from aflow_verl.trained.export import CRITIC_OUT, POLICY_OUT, export_checkpoint
from aflow_verl.trained.training import find_trained

DESCRIPTION = "Write policy and critic of a training as transformers directories, DIR/policy and DIR/critic."


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, or 2 with one line for what the user can mend."""
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = Parser(prog="aflow-verl export-checkpoint", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN_DIR", help="of a training, or its checkpoints/global_step_N")
    parser.add_argument("--step", metavar="N", help="the newest whole checkpoint, unless another step is named")
    parser.add_argument("--out", metavar="DIR", required=True, help="where they are written")
    given = parser.parse_args(arguments)
    if given.step is not None and not given.step.isdigit():
        raise UserError(f"--step: {given.step!r} is no training step; use a whole number")
    found = find_trained(given.run, None if given.step is None else int(given.step))
    out = Path(given.out).expanduser()
    export_checkpoint(found, out, say=print)
    folders = [POLICY_OUT, *([CRITIC_OUT] if found.has_critic else [])]
    print(f"step {found.step}: {', '.join(str(out / folder) for folder in folders)}")
    return 0
