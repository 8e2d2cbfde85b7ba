"""Where an API is, and with which key: from the recipe and the environment."""

from __future__ import annotations

import os

from aflow_verl.config import KEY_VARIABLES, ModelConfig
from aflow_verl.errors import RecipeError

EXECUTOR = "models.executor"


def key_of(settings: ModelConfig, where: str = EXECUTOR) -> str | None:
    """The API key; None where the server needs none. Raises ``RecipeError`` if it is missing or can't be one."""
    name = key_variable(settings)
    key = os.environ.get(name, "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise RecipeError(f"{where}.key_variable: {name} holds characters that no API key has; set it again")
    if key:
        return key
    if settings.kind == "openai" and settings.key_variable is None and server_of(settings) is not None:
        return None
    at = "kind" if settings.key_variable is None else "key_variable"
    raise RecipeError(
        f"{where}.{at}: {settings.kind} needs the environment variable {name}, which is not set; "
        "set it or choose another kind"
    )


def key_variable(settings: ModelConfig) -> str:
    """Name of the environment variable with the API key."""
    return settings.key_variable or KEY_VARIABLES[settings.kind]


def server_of(settings: ModelConfig) -> str | None:
    """Where an API is; None is the vendor's own."""
    return settings.base_url or os.environ.get(f"{settings.kind.upper()}_BASE_URL") or None
