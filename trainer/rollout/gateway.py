"""The rollout servers for callers that know no verl: the search asks them where the policy itself runs the workflows.

An actor of its own, because verl's types are heavy to import and the search's process must not wait for that. It goes
through verl's load balancer, so calls of episodes and of workflows are spread over the servers together.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import ray

MAX_CALLS = 4096
"""In flight; the search keeps to ``models.executor.concurrency``."""


class RolloutGateway:
    """Token ids and parameters in, token ids out."""

    def __init__(self, client: Any) -> None:
        """``client``: verl's ``LLMServerClient``."""
        self._client = client

    async def generate(self, prompt_ids: list[int], params: dict[str, Any]) -> tuple[list[int], int | None]:
        """The reply's ids, and the step of the weights that wrote them, where the server tells."""
        out = await self._client.generate(request_id=uuid4().hex, prompt_ids=prompt_ids, sampling_params=params)
        return list(out.token_ids), out.extra_fields.get("global_steps")


def start_gateway(client: Any) -> Any:
    """The gateway's handle; it lives as long as its maker keeps it."""
    remote_class: Any = ray.remote(RolloutGateway)
    return remote_class.options(num_cpus=0, max_concurrency=MAX_CALLS).remote(client)
