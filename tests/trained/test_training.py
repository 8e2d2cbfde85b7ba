"""What a recipe may name: a run directory, a checkpoint in it, an export; and what it may not."""

import json
import shutil

import pytest

from aflow_verl.config import TrainedConfig
from aflow_verl.errors import UserError
from aflow_verl.trained.training import CARD, FOLDER, find_trained, weights_of


@pytest.fixture
def run_dir(training, tmp_path):
    """A copy with a torn checkpoint behind the whole one."""
    copied = shutil.copytree(training.run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("*.pt"))
    (copied / "checkpoints" / "global_step_12" / "actor").mkdir(parents=True)
    return copied


def test_the_newest_whole_checkpoint_of_a_run(run_dir):
    found = find_trained(run_dir)
    assert (found.step, found.has_critic, found.exported) == (3, True, False)
    assert found.folder == run_dir / "checkpoints" / "global_step_3"
    assert found.manner.action_format == "edit"
    assert found.manner.operators == ("Custom", "ScEnsemble", "Programmer")
    assert (found.manner.max_prompt_tokens, found.manner.temperature, found.manner.gamma) == (512, 1.0, 0.9)
    assert find_trained(run_dir / "checkpoints" / "global_step_3") == found
    assert find_trained(str(run_dir), 3) == found


def test_a_step_is_chosen_and_a_critic_may_be_absent(run_dir):
    newer = run_dir / "checkpoints" / "global_step_12"
    (newer / "complete").touch()
    assert (find_trained(run_dir).step, find_trained(run_dir).has_critic) == (12, False)
    assert find_trained(run_dir, 3).step == 3


def test_checkpoints_that_lie_elsewhere(run_dir):
    (run_dir / "checkpoints").rename(run_dir.parent / "elsewhere")
    recipe = run_dir / "recipe.resolved.yaml"
    recipe.write_text(recipe.read_text().replace("/nowhere/checkpoints", str(run_dir.parent / "elsewhere")))
    assert find_trained(run_dir).step == 3


def test_an_export_says_the_same(exported, training):
    found = find_trained(exported.folder)
    assert found == exported
    assert found.exported
    assert found.source == str(training.checkpoint)
    assert found.manner == find_trained(training.run_dir).manner


def test_what_the_critics_zero_stands_for(run_dir, exported):
    assert find_trained(run_dir).centre("simulated") == find_trained(exported.folder).centre("simulated") == 0.4
    (run_dir / "critic.json").write_text(json.dumps({"centre": {"simulated": 0.4, "gsm8k": 0.9}}))
    found = find_trained(run_dir)
    assert (found.centre("gsm8k"), found.centre("math")) == (0.9, pytest.approx(0.65)), "elsewhere: the mean"
    (run_dir / "critic.json").unlink()
    with pytest.raises(UserError, match=r"no critic.json .*; train for another step with this version"):
        find_trained(run_dir).centre("simulated")
    for damaged in ("[", "{}", '{"centre": 0.4}', '{"centre": {"simulated": "high"}}'):
        (run_dir / "critic.json").write_text(damaged)
        with pytest.raises(UserError, match=r"critic\.json can't be read; train for another step"):
            find_trained(run_dir)


def test_an_export_of_an_earlier_version_has_no_centre(exported, tmp_path):
    card = json.loads((exported.folder / CARD).read_text())
    del card["centre"]
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"no critic.json .*search.rl_weight=0"):
        find_trained(tmp_path).centre("simulated")


def test_a_search_that_has_begun_keeps_its_weights(exported, training, tmp_path):
    """Whatever has become of the training since."""
    shutil.copytree(exported.folder, tmp_path / FOLDER, ignore=shutil.ignore_patterns("*.safetensors"))
    begun = weights_of(TrainedConfig(run="/gone"), tmp_path)
    assert (begun.folder, begun.step) == (tmp_path / FOLDER, 3)
    assert weights_of(TrainedConfig(run=str(training.run_dir)), tmp_path / "new").folder == training.checkpoint


def test_what_is_refused_in_one_line(run_dir, exported, tmp_path):
    def refused(named, step=None):
        with pytest.raises(UserError) as found:
            find_trained(named, step)
        assert "\n" not in str(found.value)
        return str(found.value)

    assert "is no run directory of a training" in refused(tmp_path)
    assert "is no whole checkpoint of ours" in refused(run_dir / "checkpoints" / "global_step_12")
    assert "has no checkpoint of step 5; it has 3" in refused(run_dir, 5)
    assert "is of step 3, not 5" in refused(run_dir / "checkpoints" / "global_step_3", 5)
    assert "is of step 3, not 5" in refused(exported.folder, 5)
    recipe = run_dir / "recipe.resolved.yaml"
    text = recipe.read_text()
    recipe.write_text(text.replace("gamma", "gammas"))
    assert "algorithm.gamma is missing" in refused(run_dir)
    recipe.write_text(text.replace("kind: train", "kind: search"))
    assert "is no run directory of a training" in refused(run_dir)
    recipe.write_text("- [")
    assert "is no run directory of a training" in refused(run_dir)
    recipe.write_text(text)
    shutil.rmtree(run_dir / "checkpoints")
    assert "has no whole checkpoint yet" in refused(run_dir)
    (tmp_path / CARD).write_text(json.dumps({"step": 3}))
    assert "can't be read; export the checkpoint again" in refused(tmp_path)
