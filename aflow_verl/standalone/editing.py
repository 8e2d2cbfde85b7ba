"""Edits of the workflows of a tree: offers made to the editor, replies turned into drafts, proposals kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aflow_verl.config import StandaloneConfig
from aflow_verl.env.actions import ActionFormat, Offer
from aflow_verl.env.prompts import experience_lines, learned_from, show
from aflow_verl.env.step import Edit
from aflow_verl.search.screening import Proposal
from aflow_verl.search.tree import Overlay
from aflow_verl.standalone.choosing import Chooser
from aflow_verl.standalone.expansion import Ask, Drawing, DryRun, Expansion, expand
from aflow_verl.standalone.grading import Grading
from aflow_verl.standalone.proposals import Draft, names_of
from aflow_verl.standalone.scores import score_of

if TYPE_CHECKING:  # PyTorch takes seconds to import: only who needs it
    from aflow_verl.trained.critic import TreeCritic


@dataclass(frozen=True)
class Made:
    """The edit of a round; it has a child or is invalid."""

    draft: Draft
    draws: int


class Editing:
    """What asks the editor. Any number of edits may be under way."""

    def __init__(
        self,
        tree: Overlay,
        chooser: Chooser,
        grading: Grading,
        actions: ActionFormat,
        ask: Ask,
        dry_run: DryRun,
        critic: TreeCritic | None,
        settings: StandaloneConfig,
        *,
        by_policy: bool,
    ) -> None:
        """``by_policy``: a policy is shown X of a workflow, as in its training, and never its own broken workflow, of
        which its training had none; other editors are shown the plain mean, as in AFlow."""
        self._tree = tree
        self._chooser = chooser
        self._grading = grading
        self._actions = actions
        self._ask = ask
        self._dry_run = dry_run
        self._critic = critic
        self._redraws = settings.redraws
        self._repairs = 0 if by_policy or actions.restricted else settings.repairs
        self._by_policy = by_policy

    async def make(self, node_id: str, claims: set[str]) -> Made:
        """A new edit of this workflow; ``claims``: of the edit under way that it is."""

        def claim(edit: Edit) -> bool:
            # Its own name is no hindrance: a workflow that failed its dry run is written again under it.
            taken = self._taken(node_id)
            assert edit.child is not None
            if edit.child.hash in taken or edit.action in taken - claims:
                return False
            self._chooser.under_way.claim(node_id, claims, names_of(edit))
            return True

        offer, shown = self._offer(node_id)
        drawing = replace(self._drawing(node_id), claim=claim)
        found = await expand(drawing, offer, redraws=self._redraws, repairs=self._repairs)
        [draft] = await self._drafts([(offer, found, shown)])
        return Made(draft, found.draws)

    async def propose(self, lacking: Mapping[str, int]) -> None:
        """Ask for so many proposals of these workflows, all at once. Those that can't be evaluated, and those that are
        not new, are dropped.

        Args:
            lacking: by node id.
        """
        groups = await asyncio.gather(*(self._proposed(node_id, count) for node_id, count in lacking.items()))
        usable = [(node_id, each) for node_id, found in zip(lacking, groups, strict=True) for each in found]
        drafts = await self._drafts([each for _, each in usable])
        for (node_id, _), draft in zip(usable, drafts, strict=True):  # without a pause, so that new ones stay new
            if not names_of(draft.edit) & self._taken(node_id):
                self._chooser.waiting.add(node_id, draft)

    def take(self, proposal: Proposal[Draft], claims: set[str]) -> Made:
        """A proposal becomes the edit of a round."""
        draft = self._chooser.waiting.take(proposal)
        self._chooser.under_way.claim(proposal.node_id, claims, names_of(draft.edit))
        return Made(draft, 1)

    async def _proposed(self, node_id: str, count: int) -> list[tuple[Offer, Expansion, float]]:
        """Those that can be evaluated."""
        if not self._grading.is_known(node_id):
            await self._grading.know(node_id)
        offer, shown = self._offer(node_id)
        drawing = self._drawing(node_id)
        found = await asyncio.gather(*(drawing.draw(offer) for _ in range(count)))
        return [(offer, expansion, shown) for expansion in found if expansion.edit.child is not None]

    def _drawing(self, node_id: str) -> Drawing:
        return Drawing(
            state=self._tree[node_id].state,
            actions=self._actions,
            ask=self._ask,
            dry_run=self._dry_run,
            claim=lambda edit: True,
            number=lambda: self._chooser.waiting.number(node_id),
        )

    def _offer(self, node_id: str) -> tuple[Offer, float]:
        """(what the editor is shown, X of the workflow)."""
        node, x = self._tree[node_id], self._tree.x(node_id)
        offer = show(
            self._actions,
            node,
            x if self._by_policy else score_of(self._tree, node_id),
            self._chooser.tried(node_id),
            experience_lines(self._tree, node_id),
            learned_from(self._tree),
        )
        return offer, x

    def _taken(self, node_id: str) -> frozenset[str]:
        """Actions and workflows that would be nothing new on this node."""
        return self._chooser.tried(node_id) | {node_id, *self._tree.children(node_id)}

    async def _drafts(self, found: list[tuple[Offer, Expansion, float]]) -> list[Draft]:
        """With what the critic says of each that can be evaluated."""
        q: dict[int, float] = {}
        if self._critic is not None:
            asked = {
                k: (offer, expansion.reply)
                for k, (offer, expansion, _) in enumerate(found)
                if expansion.edit.child is not None and expansion.reply is not None
            }
            q = dict(zip(asked, await self._critic.edits(list(asked.values())), strict=True))
        return [
            Draft(expansion.edit, None if expansion.reply is None else expansion.reply.log_prob, q.get(k), shown)
            for k, (_, expansion, shown) in enumerate(found)
        ]
