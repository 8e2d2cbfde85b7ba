"""A recipe's model as the rest of the program uses it: cached, steady, within its budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aflow_verl.config import KEY_VARIABLES, ModelConfig
from aflow_verl.models.budget import Budget
from aflow_verl.models.cache import CachedClient
from aflow_verl.models.catalog import check_client, create_client, price_for
from aflow_verl.models.client import ModelClient
from aflow_verl.models.steady import SteadyClient
from aflow_verl.models.tallies import Tallies


def open_model(
    settings: ModelConfig,
    *,
    role: str = "executor",
    cache_path: Path | None = None,
    budget: Budget | None = None,
    tallies: Tallies | None = None,
    client: ModelClient | None = None,
    model_cache_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> ModelClient:
    """``models.<role>`` of a recipe as one client: replies kept in ``cache_path``, the rest asked of a steady client.

    It loads a local model, which takes seconds: call it in a thread where that matters. ``client``: the bare client
    where it is made elsewhere (kind ``rollout``). ``model_cache_dir``: where the model that comes as a package is kept.

    Raises RecipeError (``models.<role>.<key>: ...``) where the settings, the key or the budget can't be honoured.
    """
    where = f"models.{role}"
    check_client(settings, where=where, budget_usd=budget.usd if budget is not None else None)
    bare = client or create_client(settings, where=where, cache_dir=model_cache_dir, progress=progress)
    steady = SteadyClient(
        bare,
        settings,
        budget=budget,
        tallies=tallies,
        price=price_for(settings),
        # A model of our own queues calls for as long as it takes; only a server can forget one.
        timeout_s=settings.timeout_s if settings.kind in KEY_VARIABLES else None,
    )
    return steady if cache_path is None else CachedClient(steady, cache_path)
