"""Which workflow is edited next, on a tree that others are at work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aflow_verl.config import SearchConfig
from aflow_verl.env.actions import ActionFormat
from aflow_verl.env.seeds import generator
from aflow_verl.search.catalog import selector_named
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.search.selection import Choice, SearchExhausted, select
from aflow_verl.search.tree import Overlay
from aflow_verl.standalone.history import History
from aflow_verl.standalone.proposals import Waiting
from aflow_verl.standalone.under_way import UnderWay

if TYPE_CHECKING:  # PyTorch takes seconds to import: only who needs it
    from aflow_verl.trained.critic import Said, TreeCritic


@dataclass(frozen=True)
class Chosen:
    """What the rule says, and the promises that it was told."""

    choice: Choice
    q: QSnapshot | None
    """None without a critic."""


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
        self._selector = selector_named(settings.selector)
        self._seed = seed
        self._critic = critic
        self.under_way = UnderWay()
        self.waiting = Waiting.from_json(history.waiting())
        if critic is not None:
            critic.resume(*history.values())

    async def choose(self, number: int, stopped: Callable[[], bool]) -> Chosen | None:
        """For the round of this number; None where nothing is left to try, or the search was ``stopped`` meanwhile.

        As long as edits are under way, they may bring something to try.
        """
        while not stopped():
            q = await self._values()
            try:
                choice = select(
                    self._tree,
                    q,
                    self._settings,
                    self._selector,
                    generator(self._seed, "search", number),
                    expandable=self._expandable,
                    in_flight=self.under_way.edits,
                )
            except SearchExhausted:
                if not await self.under_way.one_ended():
                    break
            else:
                return Chosen(choice, q)
        return None

    def tried(self, node_id: str) -> frozenset[str]:
        """Actions that were tried on this node, are under way, or wait."""
        return self._tree.tried(node_id) | self.under_way.claimed(node_id) | self.waiting.names(node_id)

    def _expandable(self, node_id: str) -> bool:
        waits = self.waiting.oldest(node_id) is not None
        return waits or self._actions.can_expand(self._tree[node_id].state, self.tried(node_id))

    async def _values(self) -> QSnapshot | None:
        if self._critic is None:
            return None
        q = await self._critic.snapshot(self._tree, self._said(self._critic.weights_step))
        self._history.keep_values(q, self._critic.prompts)
        return q

    def _said(self, weights_step: int) -> list[Said]:
        """What the critic with these weights has promised in earlier rounds."""
        from aflow_verl.trained.critic import Said

        return [
            Said(entry.node, entry.child, entry.v, entry.v_shown, entry.q, entry.q_shown)
            for entry in self._history.rounds
            if entry.weights_step == weights_step and entry.v_shown is not None and entry.q_shown is not None
        ]
