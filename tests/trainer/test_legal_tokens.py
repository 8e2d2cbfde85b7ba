"""Restricted decoding from the training side: renormalised log-probabilities, entropies, legal mass, gradients."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from trainer.engines.legal_tokens import legal_positions, restrict_


def test_positions_are_one_before_the_response_token() -> None:
    fields = [{"legal_token_ids": [[4, 5], [2]]}, {"legal_token_ids": []}, {}, {"legal_token_ids": [[7], [2]]}]
    where = legal_positions(fields, [3, 2, 2, 5], [2, 1, 1, 1])
    assert where.row == [0, 0, 3]
    assert where.column == [2, 3, 4]
    assert where.token_ids == [[4, 5], [2], [7]]  # the padding row's second list lies beyond its one response token


def test_restrict_renormalises_and_reports_the_mass() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]]))
    log_mass = restrict_(logits, torch.tensor([0]), [[1, 3]])
    assert math.exp(log_mass[0]) == pytest.approx(0.6)
    assert logits[0].softmax(-1).tolist() == pytest.approx([0.0, 0.2 / 0.6, 0.0, 0.4 / 0.6])
    assert logits[1].softmax(-1).tolist() == pytest.approx([0.25] * 4)


def test_gradients_reach_only_the_legal_logits() -> None:
    leaf = torch.zeros(1, 4, requires_grad=True)
    logits = leaf * 1.0
    restrict_(logits, torch.tensor([0]), [[0, 2]])
    logits.log_softmax(-1)[0, 2].backward()
    assert leaf.grad is not None
    assert leaf.grad[0].tolist() == pytest.approx([-0.5, 0.0, 0.5, 0.0])


def _batch(rows: list[tuple[list[int], list[int], list[list[int]]]], remove_padding: bool) -> TensorDict:
    """Rows of (prompt, response, legal ids per response position) as verl hands them to an engine."""
    from verl.utils import tensordict_utils as tu

    def nest(tensors: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(tensors, layout=torch.jagged)

    whole = [torch.tensor(prompt + response) for prompt, response, _ in rows]
    batch = TensorDict(
        {
            "input_ids": nest(whole),
            "position_ids": nest([torch.arange(len(ids)) for ids in whole]),
            "prompts": nest([torch.tensor(prompt) for prompt, _, _ in rows]),
            "responses": nest([torch.tensor(response) for _, response, _ in rows]),
            "loss_mask": nest([torch.ones(len(response), dtype=torch.int64) for _, response, _ in rows]),
            "extra_fields": NonTensorStack(*[{"legal_token_ids": legal} for _, _, legal in rows]),
        },
        batch_size=[len(rows)],
    )
    tu.assign_non_tensor(
        batch,
        temperature=1.0,
        use_remove_padding=remove_padding,
        use_dynamic_bsz=False,
        micro_batch_size_per_gpu=len(rows),
        calculate_entropy=True,
        use_fused_kernels=False,
    )
    return batch


@pytest.mark.parametrize("remove_padding", [False, True])
def test_engine_log_probabilities_are_those_of_the_restricted_policy(
    make_engine: Callable[..., Any], remove_padding: bool
) -> None:
    engine = make_engine("language_model")
    rows = [
        ([11, 12, 13, 14, 15], [20, 2], [[20, 21, 22], [2]]),
        ([31, 32], [40, 41, 42], []),
        ([51, 52, 53], [60, 2], [[60, 61], [2]]),
    ]
    with engine.eval_mode():
        output = engine.infer_batch(_batch(rows, remove_padding), loss_function=None)["model_output"]
        raw = []
        for prompt, response, _ in rows:
            ids = torch.tensor([prompt + response])
            with torch.no_grad():
                raw.append(engine.module(input_ids=ids).logits[0].log_softmax(-1))
    log_probs, entropy, mass = (output[name].unbind() for name in ("log_probs", "entropy", "legal_mass"))
    for b, (prompt, response, legal) in enumerate(rows):
        for t, token in enumerate(response):
            position = len(prompt) - 1 + t
            want = raw[b][position]
            if legal:
                log_mass = want[legal[t]].logsumexp(-1)
                assert float(mass[b][position]) == pytest.approx(float(log_mass.exp()), abs=1e-5)
                want = want[legal[t]] - log_mass
                expected = want[legal[t].index(token)]
            else:
                assert mass[b][position].isnan()
                expected = want[token]
            assert float(log_probs[b][position]) == pytest.approx(float(expected), abs=2e-5)
            assert float(entropy[b][position]) == pytest.approx(float(-(want.exp() * want).sum()), abs=2e-4)
    assert float(log_probs[0][5]) == pytest.approx(0.0, abs=1e-6)  # a forced end of turn has probability 1
