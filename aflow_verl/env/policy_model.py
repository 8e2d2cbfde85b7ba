"""The policy as executor or editor of its own search (``kind: rollout``), on the rollout servers of the training.

Grades and replies are kept by the name of the weights that gave them. A step alone is no name: a run that was killed
and resumed trains the steps after its checkpoint again, to weights that may differ. So each resume begins a new era,
and the weights of a step belong to the era that made them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from aflow_verl.errors import ModelUnavailable
from aflow_verl.models.rollout import Generate, RolloutClient
from aflow_verl.search.store import MAIN, Store

ERAS = "weights/eras"
"""Store's key of [first step, era] pairs, in order; weights of earlier steps belong to era 0."""
RESUMES = "weights/resumes"
"""Store's key of how often the run has been resumed: the newest era."""


class PolicyModel:
    """The clients that ask the policy, and what its weights are called. Without clients nothing of it is used."""

    def __init__(self, store: Store, path: str, tokenizer: Any, context_tokens: Callable[[], int]) -> None:
        """``path``: the policy's; ``context_tokens``: of prompt and reply, at most."""
        self._store = store
        self._path = path
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._clients: list[RolloutClient] = []

    def client(self, seed: int) -> RolloutClient:
        """A client that answers while the policy is served."""
        name = Path(self._path).name
        self._clients.append(RolloutClient(self._tokenizer, name, context_tokens=self._context_tokens(), seed=seed))
        return self._clients[-1]

    def serve(self, gateway: Any, step: int) -> None:
        """``gateway`` (an actor with ``generate``) answers with the weights of ``step``."""
        for client in self._clients:
            client.serve(_generate(gateway, step), self._name(step))

    async def pause(self) -> None:
        """Returns when no call is under way; later ones wait for ``serve``."""
        for client in self._clients:
            await client.pause()

    def resume(self, step: int) -> None:
        """Weights of steps after ``step`` are made anew."""
        era = int(self._store.get_meta(RESUMES, 0)) + 1
        eras = [entry for entry in self._store.get_meta(ERAS, []) if entry[0] <= step]
        self._store.put_meta(RESUMES, era)
        self._store.put_meta(ERAS, [*eras, [step + 1, era]])

    def _name(self, step: int) -> str:
        eras = [era for first, era in self._store.get_meta(ERAS, []) if first <= step]
        name = f"step{step}/era{eras[-1] if eras else 0}"
        return name if self._store.run == MAIN else f"{self._store.run}/{name}"  # other runs train other weights


def _generate(gateway: Any, step: int) -> Generate:
    async def generate(prompt_ids: list[int], params: dict[str, Any]) -> list[int]:
        try:
            reply_ids, told = await gateway.generate.remote(prompt_ids, params)
        except RayError as failure:
            reason = str(failure).strip().splitlines()[-1]
            raise ModelUnavailable(f"the rollout server failed: {reason}", kind="server_error") from failure
        if told not in (None, step):
            raise ModelUnavailable(f"the rollout server has weights of step {told}, not {step}", retryable=False)
        return list(reply_ids)

    return generate
