"""Who writes the edits of a search: any model behind a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aflow_verl.config import ModelConfig
from aflow_verl.env.actions import Offer
from aflow_verl.models.client import ModelClient
from aflow_verl.types import Message, SamplingParams


class Editor(Protocol):
    """Raises InvalidAction for a prompt that it can't take, ModelUnavailable where it is down, UserError."""

    calls: int
    """That a model answered."""

    async def ask(self, offer: Offer, draw: int) -> str:
        """Its reply to what is shown; ``draw``: the how-manieth on this workflow, each with a reply of its own."""
        ...

    async def write(self, messages: Sequence[Message]) -> str:
        """The code of a modification that it has suggested in words (``env.action_format: suggest``)."""
        ...


class ModelEditor:
    """The first draw on a workflow has ``temperature``, later ones ``resample_temperature``: a greedy editor would
    repeat itself."""

    def __init__(self, model: ModelClient, settings: ModelConfig) -> None:
        self._model = model
        self._settings = settings
        self.calls = 0

    async def ask(self, offer: Offer, draw: int) -> str:
        hotter = max(self._settings.temperature, self._settings.resample_temperature)
        return await self._reply(offer.messages, hotter if draw else self._settings.temperature, draw)

    async def write(self, messages: Sequence[Message]) -> str:
        return await self._reply(messages, self._settings.temperature, 0)

    async def _reply(self, messages: Sequence[Message], temperature: float, sample_index: int) -> str:
        params = SamplingParams(
            temperature=temperature, max_tokens=self._settings.max_tokens, sample_index=sample_index
        )
        completion = await self._model.complete(messages, params)
        self.calls += not completion.cached
        return completion.text
