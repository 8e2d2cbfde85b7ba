"""The estimator with its token tensors on a GPU."""

import pytest
import torch

from trainer.gigpo import gigpo_advantage


@pytest.mark.gpu
@pytest.mark.parametrize("ids_device", ["cpu", "cuda"])
@pytest.mark.parametrize("mask_type", [torch.bool, torch.int64, torch.bfloat16])
def test_outputs_lie_beside_the_mask_and_equal_those_of_a_cpu(ids_device: str, mask_type: torch.dtype) -> None:
    rows = torch.arange(64)
    columns = (torch.rand(64, generator=torch.Generator().manual_seed(0)), rows // 16, rows // 4, rows % 4, rows % 3)
    mask_BT = (torch.arange(8)[None, :] <= rows[:, None] % 8).to(mask_type)
    expected = gigpo_advantage(*columns, mask_BT)
    on_device = gigpo_advantage(*(c.to(ids_device) for c in columns), mask_BT.to("cuda"))
    for cpu_BT, gpu_BT in zip(expected, on_device, strict=True):
        assert gpu_BT.device.type == "cuda"
        assert torch.equal(gpu_BT.cpu(), cpu_BT)
