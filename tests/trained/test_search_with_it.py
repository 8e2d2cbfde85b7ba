"""``aflow-verl search`` with what a training has left, from its checkpoint to a tested workflow."""

import json
import shutil

import pytest

from aflow_verl.commands.search import main
from aflow_verl.search.store import Store
from aflow_verl.standalone.editor import TrainedEditor
from aflow_verl.standalone.history import load_tree, read_ledger

RECIPE = """\
kind: search
benchmark: {{name: simulated, train: 4, validation: 8, heldout: 8}}
search: {{rl_weight: 0.5}}
models:
  executor: {{kind: simulated, model: ladder}}
sandbox: {{programs: monty}}
standalone: {{rounds: 6, trained: {{run: {run}}}}}
"""


@pytest.fixture
def search(training, tmp_path, capsys, monkeypatch):
    """``search("key=value", ...)`` -> (exit code, stdout, stderr), with the training's run directory."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(run=training.run_dir))

    def run(*words: str):
        capsys.readouterr()
        code = main([str(recipe), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def lines(run_dir):
    return [json.loads(line) for line in (run_dir / "choices.jsonl").read_text().splitlines()]


def test_policy_and_critic_search_and_a_resume_changes_nothing(search, training, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    code, out, err = search(f"run_dir={whole}")
    assert code == 0, err
    assert f"edits by the policy of {training.checkpoint}, its critic weighs 0.5 in the choices" in out
    assert "Loading weights" not in out + err
    assert json.loads((whole / "result.json").read_text())["rl_weight"] == 0.5
    assert (whole / "tree.sqlite.good").exists()
    with Store(whole / "tree.sqlite") as store:
        rounds, tree = read_ledger(store), load_tree(store, "simulated", 6)
        assert {record.weights_step for record in store.load_experience("simulated", 6)} == {3}
    assert len(rounds) == 6
    assert all(entry.weights_step == 3 and entry.q is not None and entry.v is not None for entry in rounds)
    assert not any(entry.screened for entry in rounds), "six edits are too few to earn a say"
    children = [node for node in tree if node.parent_id is not None]
    assert len(children) > 2
    assert all(node.logprob < 0 for node in children)
    for line in lines(whole):
        assert line["own_q"] == line["candidates"], "each workflow has a promise of its own"
        assert line["alpha_effective"] == 0.0

    assert search(f"run_dir={halves}", "--rounds", "3")[0] == 0
    kept = halves / "trained" / "policy" / "model.safetensors"
    written = kept.stat().st_mtime_ns
    code, _, err = search(f"run_dir={halves}")
    assert code == 0, err
    assert kept.stat().st_mtime_ns == written, "converted once"
    assert lines(halves) == lines(whole)


def test_a_critic_with_a_say_screens_and_a_resume_changes_nothing(search, tmp_path, monkeypatch):
    monkeypatch.setattr("aflow_verl.trained.critic.confidence", lambda predictions: 0.9)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    words = ("search.screen={nodes: 2, proposals: 2, epsilon: 0.0}",)
    code, _, err = search(f"run_dir={whole}", *words)
    assert code == 0, err
    with Store(whole / "tree.sqlite") as store:
        rounds = read_ledger(store)
    assert [entry.screened for entry in rounds] == [True] * 6
    assert search(f"run_dir={halves}", "--rounds", "3", *words)[0] == 0
    assert search(f"run_dir={halves}", *words)[0] == 0
    assert lines(halves) == lines(whole), "proposals that wait outlive the process"


def test_the_policy_without_its_critic(search, exported, tmp_path):
    run_dir = tmp_path / "run"
    words = (f"run_dir={run_dir}", "search.rl_weight=0", "standalone.workers=2", "standalone.trained.temperature=2")
    code, out, err = search(*words, f"standalone.trained.run={exported.folder}")
    assert code == 0, err
    assert "its critic is not asked" in out
    assert "without its critic" in out
    assert not (run_dir / "trained").exists(), "an export is used where it lies"
    assert {(line["edit_q"], line["weights_step"]) for line in lines(run_dir)} == {(None, 3)}


def test_what_differs_from_the_training_is_refused_or_said(search, training, tmp_path):
    run_dir = f"run_dir={tmp_path / 'run'}"

    def refused(*words: str) -> str:
        code, _, err = search(run_dir, *words)
        assert code == 2
        assert err.count("\n") == 1
        assert not (tmp_path / "run").exists()
        return str(err)

    assert "env.action_format: is 'code', and the policy has learned 'edit'; set it to edit" in refused(
        "env.action_format=code"
    )
    assert "no '/nowhere'; train first" in refused("standalone.trained.run=/nowhere")
    assert "is no run directory of a training" in refused(f"standalone.trained.run={tmp_path}")
    assert "has no checkpoint of step 4; it has 3" in refused("standalone.trained.step=4")
    assert "0 is out of range" in refused("standalone.trained.temperature=0.0")
    assert "without training there is no critic" in refused("standalone.trained.run=null")
    assert "no training is named" in refused(
        "standalone.trained.run=null", "standalone.trained.step=3", "search.rl_weight=0"
    )
    assert "cuda is asked for, and there is no GPU" in refused("standalone.trained.device=cuda")
    alone = shutil.copytree(training.run_dir, tmp_path / "alone", ignore=shutil.ignore_patterns("critic"))
    assert "has no critic; set it to 0, or name a training with critic.enable=true" in refused(
        f"standalone.trained.run={alone}"
    )
    older = shutil.copytree(training.run_dir, tmp_path / "older", ignore=shutil.ignore_patterns("critic.json"))
    code, _, err = search(run_dir, f"standalone.trained.run={older}")
    assert (code, err.count("\n")) == (2, 1)
    assert "no critic.json says what its critic's values are relative to; train for another step" in err
    shutil.rmtree(tmp_path / "run")
    code, out, _ = search(run_dir, "env.operators=[Custom]", "env.samples=[5]", "--check")
    assert code == 0
    assert "the policy was trained with other values of env.operators, env.samples" in out


@pytest.mark.parametrize(("action_format", "why"), [("code", "no_fields"), ("suggest", "editor_no_fields")])
def test_free_text_of_a_policy_that_has_learned_nothing(search, training, tiny_policy, tmp_path, action_format, why):
    """What it writes can't be used, and is drawn again; what it suggests reaches the model that writes the code."""
    learned = shutil.copytree(training.run_dir, tmp_path / "learned")
    recipe = learned / "recipe.resolved.yaml"
    text = recipe.read_text().replace("action_format: edit", f"action_format: {action_format}")
    recipe.write_text(text.replace("max_response_length: 2", "max_response_length: 8"))
    run_dir = tmp_path / "run"
    code, _, err = search(
        f"run_dir={run_dir}",
        f"env.action_format={action_format}",
        f"standalone.trained.run={learned}",
        f"models.editor={{kind: local, model: {tiny_policy}, max_tokens: 4}}",
        "standalone.rounds=1",
        "standalone.redraws=1",
    )
    assert code == 0, err
    with Store(run_dir / "tree.sqlite") as store:
        (entry,) = read_ledger(store)
    assert (entry.child, entry.why, entry.draws) == (None, why, 2)
    assert json.loads((run_dir / "result.json").read_text())["steps"] == 1


async def test_a_policy_that_suggests_has_its_code_written():
    class Policy:
        calls = 2

        async def reply(self, offer, draw):
            return draw

    class Writer:
        calls = 3

        async def write(self, messages):
            return f"code of {messages}"

    editor = TrainedEditor(Policy(), Writer())  # type: ignore[arg-type]
    assert await editor.ask(None, 7) == 7  # type: ignore[arg-type]
    assert await editor.write(["words"]) == "code of ['words']"  # type: ignore[list-item]
    assert editor.calls == 5
    assert TrainedEditor(Policy(), None).calls == 2  # type: ignore[arg-type]
