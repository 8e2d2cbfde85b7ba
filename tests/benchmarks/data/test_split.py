"""Splits: sizes, seed, order."""

from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.benchmarks.data.layout import LAYOUTS
from aflow_verl.benchmarks.data.split import split_rows


def test_aflows_sizes() -> None:
    assert {name: (layout.validation, layout.test) for name, layout in LAYOUTS.items()} == {
        "gsm8k": (264, 1055),
        "math": (119, 486),
        "humaneval": (33, 131),
        "mbpp": (86, 341),
        "hotpotqa": (200, 800),
        "drop": (200, 800),
    }


@given(st.integers(2, 300), st.integers(0, 3))
def test_splits_are_disjoint_ordered_and_one_to_four(size: int, seed: int) -> None:
    validation, test = split_rows(range(size), 20, 80, seed)
    assert not {*validation} & {*test}
    assert validation == sorted(validation)
    assert test == sorted(test)
    assert len(validation) + len(test) == min(size, 100)
    assert len(validation) == (20 if size >= 100 else max(1, round(size / 5)))


def test_the_seed_decides() -> None:
    assert split_rows(range(164), 33, 131) == split_rows(range(164), 33, 131)
    assert split_rows(range(164), 33, 131)[0] != split_rows(range(164), 33, 131, seed=43)[0]
    assert split_rows(range(164), 33, 131)[0][:5] == [3, 7, 8, 9, 20]
    assert split_rows([1], 1, 4) == ([], [1])
