"""AFlow's rule by hand: Y is the mean of the three best so far, and has to stand still for five rounds."""

import pytest

from aflow_verl.standalone.convergence import converged


def still(*means: float, error: float = 0.0, z: float = 0.0) -> bool:
    return converged(means, [error] * len(means), z)


def test_five_rounds_without_a_change_of_the_best_three():
    rising = [0.1, 0.2, 0.3]  # Y: .1, .15, .2
    assert not still(*rising, 0.0, 0.0, 0.0, 0.0)
    assert still(*rising, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert not still(*rising, 0.0, 0.0, 0.0, 0.0, 0.4), "the fifth changes Y"
    assert still(*rising, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9), "once converged is converged"


def test_no_more_than_three_rounds_never_converge():
    assert not still()
    assert not still(0.5, 0.5, 0.5)


def test_z_allows_for_noise():
    """From round 4 on Y moves by .01 / 3; sigma of Y is sqrt(3 * .02^2) / 3 = .0115, of dY sqrt(2) times it."""
    means = [0.5, 0.5, 0.5, 0.51, 0.52, 0.53, 0.54, 0.55]
    assert not still(*means, error=0.02)
    assert still(*means, error=0.02, z=1.0)
    assert not still(0.1, 0.5, 0.9, 1.0, 0.1, 0.5, 0.9, error=0.02, z=1.0)


def test_equal_rounds_converge_after_the_fifth_repetition():
    assert not still(*[0.5] * 5)
    assert still(*[0.5] * 6)


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_means_and_errors_belong_together(error):
    with pytest.raises(ValueError, match="zip"):
        converged([0.5] * 6, [error] * 4)
