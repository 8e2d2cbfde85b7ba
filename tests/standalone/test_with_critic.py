"""A critic in the loop: its values steer the choices, and with weight 0 it might as well not be there."""

from aflow_verl.search.qvalues import QSnapshot, QValue
from aflow_verl.standalone.history import RoundEntry


class LovesTheSeed:
    """Promises a lot of editing the seed, and nothing of editing anything else."""

    weights_step = 9

    def __init__(self) -> None:
        self.touched: list[set[str]] = []
        self.records = 0

    def begin(self, tree, records, kept):
        assert kept is None

    def changed(self, node_ids):
        self.touched.append(set(node_ids))

    def learned(self, record):
        self.records += 1

    async def snapshot(self, tree):
        return QSnapshot(9, {n.id: QValue(0.9 if n.id == tree.root_id else -0.9, None, 9) for n in tree})


def play(searches, critic, rl_weight, rounds=20) -> list[RoundEntry]:
    async def search() -> list[RoundEntry]:
        contest, editor, history = searches.Ladder(5), searches.RandomEdits(5), searches.Ledger()
        loop = await searches.make_loop(
            contest, editor.ask, history, rounds=rounds, critic=critic, rl_weight=rl_weight, seed=5
        )
        await loop.run()
        assert history.copies == list(range(0, rounds + 1, 5))
        return history.rounds

    return searches.in_virtual_time(search)[0]


def test_q_changes_choices_and_the_ledger_says_so(searches):
    critic = LovesTheSeed()
    with_q, without = play(searches, critic, 1.0), play(searches, None, 0.0)
    seed = with_q[0].node
    assert any(entry.changed_by_q for entry in with_q)
    assert sum(e.node == seed for e in with_q) > sum(e.node == seed for e in without)
    assert all(entry.q == (0.9 if entry.node == seed else -0.9) for entry in with_q)
    assert {(entry.q, entry.changed_by_q) for entry in without} == {(None, False)}
    assert critic.records == 20
    assert critic.touched == [{e.node} | ({e.child} if e.child else set()) for e in with_q]


def test_weight_0_is_the_search_without_a_critic(searches):
    ignored, without = play(searches, LovesTheSeed(), 0.0), play(searches, None, 0.0)
    assert [(e.node, e.action, e.score) for e in ignored] == [(e.node, e.action, e.score) for e in without]
