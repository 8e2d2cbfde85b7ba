"""How a tree is read, be it a snapshot or an overlay."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Generic, TypeVar

from aflow_verl.search.columns import Columns
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
        nodes: Layer[Node | None],
        children: Layer[tuple[str, ...]],
        parents: Layer[tuple[str, ...]],
        tried: Layer[frozenset[str]],
    ) -> None:
        self.root_id = root_id
        self._nodes = nodes
        self._children = children
        self._parents = parents
        self._tried = tried
        self._fans: dict[str, Columns] = {}
        self._columns: Columns | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the columns, which are quickly made again."""
        return {**self.__dict__, "_fans": {}, "_columns": None}

    def fan(self, node_id: str) -> Columns:
        """The candidates at a node side by side: itself, then its children."""
        found = self._fans.get(node_id)
        if found is None:
            found = self._fans[node_id] = self._new_fan(node_id)
        return found

    def columns(self) -> Columns:
        """All nodes side by side, in the order of ``__iter__``."""
        if self._columns is None:
            self._columns = self._new_columns()
        return self._columns

    def _new_fan(self, node_id: str) -> Columns:
        return Columns((self[i] for i in (node_id, *self.children(node_id))), at=node_id)

    def _new_columns(self) -> Columns:
        return Columns(self)

    @property
    def root(self) -> Node:
        return self[self.root_id]

    def find(self, node_id: str) -> Node | None:
        return self._nodes.get(node_id, None)

    def __getitem__(self, node_id: str) -> Node:
        node = self.find(node_id)
        if node is None:
            raise KeyError(node_id)
        return node

    def __contains__(self, node_id: str) -> bool:
        return self.find(node_id) is not None

    def __iter__(self) -> Iterator[Node]:
        """All nodes, in the order in which they came."""
        for node_id in self._nodes.base:
            yield self[node_id]
        for node_id in self.new_ids():
            yield self[node_id]

    def __len__(self) -> int:
        return len(self._nodes.base) + len(self.new_ids())

    def new_ids(self) -> tuple[str, ...]:
        """Nodes that this overlay added; none in a snapshot."""
        return tuple(node_id for node_id in self._nodes.own if node_id not in self._nodes.base)

    def is_new(self, node_id: str) -> bool:
        return node_id in self._nodes.own and node_id not in self._nodes.base

    def known_before(self, ids: Collection[str]) -> Iterator[bool]:
        """Which of these nodes the snapshot has, that is, which this overlay did not add."""
        return map(self._nodes.base.__contains__, ids)

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

    def path(self, node_id: str) -> tuple[str, ...]:
        """Ids from the root to the node, both included, along first parents."""
        return (*reversed(tuple(self.ancestors(node_id))), node_id)

    def descendants(self, node_id: str) -> Iterator[str]:
        """Ids of everything below the node, along all edges, each once, depth first."""
        seen = {node_id}
        stack = list(reversed(self.children(node_id)))
        while stack:
            found = stack.pop()
            if found not in seen:
                seen.add(found)
                yield found
                stack.extend(reversed(self.children(found)))

    def best(self) -> Node:
        """The node of highest posterior mean; the earliest of equals."""
        return max(self, key=lambda node: node.posterior_mean)

    def subtree_best(self, node_id: str) -> float:
        """Highest posterior mean of the node and everything below it. Cost: the size of that part."""
        return max(self[found].posterior_mean for found in (node_id, *self.descendants(node_id)))
