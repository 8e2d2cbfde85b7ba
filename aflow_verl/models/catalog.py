"""``models.executor`` and ``models.editor`` of a recipe -> a client. To add a kind: one file, one line in ``KINDS``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from aflow_verl.config import KEY_VARIABLES, ModelConfig
from aflow_verl.errors import RecipeError
from aflow_verl.models import smollm2
from aflow_verl.models.api import Endpoint
from aflow_verl.models.client import ModelClient
from aflow_verl.models.keys import EXECUTOR, key_of, key_variable, server_of
from aflow_verl.models.landscape import LANDSCAPES
from aflow_verl.models.prices import FREE, Price, price_of
from aflow_verl.models.simulated import SimulatedClient

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Opening:
    """What a client is made from."""

    settings: ModelConfig
    where: str = EXECUTOR
    """The recipe's key of the model."""
    cache_dir: Path | None = None
    """Where the model that comes as a package is kept; None is its default."""
    progress: Progress | None = None


def check_client(
    settings: ModelConfig, *, where: str = EXECUTOR, assume_keys: bool = False, budget_usd: float | None = None
) -> None:
    """Everything that can be known before a model is loaded. Raises ``RecipeError``: ``<key>: what; what to do``.

    ``assume_keys`` plans for a machine that has the API key. ``budget_usd``: the recipe's limit, if there is one.
    """
    _CHECKS[settings.kind](settings, where)
    if settings.kind in KEY_VARIABLES and not assume_keys:
        key_of(settings, where)
    if budget_usd is not None and price_for(settings) is None:
        raise RecipeError(
            f"budget.usd: the price of {settings.model!r} ({where}) is unknown; "
            "limit budget.calls instead, or name a model of aflow_verl/models/prices.json"
        )


def create_client(
    settings: ModelConfig, *, where: str = EXECUTOR, cache_dir: Path | None = None, progress: Progress | None = None
) -> ModelClient:
    """The bare client that a recipe asks for; ``stack.open_model`` makes one that retries and remembers.

    Raises ``RecipeError`` or ``UserError`` with one line on what to do.
    """
    check_client(settings, where=where)
    return KINDS[settings.kind](Opening(settings, where, cache_dir, progress))


def price_for(settings: ModelConfig) -> Price | None:
    """Of a call; None if unknown. A server elsewhere is taken to ask the vendor's price for the vendor's model."""
    return price_of(settings.model) if settings.kind in KEY_VARIABLES else FREE


def resolve_model(model: str, *, cache_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """``smollm2-135m`` (fetched at first use) or a checkpoint directory, as a directory."""
    return smollm2.ensure_smollm2(cache_dir, progress) if model == smollm2.NAME else Path(model).expanduser()


# ---- checks ---------------------------------------------------------------------------------------------------------


def _check_simulated(settings: ModelConfig, where: str) -> None:
    if settings.model not in LANDSCAPES:
        raise RecipeError(
            f"{where}.model: a simulated model knows the landscapes {', '.join(LANDSCAPES)}, not {settings.model!r}"
        )


def _check_local(settings: ModelConfig, where: str) -> None:
    if settings.model == smollm2.NAME:
        return
    directory = Path(settings.model)
    # expanduser raises where the home of ~somebody doesn't exist
    with contextlib.suppress(RuntimeError):
        directory = directory.expanduser()
    if not (directory / "config.json").is_file():
        raise RecipeError(
            f"{where}.model: {directory} has no config.json; name {smollm2.NAME} or a checkpoint directory"
        )


def _check_anthropic(settings: ModelConfig, where: str) -> None:
    _check_url(settings, where)
    if server_of(settings) is None and not settings.model.startswith("claude-"):
        raise RecipeError(f"{where}.model: {settings.model!r} is no Claude model; use a name like claude-...")


def _check_openai(settings: ModelConfig, where: str) -> None:
    _check_url(settings, where)
    if settings.model in ("", smollm2.NAME):
        raise RecipeError(f"{where}.model: {settings.model!r} is no model of a server; name one that it serves")


def _check_url(settings: ModelConfig, where: str) -> None:
    given = server_of(settings)
    if given is None:
        return
    try:
        parts = urlsplit(given)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise RecipeError(f"{where}.base_url: {given!r} is no address; use one like http://localhost:8000/v1")


def _check_nothing(settings: ModelConfig, where: str) -> None:
    """Nothing of it is in the recipe."""


_CHECKS: Mapping[str, Callable[[ModelConfig, str], None]] = MappingProxyType(
    {
        "local": _check_local,
        "anthropic": _check_anthropic,
        "openai": _check_openai,
        "rollout": _check_nothing,
        "simulated": _check_simulated,
    }
)

# ---- kinds ----------------------------------------------------------------------------------------------------------


def _local(opening: Opening) -> ModelClient:
    from aflow_verl.models.local import LocalClient  # PyTorch takes seconds to import: only who needs it

    settings = opening.settings
    return LocalClient.load(
        resolve_model(settings.model, cache_dir=opening.cache_dir, progress=opening.progress),
        device=settings.device,
        dtype=settings.dtype,
        max_batch=settings.max_batch,
        seed=settings.seed,
        where=opening.where,
    )


def _anthropic(opening: Opening) -> ModelClient:
    from aflow_verl.models.anthropic import AnthropicClient  # so does the SDK

    caching = opening.settings.prompt_caching
    return AnthropicClient(_endpoint(opening), prompt_caching=caching, **_api_arguments(opening))


def _openai(opening: Opening) -> ModelClient:
    from aflow_verl.models.openai import OpenAIClient

    return OpenAIClient(_endpoint(opening), seed=opening.settings.seed, **_api_arguments(opening))


def _rollout(opening: Opening) -> ModelClient:
    raise RecipeError(f"{opening.where}.kind: rollout is the policy of a training run; choose another kind outside one")


def _simulated(opening: Opening) -> ModelClient:
    settings = opening.settings
    return SimulatedClient(LANDSCAPES[settings.model], name=settings.model, seed=settings.seed)


def _endpoint(opening: Opening) -> Endpoint:
    settings = opening.settings
    return Endpoint(settings.kind, settings.model, opening.where, key_variable(settings))


def _api_arguments(opening: Opening) -> dict[str, Any]:
    settings = opening.settings
    return {
        "api_key": key_of(settings, opening.where),
        "base_url": server_of(settings),
        "timeout_s": settings.timeout_s,
        "price": price_for(settings),
    }


KINDS: Mapping[str, Callable[[Opening], ModelClient]] = MappingProxyType(
    {"local": _local, "anthropic": _anthropic, "openai": _openai, "rollout": _rollout, "simulated": _simulated}
)
