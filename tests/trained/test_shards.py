"""Shards of FSDP come together bit for bit; what can't be put together is said in one line."""

import pytest
import torch
from torch.distributed.tensor import Partial, Replicate, Shard

from aflow_verl.errors import UserError
from aflow_verl.trained.shards import merge_shards


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_uneven_shards_make_the_whole_tensor(verl_files, tmp_path, ranks):
    generator = torch.Generator().manual_seed(0)
    weights = {
        "matrix": torch.randn(5, 3, generator=generator),
        "bias": torch.randn(1, generator=generator).bfloat16(),  # three of four ranks have nothing of it
    }
    verl_files.write_shards(tmp_path / "actor", weights, ranks)
    found = merge_shards(tmp_path / "actor")
    assert found.keys() == weights.keys()
    for name, weight in weights.items():
        assert found[name].dtype == weight.dtype
        assert torch.equal(found[name], weight)


def test_replicas_of_shards_and_plain_tensors(verl_files, tmp_path):
    """Four ranks, two replicas of two shards; a buffer is the same everywhere."""
    whole, layout = torch.arange(12.0).reshape(4, 3), torch.arange(4).reshape(2, 2)
    for rank in range(4):
        mesh = verl_files.mesh_of(layout, rank)
        shards = {
            "matrix": verl_files.shard(whole, mesh, (Replicate(), Shard(0)), rank % 2, 2),
            "same": verl_files.shard(whole, mesh, (Replicate(), Replicate()), 0, 1),
            "buffer": torch.tensor([1.0, 2.0]),
        }
        torch.save(shards, tmp_path / f"model_world_size_4_rank_{rank}.pt")
    found = merge_shards(tmp_path)
    assert torch.equal(found["matrix"], whole)
    assert torch.equal(found["same"], whole)
    assert found["buffer"].tolist() == [1.0, 2.0]


def test_what_is_refused(verl_files, tmp_path):
    def refused(folder):
        with pytest.raises(UserError) as found:
            merge_shards(folder)
        return str(found.value)

    (tmp_path / "none").mkdir()
    assert "has no weights; train with checkpoint.save_contents" in refused(tmp_path / "none")
    verl_files.write_shards(tmp_path / "two", {"w": torch.ones(4)}, 2)
    (tmp_path / "two" / "model_world_size_2_rank_1.pt").write_bytes(b"PK\x03\x04 torn")
    assert "model_world_size_2_rank_1.pt can't be read" in refused(tmp_path / "two")
    (tmp_path / "two" / "model_world_size_2_rank_1.pt").unlink()
    assert "the weights of 1 of 2 ranks" in refused(tmp_path / "two")
    verl_files.write_shards(tmp_path / "lora", {"layer.lora_A.weight": torch.ones(4)}, 1)
    assert "holds LoRA adapters" in refused(tmp_path / "lora")
    mesh = verl_files.mesh_of(torch.arange(1), 0)
    (tmp_path / "sum").mkdir()
    torch.save(
        {"w": verl_files.shard(torch.ones(4), mesh, (Partial(),), 0, 1)},
        tmp_path / "sum" / "model_world_size_1_rank_0.pt",
    )
    assert "can't be put together here" in refused(tmp_path / "sum")


def test_a_checkpoint_runs_no_code(tmp_path):
    torch.save({"w": print}, tmp_path / "model_world_size_1_rank_0.pt")
    with pytest.raises(UserError, match="can't be read"):
        merge_shards(tmp_path)
