"""One search on a landscape, with the project's own tree, choice, screening, confidence and estimates.

Cost is counted in results on problems and told in full evaluations (results / validation problems); the seed's own is
the first. A workflow that is known already is told by its hash and costs nothing, except in arms that pay for twins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aflow_verl.search.catalog import selector_named
from aflow_verl.search.confidence import Prediction, confidence
from aflow_verl.search.node import Node
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.returns import edit_promise, futures, upper_value
from aflow_verl.search.screening import Proposal, best_proposal, screens, wanted
from aflow_verl.search.selection import Choice, SearchExhausted, select, weight
from aflow_verl.search.tree import Tree
from aflow_verl.study.arms import Arm
from aflow_verl.study.critics import Critic
from aflow_verl.study.grading import GRADERS
from aflow_verl.study.knowledge import Knowledge
from aflow_verl.study.landscapes import GAMMA, Landscape, LandscapeState
from aflow_verl.study.policies import Policy, draw

STALLED = 200
"""Edits in a row that cost nothing, after which a search ends."""


@dataclass(frozen=True)
class Trace:
    """What a search found, and when. Costs are full evaluations, the proposals' price included."""

    costs: tuple[float, ...]
    """Where the delivered workflow changed, ascending; the first is the seed's evaluation."""
    scores: tuple[float, ...]
    """True score of what would be delivered from then on."""
    edits: int
    """Edits made."""
    spent: float
    """Cost of them all; below the budget where nothing was left to try."""
    weight_E: tuple[float, ...]
    """Effective weight of the critic in each choice: the larger one of nodes (mean) and proposals."""
    changed_by_q: int
    """Choices that the critic changed."""


@dataclass(frozen=True, slots=True)
class _Made:
    """An edit that was made, with the promises that were in force before it."""

    parent_id: str
    child_id: str
    shown: float
    v: float
    q: float


def run_search(
    landscape: Landscape,
    arm: Arm,
    policy: Policy,
    critic: Critic | None,
    *,
    evaluations: float,
    seed: int,
    proposal_cost: float = 0.0,
) -> Trace:
    """Search until the next edit could not be paid any more.

    Args:
        evaluations: budget in full evaluations.
        seed: of the search's own choices; the landscape has its own.
        proposal_cost: of each proposal, in full evaluations.
    """
    search = _Search(landscape, arm, policy, critic, evaluations, seed, proposal_cost)
    if arm.beam:
        search.beam(arm.beam)
    else:
        search.tree_search()
    return search.trace()


def _of_nodes(made: Sequence[_Made], outcomes: Sequence[float]) -> list[Prediction]:
    """One comparison for each workflow, in the order of its first edit: V as it was then, and the upper value of what
    all of its edits reached."""
    first: dict[str, _Made] = {}
    reached: dict[str, list[float]] = {}
    for edit, outcome in zip(made, outcomes, strict=True):
        first.setdefault(edit.parent_id, edit)
        reached.setdefault(edit.parent_id, []).append(outcome)
    return [Prediction(edit.v, edit.shown, upper_value(reached[node_id])) for node_id, edit in first.items()]


class _Search:
    """The state of one search."""

    def __init__(
        self,
        landscape: Landscape,
        arm: Arm,
        policy: Policy,
        critic: Critic | None,
        evaluations: float,
        seed: int,
        proposal_cost: float,
    ) -> None:
        self._land = landscape
        self._arm = arm
        self._settings = arm.search
        self._selector = selector_named(arm.search.selector)
        self._policy = policy
        self._critic = critic
        self._problems = len(landscape.problems)
        self._budget = evaluations
        self._proposal_cost = proposal_cost
        self._rng = np.random.default_rng([landscape.seed, seed])
        self._order = self._rng.permutation(self._problems).tolist()
        self._grader = GRADERS[arm.grading]
        self._tree = Tree.seed(landscape.state(0), landscape.grades(0)).overlay()
        self._spent = 1.0
        self._edits = 0
        self._exhausted: set[str] = set()
        self._waiting: dict[str, list[Proposal[tuple[int, float]]]] = {}
        self._made: list[_Made] = []
        self._values: dict[str, float] = {}
        self._weights: list[float] = []
        self._changed = 0
        self._costs = [self._spent]
        self._scores = [landscape.score(0)]

    def trace(self) -> Trace:
        return Trace(
            tuple(self._costs),
            tuple(self._scores),
            self._edits,
            self._spent,
            tuple(self._weights),
            self._changed,
        )

    def tree_search(self) -> None:
        """Choose, propose, grade, add, until the budget is spent or nothing is left to try."""
        free = 0
        while self._spent < self._budget and free < STALLED:
            knowledge = self._knowledge()
            q = self._snapshot(knowledge)
            try:
                choice = select(self._tree, q, self._settings, self._selector, self._rng, expandable=self._expandable)
            except SearchExhausted:
                return
            self._note(choice, q)
            node_id, edit, logprob = self._next(choice, q, knowledge)
            before = self._spent
            if not self._make(node_id, edit, logprob, knowledge):
                return
            free = free + 1 if self._spent == before else 0

    def beam(self, width: int) -> None:
        """W4S: ``width`` children of the current workflow a turn; the best of them is the current one from then on."""
        current = self._tree.root_id
        while True:
            knowledge = self._knowledge()
            children: list[Node] = []
            for _ in range(width):
                if not self._expandable(current):
                    break
                edit, logprob = self._draw(current, knowledge)
                if not self._make(current, edit, logprob, knowledge):
                    return
                children.append(self._tree[self._land.state(self._land.apply(self._mask(current), edit)).hash])
            if not children:
                return
            current = max(children, key=lambda node: node.mean).id

    def _knowledge(self) -> Knowledge:
        return Knowledge(self._tree, self._land.family.edits)

    def _mask(self, node_id: str) -> int:
        state = self._tree[node_id].state
        assert isinstance(state, LandscapeState)
        return state.mask

    def _expandable(self, node_id: str) -> bool:
        return node_id not in self._exhausted

    def _snapshot(self, knowledge: Knowledge) -> QSnapshot | None:
        """The critic's values of all nodes, and what its earlier ones have earned it."""
        critic = self._critic
        if critic is None:
            return None
        asked = [node.id for node in self._tree if not critic.fixed or node.id not in self._values]
        masks, shown = [self._mask(found) for found in asked], [knowledge.x[found] for found in asked]
        values = critic.nodes(masks, shown, knowledge)
        self._values.update(zip(asked, values, strict=True))
        assert self._arm.critic is not None
        if self._arm.critic.trusted:
            return QSnapshot(0, self._values, 1.0, 1.0)
        future = futures(self._tree, GAMMA) if self._made else {}
        outcomes = [edit_promise(knowledge.x[made.child_id], future[made.child_id], GAMMA) for made in self._made]
        edits = [Prediction(made.q, made.shown, outcome) for made, outcome in zip(self._made, outcomes, strict=True)]
        return QSnapshot(0, self._values, confidence(_of_nodes(self._made, outcomes)), confidence(edits))

    def _note(self, choice: Choice, q: QSnapshot | None) -> None:
        if q is None:
            return
        screen = float(weight(self._settings, q.edit_confidence, 0.0)) if self._settings.screen.proposals else 0.0
        self._weights.append(max(choice.alpha_effective, screen))
        self._changed += choice.changed_by_q

    def _next(self, choice: Choice, q: QSnapshot | None, knowledge: Knowledge) -> tuple[str, int, float]:
        """(workflow, edit, log-probability) to run: the best of the proposals, or one of the chosen workflow."""
        if q is not None and screens(q, self._settings, self._rng):
            for node_id, count in wanted(choice, self._waiting, self._settings).items():
                self._propose(node_id, count, knowledge)
            rule = self._selector.rule(choice.field.without_q(), self._settings, self._rng)
            proposals = [proposal for waiting in self._waiting.values() for proposal in waiting]
            best = best_proposal(choice, proposals, q, self._settings, rule.tolist())
            if best is not None:
                self._waiting[best.node_id].remove(best)
                return best.node_id, *best.edit
        waiting = self._waiting.get(choice.node_id)
        if waiting:
            return choice.node_id, *waiting.pop(0).edit
        return choice.node_id, *self._draw(choice.node_id, knowledge)

    def _propose(self, node_id: str, count: int, knowledge: Knowledge) -> None:
        """Let the policy propose edits of a node that were neither tried nor proposed."""
        waiting = self._waiting.setdefault(node_id, [])
        mask = self._mask(node_id)
        assert self._critic is not None
        for _ in range(count):
            known = {proposal.edit[0] for proposal in waiting}
            if not self._left(node_id, known):
                return
            edit, logprob = self._draw(node_id, knowledge, known)
            q = self._critic.edits(mask, [edit], knowledge.x[node_id], knowledge)[0]
            waiting.append(Proposal(node_id, (edit, logprob), q))

    def _left(self, node_id: str, known: set[int]) -> list[int]:
        tried = self._tree.tried(node_id)
        return [edit for edit in self._land.edits(self._mask(node_id)) if str(edit) not in tried and edit not in known]

    def _draw(self, node_id: str, knowledge: Knowledge, known: set[int] | None = None) -> tuple[int, float]:
        edits = self._left(node_id, known or set())
        self._spent += self._proposal_cost
        place, logprob = draw(self._policy.weights(self._mask(node_id), edits, knowledge), self._rng)
        return edits[place], logprob

    def _make(self, node_id: str, edit: int, logprob: float, knowledge: Knowledge) -> bool:
        """Grade the child and add it; False where the budget does not pay for it."""
        mask = self._mask(node_id)
        child = self._land.state(self._land.apply(mask, edit))
        known = None if self._arm.pays_twins else self._tree.find(child.hash)
        grades = dict(known.grades) if known is not None else self._grade(child, node_id)
        if grades is None:
            return False
        if self._critic is not None:
            shown = knowledge.x[node_id]
            q = self._critic.edits(mask, [edit], shown, knowledge)[0]
            self._made.append(_Made(node_id, child.hash, shown, self._values[node_id], q))
        self._tree.add_child(node_id, child, str(edit), grades, logprob=logprob)
        self._tree.visit(node_id)
        for node in (node_id, child.hash):
            if len(self._tree.tried(node)) >= len(self._land.edits(self._mask(node))):
                self._exhausted.add(node)
        self._edits += 1
        self._deliver()
        return True

    def _grade(self, child: LandscapeState, parent_id: str) -> dict[str, float] | None:
        """The child's grades, and what its parent lacked of them; None, and nothing kept, where the budget ends."""
        spent, of_parent = 0, {}

        def run(problems: Sequence[int]) -> dict[str, float]:
            nonlocal spent
            spent += len(problems)
            return self._land.grades(child.mask, problems)

        def run_parent(problems: Sequence[int]) -> dict[str, float]:
            nonlocal spent
            spent += len(problems)
            of_parent.update(found := self._land.grades(self._mask(parent_id), problems))
            return found

        grades = self._grader(run, run_parent, self._tree, parent_id, self._order)
        if self._spent + spent / self._problems > self._budget + 1e-9:
            return None
        self._spent += spent / self._problems
        self._tree.add_grades(parent_id, of_parent)
        return grades

    def _deliver(self) -> None:
        """Write down the true score of what would be delivered now, where it changed."""
        x = self._tree.estimates().x
        means = {node.id: node.mean for node in self._tree} if self._arm.deliver == "mean" else x
        score = self._land.score(self._mask(max(means, key=means.__getitem__)))
        if score != self._scores[-1]:
            self._costs.append(self._spent)
            self._scores.append(score)
