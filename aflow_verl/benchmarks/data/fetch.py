"""Official files from the hub or the web, at the commit or content that the layout names."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from aflow_verl.benchmarks.data.layout import Hub, Url
from aflow_verl.benchmarks.sources import sha256_of
from aflow_verl.errors import UserError

TIMEOUT_S = 60.0
Say = Callable[[str], None]


def fetch(official: Hub | Url, cache: Path, say: Say) -> list[Path]:
    """Local copies of the official files. Raises ``UserError`` where they can't be had."""
    return _hub(official, say) if isinstance(official, Hub) else [_url(official, cache, say)]


def _hub(official: Hub, say: Say) -> list[Path]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # what went wrong is said once, in our own line
    paths = []
    for file in official.files:
        say(f"fetching {file} of {official}")
        try:
            path = hf_hub_download(official.repository, file, repo_type="dataset", revision=official.revision)
        except Exception as failed:  # the hub's client raises a dozen kinds, from httpx's to its own
            raise UserError(f"{official} can't be fetched ({_reason(failed)})") from None
        paths.append(Path(path))
    return paths


def _url(official: Url, cache: Path, say: Say) -> Path:
    """The file, kept under its checksum, so that it is fetched once."""
    target = cache / official.sha256[:12] / official.url.rsplit("/", 1)[-1]
    if sha256_of(target) == official.sha256:
        return target
    say(f"fetching {official.url}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        file = Path(work) / target.name
        try:
            with urllib.request.urlopen(official.url, timeout=TIMEOUT_S) as reply, file.open("wb") as copy:
                while block := reply.read(1 << 20):
                    copy.write(block)
        except (OSError, ValueError) as failed:
            raise UserError(f"{official.url} can't be fetched ({_reason(failed)})") from None
        if sha256_of(file) != official.sha256:
            raise UserError(f"{official.url} is not the file that was expected (its checksum differs)")
        file.replace(target)
    return target


def _reason(failed: BaseException) -> str:
    """The first cause, in short."""
    while (cause := failed.__cause__ or failed.__context__) is not None:
        failed = cause
    return (" ".join(str(failed).split()) or type(failed).__name__)[:160]
