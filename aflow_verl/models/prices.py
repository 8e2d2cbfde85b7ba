"""What a call to a paid model costs, from the dated table ``prices.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars of one call."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


def load_prices() -> Mapping[str, Price | None]:
    """Model name without date -> price; None where the table says that there is no flat price."""
    table = json.loads(resources.files("aflow_verl.models").joinpath("prices.json").read_text())
    return {name: Price(**price) if price else None for name, price in table["models"].items()}


def price_of(model: str, prices: Mapping[str, Price | None]) -> Price | None:
    """The price of exactly this model, a release date (``-20250929``) aside; None if unknown.

    No prefix matching: a smaller sister model must not be priced as the larger one.
    """
    return prices.get(re.sub(r"-20\d{6}$", "", model))
