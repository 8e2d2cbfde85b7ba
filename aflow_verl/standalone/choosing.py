"""Which workflow is edited next, on a tree that others are at work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aflow_verl.config import SearchConfig
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.seeds import generator
from aflow_verl.search.catalog import select
from aflow_verl.search.experience import ExperienceRecord
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import Choice, SearchExhausted
from aflow_verl.search.tree import Overlay
from aflow_verl.standalone.history import History, RoundEntry
from aflow_verl.standalone.under_way import UnderWay

if TYPE_CHECKING:  # PyTorch takes seconds to import: only who needs it
    from aflow_verl.trained.critic import TreeCritic


@dataclass(frozen=True)
class Chosen:
    """What is edited next."""

    choice: Choice
    q: float | None
    """The gain that the critic promises of it; None without a critic."""

    @property
    def node_id(self) -> str:
        return self.choice.node_id


class Chooser:
    """The recipe's selector, and the critic's values where one has a say."""

    def __init__(
        self,
        tree: Overlay,
        history: History,
        actions: ActionFormat,
        settings: SearchConfig,
        seed: int,
        critic: TreeCritic | None,
    ) -> None:
        """``seed``: the recipe's. ``critic`` None is the search without Q."""
        self._tree = tree
        self._history = history
        self._actions = actions
        self._settings = settings
        self._seed = seed
        self._critic = critic
        self.under_way = UnderWay()
        if critic is not None:
            kept, rounds = history.values()
            critic.begin(tree, history.experience(), kept)
            for entry in history.rounds[rounds:]:
                critic.changed(_touched(entry))

    async def choose(self, number: int, stopped: Callable[[], bool]) -> Chosen | None:
        """For the round of this number; None where nothing is left to try, or the search was ``stopped`` meanwhile.

        As long as edits are under way, they may bring something to try.
        """
        while not stopped():
            q = await self._values()
            try:
                choice = self._select(number, q)
            except SearchExhausted:
                if not await self.under_way.one_ended():
                    break
            else:
                return Chosen(choice, None if q is None else q.values[choice.node_id].v)
        return None

    def _select(self, number: int, q: QSnapshot | None) -> Choice:
        rng = generator(self._seed, "search", number)
        in_flight = self.under_way.edits
        return select(self._tree, q, self._settings, rng, expandable=self._expandable, in_flight=in_flight)

    def learn(self, entry: RoundEntry, record: ExperienceRecord) -> None:
        """A round has ended."""
        if self._critic is not None:
            self._critic.learned(record)
            self._critic.changed(_touched(entry))

    def tried(self, node_id: str) -> frozenset[str]:
        """Actions that were tried on this node, or are under way."""
        return self._tree.tried(node_id) | self.under_way.claimed(node_id)

    def _expandable(self, node_id: str) -> bool:
        return self._actions.can_expand(self._tree[node_id].state, self.tried(node_id))

    async def _values(self) -> QSnapshot | None:
        if self._critic is None:
            return None
        q = await self._critic.snapshot(self._tree)
        self._history.keep_values(q)
        return q


def _touched(entry: RoundEntry) -> tuple[str, ...]:
    """Nodes whose prompt the round has changed."""
    return (entry.node,) if entry.child is None else (entry.node, entry.child)
