"""``models.executor`` of a recipe -> a client. To add a kind: one file, one line in ``KINDS``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from aflow_verl.config import KEY_VARIABLE, ExecutorConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models import smollm2
from aflow_verl.models.client import ModelClient
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.simulated import SimulatedClient

Progress = Callable[[str], None]


def check_client(settings: ExecutorConfig, *, assume_keys: bool = False) -> None:
    """Everything that can be known before a model is loaded. Raises ``RecipeError``.

    ``assume_keys`` plans for a machine that has the API key.
    """
    if settings.kind == "simulated" and settings.model not in LANDSCAPES:
        raise RecipeError(
            f"models.executor.model: a simulated executor knows the landscapes {', '.join(LANDSCAPES)}, "
            f"not {settings.model!r}"
        )
    if settings.kind == "anthropic":
        if not settings.model.startswith("claude-"):
            raise RecipeError(
                f"models.executor.model: {settings.model!r} is no Claude model; use a name like claude-..."
            )
        if not assume_keys and not os.environ.get(KEY_VARIABLE):
            raise RecipeError(
                f"models.executor.kind: anthropic needs the environment variable {KEY_VARIABLE}, which is not set; "
                "set it or choose another executor"
            )
    if settings.kind == "local" and settings.model != smollm2.NAME:
        directory = Path(settings.model)
        # expanduser raises where the home of ~somebody doesn't exist
        with contextlib.suppress(RuntimeError):
            directory = directory.expanduser()
        if not (directory / "config.json").is_file():
            raise RecipeError(
                f"models.executor.model: {directory} has no config.json; name {smollm2.NAME} or a checkpoint directory"
            )


def create_client(
    settings: ExecutorConfig, *, cache_dir: Path | None = None, progress: Progress | None = None
) -> ModelClient:
    """The executor that a recipe asks for. Raises ``RecipeError`` or ``UserError`` with one line on what to do."""
    check_client(settings)
    return KINDS[settings.kind](settings, cache_dir, progress)


def resolve_model(model: str, *, cache_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """``smollm2-135m`` (fetched at first use) or a checkpoint directory, as a directory."""
    return smollm2.ensure_smollm2(cache_dir, progress) if model == smollm2.NAME else Path(model).expanduser()


def _local(settings: ExecutorConfig, cache_dir: Path | None, progress: Progress | None) -> ModelClient:
    from aflow_verl.models.local import LocalClient  # PyTorch takes seconds to import: only who needs it

    return LocalClient.load(
        resolve_model(settings.model, cache_dir=cache_dir, progress=progress),
        device=settings.device,
        dtype=settings.dtype,
        max_batch=settings.max_batch,
        seed=settings.seed,
    )


def _anthropic(settings: ExecutorConfig, cache_dir: Path | None, progress: Progress | None) -> ModelClient:
    from aflow_verl.models.anthropic import AnthropicClient  # so does the SDK

    return AnthropicClient(settings.model, timeout_s=settings.timeout_s, retries=settings.retries)


def _simulated(settings: ExecutorConfig, cache_dir: Path | None, progress: Progress | None) -> ModelClient:
    return SimulatedClient(LANDSCAPES[settings.model], name=settings.model, seed=settings.seed)


KINDS: Mapping[str, Callable[[ExecutorConfig, Path | None, Progress | None], ModelClient]] = MappingProxyType(
    {"local": _local, "anthropic": _anthropic, "simulated": _simulated}
)
