"""The tree of workflows: a read-only snapshot that many episodes share, and a private overlay for each of them.

A node is a workflow, so the same workflow reached twice is one node: the "tree" is a directed acyclic graph in which
the *first* parent of a node defines its path and carries its visits. An edge that would close a cycle is not added;
its action still counts as tried. Iteration is in the order of insertion, hence deterministic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from aflow_verl.search.estimates import Known
from aflow_verl.search.gains import PairedGain, paired_gain
from aflow_verl.search.node import NO_WEIGHTS, Node
from aflow_verl.search.records import (
    EdgeRecord,
    GradeRecord,
    NodeRecord,
    Record,
    TreeDelta,
    TriedRecord,
    VisitRecord,
)
from aflow_verl.search.view import Layer, TreeView
from aflow_verl.workflow.state import WorkflowState

NO_GRADES: Mapping[str, float] = {}


class Tree(TreeView):
    """A snapshot. Nothing changes it; ``overlay`` is O(1), so any number of episodes can stand on one."""

    def __init__(
        self,
        root_id: str,
        nodes: dict[str, Node],
        children: dict[str, tuple[str, ...]],
        parents: dict[str, tuple[str, ...]],
        tried: dict[str, frozenset[str]],
        gains: dict[str, PairedGain],
        known: Known | None = None,
    ) -> None:
        layers = (Layer(nodes), Layer(children), Layer(parents), Layer(tried), Layer(gains))
        super().__init__(root_id, *layers, known)

    @classmethod
    def seed(
        cls,
        state: WorkflowState,
        grades: Mapping[str, float] = NO_GRADES,
        *,
        prior_mean: float | None = None,
        origin: str = "seed",
    ) -> Tree:
        """A tree of one workflow."""
        root = Node(state.hash, None, state, grades=dict(grades), prior_mean=prior_mean, origin=origin)
        return cls(root.id, {root.id: root}, {}, {}, {}, {})

    def alone(self, node_id: str, *, tried: bool = False) -> Tree:
        """The tree of this node without its surroundings; its grades and its X stay.

        What an overlay on it adds merges into the tree that the node came from.

        Args:
            tried: whether what was tried on the node counts as tried; else nothing was.
        """
        node = replace(self[node_id], parent_id=None, visits=0, edits=0, depth=0)
        remembered = {node_id: self.tried(node_id)} if tried else {}
        estimates = self.estimates()
        known = Known(estimates.x[node_id], estimates.noise, estimates.tau)
        return Tree(node_id, {node_id: node}, {}, {}, remembered, {}, known)

    def overlay(self, *, step: int = 0, origin: str = "") -> Overlay:
        """A private copy-on-write layer. ``step`` and ``origin`` are written on the nodes that it adds."""
        return Overlay(self, step=step, origin=origin)

    def merged(self, deltas: Iterable[TreeDelta], step: int) -> Tree:
        """The tree after these deltas, replayed in the order given; new nodes carry ``step``.

        A node that is known already keeps its first parent and log-probability and gets the union of the grades (the
        first score on a problem stays); visits add up. Raises KeyError for a delta about unknown nodes.
        """
        overlay = self.overlay(step=step)
        for delta in deltas:
            for record in delta.records:
                overlay.apply(record)
        return overlay.frozen()


class Overlay(TreeView):
    """A private layer on a snapshot: it sees the snapshot and its own additions, nobody else sees those."""

    def __init__(self, base: Tree, *, step: int = 0, origin: str = "") -> None:
        super().__init__(
            base.root_id,
            Layer(base._nodes.base),
            Layer(base._children.base),
            Layer(base._parents.base),
            Layer(base._tried.base),
            Layer(base._gains.base),
            base.known,
        )
        self.step = step
        self.origin = origin
        self._log: list[Record] = []

    def add_child(
        self,
        parent_id: str,
        state: WorkflowState,
        action: str,
        grades: Mapping[str, float] = NO_GRADES,
        *,
        weights: Mapping[str, float] = NO_WEIGHTS,
        failures: tuple[str, ...] = (),
        logprob: float | None = None,
    ) -> Node:
        """The workflow that ``action`` made from ``parent_id``, as a node; the action counts as tried.

        A workflow that is known already is not added again: its node gets the edge, unless that would close a cycle
        (or it is the parent itself), and those of the grades that it lacks.
        """
        node_id = state.hash
        if node_id not in self:
            return self._add_node(
                NodeRecord(
                    node_id=node_id,
                    parent_id=parent_id,
                    state=state,
                    action=action,
                    grades=dict(grades),
                    weights=dict(weights),
                    failures=failures,
                    logprob=logprob,
                    origin=self.origin,
                )
            )
        self._add_edge(EdgeRecord(parent_id, node_id, action))
        return self.add_grades(node_id, grades, weights=weights, failures=failures)

    def add_grades(
        self,
        node_id: str,
        grades: Mapping[str, float],
        *,
        weights: Mapping[str, float] = NO_WEIGHTS,
        failures: tuple[str, ...] | None = None,
    ) -> Node:
        """Adds the scores on problems that the node has none on; what is known stays. Returns the node as it is now.

        Args:
            weights: of these grades; 1 where missing.
            failures: the problems that it failed now; None leaves them as they are.
        """
        node = self[node_id]
        shown = node.failures if failures is None else failures
        fresh = {problem: score for problem, score in grades.items() if problem not in node.grades}
        if not fresh and shown == node.failures:
            return node
        heavier = {problem: weights[problem] for problem in fresh if problem in weights}
        self._log.append(GradeRecord(node_id, fresh, heavier, shown))
        whole = {**node.grades, **fresh}
        return self._put(replace(node, grades=whole, weights={**node.weights, **heavier}, failures=shown))

    def mark_tried(self, node_id: str, action: str) -> None:
        """Remembers an action that made no node: an invalid reply, or one that changed nothing."""
        if action not in self.tried(self[node_id].id):
            self._log.append(TriedRecord(node_id, action))
            self._remember(node_id, action)

    def visit(self, node_id: str) -> None:
        """Counts one edit of this node, valid or not, and backs it up along the first parents to the root."""
        node = self[node_id]
        self._log.append(VisitRecord(node_id))
        self._count(node.visited(edited=True))
        while node.parent_id is not None:
            node = self[node.parent_id]
            self._count(node.visited(edited=False))

    def delta(self) -> TreeDelta:
        """What this overlay added so far."""
        return TreeDelta(tuple(self._log))

    def delta_since(self, records: int) -> TreeDelta:
        """``delta`` without its first ``records`` records."""
        return TreeDelta(tuple(self._log[records:]))

    def frozen(self) -> Tree:
        """This overlay and what it stands on as one snapshot."""
        return Tree(
            self.root_id,
            self._nodes.merged(),
            self._children.merged(),
            self._parents.merged(),
            self._tried.merged(),
            self._gains.merged(),
            self.known,
        )

    def apply(self, record: Record) -> None:
        """Replays one record of another overlay. Raises KeyError if it is about nodes that this tree lacks."""
        match record:
            case NodeRecord() if record.node_id not in self:
                self._add_node(record)
            case NodeRecord():
                self._add_edge(EdgeRecord(record.parent_id, record.node_id, record.action))
                self.add_grades(record.node_id, record.grades, weights=record.weights, failures=record.failures or None)
            case EdgeRecord():
                self._add_edge(record)
            case TriedRecord():
                self.mark_tried(record.node_id, record.action)
            case GradeRecord():
                self.add_grades(record.node_id, record.grades, weights=record.weights, failures=record.failures)
            case VisitRecord():
                self.visit(record.node_id)

    def _add_node(self, record: NodeRecord) -> Node:
        parent = self[record.parent_id]
        self._log.append(record)
        self._link(record.parent_id, record.node_id, record.action)
        return self._put(
            Node(
                id=record.node_id,
                parent_id=record.parent_id,
                state=record.state,
                action=record.action,
                grades=record.grades,
                weights=record.weights,
                prior_mean=record.prior_mean,
                logprob=record.logprob,
                step=self.step,
                origin=record.origin,
                depth=parent.depth + 1,
                failures=record.failures,
            )
        )

    def _add_edge(self, edge: EdgeRecord) -> None:
        parent_id, child_id = self[edge.parent_id].id, self[edge.child_id].id
        if child_id in self.children(parent_id) or self._closes_cycle(parent_id, child_id):
            self.mark_tried(parent_id, edge.action)
            return
        self._log.append(edge)
        self._link(parent_id, child_id, edge.action)

    def _link(self, parent_id: str, child_id: str, action: str) -> None:
        self._children.own[parent_id] = (*self.children(parent_id), child_id)
        self._parents.own[child_id] = (*self.parents(child_id), parent_id)
        self._remember(parent_id, action)

    def _closes_cycle(self, parent_id: str, child_id: str) -> bool:
        """True if the child is the parent or one of its ancestors along any edges."""
        seen: set[str] = set()
        stack = [parent_id]
        while stack:
            node_id = stack.pop()
            if node_id == child_id:
                return True
            if node_id not in seen:
                seen.add(node_id)
                stack.extend(self.parents(node_id))
        return False

    def _remember(self, node_id: str, action: str) -> None:
        self._tried.own[node_id] = self.tried(node_id) | {action}

    def _put(self, node: Node) -> Node:
        """Here grades change, and with them the gain of the node over its parent, and those of its children over it."""
        self._nodes.own[node.id] = node
        self._estimates = None
        if node.parent_id is not None and node.grades:
            self._gains.own[node.id] = paired_gain(node, self[node.parent_id])
        for child_id in self.children(node.id):
            child = self[child_id]
            if child.parent_id == node.id:
                self._gains.own[child_id] = paired_gain(child, node)
        return node

    def _count(self, node: Node) -> None:
        """``_put`` where nothing but the visits changed."""
        self._nodes.own[node.id] = node
