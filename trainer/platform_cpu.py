"""verl's device platform for machines without an accelerator: device ``cpu``, process groups over gloo.

Chosen by ``VERL_PLATFORM=cpu``. Ranks are placed by Ray's ``GPU`` resource, because verl's resource pool counts only
GPU and NPU; the launcher declares as many logical ones as there are ranks.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry


class _CpuDeviceModule(types.ModuleType):
    """What verl calls on ``torch.cuda``, answered for a CPU.

    Not ``torch.cpu`` itself: that one says it is available, and verl then asks it for memory figures it doesn't have.
    """

    def __getattr__(self, name: str) -> Any:  # Stream, stream, current_stream, ...
        return getattr(torch.cpu, name)

    @staticmethod
    def is_available() -> bool:
        """False: verl reads it as "there is an accelerator" and then empties caches that don't exist."""
        return False

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def _nothing(*_: Any, **__: Any) -> None:
        return None

    set_device = synchronize = empty_cache = ipc_collect = reset_peak_memory_stats = _nothing

    @staticmethod
    def memory_allocated(_: Any = None) -> int:
        """Resident memory of this process, in bytes."""
        return int(psutil.Process().memory_info().rss)

    memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated

    @staticmethod
    def mem_get_info(_: Any = None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    @staticmethod
    def get_device_name(_: Any = None) -> str:
        return "CPU"  # a key of verl's table of peak FLOPS

    @staticmethod
    def get_rng_state(*_: Any) -> torch.Tensor:
        return torch.get_rng_state()

    @staticmethod
    def set_rng_state(state: torch.Tensor, *_: Any) -> None:
        torch.set_rng_state(state)

    manual_seed = manual_seed_all = staticmethod(torch.manual_seed)


_DEVICE_MODULE = _CpuDeviceModule("aflow_verl_cpu_device")


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """See the module's docstring."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _DEVICE_MODULE

    def is_available(self) -> bool:
        return True

    def current_device(self) -> torch.device:  # type: ignore[override]  # an int means cuda:<int> to tensor.to()
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None
