"""Where the critic's targets stand, and that its loss counts two positions a row, each row the same."""

from typing import Any

import pytest
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu

from trainer.critic_targets import EndsLoss, ends, targets_on_tokens

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_the_ends_of_replies() -> None:
    assert ends(MASK).tolist() == [[1, 0, 0, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_v_stands_first_and_q_last() -> None:
    targets = targets_on_tokens(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([-1.0, -2.0, -3.0, -4.0]), MASK)
    assert targets.tolist() == [[1, -1, -1, -1], [2, -2, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]]
    assert targets.dtype == torch.float32


def _nested(rows: list[list[float]]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def _batch(values: list[list[float]], returns: list[list[float]], mask: list[list[int]], rows: int) -> TensorDict:
    batch = TensorDict(
        {
            "prompts": _nested([[5] for _ in mask]),
            "responses": _nested([[7] * len(row) for row in mask]),
            "values": _nested(values),
            "returns": _nested(returns),
            "response_mask": torch.nested.as_nested_tensor([torch.tensor(row) for row in mask], layout=torch.jagged),
        },
        batch_size=[len(mask)],
    )
    # As the engine does: tokens are those of the whole replies.
    tu.assign_non_tensor(batch, dp_size=1, batch_num_tokens=sum(map(sum, mask)), global_batch_size=rows)
    return batch


def test_loss_by_hand() -> None:
    # Row 0: V = .1 towards .3, Q = .5 towards .2, and .9 in between, which nobody asks for; row 1 has two positions:
    # .2 towards .6 and .1 towards .1. The mini-batch is four rows: one lies in another micro-batch, one is padding.
    #   row 0: (.04 + .09) / 2 = .065    row 1: (.16 + 0) / 2 = .08    loss = .5 (.065 + .08) / 4
    predicted = [[0.1, 0.9, 0.9, 0.5], [0.2, 0.1], [0.7]]
    batch = _batch(predicted, [[0.3, 0.2, 0.2, 0.2], [0.6, 0.1], [0.0]], [[1, 1, 1, 1], [1, 1], [0]], rows=4)
    output = {"values": _nested([[*row, 0.0] for row in predicted])}  # at prompt_len - 1 and on
    before = batch["response_mask"].values().clone()
    loss, metrics = EndsLoss(cliprange_value=0.5)(output, batch)
    assert float(loss) == pytest.approx(0.5 * (0.065 + 0.08) / 4)
    assert metrics["critic/vf_loss"].aggregate() == pytest.approx(float(loss))
    assert metrics["critic/vpred_mean"] == pytest.approx((0.1 + 0.5 + 0.2 + 0.1) / 4)
    assert torch.equal(batch["response_mask"].values(), before), "the mask of others stays"


def test_a_long_reply_weighs_no_more_than_a_short_one() -> None:
    def gradient(length: int) -> Any:
        values = [[0.0] * length, [0.0] * 2]
        raw = torch.zeros(length + 1 + 3, requires_grad=True)
        offsets = torch.tensor([0, length + 1, length + 4])
        output = {"values": torch.nested.nested_tensor_from_jagged(raw, offsets)}
        batch = _batch(values, [[0.4] * length, [0.4] * 2], [[1] * length, [1] * 2], rows=2)
        EndsLoss(cliprange_value=0.5)(output, batch)[0].backward()
        return raw.grad

    for length in (2, 50):
        grad = gradient(length)
        touched = grad.nonzero().flatten().tolist()
        assert touched == [0, length - 1, length + 1, length + 2]
        assert grad[touched].tolist() == pytest.approx([-0.1] * 4)  # (0 - .4) / 2 positions / 2 rows


def test_the_loss_travels_to_the_workers() -> None:
    import pickle

    assert pickle.loads(pickle.dumps(EndsLoss(0.2))) == EndsLoss(0.2)
