"""One episode: rewards, duplicates, invalid replies, stopping, what prompts show, privacy of the overlay."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from aflow_verl.env.actions import CodeFormat
from aflow_verl.env.workflow_env import WorkflowEnv
from aflow_verl.errors import InvalidAction
from aflow_verl.operators.catalog import operator_infos
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.tree import Tree
from aflow_verl.types import Evaluation, Message
from aflow_verl.workflow.edits import EditSpace, apply_edit, legal_edits
from aflow_verl.workflow.state import SEED_CODE, WorkflowState

Make = Callable[..., WorkflowEnv]
Play = Callable[..., Any]
CHANGED = SEED_CODE.replace('instruction=""', 'instruction="Be brief."')


def _code_reply(code: str) -> str:
    return f"<modification>asks for brevity</modification>\n<graph>\n{code}</graph>\n<prompt>\n</prompt>"


def _text(messages: list[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


@pytest.fixture
def play(label: Callable[..., str]) -> Play:
    async def played(env: WorkflowEnv, *keys: str) -> None:
        for key in keys:
            observation = await env.observe()
            state = env._tree[observation.node_id].state
            await env.step(label(observation, key, state), log_prob=-0.5)

    return played


async def test_the_reward_is_the_paired_gain_over_the_parent(make_env: Make, table: Any, play: Play) -> None:
    # seed solves 1 of 4, Programmer 3, Programmer x3 4; the child leads, and room for one child is taken
    env = make_env(table({"Custom": 1, "Programmer": 3, "Programmer x3": 4}), widening_k=1.0)
    await play(env, "replace:0:Programmer", "samples:0:3", "stop")
    episode = env.episode()
    assert episode.rewards == pytest.approx((0.5, 0.25, 0.0))
    assert [o.parent_step for o in env._observations] == [-1, 0, 1]
    assert episode.edited[1] == episode.children[0]
    assert episode.invalid == (None, None, None)
    assert episode.children[2] is None
    assert env.done
    assert episode.episode_return == pytest.approx(0.75), "the best over where the episode started"
    assert episode.shown == tuple(o.shown for o in env._observations)


async def test_a_workflow_that_is_known_as_the_start_is_not_graded_again_and_earns_nothing(
    make_env: Make, table: Any, play: Play
) -> None:
    evaluate = table({})
    env = make_env(evaluate, steps=1)
    await play(env, "stop")
    assert evaluate.asked == ["Custom"], "once, for the whole row"
    episode = env.episode()
    assert (episode.rewards, episode.episode_return) == ((0.0,), 0.0)
    assert len(episode.delta) == 0, "a stop leaves no trace"


async def test_penalties_are_in_the_step_rewards_alone(make_env: Make, table: Any, play: Play) -> None:
    env = make_env(table({"Programmer": 0}), steps=3, widening_k=100.0, c_ucb=0.0)
    await env.observe()
    await env.step("Z", log_prob=None)
    await play(env, "replace:0:Programmer")
    await env.observe()
    await env.step("?", log_prob=None)
    episode = env.episode()
    assert episode.rewards == pytest.approx((-0.1, -0.25, -0.1))
    assert episode.episode_return == 0.0, "a loss need not be kept, and penalties count elsewhere"


async def test_problem_weights_make_the_reward(make_env: Make, table: Any, play: Play) -> None:
    weights = {"p0": 0.5, "p1": 2.0, "p2": 1.0, "p3": 0.5}
    env = make_env(table({"Custom": 1, "Programmer": 3}), steps=1, weights=weights)
    await play(env, "replace:0:Programmer")
    episode = env.episode()
    assert episode.rewards == pytest.approx(((2.0 + 1.0) / 4,))
    assert episode.children[0] is not None
    assert env._tree[episode.children[0]].weights == weights


async def test_a_workflow_that_fails_everywhere_is_invalid_and_makes_no_node(
    make_env: Make, table: Any, label: Callable[..., str]
) -> None:
    env = make_env(table({}, broken=("Programmer",)), steps=1)
    observation = await env.observe()
    state = env._tree[observation.node_id].state
    transition = await env.step(label(observation, "replace:0:Programmer", state), log_prob=-1.0)
    assert (transition.reward, transition.child_id, transition.invalid) == (-0.1, None, "fails_everywhere")
    assert len(env._tree) == 1
    assert "replace:0:Programmer" in env._tree.tried(observation.node_id)
    assert env._tree.root.edits == 1, "the visit counts"


async def test_a_workflow_that_fails_on_the_stub_executor_costs_the_penalty_and_nothing_else(
    make_env: Make, table: Any, label: Callable[..., str]
) -> None:
    graded = table({"Custom": 1})

    async def refuse(state: WorkflowState) -> Evaluation:
        if state.code != SEED_CODE:
            raise InvalidAction("fails_dry_run", "NameError")
        evaluation: Evaluation = await graded(state)
        return evaluation

    env = make_env(refuse, steps=1)
    observation = await env.observe()
    state = env._tree[observation.node_id].state
    transition = await env.step(label(observation, "replace:0:Programmer", state), log_prob=-1.0)
    assert (transition.reward, transition.child_id, transition.invalid) == (-0.1, None, "fails_dry_run")
    assert "replace:0:Programmer" in env._tree.tried(observation.node_id)
    assert env.episode().episode_return == 0.0


async def test_a_reply_that_changes_nothing_is_invalid_and_costs_no_evaluation(make_env: Make, table: Any) -> None:
    evaluate = table({"code": 3})
    actions = CodeFormat(operator_infos(("Custom", "ScEnsemble", "Programmer")), "Solve it.")
    env = make_env(evaluate, steps=2, actions=actions)
    await env.observe()
    same = await env.step(
        _code_reply(SEED_CODE.replace("    async def", "    # a remark\n    async def")), log_prob=-1.0
    )
    assert (same.reward, same.child_id, same.invalid) == (-0.1, None, "no_change")
    assert evaluate.asked == ["Custom"]
    assert len(env._tree) == 1
    await env.observe()
    assert (await env.step(_code_reply(CHANGED), log_prob=-1.0)).reward == pytest.approx(0.5)


async def test_a_way_back_to_the_start_is_no_gain_for_the_episode(make_env: Make, table: Any) -> None:
    """There and back: the step rewards cancel, the return stays what the better one was worth."""
    actions = CodeFormat(operator_infos(("Custom", "ScEnsemble", "Programmer")), "Solve it.")
    env = make_env(table({"Custom": 3, "code": 1}), steps=2, actions=actions, widening_k=1.0, c_ucb=100.0)
    await env.observe()
    await env.step(_code_reply(CHANGED), log_prob=-1.0)
    back_at = await env.observe()
    assert back_at.node_id != env._tree.root_id
    back = await env.step(_code_reply(SEED_CODE), log_prob=-1.0)
    assert back.child_id == env._tree.root_id
    episode = env.episode()
    assert sum(episode.rewards) == pytest.approx(0.0)
    assert episode.episode_return == 0.0
    assert len(env._tree) == 2


async def test_tried_edits_are_not_listed_again_and_labels_stay(
    make_env: Make, table: Any, root: Any, label: Callable[..., str]
) -> None:
    env = make_env(table({"Programmer": 0}), widening_k=100.0, c_ucb=0.0, steps=2)
    first = await env.observe()
    taken = label(first, "replace:0:Programmer", root)
    await env.step(taken, log_prob=-0.5)
    second = await env.observe()
    assert second.node_id == first.node_id  # the child lost, so the seed is edited again
    assert first.replies is not None
    assert second.replies is not None
    assert set(first.replies) - set(second.replies) == {taken}
    assert second.parent_step == -1


async def test_a_known_workflow_is_one_node_with_its_grades(make_env: Make, table: Any, root: Any, play: Play) -> None:
    overlay = Tree.seed(root).overlay()
    child = apply_edit(root, "replace:0:Programmer", EditSpace())
    overlay.add_child(root.hash, child, "replace:0:Programmer", {"old": 1.0})
    env = make_env(table({"Programmer": 3}), tree=overlay.frozen().alone(root.hash), steps=1)
    await play(env, "replace:0:Programmer")
    merged = overlay.frozen().merged([env.episode().delta], step=1)
    assert len(merged) == 2
    assert merged[child.hash].grades["old"] == 1.0
    assert len(merged[child.hash].grades) == 5


async def test_sessions_of_a_group_share_anchors_and_see_only_their_own_nodes(make_env: Make, table: Any) -> None:
    a, b = make_env(table({}), session=0), make_env(table({}), session=1)
    first_a, first_b = await a.observe(), await b.observe()
    assert first_a.anchor == first_b.anchor
    assert first_a.messages == first_b.messages
    assert first_a.replies is not None
    await a.step(first_a.replies[0], log_prob=-0.5)
    assert len(b._tree) == 1


async def test_anchors_may_tell_the_steps_left(make_env: Make, table: Any) -> None:
    env = make_env(table({"Programmer": 0}), anchor="state_and_steps_left", widening_k=100.0, c_ucb=0.0)
    first = await env.observe()
    await env.step("0", log_prob=-0.5)
    second = await env.observe()
    assert first.anchor.endswith("/3")
    assert second.anchor.endswith("/2")


async def test_an_exhausted_tree_leaves_stopping(make_env: Make, table: Any, root: Any) -> None:
    overlay = Tree.seed(root).overlay()
    for edit in legal_edits(root, EditSpace()):
        overlay.mark_tried(root.hash, edit.key)
    env = make_env(table({}), tree=overlay.frozen())
    observation = await env.observe()
    assert observation.replies is not None
    assert len(observation.replies) == 1
    await env.step(observation.replies[0], log_prob=None)
    assert env.done
    assert env.episode().rewards == (0.0,)


async def test_choices_are_logged_with_what_came_of_them(make_env: Make, table: Any, play: Play) -> None:
    env = make_env(table({"Programmer": 3}), steps=2, q=None)
    await play(env, "replace:0:Programmer", "stop")
    choices = env.episode().choices
    assert [c["action"] for c in choices] == ["replace:0:Programmer", "stop"]
    assert [c["reward"] for c in choices] == pytest.approx([0.5, 0.0])
    assert [c["child"] for c in choices] == [*env.episode().children]
    assert {"node", "node_without_q", "alpha_effective", "candidates", "own_q", "best"} <= set(choices[1])
    place = ("benchmark", "step", "row", "start", "session", "t")
    assert tuple(choices[0][name] for name in place) == ("toy", 1, 7, "snapshot", 0, 0)
    assert len(json.dumps(choices[1])) < 1500


async def test_an_episode_repeats_with_its_seed(make_env: Make, table: Any, play: Play) -> None:
    async def choices(session: int) -> tuple[Any, ...]:
        env = make_env(table({"Programmer": 3}), session=session, selector="thompson", widening_k=100.0)
        for reply in "012":
            await env.observe()
            await env.step(reply, log_prob=-0.5)
        return env.episode().choices

    assert await choices(0) == await choices(0)
    assert [c["best"] for c in await choices(0)] != [c["best"] for c in await choices(1)]


async def test_new_workflows_inherit_the_promise_of_their_start(make_env: Make, table: Any, root: Any) -> None:
    q = QSnapshot(1, {root.hash: 0.9}, node_confidence=1.0)
    env = make_env(table({"Programmer": 3}), steps=2, q=q)
    for reply in "01":
        await env.observe()
        await env.step(reply, log_prob=-0.5)
    second = env.episode().choices[1]
    assert [shown["q"] for shown in second["best"]] == [0.9] * second["candidates"]
    assert second["own_q"] == 1
    assert second["alpha_effective"] > 0.0


async def test_the_prompt_shows_failed_problems_and_never_a_reference(make_env: Make, table: Any) -> None:
    actions = CodeFormat(operator_infos(("Custom", "ScEnsemble", "Programmer")), "Solve it.")
    env = make_env(table({"code": 3}), steps=2, actions=actions, experience=["+0.10 on 4 problems: voted"], c_ucb=0.0)
    await env.observe()
    await env.step(_code_reply(CHANGED), log_prob=-1.0)
    child = await env.observe()
    assert child.node_id == env.episode().children[0], "it leads"
    first, second = (_text(o.messages) for o in env._observations)
    assert "secret" not in first + second
    assert "voted" in first
    assert "voted" not in second, "what was tried on the start says nothing of its child"
    assert "question 3" in second
    assert "question 2" not in second, "the child solves it"


async def test_a_state_keeps_its_own_score_out_of_its_hash(make_env: Make, table: Any, root: WorkflowState) -> None:
    env = make_env(table({"Custom": 2}))
    observation = await env.observe()
    assert observation.node_id == root.hash
    assert f"({observation.shown:.2f})" in _text(observation.messages)
