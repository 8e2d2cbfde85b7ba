"""Who writes the edits of a search: any model behind a client, or the policy of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aflow_verl.config import ModelConfig
from aflow_verl.env.actions import Offer, Reply
from aflow_verl.models.client import ModelClient
from aflow_verl.types import Message, SamplingParams

if TYPE_CHECKING:  # PyTorch takes seconds to import: only who needs it
    from aflow_verl.trained.policy import Policy


class Editor(Protocol):
    """Raises InvalidAction for a prompt that it can't take, ModelUnavailable where it is down, UserError."""

    @property
    def calls(self) -> int:
        """That a model answered."""
        ...

    async def ask(self, offer: Offer, draw: int) -> Reply:
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
        self._calls = 0

    @property
    def calls(self) -> int:
        return self._calls

    async def ask(self, offer: Offer, draw: int) -> Reply:
        hotter = max(self._settings.temperature, self._settings.resample_temperature)
        return Reply(await self._reply(offer.messages, hotter if draw else self._settings.temperature, draw))

    async def write(self, messages: Sequence[Message]) -> str:
        return await self._reply(messages, self._settings.temperature, 0)

    async def _reply(self, messages: Sequence[Message], temperature: float, sample_index: int) -> str:
        params = SamplingParams(
            temperature=temperature, max_tokens=self._settings.max_tokens, sample_index=sample_index
        )
        completion = await self._model.complete(messages, params)
        self._calls += not completion.cached
        return completion.text


class TrainedEditor:
    """A policy; where it suggests in words, ``writer`` writes the code."""

    def __init__(self, policy: Policy, writer: ModelEditor | None) -> None:
        self._policy = policy
        self._writer = writer

    @property
    def calls(self) -> int:
        return self._policy.calls + (0 if self._writer is None else self._writer.calls)

    async def ask(self, offer: Offer, draw: int) -> Reply:
        return await self._policy.reply(offer, draw)

    async def write(self, messages: Sequence[Message]) -> str:
        assert self._writer is not None
        return await self._writer.write(messages)
