"""Trains a small policy and critic on landscapes of a family, with the project's own parts.

Rows are planned, episodes run, trees merged and returns taken by ``env`` and ``search``; advantages are
those of ``trainer.gigpo``. What is this file's own is the policy, a linear softmax, and its update

    theta += Adam(mean of A * grad ln pi(a | s) + entropy * grad H(pi(. | s))),    A over its root mean square

and the critic, ridge regression on the targets that the project's critic has: Q(s, a) = X(c) + gamma * future(c) of
each edit, V(s) of each workflow, by the tree as it is when the last step on the landscape is merged.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch

from aflow_verl.config import GigpoConfig
from aflow_verl.env.actions import NO_CONTEXT, Action, Context, Offer
from aflow_verl.env.dataset import make_row
from aflow_verl.env.episode import Episode, EpisodeStart
from aflow_verl.env.outcomes import row_targets
from aflow_verl.env.row_plan import plan_rows
from aflow_verl.env.seeds import derive_seed, generator
from aflow_verl.env.workflow_env import EnvSettings, WorkflowEnv
from aflow_verl.evaluation.comparison import scores
from aflow_verl.search.returns import futures, node_promises
from aflow_verl.search.targets import RowTarget
from aflow_verl.search.tree import Tree
from aflow_verl.study.families import TRAINING_SEEDS, Family
from aflow_verl.study.knowledge import Experience, Floats, Knowledge, edit_features, made_features, node_features
from aflow_verl.study.landscapes import GAMMA, Landscape, LandscapeState
from aflow_verl.study.learned import Learned, Linear, Training, probabilities
from aflow_verl.study.policies import draw
from aflow_verl.study.shapes import SHAPES, Shape
from aflow_verl.types import Evaluation, Grade, Problem
from aflow_verl.workflow.state import WorkflowState
from trainer.gigpo import gigpo

T = TypeVar("T")


class LandscapeActions:
    """Edits of a landscape as the environment's replies: the edit's id."""

    restricted = True

    def __init__(self, landscape: Landscape) -> None:
        self._land = landscape

    def offer(self, state: WorkflowState, tried: frozenset[str], context: Context = NO_CONTEXT) -> Offer:
        return Offer([], tuple(str(edit) for edit in self._land.edits(_mask(state)) if str(edit) not in tried))

    async def read(self, state: WorkflowState, reply: str) -> Action:
        return Action(reply, self._land.state(self._land.apply(_mask(state), int(reply))))

    def can_expand(self, state: WorkflowState, tried: frozenset[str]) -> bool:
        return len(tried) < len(self._land.edits(_mask(state)))

    def reply_of(self, state: WorkflowState, key: str) -> str | None:
        return key


@dataclass(frozen=True, slots=True)
class Decision:
    """One edit of an episode, as the policy made it."""

    mask: int
    edits: tuple[int, ...]
    """Those it could choose from."""
    place: int
    """Of the chosen one."""
    shown: float
    experience: Experience
    node_id: str
    anchor: str

    @property
    def edit(self) -> int:
        return self.edits[self.place]


Key = tuple[str, int, int]
"""(row, session, t)."""


@dataclass(frozen=True)
class Step:
    """A training step: its decisions, its episodes, and the tree with them merged."""

    decisions: Mapping[Key, Decision]
    episodes: Mapping[tuple[str, int], Episode]
    tree: Tree


def train(family: Family, training: Training, shapes: Mapping[str, Shape] = SHAPES) -> Learned:
    """Train on ``training.landscapes`` landscapes of the family."""
    learner = _Learner(2 * family.edits + 3, training)
    nodes: list[tuple[Floats, Floats]] = []
    edits: list[tuple[Floats, Floats]] = []
    for landscape_seed in TRAINING_SEEDS[: training.landscapes]:
        landscape = Landscape(family, landscape_seed, shapes)
        tree = Tree.seed(landscape.state(0))
        steps = []
        for step in range(1, training.steps + 1):
            made = run_step(
                landscape, tree, step, learner.theta_F, training, derive_seed(training.seed, landscape_seed)
            )
            learner.update(made, targets(made.tree, made.episodes, training))
            steps.append(made)
            tree = made.tree
        for made in steps:  # judged once more, by all that came of them since
            rows = critic_rows(made, targets(tree, made.episodes, training))
            nodes.append(rows[0])
            edits.append(rows[1])
    return Learned(learner.theta_F, training.floor, ridge(nodes, training.ridge), ridge(edits, training.ridge))


def run_step(landscape: Landscape, tree: Tree, step: int, theta_F: Floats, training: Training, seed: int) -> Step:
    """Run the episodes of a step on the tree and merge them."""
    name = landscape.family.name
    actions = LandscapeActions(landscape)
    rows = [
        make_row(seed, (name,), training.start, index)
        for index in range((step - 1) * training.rows, step * training.rows)
    ]
    planned = plan_rows(
        tree,
        None,
        [row for row in rows if row.start == "snapshot"],
        training.sessions,
        training.search,
        lambda node_id: actions.can_expand(tree[node_id].state, tree.tried(node_id)),
        seed=seed,
        step=step,
    )
    experience = Knowledge(tree, landscape.family.edits).experience
    decisions: dict[Key, Decision] = {}
    episodes: dict[tuple[str, int], Episode] = {}
    deltas = []
    for row in rows:
        node_id = tree.root_id
        if row.index in planned:
            node_id = planned[row.index].choice.node_id
        elif row.start == "random":
            ids = [node.id for node in tree]
            node_id = ids[int(generator(seed, "root", step, row.index).integers(len(ids)))]
        weights = _problems(landscape, training.problems, row.problem_seed)
        graded = evaluation(landscape, tree[node_id].state, weights)
        whole = tree.overlay(step=step)
        whole.add_grades(node_id, scores(graded), weights=weights)
        deltas.append(whole.delta())
        alone = tree.alone(node_id, tried=row.start == "snapshot").overlay()
        alone.add_grades(node_id, scores(graded), weights=weights)
        start = EpisodeStart(
            benchmark=name,
            task="",
            start=row.start,
            step=step,
            row=row.index,
            tree=alone.frozen(),
            q=None,
            centre=0.0,
            problems=tuple(Problem(problem, "", "") for problem in weights),
            weights=weights,
            graded=graded,
        )
        for session in range(training.sessions):
            found, episode = _episode(landscape, actions, start, session, experience, theta_F, training, seed)
            episodes[str(row.index), session] = episode
            decisions |= {(str(row.index), session, t): decision for t, decision in enumerate(found)}
            deltas.append(episode.delta)
    return Step(decisions, episodes, tree.merged(deltas, step))


def _episode(
    landscape: Landscape,
    actions: LandscapeActions,
    start: EpisodeStart,
    session: int,
    experience: Experience,
    theta_F: Floats,
    training: Training,
    seed: int,
) -> tuple[list[Decision], Episode]:
    rng = generator(seed, "policy", start.step, start.row, session)

    async def evaluate(state: WorkflowState) -> Evaluation:
        return evaluation(landscape, state, start.weights)

    settings = EnvSettings(training.edits, training.penalty, "state", 0)
    env = WorkflowEnv(start, session, settings, training.search, actions, evaluate, seed)
    decisions: list[Decision] = []

    async def play() -> None:
        while not env.done:
            seen = await env.observe()
            edits = tuple(int(reply) for reply in seen.replies or ())
            if not edits:
                return
            mask = _mask(env.tree[seen.node_id].state)
            place, logprob = draw(probabilities(theta_F, training.floor, mask, edits, experience), rng)
            decisions.append(Decision(mask, edits, place, seen.shown, experience, seen.node_id, seen.anchor))
            await env.step(str(edits[place]), log_prob=logprob)

    _run(play())
    return decisions, env.episode()


def targets(tree: Tree, episodes: Mapping[tuple[str, int], Episode], training: Training) -> dict[Key, RowTarget]:
    """What the tree says of the episodes' edits."""
    future = futures(tree, GAMMA)
    return row_targets(
        tree, episodes, future, node_promises(tree, GAMMA, future), GAMMA, centre=0.0, penalty=training.penalty
    )


def critic_rows(step: Step, target: Mapping[Key, RowTarget]) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """((features, V) of the workflows that were edited, (features, Q) of the edits)."""
    keys = list(step.decisions)
    node = [
        node_features([decision.mask], [decision.shown], decision.experience) for decision in step.decisions.values()
    ]
    edit = [
        made_features(decision.mask, [decision.edit], decision.shown, decision.experience)
        for decision in step.decisions.values()
    ]
    v, q = np.array([target[key].v for key in keys]), np.array([target[key].q for key in keys])
    return (np.concatenate(node), v), (np.concatenate(edit), q)


def ridge(rows: Sequence[tuple[Floats, Floats]], strength: float) -> Linear:
    """Least squares with a penalty on standardised features; features without variance get 0."""
    features_BF = np.concatenate([features for features, _ in rows])
    value_B = np.concatenate([values for _, values in rows])
    mean_F, sd_F = features_BF.mean(axis=0), features_BF.std(axis=0)
    scale_F = np.where(sd_F > 1e-9, sd_F, np.inf)
    standard_BF = (features_BF - mean_F) / scale_F
    square_FF = standard_BF.T @ standard_BF + strength * np.eye(len(mean_F))
    weight_F = np.linalg.solve(square_FF, standard_BF.T @ (value_B - value_B.mean())) / scale_F
    return Linear(weight_F, float(value_B.mean() - mean_F @ weight_F))


class _Learner:
    """The policy while it learns: Adam (Kingma and Ba, 2015) on the policy gradient."""

    def __init__(self, features: int, training: Training) -> None:
        self.theta_F = np.zeros(features)
        self._training = training
        self._first_F, self._second_F = np.zeros(features), np.zeros(features)
        self._count = 0

    def update(self, step: Step, target: Mapping[Key, RowTarget]) -> None:
        advantage_B = advantages(step, target, self._training.gigpo)
        size = float(np.sqrt(np.mean(advantage_B**2)))
        gradient_F = np.zeros_like(self.theta_F)
        for decision, advantage in zip(step.decisions.values(), advantage_B / max(size, 1e-9), strict=True):
            gradient_F += self._gradient(decision, float(advantage))
        gradient_F /= len(step.decisions)
        self._count += 1
        self._first_F = 0.9 * self._first_F + 0.1 * gradient_F
        self._second_F = 0.99 * self._second_F + 0.01 * gradient_F**2
        first_F = self._first_F / (1 - 0.9**self._count)
        second_F = self._second_F / (1 - 0.99**self._count)
        self.theta_F = self.theta_F + self._training.learning_rate * first_F / (np.sqrt(second_F) + 1e-8)

    def _gradient(self, decision: Decision, advantage: float) -> Floats:
        """A * grad ln pi(a) + entropy * grad H(softmax), by the chain rule through the logits."""
        floor, n = self._training.floor, len(decision.edits)
        phi_NF = edit_features(decision.mask, decision.edits, decision.experience)
        logit_N = phi_NF @ self.theta_F
        share_N = np.exp(logit_N - logit_N.max())
        share_N /= share_N.sum()
        own = (1.0 - floor) * share_N[decision.place]
        by_logit_N = -share_N * (own / (own + floor / n)) * advantage
        by_logit_N[decision.place] += own / (own + floor / n) * advantage
        log_N = np.log(share_N + 1e-12)
        by_logit_N -= self._training.entropy * share_N * (log_N - share_N @ log_N)
        return np.asarray(by_logit_N @ phi_NF)


def advantages(step: Step, target: Mapping[Key, RowTarget], settings: GigpoConfig) -> Floats:
    """A of each decision, by the project's estimator."""
    keys = list(step.decisions)
    anchors = {decision.anchor: k for k, decision in enumerate(step.decisions.values())}
    result = gigpo(
        [step.episodes[row, session].rewards[t] for row, session, t in keys],
        [int(row) for row, _, _ in keys],
        [session for _, session, _ in keys],
        [t for _, _, t in keys],
        [anchors[step.decisions[key].anchor] for key in keys],
        torch.ones(len(keys), 1),
        step_returns_B=[target[key].step_return for key in keys],
        episode_returns_B=[step.episodes[row, session].episode_return for row, session, _ in keys],
        invalid_B=[target[key].invalid for key in keys],
        neutral_B=[target[key].neutral for key in keys],
        gamma=GAMMA,
        omega=settings.omega,
        norm=settings.norm,
    )
    return result.advantage_B.numpy()


def evaluation(landscape: Landscape, state: WorkflowState, problems: Mapping[str, float]) -> Evaluation:
    """A workflow on problems; one that crashes fails by its own fault on each."""
    mask = _mask(state)
    result_P = landscape.results(mask).tolist()
    error = "crash" if mask & landscape.crash_mask else None
    return Evaluation(tuple(_grade(problem, result_P[int(problem[1:])], error) for problem in problems))


@lru_cache(maxsize=4096)
def _grade(problem: str, score: float, error: str | None) -> Grade:
    """There are few different ones, and making them takes most of an evaluation's time."""
    return Grade(problem, score, error=error)


def _problems(landscape: Landscape, count: int, seed: int) -> dict[str, float]:
    """So many of the validation problems, evenly drawn, each with weight 1."""
    places = generator(seed, "problems").permutation(len(landscape.problems))[:count]
    return {landscape.problems[place]: 1.0 for place in sorted(places.tolist())}


def _mask(state: WorkflowState) -> int:
    assert isinstance(state, LandscapeState)
    return state.mask


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("an episode on a landscape never waits")
