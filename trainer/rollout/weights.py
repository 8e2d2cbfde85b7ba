"""One weight sync into a model: parts go out and come in, the whole is checked at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch

BUCKET_BYTES = 64 << 20


def buckets(
    weights: Iterable[tuple[str, torch.Tensor]], dtype: torch.dtype | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """The weights on the CPU, in parts of about ``BUCKET_BYTES``: a whole copy beside the model is a lot of memory.

    Args:
        dtype: what they are sent in; None: what they are in.
    """
    bucket: dict[str, torch.Tensor] = {}
    size = 0
    for name, value in weights:
        bucket[name] = value.detach().to("cpu", dtype)
        size += bucket[name].nbytes
        if size >= BUCKET_BYTES:
            yield bucket
            bucket, size = {}, 0
    if bucket:
        yield bucket


class WeightUpdate:
    """Copies named tensors into a model and measures what they change."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._own = model.state_dict()
        tied = getattr(getattr(model, "config", None), "tie_word_embeddings", False)
        self._missing = set(self._own) - ({"lm_head.weight"} if tied else set())
        self._difference = self._norm = 0.0

    @torch.no_grad()
    def take(self, named: Mapping[str, torch.Tensor]) -> None:
        """Copy one part. Raises RuntimeError for a name that the model lacks."""
        unknown = sorted(set(named) - set(self._own))
        if unknown:
            raise RuntimeError(f"weight sync: unknown {unknown[:5]}")
        for name, value in named.items():
            own = self._own[name]
            old = own.float().clone()
            own.copy_(value)
            self._difference += float((own.float() - old).square().sum())
            self._norm += float(old.square().sum())
        self._missing -= set(named)

    def finish(self) -> float:
        """Relative change |new - old| / |old|. Raises RuntimeError where a parameter did not arrive."""
        if self._missing:
            raise RuntimeError(f"weight sync: missing {sorted(self._missing)[:5]}")
        return float((self._difference / max(self._norm, 1e-30)) ** 0.5)
