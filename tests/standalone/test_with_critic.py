"""A critic in the loop: it steers choices as far as it has earned it, and screens edits before they are paid for."""

import asyncio

import pytest

from aflow_verl.env.step import Edit
from aflow_verl.search.qvalues import QSnapshot
from aflow_verl.standalone.proposals import Draft, Waiting

LOVED = set(map(str, range(0, 24, 3)))
"""A third of the edits."""


class Critic:
    """Promises a lot of editing the seed, little of editing anything else, and a lot of some edits."""

    weights_step = 9

    def __init__(self, nodes: float = 0.0, edits: float = 0.0) -> None:
        self.confidences = (nodes, edits)
        self.prompts: dict[str, str] = {}
        self.said: list[int] = []
        self.asked = 0

    def resume(self, kept, prompts):
        assert (kept, prompts) == (None, {})

    async def snapshot(self, tree, said):
        self.said.append(len(said))
        return QSnapshot(9, {n.id: 0.9 if n.id == tree.root_id else 0.1 for n in tree}, *self.confidences)

    async def edits(self, asked):
        await asyncio.sleep(0)
        self.asked += len(asked)
        return [0.9 if reply.text in LOVED else 0.2 for _, reply in asked]


def play(searches, critic, rl_weight, rounds=20, workers=1, **more):
    async def search():
        contest, editor, history = searches.Ladder(5), searches.RandomEdits(5), searches.Ledger()
        loop = await searches.make_loop(
            contest,
            editor.ask,
            history,
            rounds=rounds,
            critic=critic,
            rl_weight=rl_weight,
            seed=5,
            workers=workers,
            **more,
        )
        await loop.run()
        return history, editor.calls, len(contest.graded)

    return searches.in_virtual_time(search)[0]


def test_promises_of_nodes_change_choices_and_the_ledger_says_so(searches):
    critic = Critic(nodes=1.0)
    (history, _, _), (plain, _, _) = play(searches, critic, 1.0), play(searches, None, 0.0)
    with_q, without = history.rounds, plain.rounds
    seed = with_q[0].node
    assert any(entry.changed_by_q for entry in with_q)
    assert sum(e.node == seed for e in with_q) > sum(e.node == seed for e in without)
    assert all(entry.v == (0.9 if entry.node == seed else 0.1) for entry in with_q)
    assert {(entry.v, entry.q, entry.changed_by_q) for entry in without} == {(None, None, False)}
    assert critic.said[:3] == [0, 1, 2], "what it said in earlier rounds"
    assert [line["alpha_effective"] > 0 for line in history.choices] == [True] * 20


def test_without_confidence_or_weight_the_critic_might_as_well_not_be_there(searches):
    without = play(searches, None, 0.0)[0].rounds
    for critic, weight in ((Critic(), 1.0), (Critic(1.0, 1.0), 0.0)):
        ignored, calls, _ = play(searches, critic, weight)
        assert [(e.node, e.action, e.child) for e in ignored.rounds] == [(e.node, e.action, e.child) for e in without]
        assert all(entry.q is not None and not entry.screened for entry in ignored.rounds), "it is judged all the same"
        assert calls == 20


def test_of_many_proposals_the_best_promise_is_run(searches):
    history, calls, graded = play(searches, Critic(edits=1.0), 1.0)
    screened = [entry for entry in history.rounds if entry.screened]
    assert len(screened) >= 15
    assert sum(entry.action in LOVED for entry in screened) >= 0.8 * len(screened)
    assert all(entry.q == (0.9 if entry.action in LOVED else 0.2) for entry in history.rounds)
    assert any(entry.changed_by_q for entry in screened)
    for entry, line in zip(history.rounds, history.choices, strict=True):
        assert (line["edit_q"], line["screened"], line["edited"]) == (entry.q, entry.screened, entry.node)
    assert calls > 2 * graded, "most proposals are never paid for"
    waiting = Waiting.from_json(history.kept)
    assert sum(1 for _ in waiting) >= 8
    assert waiting.to_json() == history.kept
    edits = [(entry.node, entry.action) for entry in history.rounds]
    assert len(set(edits)) == 20


def test_a_share_of_edits_is_unscreened(searches):
    """epsilon 1: the critic is asked what it thinks of each edit, and has no say."""
    from aflow_verl.config import ScreenConfig

    history, calls, _ = play(searches, Critic(edits=1.0), 1.0, screen=ScreenConfig(epsilon=1.0))
    assert not any(entry.screened for entry in history.rounds)
    assert calls == 20
    some, _, _ = play(searches, Critic(edits=1.0), 1.0, rounds=60, screen=ScreenConfig(epsilon=0.3))
    assert 5 <= sum(not entry.screened for entry in some.rounds) <= 32


def test_workers_share_the_proposals(searches):
    history, _, _ = play(searches, Critic(edits=1.0), 1.0, rounds=40, workers=8)
    edits = [(entry.node, entry.action) for entry in history.rounds]
    assert len(set(edits)) == len(edits) == 40
    assert sum(entry.screened for entry in history.rounds) > 25


@pytest.mark.parametrize("q", [0.5, None])
def test_proposals_outlive_a_process(searches, q):
    waiting = Waiting()
    assert [waiting.number("n"), waiting.number("n"), waiting.number("m")] == [0, 1, 0]
    child = searches.workflow(("a",))
    waiting.add("n", Draft(Edit("a", child), -0.5, q, 0.4))
    again = Waiting.from_json(waiting.to_json())
    assert again.of == waiting.of
    assert again.number("n") == 2
    assert again.names("n") == {"a", child.hash}
    oldest = again.oldest("n")
    assert again.take(oldest) == Draft(Edit("a", child), -0.5, q, 0.4)
    assert (again.oldest("n"), again.names("n"), list(Waiting.from_json({}))) == (None, frozenset(), [])
