"""How a tree is read, be it a snapshot or an overlay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from aflow_verl.search.estimates import Estimates, Known, estimate
from aflow_verl.search.gains import NOT_COMPARED, PairedGain
from aflow_verl.search.node import Node

V = TypeVar("V")


class Layer(Generic[V]):
    """A dict on top of another one that is never written to."""

    __slots__ = ("base", "own")

    def __init__(self, base: dict[str, V]) -> None:
        self.base = base
        self.own: dict[str, V] = {}

    def get(self, key: str, default: V) -> V:
        found = self.own.get(key)
        return self.base.get(key, default) if found is None else found

    def merged(self) -> dict[str, V]:
        """Both as one dict: the base's order, then the new keys in theirs."""
        return {**self.base, **self.own}


class TreeView:
    """What can be read of a tree, be it a snapshot or an overlay. Reading never changes anything."""

    def __init__(
        self,
        root_id: str,
        nodes: Layer[Node],
        children: Layer[tuple[str, ...]],
        parents: Layer[tuple[str, ...]],
        tried: Layer[frozenset[str]],
        gains: Layer[PairedGain],
        known: Known | None = None,
    ) -> None:
        """``known``: what the tree that this one is a part of says; None for a whole tree."""
        self.root_id = root_id
        self.known = known
        self._nodes = nodes
        self._children = children
        self._parents = parents
        self._tried = tried
        self._gains = gains
        self._estimates: Estimates | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the estimates, which are quickly made again."""
        return {**self.__dict__, "_estimates": None}

    def estimates(self) -> Estimates:
        """X of every node, by all grades of the tree; made anew after a change of grades."""
        if self._estimates is None:
            self._estimates = estimate(self, self._gains.merged(), self.known)
        return self._estimates

    def gain(self, node_id: str) -> PairedGain:
        """The paired gain of a node over its first parent."""
        return self._gains.get(node_id, NOT_COMPARED)

    def x(self, node_id: str) -> float:
        """Believed score of a node."""
        return self.estimates().x[node_id]

    @property
    def root(self) -> Node:
        return self[self.root_id]

    def find(self, node_id: str) -> Node | None:
        return self._nodes.own.get(node_id) or self._nodes.base.get(node_id)

    def __getitem__(self, node_id: str) -> Node:
        node = self.find(node_id)
        if node is None:
            raise KeyError(node_id)
        return node

    def __contains__(self, node_id: str) -> bool:
        return self.find(node_id) is not None

    def __iter__(self) -> Iterator[Node]:
        """All nodes, in the order in which they came."""
        base, own = self._nodes.base, self._nodes.own
        for node_id, node in base.items():
            yield own.get(node_id, node)
        for node_id, node in own.items():
            if node_id not in base:
                yield node

    def __len__(self) -> int:
        return len(self._nodes.base) + len(self.new_ids())

    def new_ids(self) -> tuple[str, ...]:
        """Nodes that this overlay added; none in a snapshot."""
        return tuple(node_id for node_id in self._nodes.own if node_id not in self._nodes.base)

    def children(self, node_id: str) -> tuple[str, ...]:
        """Ids of the workflows made from this one, by a first edge or a later one, in order of discovery."""
        return self._children.get(node_id, ())

    def parents(self, node_id: str) -> tuple[str, ...]:
        """All parents, the first one first; empty for the root."""
        return self._parents.get(node_id, ())

    def tried(self, node_id: str) -> frozenset[str]:
        """Actions that were tried on this node, those that failed included."""
        return self._tried.get(node_id, frozenset())

    def ancestors(self, node_id: str) -> Iterator[str]:
        """Ids of the first parent, its first parent, ... up to the root."""
        parent_id = self[node_id].parent_id
        while parent_id is not None:
            yield parent_id
            parent_id = self[parent_id].parent_id

    def ranked(self) -> list[Node]:
        """All workflows, the one believed best first: by ``Estimates.safe``, the earlier of equals first."""
        safe = self.estimates().safe
        return [self[node_id] for node_id in sorted(safe, key=safe.__getitem__, reverse=True)]

    def best(self) -> Node:
        """The first of ``ranked``."""
        return self.ranked()[0]
