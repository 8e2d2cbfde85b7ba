"""The executor as one workflow run sees it: counted, sampled, retried, limited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from aflow_verl.config import ExecutorConfig
from aflow_verl.errors import InvalidAction
from aflow_verl.types import Completion, Message, SamplingParams

Complete = Callable[[Sequence[Message], SamplingParams], Awaitable[Completion]]


class ExecutorCalls:
    """The calls of one workflow on one problem; satisfies ``operators.base.ModelCall``.

    The i-th equal call gets sample index i: the first is drawn at the executor's temperature (greedy by default), the
    others at its resample temperature. So a vote over equal calls sees different samples, and each can be cached.
    """

    def __init__(self, complete: Complete, settings: ExecutorConfig, max_calls: int) -> None:
        self._complete = complete
        self._settings = settings
        self._max_calls = max_calls
        self._asked: Counter[tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = Counter()
        self.completions: list[Completion] = []
        """In the order in which they came."""
        self.fault: str | None = None
        """Why the run counts as failed, whatever the workflow makes of the exception."""

    async def __call__(self, messages: Sequence[Message], *, stop: tuple[str, ...] = ()) -> str:
        """The reply's text. Raises InvalidAction (``too_many_calls``), ModelUnavailable and UserError."""
        if self._asked.total() >= self._max_calls:
            self.fault = f"the workflow made more than {self._max_calls} executor calls"
            raise InvalidAction("too_many_calls", self.fault)
        key = (tuple((message["role"], message["content"]) for message in messages), stop)
        index = self._asked[key]
        self._asked[key] += 1
        settings = self._settings
        params = SamplingParams(
            temperature=settings.resample_temperature if index else settings.temperature,
            max_tokens=settings.max_tokens,
            stop=stop,
            sample_index=index,
        )
        completion = await self._complete(messages, params)
        self.completions.append(completion)
        return completion.text
