"""The executor as one workflow run sees it: counted, sampled, limited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from aflow_verl.config import ModelConfig
from aflow_verl.errors import InvalidAction
from aflow_verl.evaluation.counters import Counting
from aflow_verl.models.client import ModelClient
from aflow_verl.types import Completion, Message, SamplingParams


class ExecutorCalls:
    """The calls of one workflow on one problem; satisfies ``operators.base.ModelCall``.

    The i-th equal call has a sample index of its own: the first is drawn at the executor's temperature (greedy by
    default), the others at its resample temperature. So a vote over equal calls sees different samples, and each can
    be cached.
    """

    def __init__(self, model: ModelClient, settings: ModelConfig, max_calls: int, counting: Counting) -> None:
        self._model = model
        self._settings = settings
        self._max_calls = max_calls
        self._counting = counting
        self._asked: Counter[tuple[tuple[str, str], ...]] = Counter()
        self.completions: list[Completion] = []
        """In the order in which they came."""
        self.fault: str | None = None
        """Why the run counts as failed, whatever the workflow makes of the exception."""

    async def __call__(self, messages: Sequence[Message]) -> str:
        """The reply's text. Raises InvalidAction (``too_many_calls``), ModelUnavailable and UserError."""
        if self._asked.total() >= self._max_calls:
            self.fault = f"the workflow made more than {self._max_calls} executor calls"
            raise InvalidAction("too_many_calls", self.fault)
        key = tuple((message["role"], message["content"]) for message in messages)
        index = self._asked[key]
        self._asked[key] += 1
        settings = self._settings
        params = SamplingParams(
            temperature=settings.resample_temperature if index else settings.temperature,
            max_tokens=settings.max_tokens,
            sample_index=index,
        )
        completion = await self._model.complete(messages, params)
        self.completions.append(completion)
        self._count(completion)
        return completion.text

    @property
    def cost_usd(self) -> float:
        """Of the calls that the model really answered; those of unknown price count nothing."""
        return sum(c.usage.cost_usd or 0.0 for c in self.completions if not c.cached)

    def _count(self, completion: Completion) -> None:
        totals, cost = self._counting.totals, completion.usage.cost_usd
        totals["calls"] += 1
        if not completion.cached:
            totals["model_calls"] += 1
            totals["unpriced_calls"] += cost is None
            self._counting.cost_usd += cost or 0.0
