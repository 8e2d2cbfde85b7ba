"""``aflow-verl search``, and what can be done with what it finds."""

import json

import pytest

from aflow_verl.commands.arguments import parse_budget
from aflow_verl.errors import UserError


async def test_a_search_ends_with_a_tested_workflow_and_goes_on(command, recipe, tmp_path):
    run_dir = tmp_path / "run"
    first = await command("search", recipe, f"run_dir={run_dir}")
    assert first.code == 0, first.err
    assert [line.split()[0] for line in first.out.splitlines() if "/3 " in line] == ["1/3", "2/3", "3/3"]
    assert "search without training: all rounds are done" in first.out
    score = json.loads((run_dir / "best_workflow" / "score.json").read_text())
    result = json.loads((run_dir / "result.json").read_text())
    assert result["benchmarks"][0]["gain_heldout"] == score["gain"]
    assert result["benchmarks"][0]["seed_heldout"] == score["seed"]["heldout"]
    assert score["gain"]["low"] < score["gain"]["mean"] <= score["gain"]["high"]

    more = await command("search", recipe, f"run_dir={run_dir}", "--rounds", 4)
    assert more.code == 0, more.err
    assert [line.split()[0] for line in more.out.splitlines() if "/4 " in line] == ["4/4"]

    tested = await command(
        "evaluate", run_dir / "best_workflow", "simulated", "--split", "test", "--problems", 8,
        "--executor", "kind=simulated", "model=one_good_edit", "--sandbox", "programs=monty",
    )  # fmt: skip
    assert tested.code == 0, tested.err
    best = json.loads((run_dir / "result.json").read_text())["benchmarks"][0]["best_heldout"]
    assert f"{best['mean']:.3f} [{best['low']:.3f}, {best['high']:.3f}]" in tested.out

    exported = await command("workspace", "export", run_dir, tmp_path / "workspace")
    assert exported.code == 0, exported.err
    folder = tmp_path / "workspace" / "simulated" / "workflows"
    assert (
        json.loads((folder / "results.json").read_text())[0]["score"]
        == result["benchmarks"][0]["seed_validation"]["mean"]
    )
    assert len(list(folder.glob("round_*"))) > 1

    other = await command("search", recipe, f"run_dir={run_dir}", "search.selector=puct")
    assert other.code == 2
    assert "search.selector: is 'puct', and the run in" in other.err


async def test_the_budget_is_kept_and_leaves_room_for_the_test(command, recipe, tmp_path):
    """The seed takes 8 calls, a round 9 and more, the comparison 8 to 16."""
    run_dir = tmp_path / "run"
    small = await command("search", recipe, f"run_dir={run_dir}", "--budget", "45calls", "--rounds", 50)
    assert small.code == 0, small.err
    assert "search without training: the budget is used up" in small.out
    result = json.loads((run_dir / "result.json").read_text())
    assert 0 < result["steps"] < 50
    assert result["benchmarks"][0]["gain_heldout"] is not None
    none = await command("search", recipe, f"run_dir={tmp_path / 'none'}", "--budget", "5calls")
    assert none.code == 2
    assert "budget.calls: " in none.err
    assert "all is kept" in none.err
    assert none.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search"], "the following arguments are required: RECIPE.yaml"),
        (["search", "{}", "standalone.wrkers=2"], "unknown key; did you mean standalone.workers?"),
        (["search", "{}", "trainer.nnodes=2"], "override 'trainer.nnodes=2': trainer.nnodes: is verl's"),
        (["search", "{}", "kind=train"], "kind: stands in the recipe's file only"),
        (["search", "{}", "search.rl_weight=0.5"], "without training there is no critic"),
        (
            ["search", "{}", "experience.replay_fraction=0.5"],
            "experience.replay_fraction: is 0.5, and without training",
        ),
        (
            ["search", "{}", "experience.sampling=best"],
            "experience.sampling: is 'best', and without training nothing is",
        ),
        (["search", "{}", "models.executor.kind=rollout"], "'rollout' is the policy of a training run"),
        (["search", "{}", "--rounds", "0"], "standalone.rounds: 0 is out of range"),
        (["search", "{}", "--budget", "5eur"], "'5eur' is no budget; write 5usd or 200calls"),
        (["search", "{}", "--assume", "gpus=0"], "it goes with --check only"),
        (["search", "{}", "benchmark=[{name:simulated},{name:gsm8k}]"], "a search is of one benchmark"),
        (["search", "recipes/quickstart.yaml"], "kind is not search"),
        (["train", "{}"], "run: aflow-verl search"),
        (["evaluate", "/nowhere", "simulated"], "name AFlow's graph.py or its folder"),
        (["evaluate", "{}", "simulated"], "no Python"),
        (["evaluate", "{}", "gsm"], "no benchmark 'gsm'; did you mean gsm8k?"),
        (["evaluate", "{}", "simulated", "--executor", "kind"], "'kind' is no key=value"),
        (
            ["evaluate", "{}", "simulated", "--executor", "knd=local"],
            "--executor: knd: unknown key; did you mean kind?",
        ),
        (["evaluate", "{}", "simulated", "--executor", "kind=[]]"], "the value can't be read"),
        (["workspace", "export", "/nowhere", "/tmp/x"], "no run directory"),
        (["workspace", "import", "/nowhere", "/tmp/x"], "no AFlow workspace"),
    ],
)
async def test_what_is_refused_is_one_line(command, recipe, words, message):
    outcome = await command(*(word.replace("{}", str(recipe)) for word in words))
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


async def test_check_and_print_start_nothing(command, recipe, tmp_path):
    checked = await command("search", recipe, f"run_dir={tmp_path / 'run'}", "--check")
    assert (checked.code, checked.err) == (0, "")
    assert "all checks passed" in checked.out.splitlines()[-1]
    shown = await command("search", recipe, f"run_dir={tmp_path / 'run'}", "--print")
    printed = tmp_path / "printed.yaml"
    printed.write_text(shown.out)
    assert (await command("search", printed, "--print")).out == shown.out
    assert "trainer" not in shown.out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [("5usd", ("usd", 5.0)), ("$0.5", ("usd", 0.5)), ("2", ("usd", 2.0)), ("200calls", ("calls", 200))],
)
def test_budgets(text, found):
    assert parse_budget(text) == found


@pytest.mark.parametrize("text", ["", "usd", "-1usd", "1.5calls", "5 euros"])
def test_no_budgets(text):
    with pytest.raises(UserError, match="is no budget"):
        parse_budget(text)


async def test_an_editor_that_is_down_stops_the_search_and_loses_nothing(command, recipe, tmp_path):
    down = ["models.editor.base_url=http://127.0.0.1:9/v1", "models.editor.retries=0", "models.editor.patience_s=0.1"]
    run_dir = f"run_dir={tmp_path / 'run'}"
    stopped = await command("search", recipe, run_dir, *down)
    assert stopped.code == 1
    assert "all is kept; the same command with run_dir=" in stopped.err
    assert (await command("search", recipe, run_dir)).code == 0, "where the editor is may change"
