"""The rule for a new best workflow: by hand, and in worlds in which the truth is known."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from aflow_verl.evaluation.confirmation import Belief, Challenge, Trial, beliefs, hopeless, winner

Scores = NDArray[np.float64]
WORLDS = 40
"""So that a mean change is known to about .1 points."""
UNSEEN = 1500
"""Problems of a world that nothing is decided on; the truth is measured on them."""


def trial(wins: int, losses: int, n: int = 64) -> Trial:
    return Trial(n, wins - losses, wins + losses)


def against_seed(over_best: Trial, over_seed: Trial | None = None, whole: bool = True) -> Challenge:
    return Challenge(over_best, over_seed or over_best, whole)


def test_a_trial_is_the_sum_of_its_differences() -> None:
    assert Trial.of([0.5, -0.25, 0.0, 1.0]) == Trial(4, 1.25, 1.3125)


def test_the_lead_counts_a_win_and_a_loss_more() -> None:
    assert trial(3, 0).lead == pytest.approx(3 / math.sqrt(5 - 9 / 66))
    assert trial(2, 0).lead == pytest.approx(2 / math.sqrt(4 - 4 / 66))  # 1.008
    assert trial(0, 0).lead == 0.0
    assert trial(1, 4).lead == -trial(4, 1).lead


def test_an_interval_is_wider_for_one_of_many() -> None:
    one, many = trial(20, 2).interval(0.95, 1), trial(20, 2).interval(0.95, 50)
    error = math.sqrt(22 + 2 - 18 * 18 / 66)
    assert one == pytest.approx(((18 - 1.95996 * error) / 64, (18 + 1.95996 * error) / 64), abs=1e-6)
    assert many == pytest.approx(((18 - 3.29053 * error) / 64, (18 + 3.29053 * error) / 64), abs=1e-6)


def test_many_problems_speak_for_themselves() -> None:
    [belief] = beliefs([trial(900, 400, n=10_000)])
    assert belief.mean == pytest.approx(0.05, abs=0.004)
    assert belief.sd < 0.01


def test_before_anything_is_known_a_little_is_lost() -> None:
    assert beliefs([]) == []
    [belief] = beliefs([trial(0, 0, n=1)])
    assert belief.mean == pytest.approx(-0.01, abs=0.01)


def test_the_same_lead_is_worth_less_among_useless_challengers_and_more_among_good_ones() -> None:
    lead = trial(6, 1)
    alone = beliefs([lead])[0]
    among_useless = beliefs([*[trial(1, 2)] * 100, lead])[-1]
    among_good = beliefs([*[trial(4, 1)] * 20, lead])[-1]
    assert among_useless.mean < 0.01 < alone.mean < among_good.mean
    assert winner([trial(1, 2)] * 100, [against_seed(lead)]) is None
    assert winner([trial(4, 1)] * 20, [against_seed(lead)]) is not None


def test_broken_challengers_do_not_make_luck_credible() -> None:
    useless, broken = [trial(1, 2)] * 90, [trial(0, 14, n=16)] * 10
    luck = trial(4, 1)
    assert abs(beliefs([*useless, *broken, luck])[-1].mean - beliefs([*useless, luck])[-1].mean) < 0.005


def test_the_highest_expected_gain_wins_and_the_first_of_equals() -> None:
    found = winner([], [against_seed(trial(9, 0)), against_seed(trial(14, 0)), against_seed(trial(14, 0))])
    assert found is not None
    index, belief = found
    assert index == 1
    assert isinstance(belief, Belief)
    assert 0 < belief.mean < 14 / 64


@pytest.mark.parametrize(
    "challenge",
    [
        against_seed(trial(20, 0), whole=False),
        against_seed(trial(20, 0), trial(2, 1)),
        against_seed(trial(0, 0), trial(20, 0)),
        against_seed(trial(2, 1)),
    ],
    ids=["given up", "hardly over the seed", "not over the best one", "hardly over either"],
)
def test_who_cannot_win(challenge: Challenge) -> None:
    assert winner([], [challenge]) is None


def test_a_challenger_is_given_up_where_luck_or_headroom_will_not_do() -> None:
    # sd = sqrt((2 + 1) / 17) = 0.42; it needs 0.42 * 8 = 3.4 in 64, and luck is 2 * 0.42 * sqrt(48) = 5.8.
    behind = [-1.0, -1.0, *[0.0] * 14]
    ahead = [1.0, 1.0, *[0.0] * 14]
    assert not hopeless(ahead, [1.0] * 48)
    assert not hopeless(behind, [1.0] * 48)  # -2 + 5.8 > 3.4
    assert hopeless(behind, [1.0] * 5 + [0.0] * 43)  # -2 + 5 < 3.4
    assert hopeless(ahead, [1.0, *[0.0] * 47])  # 3 at most
    assert not hopeless(ahead, [1.0, 1.0, *[0.0] * 46])  # 4 at most


# ---- worlds ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edits:
    """Shares of the failed problems that an edit fixes, and of the solved ones that it breaks."""

    fix: float
    lose: float


USELESS = {  # mean gains of 0, -1 and -2 points where the seed solves 93 %
    0: Edits(0.25, 0.0188),
    -1: Edits(0.25, 0.0296),
    -2: Edits(0.25, 0.0403),
}
GOOD = Edits(0.7, 0.0097)
"""+4 points there."""
BROKEN = Edits(0.0, 1.0)


def play(
    rng: np.random.Generator, mixture: list[tuple[float, Edits]], *, challengers: int, n: int, batch: int = 8
) -> tuple[float, float]:
    """Challengers are edits of the best workflow, drawn from ``mixture``. (True change of the best one in points, share
    of the problems that were paid for)."""
    shares = [share for share, _ in mixture]
    seed = best = (rng.random(n + UNSEEN) < 0.93).astype(float)
    trials: list[Trial] = []
    for _ in range(challengers // batch):
        children, challenges = [], []
        for kind in rng.choice(len(mixture), batch, p=shares):
            edits, luck = mixture[kind][1], rng.random(n + UNSEEN)
            child = np.where(best > 0, luck >= edits.lose, luck < edits.fix).astype(float)
            children.append(child)
            challenges.append(compete(child[:n], best[:n], seed[:n], rng.permutation(n)))
        won = winner(trials, challenges)
        trials += [challenge.over_best for challenge in challenges]
        best = best if won is None else children[won[0]]
    return 100 * float(best[n:].mean() - seed[n:].mean()), sum(t.n for t in trials) / (challengers * n)


def compete(child: Scores, best: Scores, seed: Scores, order: NDArray[np.int64]) -> Challenge:
    over_best, over_seed = (child - best)[order], (child - seed)[order]
    n = len(order)
    stages = (m for m in range(16, n, 16) if hopeless(over_best[:m].tolist(), (1 - best)[order][m:].tolist()))
    tried = next(stages, n)
    return Challenge(Trial.of(over_best[:tried].tolist()), Trial.of(over_seed[:tried].tolist()), tried == n)


@pytest.mark.parametrize("gain", [0, -1, -2])
def test_after_200_useless_challengers_the_best_workflow_is_not_below_the_seed(gain: int) -> None:
    rng = np.random.default_rng(0)
    changes = [play(rng, [(1.0, USELESS[gain])], challengers=200, n=64)[0] for _ in range(WORLDS)]
    assert np.mean(changes) > -0.5


def test_nor_is_it_where_one_in_ten_is_broken() -> None:
    rng = np.random.default_rng(1)
    mixture = [(0.1, BROKEN), (0.9, USELESS[-1])]
    assert np.mean([play(rng, mixture, challengers=200, n=64)[0] for _ in range(WORLDS)]) > -0.5


def test_good_challengers_get_through_and_useless_ones_cost_half() -> None:
    rng = np.random.default_rng(2)
    played = [play(rng, [(0.15, GOOD), (0.85, USELESS[-1])], challengers=80, n=200) for _ in range(10)]
    changes, costs = zip(*played, strict=True)
    assert np.mean(changes) > 3.0
    assert np.mean(costs) < 0.6
