"""One episode: rewards, tree returns, duplicates, invalid replies, stopping, privacy of the overlay."""

from collections.abc import Callable
from typing import Any

import pytest

from aflow_verl.env.episode import Observation
from aflow_verl.env.workflow_env import WorkflowEnv
from aflow_verl.search.tree import Tree
from aflow_verl.workflow.edits import EditSpace, apply_edit, legal_edits
from aflow_verl.workflow.labels import labels
from aflow_verl.workflow.state import WorkflowState

Make = Callable[..., WorkflowEnv]


def _label(observation: Observation, key: str, state: WorkflowState) -> str:
    edits = legal_edits(state, EditSpace())
    return labels(len(edits))[[edit.key for edit in edits].index(key)]


async def _play(env: WorkflowEnv, *keys: str) -> None:
    for key in keys:
        observation = await env.observe()
        state = env._tree[observation.node_id].state
        await env.step(_label(observation, key, state), log_prob=-0.5, response_ids=(20, 2))


async def test_the_reward_is_the_paired_gain_and_returns_follow_the_tree(make_env: Make, table: Any) -> None:
    # seed solves 1 of 4, Programmer 3, Programmer x3 4
    env = make_env(table({"Custom": 1, "Programmer": 3, "Programmer x3": 4}), widening_k=1.0)
    await _play(env, "replace:0:Programmer", "samples:0:3")
    observation = await env.observe()
    await env.step(observation.replies[-1], log_prob=None, response_ids=(9, 2))  # stop
    episode = env.episode()
    assert episode.rewards == pytest.approx((0.5, 0.25, 0.0))
    # step 1 edited the child of step 0 -> y_0 = .5 + .9 * .25
    assert [o.parent_step for o in env._observations][:2] == [-1, 0]
    assert episode.tree_returns == pytest.approx((0.725, 0.25, 0.0))
    assert episode.invalid == (None, None, None)
    assert env.done
    # X = (sum + 2 * prior) / (n + 2): seed (1+1)/6; Programmer (3+2/3)/6; x3 (4+2*.6111)/6
    seed, programmer = 2 / 6, (3 + 2 * (2 / 6)) / 6
    assert episode.episode_return == pytest.approx((4 + 2 * programmer) / 6 - seed)


async def test_a_workflow_that_fails_everywhere_is_invalid_and_makes_no_node(make_env: Make, table: Any) -> None:
    env = make_env(table({}, broken=("Programmer",)), steps=1)
    observation = await env.observe()
    state = env._tree[observation.node_id].state
    transition = await env.step(_label(observation, "replace:0:Programmer", state), log_prob=-1.0, response_ids=(1, 2))
    assert (transition.reward, transition.child_id, transition.invalid) == (-0.1, None, "fails_everywhere")
    episode = env.episode()
    assert episode.episode_return == pytest.approx(-0.1)
    assert len(env._tree) == 1
    assert "replace:0:Programmer" in env._tree.tried(observation.node_id)


async def test_an_illegal_label_is_an_invalid_action(make_env: Make, table: Any) -> None:
    env = make_env(table({}), steps=2)
    await env.observe()
    transition = await env.step("Z", log_prob=None, response_ids=())
    assert transition.invalid == "illegal_label"
    assert not env.done


async def test_tried_edits_are_not_listed_again_and_labels_stay(make_env: Make, table: Any, root: Any) -> None:
    env = make_env(table({"Programmer": 0}), widening_k=100.0, c_puct=0.0, steps=2)
    first = await env.observe()
    await env.step(_label(first, "replace:0:Programmer", root), log_prob=-0.5, response_ids=(1, 2))
    second = await env.observe()
    assert second.node_id == first.node_id  # the child lost, so the seed is edited again
    taken = _label(first, "replace:0:Programmer", root)
    assert set(first.replies) - set(second.replies) == {taken}
    assert second.parent_step == -1


async def test_a_known_workflow_is_one_node_with_its_grades(make_env: Make, table: Any, root: Any) -> None:
    overlay = Tree.seed(root).overlay()
    child = apply_edit(root, "replace:0:Programmer", EditSpace())
    overlay.add_child(root.hash, child, "replace:0:Programmer", {"old": 1.0})
    tree = overlay.frozen().alone(root.hash)  # the child is not visible from here
    env = make_env(table({"Programmer": 3}), tree=tree, steps=1)
    await _play(env, "replace:0:Programmer")
    merged = overlay.frozen().merged([env.episode().delta], step=1)
    assert len(merged) == 2
    assert merged[child.hash].grades["old"] == 1.0
    assert len(merged[child.hash].grades) == 5


async def test_sessions_of_a_group_share_anchors_and_see_only_their_own_nodes(make_env: Make, table: Any) -> None:
    shared = make_env(table({}))
    a, b = make_env(table({}), session=0), make_env(table({}), session=1)
    first_a, first_b = await a.observe(), await b.observe()
    assert first_a.anchor == first_b.anchor == (await shared.observe()).anchor
    await a.step(first_a.replies[0], log_prob=-0.5, response_ids=(1, 2))
    assert len(b._tree) == 1


async def test_anchors_may_tell_the_steps_left(make_env: Make, table: Any) -> None:
    env = make_env(table({"Programmer": 0}), anchor="state_and_steps_left", widening_k=100.0, c_puct=0.0)
    first = await env.observe()
    await env.step("0", log_prob=-0.5, response_ids=(1, 2))
    second = await env.observe()
    assert first.anchor.endswith("/3")
    assert second.anchor.endswith("/2")


async def test_an_exhausted_tree_leaves_stopping(make_env: Make, table: Any, root: Any) -> None:
    overlay = Tree.seed(root).overlay()
    for edit in legal_edits(root, EditSpace()):
        overlay.mark_tried(root.hash, edit.key)
    env = make_env(table({}), tree=overlay.frozen())
    observation = await env.observe()
    assert len(observation.replies) == 1
    await env.step(observation.replies[0], log_prob=None, response_ids=(1, 2))
    assert env.done
    assert env.episode().rewards == (0.0,)


async def test_choices_are_logged_with_their_parts(make_env: Make, table: Any) -> None:
    env = make_env(table({"Programmer": 3}), steps=2)
    await _play(env, "replace:0:Programmer", "stop")
    choices = env.episode().choices
    assert [c["action"] for c in choices] == ["replace:0:Programmer", "stop"]
    assert choices[0]["reward"] == pytest.approx(0.5)
    assert {"at", "node", "x", "n", "prior", "score"} <= set(choices[1]["parts"][0])
    assert (choices[0]["step"], choices[0]["row"], choices[0]["session"], choices[0]["t"]) == (1, 7, 0, 0)


async def test_the_prompt_never_shows_a_reference(make_env: Make, table: Any) -> None:
    env = make_env(table({}))
    observation = await env.observe()
    assert "secret" not in str(observation.messages)
