"""A whole search whose every score is known beforehand: a scripted editor, and the simulated executor.

The k-th edit ever drawn tells the model to think of colour k, and the landscape gives each colour its own skill. So the
scores of all rounds are a function of the seed, and which workflow is edited follows from AFlow's rule alone.

    python tests/standalone/scripted_search.py RUN_DIR     # runs it, or goes on; a line a round
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from aflow_verl.config import (
    AflowConfig,
    BenchmarkConfig,
    EnvConfig,
    ModelConfig,
    ModelsConfig,
    SandboxConfig,
    SearchConfig,
    StandaloneConfig,
)
from aflow_verl.env.actions import Offer, Reply
from aflow_verl.models.landscape import Landscape
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.standalone.outcome import Outcome, Standing
from aflow_verl.standalone.run import search
from aflow_verl.types import Message
from aflow_verl.workflow.state import SEED_CODE

SEED = 11
ROUNDS = 20
PROBLEMS = 30


def colour(number: int) -> str:
    return f"Think of colour {number:02d}."


LANDSCAPE = Landscape(custom=0.3, markers={colour(k): 0.1 + 0.6 * (7 * k % 19) / 19 for k in range(1, ROUNDS + 1)})
"""Skills rise and fall in no order that a search could follow."""


def settings(**standalone: object) -> AflowConfig:
    standalone = {"rounds": ROUNDS, "race": False, **standalone}
    return AflowConfig(
        benchmark=(BenchmarkConfig("simulated", train=40, validation=PROBLEMS, heldout=8),),
        kind="search",
        seed=SEED,
        env=EnvConfig(action_format="code"),
        search=SearchConfig(selector="soft_mixed", rl_weight=0.0),
        models=ModelsConfig(executor=ModelConfig(kind="simulated", model="ladder")),
        sandbox=SandboxConfig(programs="monty", workers=8),
        standalone=StandaloneConfig(**standalone),  # type: ignore[arg-type]
    )


class ScriptedEditor:
    """Writes colour k in the reply to its k-th draw; ``skip``: draws of an earlier start; ``broken``: those whose
    graph returns a name that is nowhere."""

    def __init__(self, skip: int = 0, broken: Collection[int] = ()) -> None:
        self.calls = skip
        self.broken = broken
        self.shown: list[Offer] = []

    async def ask(self, offer: Offer, draw: int) -> Reply:
        self.calls += 1
        self.shown.append(offer)
        graph = SEED_CODE.replace('instruction=""', f"instruction=prompt_custom.COLOUR_{self.calls}")
        if self.calls in self.broken:
            graph = graph.replace("return solution", "return solutions")
        prompt = f'COLOUR_{self.calls} = "{colour(self.calls)}"'
        told = f"<modification>colour {self.calls}</modification>"
        return Reply(f"{told}<graph>\n{graph}\n</graph><prompt>{prompt}</prompt>")

    async def write(self, messages: Sequence[Message]) -> str:
        raise AssertionError("the code format asks for no second reply")


class Silent:
    """Nobody watches."""

    def phase(self, name: str) -> None: ...

    def round(self, standing: Standing) -> None: ...


class Lines(Silent):
    def round(self, standing: Standing) -> None:
        print(standing.done, flush=True)


async def run(run_dir: Path, editor: ScriptedEditor, watch: Silent | None = None, **standalone: object) -> Outcome:
    client = SimulatedClient(LANDSCAPE, name="colours")
    return await search(settings(**standalone), run_dir, watch or Silent(), editor=editor, client=client)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), ScriptedEditor(), Lines()))
