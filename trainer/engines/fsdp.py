"""FSDP engines of verl, on GPUs and, over gloo, on CPUs: log-probabilities of restricted decoding, and value heads that
start at zero.

Registered with verl's ``EngineRegistry``, on NVIDIA GPUs under their vendor key, which verl looks up before its own
default.
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict
from transformers import AutoModelForTokenClassification
from verl.utils import tensordict_utils as tu
from verl.utils.torch_dtypes import PrecisionType
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

from trainer.engines.legal_tokens import LEGAL_MASS, legal_positions, restrict_
from trainer.engines.value_head import ZeroValueHeadMixin


class LegalTokensMixin:
    """Masks the logits of restricted rows before verl turns them into log-probabilities and entropies."""

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: TensorDict, logits_processor_func: Any
    ) -> dict[str, Any]:
        log_mass = None
        if "extra_fields" in micro_batch:
            log_mass = _restrict_micro_batch(output, micro_batch)
        model_output: dict[str, Any] = super().prepare_model_outputs(  # type: ignore[misc]
            output, output_args, micro_batch, logits_processor_func
        )
        if log_mass is not None:
            model_output[LEGAL_MASS] = log_mass
        return model_output


def _restrict_micro_batch(output: Any, micro_batch: TensorDict) -> torch.Tensor:
    """Mask ``output.logits`` in place; return the legal mass as a jagged tensor aligned with ``input_ids``."""
    offsets = micro_batch["input_ids"].offsets()
    prompt_lengths = micro_batch["prompts"].offsets().diff().tolist()
    response_lengths = micro_batch["responses"].offsets().diff().tolist()
    fields = [getattr(item, "data", item) for item in micro_batch["extra_fields"]]
    where = legal_positions(fields, prompt_lengths, response_lengths)
    mass_N = torch.full((int(offsets[-1]),), float("nan"), device=offsets.device)
    if where.row:
        if tu.get_non_tensor_data(data=micro_batch, key="use_fused_kernels", default=False):
            raise NotImplementedError("restricted decoding needs the logits; set model.use_fused_kernels=false")
        row, column = torch.tensor(where.row), torch.tensor(where.column)
        packed_K = offsets.cpu()[row] + column
        padded = not tu.get_non_tensor_data(data=micro_batch, key="use_remove_padding", default=True)
        logits = output.logits
        index_K = row * logits.shape[1] + column if padded else packed_K
        log_mass_K = restrict_(logits.view(-1, logits.shape[-1]), index_K.to(logits.device), where.token_ids)
        mass_N[packed_K.to(mass_N.device)] = log_mass_K.exp().to(mass_N.device)
    return torch.nested.nested_tensor_from_jagged(mass_N, offsets)


class _OnCPU:
    """What FSDP2 needs on a CPU."""

    def _build_fsdp_module(self, module: torch.nn.Module) -> torch.nn.Module:
        # A forward-only engine (the reference policy) would be offloaded to pinned memory, and pinning needs a CUDA
        # driver. On a CPU there is nowhere to offload to.
        config = self.engine_config  # type: ignore[attr-defined]
        forward_only, config.forward_only = config.forward_only, False
        try:
            return super()._build_fsdp_module(module)  # type: ignore[misc]
        finally:
            config.forward_only = forward_only


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor="nvidia")
class LegalTokensEngine(LegalTokensMixin, FSDPEngineWithLMHead):
    """The policy's engine on NVIDIA GPUs."""


@EngineRegistry.register(model_type="value_model", backend=["fsdp", "fsdp2"], device="cuda", vendor="nvidia")
class ZeroHeadEngine(ZeroValueHeadMixin, FSDPEngineWithValueHead):
    """The critic's engine on NVIDIA GPUs."""


@EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")
class CPUEngineWithLMHead(LegalTokensMixin, _OnCPU, FSDPEngineWithLMHead):
    """The policy's engine on a CPU."""


class _ValueModelOnCPU(_OnCPU, FSDPEngineWithValueHead):
    def _build_module(self) -> torch.nn.Module:
        # verl's loader of value models asks for flash-attention, which no CPU has.
        model_config = self.model_config
        dtype = PrecisionType.to_dtype(self.engine_config.model_dtype or "fp32")
        hf_config = model_config.hf_config
        hf_config.num_labels = 1
        hf_config.classifier_dropout = 0.0
        module: torch.nn.Module = AutoModelForTokenClassification.from_pretrained(
            str(model_config.local_path),
            dtype=dtype,
            config=hf_config,
            attn_implementation=model_config.override_config.get("attn_implementation", "sdpa"),
            trust_remote_code=model_config.trust_remote_code,
        )
        if model_config.enable_gradient_checkpointing:
            module.gradient_checkpointing_enable(  # type: ignore[operator]
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        return module


@EngineRegistry.register(model_type="value_model", backend=["fsdp2"], device="cpu")
class CPUEngineWithValueHead(ZeroValueHeadMixin, _ValueModelOnCPU):
    """The critic's engine on a CPU."""
