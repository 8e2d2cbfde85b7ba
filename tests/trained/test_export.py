"""Weights as transformers directories: the same bits, written once, whole or not at all."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

from aflow_verl.commands.export_checkpoint import main
from aflow_verl.errors import UserError
from aflow_verl.trained.export import export_checkpoint, write_model
from aflow_verl.trained.training import CARD, find_trained


def same(module, expected) -> bool:
    mine, theirs = module.state_dict(), expected.state_dict()
    return mine.keys() == theirs.keys() and all(
        torch.equal(mine[name], theirs[name]) and mine[name].dtype == theirs[name].dtype for name in theirs
    )


def test_policy_and_critic_are_those_of_the_checkpoint(exported, training, tiny_policy):
    policy = AutoModelForCausalLM.from_pretrained(exported.folder / "policy")
    assert same(policy, training.policy)
    assert policy.config.architectures == ["Qwen2ForCausalLM"]
    critic = AutoModelForTokenClassification.from_pretrained(exported.folder / "critic")
    assert same(critic, training.critic)
    assert critic.config.architectures == ["Qwen2ForTokenClassification"]
    text = "edit 3"
    tokenizer = AutoTokenizer.from_pretrained(exported.folder / "policy")
    assert tokenizer(text).input_ids == AutoTokenizer.from_pretrained(tiny_policy)(text).input_ids
    assert tokenizer.chat_template


def test_tied_embeddings_stay_tied_and_a_dtype_stays(verl_files, tiny_policy, tmp_path):
    config = AutoConfig.from_pretrained(tiny_policy, tie_word_embeddings=True)
    module = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    verl_files.write_shards(tmp_path / "actor", module.state_dict(), 2)
    config.save_pretrained(tmp_path / "actor" / "huggingface")
    write_model(tmp_path / "actor", tmp_path / "out", value=False)
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert same(found, module)
    assert found.lm_head.weight is found.model.embed_tokens.weight


def test_what_was_cut_short_is_done_again_and_what_is_whole_is_kept(training, tmp_path):
    found, said = find_trained(training.run_dir), []
    first = export_checkpoint(found, tmp_path / "out", say=said.append)
    assert sorted(path.name for path in first.folder.iterdir()) == [".source", "critic", "policy", CARD]
    assert [line.split(" of ")[0] for line in said] == ["converting the policy", "converting the critic"]
    (first.folder / CARD).unlink()  # killed within the second half
    (first.folder / "critic").rename(first.folder / ".critic.partial")
    (first.folder / ".critic.partial" / "model.safetensors").write_text("half")
    written = (first.folder / "policy" / "model.safetensors").stat().st_mtime_ns
    assert export_checkpoint(found, tmp_path / "out") == first == export_checkpoint(found, tmp_path / "out")
    assert (first.folder / "policy" / "model.safetensors").stat().st_mtime_ns == written
    assert sorted(path.name for path in first.folder.iterdir()) == [".source", "critic", "policy", CARD]


def test_halves_of_two_checkpoints_are_never_mixed(training, tmp_path):
    """The training has gone on since the first half was written."""
    found = find_trained(training.run_dir)
    (tmp_path / "policy").mkdir()
    (tmp_path / ".source").write_text("another checkpoint")
    export_checkpoint(found, tmp_path)
    assert (tmp_path / "policy" / "model.safetensors").is_file()


def test_the_policy_alone(training, tmp_path):
    alone = export_checkpoint(find_trained(training.run_dir), tmp_path, critic=False)
    assert not alone.has_critic
    assert not (tmp_path / "critic").exists()
    with pytest.raises(UserError, match="name a new directory"):
        export_checkpoint(find_trained(training.run_dir), tmp_path)


def test_what_is_refused(training, exported, tmp_path, verl_files):
    found = find_trained(training.run_dir)
    with pytest.raises(UserError, match="is exported already"):
        export_checkpoint(exported, tmp_path)
    with pytest.raises(UserError, match="holds the weights of"):
        export_checkpoint(replace(found, step=4), exported.folder)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="holds other files"):
        export_checkpoint(found, tmp_path)
    with pytest.raises(UserError, match="can't be written: Not a directory"):
        export_checkpoint(found, tmp_path / "notes.txt" / "out")
    shutil.copytree(training.checkpoint / "critic", tmp_path / "critic")
    with pytest.raises(UserError, match="its weights are not those of its configuration"):
        write_model(tmp_path / "critic", tmp_path / "out", value=False)
    (tmp_path / "critic" / "huggingface" / "config.json").write_text(json.dumps({"model_type": "unheard_of"}))
    with pytest.raises(UserError, match="huggingface: "):
        write_model(tmp_path / "critic", tmp_path / "out", value=True)


def test_the_command(training, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(training.run_dir), "--step", "3", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"step 3: {out / 'policy'}, {out / 'critic'}"
    assert find_trained(out).step == 3
    for words, message in (
        ([str(tmp_path), "--out", str(out)], "is no run directory of a training"),
        ([str(training.run_dir), "--step", "last", "--out", str(out)], "'last' is no training step"),
        ([str(training.run_dir)], "the following arguments are required: --out"),
    ):
        assert main(words) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
