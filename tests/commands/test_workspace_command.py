"""``aflow-verl workspace`` and ``aflow-verl evaluate`` on files of AFlow's."""

import json

import pytest

from aflow_verl.workflow.state import SEED_CODE


def write_rounds(folder, dataset, rounds):
    for number in range(1, rounds + 1):
        place = folder / dataset / "workflows" / f"round_{number}"
        place.mkdir(parents=True)
        instruction = f"prompt_custom.STEP_{number}" if number > 1 else '""'
        (place / "graph.py").write_text(SEED_CODE.replace('instruction=""', f"instruction={instruction}"))
        (place / "prompt.py").write_text(f'STEP_{number} = "Step {number}."\n' if number > 1 else "")
        if number > 1:
            made = {"father node": 1, "modification": f"step {number}", "before": 0.5, "after": 0.5, "succeed": False}
            (place / "experience.json").write_text(json.dumps(made))
    rows = [{"round": n, "score": 0.5, "avg_cost": 0.0, "total_cost": 0.0, "time": ""} for n in range(1, rounds + 1)]
    (folder / dataset / "workflows" / "results.json").write_text(json.dumps(rows))


async def test_a_workspace_goes_in_is_searched_and_comes_out(command, recipe, tmp_path):
    write_rounds(tmp_path / "aflow", "simulated", 3)
    (tmp_path / "aflow" / "simulated" / "workflows" / "round_3" / "prompt.py").write_bytes(b"\xff")
    run_dir, operators = tmp_path / "run", "Custom,ScEnsemble,Programmer"
    words = ["workspace", "import", tmp_path / "aflow", run_dir]
    assert "no dataset of AFlow's" in (await command(*words)).err
    assert "no operator 'Custm'; did you mean Custom?" in (await command(*words, "--operators", "Custm")).err
    taken = await command(*words, "--operators", operators)
    assert taken.code == 0, taken.err
    assert "note: round_3/prompt.py: not UTF-8 text" in taken.out
    assert "simulated: 3 rounds, 3 different workflows" in taken.out

    searched = await command("search", recipe, f"run_dir={run_dir}", "--rounds", 1)
    assert searched.code == 0, searched.err
    given = await command("workspace", "export", run_dir, tmp_path / "back")
    assert given.code == 0, given.err
    out = tmp_path / "back" / "simulated" / "workflows"
    assert "Step 2." in (out / "round_2" / "prompt.py").read_text()
    assert {row["round"] for row in json.loads((out / "results.json").read_text())} >= {1, 2, 3}
    refused = await command("workspace", "export", run_dir, tmp_path / "back")
    assert refused.code == 2
    assert "exists already" in refused.err


async def test_a_workspace_in_a_database_of_several_runs(command, recipe, tmp_path):
    write_rounds(tmp_path / "aflow", "simulated", 2)
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    for name in ("one", "two"):
        given = ("import", tmp_path / "aflow", tmp_path / name, "--operators", "Custom,ScEnsemble,Programmer")
        taken = await command("workspace", *given, "--store", url)
        assert taken.code == 0, taken.err
        assert f"store.url={tmp_path / 'shared.sqlite'}" in taken.out
    searched = await command("search", recipe, f"run_dir={tmp_path / 'one'}", f"store.url={url}", "--rounds", 1)
    assert searched.code == 0, searched.err
    written = await command("workspace", "export", tmp_path / "one", tmp_path / "back_one")
    assert "3 rounds in" in written.out, written.err
    written = await command("workspace", "export", tmp_path / "two", tmp_path / "back_two", "--store", url)
    assert "2 rounds in" in written.out, written.err
    missing = await command("workspace", "export", tmp_path / "three", tmp_path / "back_three")
    assert "three: no run directory: it has no store" in missing.err


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class Flow:\n    pass\n", "the graph needs a class Workflow"),
        (SEED_CODE.replace("Custom", "Custm"), "no operator 'Custm'"),
        (SEED_CODE.replace('""', "prompt_custom.MISSING"), "prompt_custom.MISSING is not defined"),
    ],
)
async def test_a_workflow_that_cannot_run_is_refused(command, tmp_path, code, message):
    (tmp_path / "graph.py").write_text(code)
    outcome = await command("evaluate", tmp_path, "simulated", "--executor", "kind=simulated", "model=ladder")
    assert outcome.code == 2
    assert message in outcome.err


async def test_executors_that_cannot_be_had_are_refused(command, tmp_path):
    (tmp_path / "graph.py").write_text(SEED_CODE)
    local = await command("evaluate", tmp_path, "simulated")
    assert "only the simulated executor knows simulated problems" in local.err
    keyless = await command("evaluate", tmp_path, "simulated", "--executor", "kind=anthropic", "model=claude-haiku-4-5")
    assert (local.code, keyless.code) == (2, 2)
    assert "ANTHROPIC_API_KEY" in keyless.err


async def test_failures_of_a_workflow_are_counted(command, tmp_path):
    (tmp_path / "graph.py").write_text(SEED_CODE.replace("return solution", "return [][1]"))
    outcome = await command(
        "evaluate", tmp_path / "graph.py", "simulated", "--problems", 3, "--budget", "9calls",
        "--executor", "kind=simulated", "model=ladder", "--sandbox", "programs=monty",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "0.000 [0.000, 0.561]" in outcome.out
    assert "failed 3 times: " in outcome.out
