"""What prompts show, and that the critic is read on exactly the prompts that episodes show."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from aflow_verl.config import AflowConfig, BenchmarkConfig, EnvConfig, SearchConfig, StartConfig
from aflow_verl.env.actions import ActionFormat, CodeFormat, Context, EditFormat
from aflow_verl.env.dataset import make_row
from aflow_verl.env.prompts import experience_lines, failure_lines, learned_from
from aflow_verl.env.shared_search import SharedSearch, StepShape
from aflow_verl.env.suggest import SuggestFormat
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.env.workflow_env import EnvSettings, WorkflowEnv
from aflow_verl.jsonl import JsonLines
from aflow_verl.operators.catalog import operator_infos
from aflow_verl.search.lessons import Lesson
from aflow_verl.search.store import Store
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Grade, Message, Problem
from aflow_verl.workflow.edits import EditSpace
from aflow_verl.workflow.state import SEED_CODE, WorkflowState, seed_state

OPERATORS = ("Custom", "ScEnsemble", "Programmer")
PROBLEMS = tuple(Problem(f"p{k}", f"question {k}", reference="secret") for k in range(8))
ROWS, GAMMA = 4, 0.9


def _reply(number: int) -> str:
    code = SEED_CODE.replace('instruction=""', f'instruction="Be brief, variant {number}."')
    return f"<modification>variant {number}</modification>\n<graph>\n{code}</graph>\n<prompt>\n</prompt>"


async def _write(messages: list[Message]) -> str:
    return _reply(int(messages[-1]["content"].rsplit(" ", 1)[-1]))


FORMATS: dict[str, ActionFormat] = {
    "edit": EditFormat(EditSpace(operators=OPERATORS), "Solve it."),
    "code": CodeFormat(operator_infos(OPERATORS), "Solve it."),
    "suggest": SuggestFormat(operator_infos(OPERATORS), "Solve it.", _write),
}


def _evaluation(workflow: WorkflowState) -> Evaluation:
    solved = 2 + int(workflow.hash, 16) % 5
    return Evaluation(tuple(Grade(p.id, float(k < solved), answer="x") for k, p in enumerate(PROBLEMS)))


async def _evaluate(workflow: WorkflowState) -> Evaluation:
    return _evaluation(workflow)


def _replies(name: str, offered: tuple[str, ...] | None, number: int) -> str:
    if offered is not None:
        return offered[number % (len(offered) - 1)]
    return _reply(number) if name == "code" else f"Use variant {number}"


@pytest.mark.parametrize("limit", [20_000, 4_200, 600])
@pytest.mark.parametrize("name", FORMATS)
def test_the_critic_is_read_on_the_prompts_of_episodes(
    name: str, limit: int, tmp_path: Path, tiny_policy: Path, now: Any
) -> None:
    """After three steps every row's first prompt is the export's for that workflow, token for token."""
    tokens = PolicyTokens(AutoTokenizer.from_pretrained(tiny_policy), max_prompt_tokens=limit)
    actions = FORMATS[name]
    ours = AflowConfig(
        benchmark=(BenchmarkConfig("simulated"),),
        env=EnvConfig(steps=2, problems=len(PROBLEMS), start=StartConfig(1.0, 0.0, 0.0)),
        search=SearchConfig(),
    )
    search = SharedSearch(
        Store(tmp_path / "tree.sqlite"),
        JsonLines(tmp_path / "choices.jsonl"),
        {"simulated": seed_state("toy", OPERATORS)},
        {"simulated": actions},
        {"simulated": PROBLEMS},
        ours,
        StepShape(ROWS, 2, GAMMA),
    )
    search.resume(0)
    number, compared = 0, 0
    for step in range(1, 5):
        exported = {group.node_id: group.prompt_ids for group in search.to_score(tokens, step - 1)[0]}
        assert set(exported) == {node.id for node in search.trees["simulated"]}
        sessions = []
        for row in range(ROWS):
            begun = search.row_start(make_row(0, ("simulated",), ours.env.start, (step - 1) * ROWS + row), step)
            start = search.begin(begun, "Solve it.", [_evaluation(graded) for graded in search.to_grade(begun)])
            env = WorkflowEnv(start, 0, EnvSettings(2, 0.1, "state", 3), ours.search, actions, _evaluate, 0)
            for t in range(2):
                observation = now(env.observe())
                prompt = tokens.prompt_ids(observation.messages, observation.shorter)
                if t == 0 and step > 1:  # the seed had no grades when the first step was planned
                    assert prompt == exported[observation.node_id]
                    compared += 1
                number += 1
                now(env.step(_replies(name, observation.replies, number), log_prob=-1.0))
            search.finish(f"u{row}", env.episode())
            sessions.append((f"u{row}", 0))
        search.merge(step, sessions)
    assert compared == 3 * ROWS
    tree = search.trees["simulated"]
    assert any(tree.children(node.id) and node.failures for node in tree), "with experience and failed problems"
    assert learned_from(tree)


def test_experience_lines_by_hand() -> None:
    def state(number: int) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))

    overlay = Tree.seed(state(0), {"p0": 0.5, "p1": 0.5}).overlay()
    overlay.add_child(state(0).hash, state(1), "lost", {"p0": 0.25, "p1": 0.25})
    overlay.add_child(state(0).hash, state(2), "won", {"p0": 0.75, "p1": 0.75})
    overlay.add_child(state(0).hash, state(3), "unpaired", {"p9": 0.6})
    half = 1.96 * (overlay.estimates().noise / 2) ** 0.5
    assert experience_lines(overlay, state(0).hash) == (
        f"+0.25 [{0.25 - half:+.2f}, {0.25 + half:+.2f}] on 2 problems: won",
        "+0.10 between mean scores, on no problem both: unpaired",
        f"-0.25 [{-0.25 - half:+.2f}, {-0.25 + half:+.2f}] on 2 problems: lost",
    )
    assert experience_lines(overlay, state(1).hash) == experience_lines(overlay, "elsewhere") == ()


def test_of_many_edits_the_best_and_the_worst_are_shown() -> None:
    def state(number: int) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))

    overlay = Tree.seed(state(0), {"p0": 0.5}).overlay()
    for number in range(1, 102):
        overlay.add_child(state(0).hash, state(number), f"edit {number}", {"p0": number / 101})
    shown = [int(line.rsplit(" ", 1)[1]) for line in experience_lines(overlay, state(0).hash)]
    assert shown == [*range(101, 91, -1), *range(10, 0, -1)]


def test_a_gain_on_problems_that_were_drawn_unequally_is_that_over_all_problems() -> None:
    """The mended failure was drawn four times as often as the others: it counts a quarter."""

    def state(number: int) -> WorkflowState:
        return WorkflowState("toy", f"class Workflow:\n    number = {number}\n", "", ("Custom",))

    weights = {"p0": 0.5, "p1": 2.0, "p2": 2.0}
    overlay = Tree.seed(state(0), {"p0": 0.0, "p1": 1.0, "p2": 1.0}).overlay()
    overlay.add_child(state(0).hash, state(1), "mends", dict.fromkeys(weights, 1.0), weights=weights)
    [line] = experience_lines(overlay, state(0).hash)
    assert line.startswith("+0.11 ["), "0.5 / 4.5, and not a third"


def test_failed_problems_show_what_came_out_and_never_the_reference() -> None:
    grades = (Grade("p0", 1.0), Grade("p1", 0.0, answer="7"), Grade("p2", 0.5, error="late"), Grade("p3", 0.0))
    lines = failure_lines(Evaluation(grades), {"p1": "asked one", "p2": "asked two"}, 2)
    assert lines == (
        "Problem: asked one\nAnswer: 7\nScore: 0",
        "Problem: asked two\nError: late\nScore: 0.5",
    )
    assert failure_lines(Evaluation(grades), {}, 0) == ()


def test_an_edit_is_shown_with_what_its_kind_did_anywhere() -> None:
    """A stop is no edit, and changes nothing that could have helped."""
    lessons = (Lesson("samples 3", 5, 0.12, 0.0, 0.2), Lesson("changes the code alone", 2, -0.3, -0.5, -0.1))
    offer = FORMATS["edit"].offer(seed_state("toy", OPERATORS), frozenset(), Context(lessons=lessons))
    lines = offer.messages[1]["content"].splitlines()
    assert [line for line in lines if "(" in line] == ["1 vote of 3 (+0.12 in 5)"]
