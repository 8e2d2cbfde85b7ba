"""verl's engines in this process: a gloo group of one rank."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import verl  # noqa: F401  loads our plug-ins; in the other order a module of ours would be loaded while half imported
from torch.distributed.tensor import distribute_tensor

from trainer.engines.value_head import value_head


@pytest.fixture(scope="session")
def one_rank() -> Iterator[None]:
    """A process group of one rank, as verl's workers have."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK="0", WORLD_SIZE="1", RAY_LOCAL_WORLD_SIZE="1", LOCAL_RANK="0"
    )
    dist.init_process_group("cpu:gloo")
    yield
    dist.destroy_process_group()


@pytest.fixture
def make_engine(one_rank: None, tiny_policy: Path) -> Callable[..., Any]:
    """Builds one of our CPU engines: ``make_engine("language_model" | "value_model", path=the tiny model)``."""

    def make(model_type: str, path: Path = tiny_policy) -> Any:
        from verl.trainer.config import CheckpointConfig
        from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
        from verl.workers.engine.base import EngineRegistry

        import trainer.engines.fsdp  # noqa: F401  registers

        torch.manual_seed(0)
        model = HFModelConfig(
            path=str(path),
            override_config={"attn_implementation": "sdpa"},
            enable_gradient_checkpointing=False,
        )
        model.model_type = model_type
        precision = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
        engine = EngineRegistry.new(
            model_type=model_type,
            backend="fsdp2",
            model_config=model,
            engine_config=FSDPEngineConfig(
                strategy="fsdp2", model_dtype="fp32", use_torch_compile=False, mixed_precision=precision
            ),
            optimizer_config=FSDPOptimizerConfig(lr=1e-3, total_training_steps=10),
            checkpoint_config=CheckpointConfig(),
        )
        engine.initialize()
        return engine

    return make


@pytest.fixture
def make_critic(make_engine: Callable[..., Any]) -> Callable[[], Any]:
    """Builds a critic's engine whose head is not the zero of a new one, so that it tells positions apart."""

    def make() -> Any:
        engine = make_engine("value_model")
        torch.manual_seed(3)
        with torch.no_grad():
            for parameter in value_head(engine.module)[1].parameters():
                drawn = torch.randn(parameter.shape)
                parameter.copy_(distribute_tensor(drawn, parameter.device_mesh, parameter.placements))
        return engine

    return make
