"""Many workers find what one finds, in a fraction of the time; and how a search ends."""

import asyncio
import statistics

import pytest

from aflow_verl.errors import BudgetExhausted, ModelUnavailable

SEEDS, ROUNDS = 20, 160


@pytest.mark.slow
def test_four_workers_find_as_much_as_one_in_a_quarter_of_the_time(searches):
    """More of them in as few rounds lose depth: each choice lacks what the others are at."""

    def run(seed: int, workers: int) -> tuple[float, float]:
        async def search() -> float:
            contest, editor = searches.Ladder(seed), searches.RandomEdits(seed)
            loop = await searches.make_loop(
                contest, editor.ask, searches.Ledger(), rounds=ROUNDS, workers=workers, seed=seed
            )
            assert await loop.run() == "rounds"
            return float(contest.level(loop.tree.best().state))

        return searches.in_virtual_time(search)

    one, many = ([run(seed, workers) for seed in range(SEEDS)] for workers in (1, 4))
    differences = [found - alone for (found, _), (alone, _) in zip(many, one, strict=True)]
    error = statistics.stdev(differences) / SEEDS**0.5
    print(f"true score of the best, 4 workers - 1: {statistics.fmean(differences):+.4f}, standard error {error:.4f}")
    assert statistics.fmean(differences) > -max(2 * error, 0.005)
    times = [alone / together for (_, together), (_, alone) in zip(many, one, strict=True)]
    print(f"times as fast: {min(times):.1f} to {max(times):.1f}")
    assert statistics.median(times) >= 3.5


def test_workers_never_evaluate_the_same_edit_twice(searches):
    async def search() -> None:
        contest, editor, history = searches.Ladder(0), searches.RandomEdits(0, seconds=0.5), searches.Ledger()
        loop = await searches.make_loop(contest, editor.ask, history, rounds=40, workers=8, selector="soft_mixed")
        await loop.run()
        edits = [(entry.node, entry.action) for entry in history.rounds if entry.child is not None]
        assert len(set(edits)) == len(edits) > 30
        assert sorted(entry.number for entry in history.rounds) == list(range(1, 41))

    searches.in_virtual_time(search)


def test_one_worker_repeats_exactly_and_its_deltas_make_the_tree(searches):
    async def search() -> tuple[list[object], list[object]]:
        contest, editor, history = searches.Ladder(3), searches.RandomEdits(3), searches.Ledger()
        loop = await searches.make_loop(contest, editor.ask, history, rounds=30, seed=3)
        seed = loop.tree.frozen()
        await loop.run()
        again = seed
        for step, delta in enumerate(history.deltas, start=1):
            again = again.merged([delta], step)
        assert list(again) == list(loop.tree)
        assert {node.id: again.tried(node.id) for node in again} == {n.id: loop.tree.tried(n.id) for n in loop.tree}
        return [(e.node, e.action, e.score) for e in history.rounds], list(loop.tree)

    assert searches.in_virtual_time(search) == searches.in_virtual_time(search)


def test_a_search_ends_where_nothing_is_left_to_try(searches):
    """Three edits in any order: their 2 ** 3 sets."""

    async def search(workers: int) -> tuple[str, int]:
        editor, history = searches.RandomEdits(0), searches.Ledger()
        loop = await searches.make_loop(searches.Ladder(0), editor.ask, history, rounds=99, workers=workers, edits=3)
        return await loop.run(), len(loop.tree)

    for workers in (1, 5):
        (reason, nodes), _ = searches.in_virtual_time(lambda workers=workers: search(workers))
        assert (reason, nodes) == ("exhausted", 8)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_search_ends_where_the_budget_does(searches, workers):
    async def search() -> None:
        history, editor = searches.Ledger(), searches.RandomEdits(0)

        async def ask(offer, draw):
            if editor.calls >= 6:
                raise BudgetExhausted("spent")
            return await editor.ask(offer, draw)

        loop = await searches.make_loop(searches.Ladder(0), ask, history, rounds=50, workers=workers)
        assert await loop.run() == "budget"
        assert 0 < len(history.rounds) <= 6
        asked = await searches.make_loop(
            searches.Ladder(0), editor.ask, searches.Ledger(), rounds=50, workers=workers, may_begin=lambda: False
        )
        assert await asked.run() == "budget"

    searches.in_virtual_time(search)


def test_a_failure_of_the_infrastructure_stops_all_workers_and_scores_nothing(searches):
    async def search() -> int:
        history, editor = searches.Ledger(), searches.RandomEdits(0, seconds=0.1)

        async def ask(offer, draw):
            if editor.calls == 7:
                raise ModelUnavailable("down")
            return await editor.ask(offer, draw)

        loop = await searches.make_loop(searches.Ladder(0), ask, history, rounds=50, workers=4)
        with pytest.raises(ModelUnavailable, match="down"):
            await loop.run()
        done = len(history.rounds)
        await asyncio.sleep(10)
        assert len(history.rounds) == done < 8
        return done

    searches.in_virtual_time(search)


def test_convergence_is_an_option(searches):
    async def search(convergence: bool) -> tuple[str, int]:
        history, editor = searches.Ledger(), searches.RandomEdits(1)
        loop = await searches.make_loop(
            searches.Ladder(1), editor.ask, history, rounds=60, convergence=convergence, convergence_z=0.0
        )
        return await loop.run(), len(history.rounds)

    (reason, done), _ = searches.in_virtual_time(lambda: search(True))
    assert reason == "converged"
    assert 5 <= done < 60
    assert searches.in_virtual_time(lambda: search(False))[0] == ("rounds", 60)
