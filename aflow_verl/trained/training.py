"""Where a training's weights lie, what its recipe says of how its policy was asked, and what its critic's zero stands
for. Reads small files alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from aflow_verl.checkpoints import CRITIC, MARKER, complete_checkpoints
from aflow_verl.checkpoints import FOLDER as CHECKPOINT
from aflow_verl.config import TrainedConfig
from aflow_verl.errors import UserError

RECIPE = "recipe.resolved.yaml"
"""In the run directory of a training."""
CENTRES = "critic.json"
"""In the run directory of a training, written by it: ``{"centre": {benchmark: score}}``."""
CARD = "trained.json"
"""In a directory of exported weights: what they are. Written last, so what has one is whole."""

FOLDER = "trained"
"""In a search's run directory: the weights that it uses."""


@dataclass(frozen=True)
class Manner:
    """How the policy was asked in its training. It knows no other way."""

    benchmarks: tuple[str, ...]
    action_format: str
    operators: tuple[str, ...]
    max_workflow_steps: int
    samples: tuple[int, ...]
    instructions: tuple[str, ...]
    max_logs: int
    max_prompt_tokens: int
    max_response_tokens: int
    temperature: float
    gamma: float
    """Discount of the returns that the critic learned."""


@dataclass(frozen=True)
class Trained:
    """The weights of one step of a training."""

    folder: Path
    """verl's checkpoint, or a directory of exported weights."""
    step: int
    exported: bool
    has_critic: bool
    source: str
    """The checkpoint that they are of, for people."""
    manner: Manner
    centres: Mapping[str, float]
    """Benchmark -> the score that the critic's 0 stands for; empty where the training has not left it."""

    def centre(self, benchmark: str) -> float:
        """Of this benchmark; of one that the critic was not trained on, the mean of the others.

        Raises ``UserError`` where none is known.
        """
        if not self.centres:
            todo = "train for another step with this version and export it again, or set search.rl_weight=0"
            raise UserError(f"{self.source}: no {CENTRES} says what its critic's values are relative to; {todo}")
        return self.centres.get(benchmark, math.fsum(self.centres.values()) / len(self.centres))


def weights_of(settings: TrainedConfig, run_dir: Path) -> Trained:
    """What a search in ``run_dir`` uses: what it began with, else what the recipe names.

    A training that goes on, or removes old checkpoints, changes nothing for a search that has begun. Raises
    ``UserError`` as ``find_trained`` does.
    """
    assert settings.run is not None
    begun = run_dir / FOLDER
    return find_trained(begun) if (begun / CARD).is_file() else find_trained(settings.run, settings.step)


def find_trained(named: str | Path, step: int | None = None) -> Trained:
    """What a recipe names: a run directory, one of its checkpoints, or a directory of exported weights.

    ``step`` None is the newest whole checkpoint. Raises ``UserError``: what is wrong with it; what to do.
    """
    place = Path(named).expanduser()
    if (place / CARD).is_file():
        found = _of_card(place)
    elif CHECKPOINT.search(place.name):
        found = _of_checkpoint(place, place.parents[1])
    else:
        found = _of_checkpoint(_checkpoint_of(place, step), place)
    if step not in (None, found.step):
        raise UserError(f"{named} is of step {found.step}, not {step}; name the run directory to choose a step")
    return found


def write_card(folder: Path, trained: Trained) -> None:
    """Declare that ``folder`` holds these weights, whole."""
    card: dict[str, Any] = {"step": trained.step, "source": trained.source, "critic": trained.has_critic}
    card["centre"] = dict(trained.centres)
    beside = folder / f".{CARD}"
    beside.write_text(json.dumps({**card, "manner": asdict(trained.manner)}, indent=2) + "\n", encoding="utf-8")
    beside.replace(folder / CARD)


def _of_card(folder: Path) -> Trained:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in card["manner"].items()}
        manner = Manner(**plain)
        centres = _numbers(card.get("centre", {}))
        return Trained(folder, card["step"], True, card["critic"], card["source"], manner, centres)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder / CARD} can't be read; export the checkpoint again") from None


def _checkpoint_of(run_dir: Path, step: int | None) -> Path:
    recipe = _recipe(run_dir)
    folder = run_dir / "checkpoints"
    if not folder.is_dir():
        folder = Path(str(_value(recipe, "trainer.default_local_dir", run_dir)))
    whole = dict(complete_checkpoints(folder))
    if not whole:
        raise UserError(f"{run_dir} has no whole checkpoint yet; train for trainer.save_freq steps first")
    if step is not None and step not in whole:
        raise UserError(f"{run_dir} has no checkpoint of step {step}; it has {', '.join(map(str, whole))}")
    return whole[max(whole) if step is None else step]


def _of_checkpoint(checkpoint: Path, run_dir: Path) -> Trained:
    if not (checkpoint / MARKER).is_file():
        raise UserError(f"{checkpoint} is no whole checkpoint of ours; name one that a training has finished")
    match = CHECKPOINT.search(checkpoint.name)
    assert match is not None
    has_critic = (checkpoint / CRITIC).is_dir()
    manner = _manner(_recipe(run_dir), run_dir)
    source = str(checkpoint.absolute())
    return Trained(checkpoint, int(match.group(1)), False, has_critic, source, manner, _centres(run_dir))


def _centres(run_dir: Path) -> Mapping[str, float]:
    file = run_dir / CENTRES
    if not file.is_file():
        return {}
    try:
        return _numbers(json.loads(file.read_text(encoding="utf-8"))["centre"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{file} can't be read; train for another step, which writes it again") from None


def _numbers(data: Mapping[str, Any]) -> Mapping[str, float]:
    return {str(name): float(value) for name, value in data.items()}


def _recipe(run_dir: Path) -> Mapping[str, Any]:
    try:
        recipe = yaml.safe_load((run_dir / RECIPE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        recipe = None
    if not isinstance(recipe, Mapping) or recipe.get("kind", "train") != "train":
        raise UserError(
            f"{run_dir} is no run directory of a training (no {RECIPE} of one in it); "
            f"name RUN_DIR, RUN_DIR/checkpoints/global_step_N, or what 'aflow-verl export-checkpoint' has written"
        )
    return recipe


def _manner(recipe: Mapping[str, Any], run_dir: Path) -> Manner:
    benchmarks = recipe.get("benchmark") or []
    named = [benchmarks] if isinstance(benchmarks, Mapping) else benchmarks

    def value(key: str) -> Any:
        found = _value(recipe, key)
        if found is None:
            raise UserError(f"{run_dir / RECIPE}: {key} is missing; it is not the recipe of a whole run")
        return found

    return Manner(
        benchmarks=tuple(str(benchmark.get("name")) for benchmark in named),
        action_format=str(value("env.action_format")),
        operators=tuple(value("env.operators")),
        max_workflow_steps=int(value("env.max_workflow_steps")),
        samples=tuple(value("env.samples")),
        instructions=tuple(value("env.instructions")),
        max_logs=int(value("env.max_logs")),
        max_prompt_tokens=int(value("data.max_prompt_length")),
        max_response_tokens=int(value("data.max_response_length")),
        temperature=float(value("actor_rollout_ref.rollout.temperature")),
        gamma=float(value("algorithm.gamma")),
    )


def _value(recipe: Mapping[str, Any], key: str, default: Any = None) -> Any:
    found: Any = recipe
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return default if found is None else found
