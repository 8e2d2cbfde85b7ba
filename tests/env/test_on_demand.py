"""Values of an episode's own workflows: asked for once, before the choice that needs them, and never made up."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError
from transformers import AutoTokenizer

from aflow_verl.config import EvaluationConfig
from aflow_verl.critic.scorer import Scores
from aflow_verl.env import on_demand
from aflow_verl.env.actions import EditFormat
from aflow_verl.env.episode import EpisodeStart
from aflow_verl.env.on_demand import ValuesOnDemand
from aflow_verl.env.scoring import score_groups
from aflow_verl.env.tokens import PolicyTokens
from aflow_verl.env.workflow_env import WorkflowEnv
from aflow_verl.errors import CriticUnavailable
from aflow_verl.search.lessons import Lesson
from aflow_verl.search.qvalues import QSnapshot, ScoreGroup
from aflow_verl.search.tree import Tree
from aflow_verl.search.view import TreeView
from aflow_verl.types import Q_ACTOR, Evaluation
from aflow_verl.workflow.edits import EditSpace
from aflow_verl.workflow.state import WorkflowState

Make = Callable[..., WorkflowEnv]


class Critic:
    """Says 0.1 * how often it was asked, and remembers what for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def __call__(self, tree: TreeView, node_ids: Sequence[str]) -> Mapping[str, float]:
        self.asked.append(tuple(node_ids))
        return {node_id: 0.1 * len(self.asked) for node_id in node_ids}


async def _play(env: WorkflowEnv, *picks: int) -> None:
    for pick in picks:
        observation = await env.observe()
        assert observation.replies is not None
        await env.step(observation.replies[pick], log_prob=-1.0)


def _snapshot(root: WorkflowState) -> QSnapshot:
    return QSnapshot(3, {root.hash: 0.5}, node_confidence=1.0)


async def test_new_nodes_are_valued_once_before_the_next_choice(make_env: Make, table: Any, root: Any) -> None:
    critic, q = Critic(), _snapshot(root)
    env = make_env(table({"Programmer": 3, "ScEnsemble": 2}), steps=3, q=q, value=critic, widening_k=100.0)
    await _play(env, 0, 1, 2)
    episode = env.episode()
    assert critic.asked == [(child,) for child in episode.children[:2]], "the last is compared with nothing any more"
    assert [choice["own_q"] for choice in episode.choices] == [choice["candidates"] for choice in episode.choices]
    promises = {shown["node"]: shown["q"] for shown in episode.choices[2]["best"]}
    assert promises == {root.hash: 0.5, episode.children[0]: 0.1, episode.children[1]: 0.2}
    assert dict(q.values) == {root.hash: 0.5}, "the snapshot itself is shared by all episodes"


async def test_an_episode_repeats_with_its_seed(make_env: Make, table: Any, root: Any) -> None:
    played = []
    for _ in range(2):
        env = make_env(table({"Programmer": 3}), steps=3, q=_snapshot(root), value=Critic(), selector="soft_mixed")
        await _play(env, 0, 1, 2)
        played.append(env.episode().choices)
    assert played[0] == played[1]


async def test_without_a_critic_to_ask_new_nodes_inherit(make_env: Make, table: Any, root: Any) -> None:
    env = make_env(table({}), steps=3, q=_snapshot(root), widening_k=100.0)
    await _play(env, 0, 1, 2)
    assert [choice["own_q"] for choice in env.episode().choices] == [1, 1, 1]


async def test_before_the_first_export_nothing_is_asked(make_env: Make, table: Any) -> None:
    critic = Critic()
    await _play(make_env(table({}), steps=2, value=critic), 0, 1)
    assert critic.asked == []


# ---- the client ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tokens(tiny_policy: Path) -> PolicyTokens:
    return PolicyTokens(AutoTokenizer.from_pretrained(tiny_policy), max_prompt_tokens=400)


LESSONS = (Lesson("use Programmer", 3, 0.1, -0.1, 0.3),)
ACTIONS = EditFormat(EditSpace(operators=("Custom", "Programmer")), "Solve it.")


class Actor:
    """Stands for the actor's handle: fails as often as it is told to."""

    def __init__(self, failures: Sequence[Exception]) -> None:
        self.failures = list(failures)
        self.asked: list[tuple[list[ScoreGroup], int]] = []
        self.score = self

    async def remote(self, groups: list[ScoreGroup], weights_step: int) -> Scores:
        self.asked.append((groups, weights_step))
        if self.failures:
            raise self.failures.pop(0)
        read = [(0.25, tuple(0.5 for _ in group.actions)) for group in groups]
        return Scores.of(weights_step, groups, read)


@pytest.fixture
def ask(
    monkeypatch: pytest.MonkeyPatch, tokens: PolicyTokens, root: WorkflowState
) -> Callable[[Actor | None], tuple[Any, Any, str]]:
    """``ask(actor)``: (the client, an overlay with one new node, its id)."""

    def made(actor: Actor | None) -> tuple[ValuesOnDemand, TreeView, str]:
        def get_actor(name: str) -> Actor:
            assert name == Q_ACTOR
            if actor is None:
                raise ValueError("Failed to look up actor")
            return actor

        monkeypatch.setattr(on_demand.ray, "get_actor", get_actor)
        tree = Tree.seed(root)
        start = EpisodeStart(
            benchmark="toy",
            task="Solve it.",
            start="snapshot",
            step=4,
            row=0,
            tree=tree,
            q=QSnapshot(3, {}),
            centre=0.9,
            problems=(),
            weights={},
            graded=Evaluation(()),
            lessons=LESSONS,
        )
        overlay = tree.overlay()
        child = WorkflowState("toy", "class Workflow:\n    number = 1\n", "", ("Custom",))
        overlay.add_child(root.hash, child, "edit", {"p0": 1.0})
        settings = EvaluationConfig(retries=2, backoff_s=0.0)
        return ValuesOnDemand(start, ACTIONS, tokens, settings), overlay, child.hash

    return made


async def test_the_critic_reads_what_the_export_would_give_it(
    ask: Callable[..., Any], tokens: PolicyTokens, root: WorkflowState
) -> None:
    actor = Actor([])
    client, overlay, child_id = ask(actor)
    assert await client(overlay, [child_id]) == {child_id: pytest.approx(0.9 + 0.25)}, "above the centre"
    [(groups, weights_step)] = actor.asked
    assert weights_step == 3
    assert groups == score_groups(overlay.frozen(), [child_id], ACTIONS, tokens, LESSONS)
    assert [(group.node_id, group.actions) for group in groups] == [(child_id, ())]


def _unavailable() -> ActorUnavailableError:
    return ActorUnavailableError("not now", actor_id=None)


async def test_a_pause_of_the_actor_is_waited_out(ask: Callable[..., Any]) -> None:
    actor = Actor([_unavailable(), CriticUnavailable("other weights")])
    client, overlay, child_id = ask(actor)
    assert (await client(overlay, [child_id]))[child_id] == pytest.approx(1.15)
    assert len(actor.asked) == 3


@pytest.mark.parametrize(
    ("failures", "tries"),
    [([_unavailable()] * 5, 3), ([ActorDiedError()], 1), (None, 0), ([CriticUnavailable("other weights")] * 5, 3)],
)
async def test_what_stays_lost_is_an_infrastructure_failure_and_no_value(
    failures: list[Exception] | None, tries: int, ask: Callable[..., Any]
) -> None:
    actor = None if failures is None else Actor(failures)
    client, overlay, child_id = ask(actor)
    with pytest.raises(CriticUnavailable) as failure:
        await client(overlay, [child_id])
    assert actor is None or len(actor.asked) == tries
    arrived = pickle.loads(pickle.dumps(failure.value))
    assert (str(arrived), arrived.retryable) == (str(failure.value), failure.value.retryable)
