"""A token-in, token-out rollout server on plain transformers: for CPUs, and for GPUs where vLLM is not installed.

One Ray actor a replica. Requests that arrive while a batch is decoded form the next batch. Sampling parameters follow
vLLM's names (``max_tokens, temperature, top_p, top_k, seed, allowed_token_ids``), so that an agent loop need not know
which server answers.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from verl.utils import hf_tokenizer
from verl.utils.torch_dtypes import PrecisionType
from verl.workers.rollout.replica import TokenOutput

from aflow_verl.models.decoding import BatchDecoder, Row
from trainer.launch.environment import THREADS
from trainer.rollout.weights import WeightUpdate


class TransformersServer:
    """Serves one copy of the policy. Ray turns it into an actor (see ``replica``)."""

    GATHER_SECONDS = 0.01
    """How long the first request of an idle server waits for company."""

    def __init__(self, config: Any, model_config: Any, replica_rank: int) -> None:
        torch.set_num_threads(int(os.environ.get(THREADS, "1")))
        self._config = config
        self._replica_rank = replica_rank
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = _load(config, model_config).to(self._device).eval()
        tokenizer = hf_tokenizer(model_config.path, trust_remote_code=model_config.get("trust_remote_code", False))
        self._decoder = BatchDecoder(self._model, tokenizer)
        self._update = WeightUpdate(self._model)
        self._global_steps: int | None = None
        self._relative_change = float("nan")
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self._open.set()

    async def ready(self) -> str:
        """A name for verl's load balancer; no port is opened."""
        return f"transformers-{self._replica_rank}:0"

    async def generate(
        self,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        request_id: str,
        image_data: Any = None,
        video_data: Any = None,
        **_: Any,
    ) -> TokenOutput:
        """One reply with its log-probabilities; ``extra_fields`` name the weights that produced it."""
        await self._open.wait()
        row = self._row(prompt_ids, sampling_params)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._serve())
        await future
        return TokenOutput(
            token_ids=row.token_ids if row.end_id is None else [*row.token_ids, row.end_id],
            log_probs=row.log_probs,
            stop_reason="completed",
            num_preempted=0,
            extra_fields={"global_steps": self._global_steps},
        )

    def _row(self, prompt_ids: list[int], params: dict[str, Any]) -> Row:
        if int(params.get("top_k", -1)) > 0:
            raise ValueError("the transformers rollout has no top-k; set actor_rollout_ref.rollout.top_k=-1")
        limit = params.get("max_tokens") or params.get("max_new_tokens") or self._config.response_length
        allowed = params.get("allowed_token_ids")
        return Row(
            prompt_ids=tuple(prompt_ids),
            temperature=float(params.get("temperature", 1.0)),
            top_p=float(params.get("top_p", 1.0)),
            max_tokens=int(limit),
            generator=torch.Generator().manual_seed(int(params.get("seed") or 0)),
            allowed_ids=None if allowed is None else tuple(allowed),
            record_log_probs=True,
        )

    async def _serve(self) -> None:
        await asyncio.sleep(self.GATHER_SECONDS)
        while self._waiting:
            size = int(self._config.max_num_seqs)
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            try:
                await asyncio.to_thread(self._decoder.run, [row for row, _ in batch])
            except Exception as error:
                self._decoder.reset()
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for _, future in batch:
                if not future.done():
                    future.set_result(None)

    async def receive_weights(self, named: dict[str, torch.Tensor]) -> None:
        """Take over some of the policy's weights; ``finish_update`` follows the last part.

        Raises:
            RuntimeError: the model has no parameter of such a name.
        """
        await asyncio.to_thread(self._update.take, named)

    async def finish_update(self, global_steps: int | None = None) -> float:
        """The policy's weights are complete.

        Returns:
            Relative change ``|new - old| / |old|`` (Frobenius norms over all parameters).

        Raises:
            RuntimeError: a parameter did not arrive (tied output embeddings aside).
        """
        self._relative_change = self._update.finish()
        self._update = WeightUpdate(self._model)
        if global_steps is not None:
            self._global_steps = global_steps
        return self._relative_change

    async def relative_change(self) -> float:
        """What the last weight sync changed; NaN before the first."""
        return self._relative_change

    async def abort_all_requests(self, reject_request: bool = False) -> dict[str, Any]:
        """Hold new requests until ``resume_generation``; those under way finish."""
        self._open.clear()
        return {"aborted_count": 0, "request_ids": []}

    async def resume_generation(self) -> None:
        self._open.set()

    async def set_global_steps(self, global_steps: int) -> None:
        self._global_steps = global_steps

    async def wake_up(self, tags: list[str] | None = None) -> None:
        """Nothing sleeps here: the weights stay where they are, and no cache outlives a batch."""

    async def sleep(self) -> None:
        """See ``wake_up``."""

    async def clear_kv_cache(self) -> None:
        """See ``wake_up``."""

    async def release_kv_cache(self) -> None:
        """See ``wake_up``."""

    async def resume_kv_cache(self) -> None:
        """See ``wake_up``."""

    async def start_profile(self, **_: Any) -> None:
        """Not profiled."""

    async def stop_profile(self) -> None:
        """Not profiled."""


def _load(config: Any, model_config: Any) -> Any:
    """The policy's architecture; its weights too, unless ``load_format`` is dummy (the first sync brings them)."""
    path = model_config.path
    trust = model_config.get("trust_remote_code", False)
    dtype = PrecisionType.to_dtype(config.dtype)
    hf_config = AutoConfig.from_pretrained(path, attn_implementation="sdpa", trust_remote_code=trust)
    if "dummy" in config.load_format:
        return AutoModelForCausalLM.from_config(hf_config, dtype=dtype, trust_remote_code=trust)
    return AutoModelForCausalLM.from_pretrained(path, config=hf_config, dtype=dtype, trust_remote_code=trust)
