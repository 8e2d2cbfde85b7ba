"""Padding is dealt out to the mini-batches, and nothing else moves more than it has to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.mini_batches import spread_padding


def test_by_hand() -> None:
    # Six real rows and six to fill; three mini-batches of four: 2 + 2 + 2, and not 4 + 2 + 0.
    padding = [False] * 6 + [True] * 6
    assert spread_padding(padding, 1, 3) == [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]


def test_ranks_share_what_does_not_divide() -> None:
    # Rank 0 has 3 real rows, rank 1 has 1; two mini-batches: (2, 1) and (0, 1), so that both have two.
    padding = [False, False, False, True, False, True, True, True]
    assert spread_padding(padding, 2, 2) == [0, 1, 2, 3, 5, 6, 4, 7]


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.data())
@settings(max_examples=200, deadline=None)
def test_every_mini_batch_has_its_share_of_real_rows(ranks: int, pieces: int, size: int, data: st.DataObject) -> None:
    rows = ranks * pieces * size
    padding = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    order = spread_padding(padding, ranks, pieces)
    assert sorted(order) == list(range(rows))
    stretch = rows // ranks
    real = [0] * pieces
    for place, row in enumerate(order):
        assert place // stretch == row // stretch, "it stays with its rank"
        real[place % stretch // size] += not padding[row]
    assert min(real) >= padding.count(False) // pieces
    assert max(real) - min(real) <= 1
    assert [row for row in order if not padding[row]] == [row for row in range(rows) if not padding[row]]


def test_without_padding_nothing_moves() -> None:
    assert spread_padding([False] * 12, 2, 3) == list(range(12))


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="7 rows are no 2 x 3 pieces"):
        spread_padding([False] * 7, 2, 3)
