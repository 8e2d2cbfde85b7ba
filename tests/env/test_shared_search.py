"""The search that episodes share, without models: planning, merging, targets, the critic's promises, resuming."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aflow_verl.config import AflowConfig, BenchmarkConfig, EnvConfig, SearchConfig, StartConfig
from aflow_verl.env.actions import NO_CONTEXT, Action, Context, Offer
from aflow_verl.env.dataset import make_row
from aflow_verl.env.episode import Episode, EpisodeStart
from aflow_verl.env.shared_search import SharedSearch, StepShape
from aflow_verl.env.workflow_env import EnvSettings, WorkflowEnv
from aflow_verl.errors import InvalidAction
from aflow_verl.jsonl import JsonLines
from aflow_verl.search.replay import ReplayRow
from aflow_verl.search.returns import upper_value
from aflow_verl.search.store import Store
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.state import WorkflowState

GAMMA, PENALTY = 0.9, 0.1
PROBLEMS = tuple(Problem(f"p{k:02d}", f"question {k}", reference="secret", data={"key": "secret"}) for k in range(20))
SOLVED = {"seed": 10, "trap": 14, "plain": 10, "great": 18, "worse": 4}
"""Of the twenty problems, the first so many."""


def state(name: str) -> WorkflowState:
    return WorkflowState("toy", f"class Workflow:\n    name = {name!r}\n", "", ("Custom",))


def evaluation(workflow: WorkflowState, ids: tuple[str, ...]) -> Evaluation:
    name = next(name for name in SOLVED if repr(name) in workflow.code)
    return Evaluation(tuple(Grade(i, float(int(i[1:]) < SOLVED[name]), answer="x") for i in ids))


class Named:
    """A reply names the workflow that it makes; "stop" and "?" do what they say."""

    restricted = False

    def offer(self, workflow: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        return Offer([{"role": "user", "content": f"{workflow.score}"}], None)

    async def read(self, workflow: WorkflowState, reply: str) -> Action:
        if reply == "?":
            raise InvalidAction("no_fields", "unreadable")
        return Action(reply, None if reply == "stop" else state(reply))

    def can_expand(self, workflow: WorkflowState, tried: frozenset[str]) -> bool:
        return True

    def reply_of(self, workflow: WorkflowState, key: str) -> str | None:
        return key


class Run:
    """A run's shared search, and episodes that reply as told."""

    def __init__(self, folder: Path, now: Callable[[Any], Any], *, rows: int = 4, step: int = 0, **env: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        start = env.pop("start", StartConfig(1.0, 0.0, 0.0))
        self.ours = AflowConfig(
            benchmark=(BenchmarkConfig("simulated"),),
            env=EnvConfig(steps=2, start=start, **{"problems": 20, **env}),
            search=SearchConfig(widening_k=100.0, c_ucb=0.0),
        )
        self.now = now
        self.rows = rows
        self.folder = folder
        self.store = Store(folder / "tree.sqlite")
        self.search = SharedSearch(
            self.store,
            JsonLines(folder / "choices.jsonl"),
            {"simulated": state("seed")},
            {"simulated": Named()},
            {"simulated": PROBLEMS},
            self.ours,
            StepShape(rows, 2, GAMMA),
        )
        self.search.resume(step)

    def begin(self, step: int, row: int = 0) -> EpisodeStart:
        given = make_row(0, ("simulated",), self.ours.env.start, (step - 1) * self.rows + row)
        start = self.search.row_start(given, step)
        graded = [evaluation(workflow, tuple(start.weights)) for workflow in self.search.to_grade(start)]
        return self.search.begin(start, "Solve it.", graded)

    def play(self, step: int, row: int, session: int, *replies: str) -> Episode:
        start = self.begin(step, row)
        ids = tuple(start.weights)

        async def grade(workflow: WorkflowState) -> Evaluation:
            return evaluation(workflow, ids)

        settings = EnvSettings(steps=2, invalid_penalty=PENALTY, anchor="state", max_logs=2)
        env = WorkflowEnv(start, session, settings, self.ours.search, Named(), grade, 0)

        async def played() -> None:
            for reply in replies:
                await env.observe()
                await env.step(reply, log_prob=-0.5)

        self.now(played())
        episode = env.episode()
        self.search.finish(f"u{row}", episode)
        return episode

    def merge(self, step: int, *sessions: tuple[str, int]) -> Any:
        return self.search.merge(step, sessions)

    @property
    def tree(self) -> Any:
        return self.search.trees["simulated"]

    def x(self, name: str) -> float:
        return float(self.tree.x(state(name).hash))

    def choices(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "choices.jsonl").read_text().splitlines()]


@pytest.fixture
def run(tmp_path: Path, now: Any) -> Run:
    return Run(tmp_path, now)


def test_a_target_sees_what_another_session_found_below_the_same_child(run: Run) -> None:
    """Session 0 edits on from "plain" and finds "great"; session 1 makes "plain" and stops there."""
    run.play(1, 0, 0, "plain", "great")
    run.play(1, 0, 1, "plain", "stop")
    _, targets, _ = run.merge(1, ("u0", 0), ("u0", 1))
    finder, stopped = targets["u0", 0, 0], targets["u0", 1, 0]
    later = GAMMA * (run.x("great") - run.x("plain"))
    assert later > 0.0
    assert finder.q == stopped.q == pytest.approx(run.x("plain") + later - run.search.centre("simulated"))
    assert finder.step_return == stopped.step_return == pytest.approx(0.0 + later), "the edit itself gained nothing"


def test_a_trap_is_found_out(run: Run) -> None:
    """ "trap" pays at once, 4 of 20 problems; "plain" pays nothing and leads to 8 of 20."""
    run.play(1, 0, 0, "plain", "great")
    run.play(1, 0, 1, "trap", "worse")
    _, targets, _ = run.merge(1, ("u0", 0), ("u0", 1))
    assert targets["u0", 1, 0].step_return == pytest.approx(0.2)
    assert targets["u0", 1, 0].q == pytest.approx(run.x("trap") - run.search.centre("simulated"))
    assert targets["u0", 0, 0].q > 0.0
    great, trap = (run.x(name) - run.x("seed") for name in ("great", "trap"))
    assert great > trap > 0.0
    assert targets["u0", 1, 1].step_return == pytest.approx(-0.5), "from 14 of 20 to 4"


def test_targets_of_invalid_replies_and_of_a_stop(run: Run) -> None:
    run.play(1, 0, 0, "?", "great")
    run.play(1, 0, 1, "stop")
    _, targets, _ = run.merge(1, ("u0", 0), ("u0", 1))
    invalid, made, stop = targets["u0", 0, 0], targets["u0", 0, 1], targets["u0", 1, 0]
    assert (invalid.invalid, invalid.neutral) == (True, False)
    assert (made.invalid, made.neutral) == (False, False)
    assert (stop.invalid, stop.neutral) == (False, True)
    own = run.x("seed") - run.search.centre("simulated")
    assert own == 0.0, "the centre is the seed's score at the first merge"
    assert (invalid.step_return, invalid.q) == (pytest.approx(-PENALTY), pytest.approx(own - PENALTY))
    assert (stop.step_return, stop.q) == (0.0, pytest.approx(own))
    upper = upper_value([run.x("seed"), run.x("great")]) - run.search.centre("simulated")
    assert invalid.v == made.v == stop.v == pytest.approx(upper), "one value of the workflow, whatever the reply"
    gains = [record.gain for record in run.search._experience["simulated"]]
    assert gains == [None, pytest.approx(0.4)], "an invalid reply and an edit; a stop tried nothing"


def test_experience_weighs_problems_as_the_tree_does(tmp_path: Path, now: Any) -> None:
    run = Run(tmp_path, now, problems=8)
    run.play(1, 0, 0, "worse")
    run.merge(1, ("u0", 0))
    run.play(2, 0, 0, "great")
    run.merge(2, ("u0", 0))
    _, record = run.search._experience["simulated"]
    assert record.child == state("great").hash
    weights = run.tree[record.child].weights
    assert len(set(weights.values())) > 1
    gain = run.tree.gain(record.child)
    assert (record.problems, record.gain) == (gain.n, pytest.approx(gain.mean))
    assert record.after == pytest.approx(sum(w * (int(i[1:]) < 18) for i, w in weights.items()) / sum(weights.values()))
    assert record.interval is not None
    assert record.interval[0] < gain.mean < record.interval[1]


def test_a_merge_is_in_the_order_of_keys_and_drops_who_is_not_named(run: Run, tmp_path: Path) -> None:
    run.play(1, 1, 0, "trap")
    run.play(1, 0, 1, "plain")
    run.play(1, 0, 0, "great")
    run.play(1, 0, 7, "worse")
    merged, targets, _ = run.merge(1, ("u1", 0), ("u0", 1), ("u0", 0), ("lost", 3))
    assert list(merged) == [("u0", 0), ("u0", 1), ("u1", 0)]
    assert {key[:2] for key in targets} == set(merged)
    assert [node.id for node in run.tree] == [state(name).hash for name in ("seed", "great", "plain", "trap")]
    other = Run(tmp_path / "other", run.now)
    other.play(1, 0, 0, "great")
    other.play(1, 0, 1, "plain")
    other.play(1, 1, 0, "trap")
    other.merge(1, ("u0", 0), ("u0", 1), ("u1", 0))
    assert list(other.tree) == list(run.tree), "the order in which they finished leaves no trace"
    assert other.tree.estimates() == run.tree.estimates()


def test_a_rows_workflow_and_its_parent_are_graded_once_and_join_the_tree(tmp_path: Path, now: Any) -> None:
    run = Run(tmp_path, now, problems=8)
    run.play(1, 0, 0, "great")
    run.merge(1, ("u0", 0))
    assert len(run.tree.root.grades) == len(run.tree[state("great").hash].grades) == 8
    start = run.search.row_start(make_row(0, ("simulated",), run.ours.env.start, run.rows), 2)
    assert start.node_id == state("great").hash, "it leads"
    assert run.search.to_grade(start) == [state("great"), state("seed")]
    episode = run.play(2, 0, 0, "stop")
    run.merge(2, ("u0", 0))
    grades = {name: run.tree[state(name).hash].grades for name in ("seed", "great")}
    assert set(grades["seed"]) == set(grades["great"])
    assert len(grades["seed"]) > 8
    assert run.tree.gain(state("great").hash).n == len(grades["seed"]), "the gain is known better now"
    assert episode.rewards == (0.0,)


def test_failures_of_the_row_are_what_the_next_prompt_shows(run: Run) -> None:
    run.play(1, 0, 0, "great")
    run.merge(1, ("u0", 0))
    great = run.tree[state("great").hash]
    assert [line.splitlines()[0] for line in great.failures] == ["Problem: question 18", "Problem: question 19"]
    assert run.tree.root.failures
    assert "secret" not in "".join((*great.failures, *run.tree.root.failures))


def test_a_start_takes_one_workflow_along_and_no_reference(run: Run) -> None:
    run.play(1, 0, 0, "great", "plain")
    run.merge(1, ("u0", 0))
    start = run.begin(2)
    assert len(start.tree) == 1
    assert start.tree.x(start.tree.root_id) == run.tree.x(start.tree.root_id)
    assert start.tree.tried(start.tree.root_id) == {"plain"}
    assert [line.split(": ")[1] for line in start.experience] == ["plain"]
    assert b"secret" not in pickle.dumps(start)
    assert start.graded == evaluation(state("great"), tuple(start.weights))


def test_a_root_or_random_start_knows_nothing_of_what_was_tried(tmp_path: Path, now: Any) -> None:
    for kind, start in (("root", StartConfig(0.0, 1.0, 0.0)), ("random", StartConfig(0.0, 0.0, 1.0))):
        run = Run(tmp_path / kind, now, start=start)
        run.play(1, 0, 0, "great", "plain")
        run.merge(1, ("u0", 0))
        begun = [run.begin(2, row) for row in range(4)]
        assert all(found.start == kind for found in begun)
        assert all(found.tree.tried(found.tree.root_id) == frozenset() for found in begun)
        assert all(found.experience == () for found in begun)
        assert all(found.lessons for found in begun), "but of what kinds of edit did"
        if kind == "root":
            assert {found.tree.root_id for found in begun} == {run.tree.root_id}
        assert run.search.plan_choices == []


def test_choices_hold_the_rows_and_the_edits_in_small_lines(run: Run) -> None:
    run.play(1, 1, 0, "trap", "stop")
    run.play(1, 0, 0, "great")
    run.merge(1, ("u0", 0), ("u1", 0))
    lines = run.choices()
    assert [(line["row"], line.get("session"), line.get("t")) for line in lines] == [
        (0, None, None),
        (1, None, None),
        (0, 0, 0),
        (1, 0, 0),
        (1, 0, 1),
    ]
    assert all(len(json.dumps(line)) < 1500 for line in lines)
    assert all(line["step"] == 1 for line in lines)


def test_in_how_many_rows_a_gain_was_possible(tmp_path: Path, now: Any) -> None:
    run = Run(tmp_path, now)
    run.play(1, 0, 0, "great")
    assert run.merge(1, ("u0", 0))[2] == 1.0
    SOLVED["perfect"] = 20
    try:
        run.play(2, 0, 0, "perfect")
        run.merge(2, ("u0", 0))
        for row in range(4):
            run.play(3, row, 0, "stop")
        _, _, share = run.merge(3, *((f"u{row}", 0) for row in range(4)))
        perfect = sum(line["node"] == state("perfect").hash for line in run.choices() if "session" not in line)
        assert perfect > 0
        assert share == 1.0 - sum(c["node"] == state("perfect").hash for c in run.search.plan_choices) / 4
    finally:
        del SOLVED["perfect"]
    assert run.merge(9)[2] == 0.0


def published(run: Run, step: int, values: dict[str, float]) -> None:
    run.search.publish(step, {state(name).hash: value for name, value in values.items()}, {})


def test_promises_are_absolute_and_kept_until_scored_anew(run: Run) -> None:
    run.play(1, 0, 0, "great", "plain")
    run.merge(1, ("u0", 0))
    published(run, 1, {"seed": 0.1, "great": 0.2})
    centre = run.search.centre("simulated")
    q = run.search.q
    assert q is not None
    assert q.values == {state("seed").hash: centre + 0.1, state("great").hash: centre + 0.2}
    published(run, 2, {"great": 0.3})
    q = run.search.q
    assert q is not None
    assert q.values == {state("seed").hash: centre + 0.1, state("great").hash: centre + 0.3}
    assert (q.weights_step, q.stale) == (2, {state("seed").hash: 1})
    published(run, 3, {"great": 0.3})
    assert run.search.q is not None
    assert run.search.q.stale == {state("seed").hash: 1}, "the step of its weights, not of the last export but one"


def test_an_episode_is_given_the_promise_of_its_workflow(run: Run) -> None:
    run.play(1, 0, 0, "great", "plain")
    run.merge(1, ("u0", 0))
    assert run.begin(2).q is None
    published(run, 1, {"seed": 0.1})
    start = run.begin(2)
    assert start.q is not None
    assert start.tree.root_id == state("great").hash
    assert start.q.values == {state("great").hash: run.search.centre("simulated") + 0.1}, "inherited from its parent"


def contents(run: Run) -> Any:
    search = run.search
    return list(run.tree), run.tree.estimates(), search.q, search.centres(), [*search._experience["simulated"]]


def test_a_resume_goes_back_to_its_step(tmp_path: Path, now: Any) -> None:
    run = Run(tmp_path, now)
    said: dict[Any, Any] = {}
    after: list[Any] = []
    for step, replies in enumerate((("great", "plain"), ("trap",), ("worse", "?")), start=1):
        run.play(step, 0, 0, *replies)
        _, targets, _ = run.merge(step, ("u0", 0))
        said = {key: (target.v, target.q) for key, target in targets.items()}
        run.search.keep_rows(step, {key: ReplayRow((step,), (key[2], 2), 0.1, 0.2) for key in targets})
        run.search.publish(step, {node.id: 0.01 * step for node in run.tree}, said)
        after.append((contents(run), list(run.search.predictions._kept), list(run.search.replay._keys)))
    lines = run.choices()
    run.store.close()
    for step in (3, 2, 1):
        again = Run(tmp_path, now, step=step)
        found = (contents(again), list(again.search.predictions._kept), list(again.search.replay._keys))
        assert found == after[step - 1]
        assert again.choices() == [line for line in lines if line["step"] <= step]
        again.store.close()
    fresh = Run(tmp_path, now, step=0)
    assert (len(fresh.tree), fresh.search.q, fresh.search.centres()) == (1, None, {})
    assert fresh.choices() == []


def test_a_step_that_was_not_merged_leaves_no_trace(tmp_path: Path, now: Any) -> None:
    run = Run(tmp_path, now)
    run.play(1, 0, 0, "great")
    run.merge(1, ("u0", 0))
    before = list(run.tree)
    run.play(2, 0, 0, "plain")
    run.store.close()
    again = Run(tmp_path, now, step=1)
    assert list(again.tree) == before
    again.play(2, 0, 0, "trap")
    again.merge(2, ("u0", 0))
    assert state("plain").hash not in again.tree
    assert state("trap").hash in again.tree


def test_what_a_start_weighs_does_not_grow_with_the_tree(tmp_path: Path, now: Any) -> None:
    run = Run(tmp_path, now)
    run.play(1, 0, 0, "great", "plain")
    run.merge(1, ("u0", 0))
    small = len(pickle.dumps(run.begin(2)))
    overlay = run.tree.overlay()
    for number in range(3000):  # below a workflow that the row does not edit
        many = WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))
        overlay.add_child(state("plain").hash, many, f"edit {number}", {"p00": 0.0, "p01": 0.0})
    run.search.trees["simulated"] = overlay.frozen()
    run.search._begin()
    start = run.begin(2)
    assert start.tree.root_id == state("great").hash
    assert len(pickle.dumps(start)) < small + 1500
    published(run, 1, {"great": 0.1, **dict.fromkeys(("seed", "plain"), 0.1)})
    assert len(pickle.dumps(run.begin(2))) < small + 1500
