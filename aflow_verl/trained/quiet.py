"""Libraries that speak between our lines, told not to for a while."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

MESH = logging.getLogger("torch.distributed.device_mesh")
"""It warns that shards are read without their process group, which is what is meant."""


@contextmanager
def quietly() -> Iterator[None]:
    """Without progress bars of transformers, and without that warning."""
    level = MESH.level
    MESH.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.enable_progress_bar()
        MESH.setLevel(level)
