"""What the critic learns, and where: two positions of a reply, each half of its row's loss.

    V at the last prompt token         target v    what editing this workflow can reach
    Q at the last trained position     target q    what this edit can reach
    L = mean over rows of 1/2 (1/2 max((V - v)^2, (V_clipped - v)^2) + 1/2 max((Q - q)^2, (Q_clipped - q)^2))

verl's value of response position t is the one at the token before it, so that V is read at the first response position
and Q at the last: in a one-token reply [label, end of turn] these are all there are. verl's own loss counts every
position of a reply alike; V would then be one part in a thousand of what a long reply teaches.

Dimension letters: B rows, T response positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from verl.workers.utils.losses import value_loss
from verl.workers.utils.padding import response_to_nested


def ends(response_mask_BT: Tensor) -> Tensor:
    """[B, T] 1 at the first and at the last response position of each row, in the mask's type; 0 for empty rows.

    A reply of one token has one such position.
    """
    counts_BT = response_mask_BT.bool()
    first_BT = counts_BT & (counts_BT.cumsum(-1) == 1)
    last_BT = counts_BT & (counts_BT.flip(-1).cumsum(-1).flip(-1) == 1)
    return (first_BT | last_BT).to(response_mask_BT.dtype)


def targets_on_tokens(v_B: Tensor, q_B: Tensor, response_mask_BT: Tensor) -> Tensor:
    """verl's ``returns`` [B, T], float32: v at the first response position, q at all others, 0 outside of replies.

    A reply of one token gets v: nothing was read of it yet. The positions between the two ends are in no loss; q stands
    there for the sake of verl's metrics of returns.
    """
    mask_BT = response_mask_BT.bool()
    first_BT = mask_BT & (mask_BT.cumsum(-1) == 1)
    v_B1, q_B1 = (column.to(response_mask_BT.device, torch.float32)[:, None] for column in (v_B, q_B))
    return torch.where(first_BT, v_B1, q_B1) * mask_BT


@dataclass(frozen=True)
class EndsLoss:
    """verl's clipped value loss over the two ends of each reply; called as verl calls a loss function.

    It stands in the place of verl's critic configuration, of which that loss reads these three values.
    """

    cliprange_value: float
    """How far a value may move in one update; further, there is no gradient."""
    loss_agg_mode: str = "seq-mean-token-mean"
    """Every row weighs the same, whatever ``critic.loss_agg_mode`` says."""
    loss_scale_factor: None = None

    def __call__(
        self, model_output: dict[str, Any], data: TensorDict, dp_group: Any = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """``data``: a micro-batch of verl's, with jagged columns."""
        mask = data["response_mask"]
        counted = data.copy()  # shares the tensors; the caller's mask stays
        counted["response_mask"] = response_to_nested(ends(mask.to_padded_tensor(0)), mask)
        loss, metrics = value_loss(self, model_output, counted, dp_group)  # type: ignore[arg-type]
        return loss, metrics
