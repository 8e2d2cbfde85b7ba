"""One step of the search, for episodes and for the search without training alike: read, grade, add, back up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aflow_verl.env.actions import ActionFormat
from aflow_verl.errors import InvalidAction
from aflow_verl.evaluation.comparison import scores
from aflow_verl.search.node import NO_WEIGHTS, Node
from aflow_verl.search.tree import Overlay
from aflow_verl.types import Evaluation
from aflow_verl.workflow.state import WorkflowState

STOPPED = "stop"
FAILS_EVERYWHERE, NO_CHANGE = "fails_everywhere", "no_change"


@dataclass(frozen=True, slots=True)
class Edit:
    """What a reply wants to do to a workflow."""

    action: str | None
    """Its name; None for a reply that can't be read."""
    child: WorkflowState | None
    """The workflow it makes; None where there is none."""
    invalid: str | None = None
    """Kind of the failure; None for a valid reply."""

    @property
    def stops(self) -> bool:
        return self.child is None and self.invalid is None


async def read(actions: ActionFormat, state: WorkflowState, reply: str) -> Edit:
    """Raises InfrastructureError where a model behind the format failed; whatever the reply says is an ``Edit``."""
    try:
        action = await actions.read(state, reply)
    except InvalidAction as failure:
        return Edit(None, None, failure.kind)
    if action.failure is not None:
        return Edit(action.key, None, action.failure.kind)
    if action.child is not None and action.child.hash == state.hash:
        return Edit(action.key, None, NO_CHANGE)
    return Edit(action.key, action.child)


def judged(edit: Edit, evaluation: Evaluation | None) -> Edit:
    """The edit after its workflow was graded: invalid where it failed by its own fault on every problem."""
    if evaluation is not None and evaluation.failed_everywhere:
        return Edit(edit.action, None, FAILS_EVERYWHERE)
    return edit


def back_up(
    tree: Overlay,
    node_id: str,
    edit: Edit,
    evaluation: Evaluation | None,
    *,
    weights: Mapping[str, float] = NO_WEIGHTS,
    failures: tuple[str, ...] = (),
    logprob: float | None = None,
) -> Node | None:
    """Add what an edit made and count the visit; returns the child, None where there is none.

    A stop leaves no trace. An invalid edit that has a name counts as tried.

    Args:
        evaluation: of the edit's workflow; not None where it has one.
        weights, failures: of the evaluation, see ``Node``.
    """
    if edit.stops:
        return None
    child = None
    if edit.child is not None and edit.action is not None:
        assert evaluation is not None
        child = tree.add_child(
            node_id,
            edit.child,
            edit.action,
            scores(evaluation),
            weights=weights,
            failures=failures,
            logprob=logprob,
        )
    elif edit.action is not None:
        tree.mark_tried(node_id, edit.action)
    tree.visit(node_id)
    return child
