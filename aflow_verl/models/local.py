"""Any transformers causal language model as a client: one worker thread, one continuously batched decoder.

A call joins the running batch as soon as a place is free. Greedy and sampled calls share a batch; a sampled reply is
drawn from a generator of its own, seeded by (seed, fingerprint, messages, sample index), so it doesn't depend on its
batch mates. (Batched matrix products round differently from single ones: two tokens whose logits agree to the last
digits may still swap.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from aflow_verl.errors import RecipeError
from aflow_verl.models.client import request_seed
from aflow_verl.models.decoding import BatchDecoder, Row
from aflow_verl.models.decoding_thread import DecodingThread
from aflow_verl.types import Completion, Message, SamplingParams, Usage

FORMAT_VERSION = 1
"""Part of the fingerprint: raise it when prompts are rendered or replies are cut differently."""


class LocalClient:
    """A model in this process. ``max_batch`` rows decode together; more calls wait in order of arrival."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        fingerprint: str,
        *,
        max_batch: int = 32,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self._tokenizer = tokenizer
        self._context = int(getattr(model.config, "max_position_embeddings", 1 << 20))
        decoder = BatchDecoder(model, tokenizer, share_prefixes=plain_attention(model))
        self._thread = DecodingThread(decoder, max_batch=max_batch, threads=threads)
        self._seed = seed

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_batch: int = 32,
        seed: int = 0,
        threads: int | None = None,
        where: str = "models.executor",
    ) -> LocalClient:
        """Load a checkpoint directory; ``RecipeError`` where it isn't one, or where the device is absent.

        ``where``: the recipe's key of the model, for messages.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        target = pick_device(device, where)
        directory = Path(path).expanduser()
        if not (directory / "config.json").is_file():
            raise RecipeError(f"{where}.model: {directory} has no config.json; name a checkpoint directory")
        try:
            tokenizer = AutoTokenizer.from_pretrained(directory)
            model = AutoModelForCausalLM.from_pretrained(directory, dtype=pick_dtype(dtype, target, where))
        except (OSError, ValueError) as broken:
            reason = str(broken).splitlines()[0]
            raise RecipeError(
                f"{where}.model: {directory} can't be loaded as a causal language model: {reason}"
            ) from None
        if tokenizer.chat_template is None:
            raise RecipeError(f"{where}.model: {directory} has no chat template; name a chat model")
        torch.nn.Module.to(model, target)
        model.eval()
        return cls(
            model, tokenizer, checkpoint_fingerprint(directory, model), max_batch=max_batch, seed=seed, threads=threads
        )

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        """The reply. Raises ``ModelUnavailable`` after ``close`` or when the model fails."""
        row = self._row(messages, params)
        await self._thread.decode(row)
        usage = Usage(prompt_tokens=len(row.prompt_ids), completion_tokens=len(row.token_ids), cost_usd=0.0)
        return Completion(row.text, usage, finish_reason=row.finish_reason or "stop")

    async def close(self) -> None:
        """Stop the worker after its current token; calls in flight fail."""
        await self._thread.close()

    def _row(self, messages: Sequence[Message], params: SamplingParams) -> Row:
        text = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        room = max(1, self._context - params.max_tokens)
        seed = request_seed(self._seed, self.fingerprint, messages, params.sample_index)
        generator = torch.Generator().manual_seed(seed)
        # An over-long prompt loses its beginning: the question and the reply's header stand at the end.
        return Row(tuple(ids[-room:]), params.temperature, params.top_p, params.max_tokens, generator, params.stop)


def pick_device(device: str, where: str = "models.executor") -> torch.device:
    """``auto`` is the GPU if there is one. ``RecipeError`` where a named device is absent."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError:
        raise RecipeError(f"{where}.device: {device!r} is no device; use auto, cpu or cuda") from None
    if target.type == "cuda" and not torch.cuda.is_available():
        raise RecipeError(f"{where}.device: cuda is asked for, but PyTorch sees no GPU here; use auto or cpu")
    return target


def pick_dtype(dtype: str, device: torch.device, where: str = "models.executor") -> torch.dtype:
    """``auto`` is bfloat16 where the hardware multiplies it (GPU, CPU with AMX), else float32.

    Measured with 135M parameters on a CPU without AMX: prefill 40 tokens/s in bfloat16 and 249 in float32.
    """
    if dtype == "auto":
        fast = device.type != "cpu" or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if fast else torch.float32
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in named:
        raise RecipeError(f"{where}.dtype: {dtype!r} is unknown; use auto, {', '.join(named)}")
    return named[dtype]


def checkpoint_fingerprint(directory: Path, model: Any) -> str:
    """Names a checkpoint by content, not by path: its small files, its weights' shapes and a sample of their values."""
    digest = hashlib.sha256()
    for file in sorted(directory.glob("*.json")) + sorted(directory.glob("*.jinja")):
        digest.update(file.name.encode() + file.read_bytes())
    for name, weight in model.named_parameters():
        sample = weight.detach().reshape(-1)[:: max(1, weight.numel() // 64)].float().cpu().numpy()
        digest.update(f"{name}{tuple(weight.shape)}".encode() + sample.tobytes())
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return f"local:{digest.hexdigest()[:16]}:{dtype}:v{FORMAT_VERSION}"


def plain_attention(model: Any) -> bool:
    """True if every layer attends to everything before it, so that rows may be padded between prefix and rest."""
    kinds = getattr(model.config, "layer_types", None)
    return kinds is None or all(kind == "full_attention" for kind in kinds)
