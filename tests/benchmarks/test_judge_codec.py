"""Values between two programs: equal and of the same type where they are plain, and never anything else."""

import json
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aflow_verl.benchmarks.judge.codec import READ_ERRORS, Malformed, Reader, Writer, read, write


def no_refer(value: Any) -> Any:
    raise AssertionError(f"not plain: {value!r}")


def sent(value: Any) -> Any:
    """``value`` as the other side reads it."""
    text = write({"value": Writer(no_refer).node(value)})
    return Reader(no_refer).value(read(text)["value"])


hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()) | st.binary()
    | st.fractions() | st.decimals(allow_nan=False) | st.dates() | st.datetimes() | st.timedeltas()
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
plain = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.lists(inner, max_size=4).map(deque)
        | st.dictionaries(hashable, inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=10,
)


@settings(max_examples=60)
@given(plain)
def test_plain_values_arrive_as_they_are(value: Any) -> None:
    got = sent(value)
    assert got == value
    assert type(got) is type(value)
    assert repr(got) == repr(value) or isinstance(value, set | frozenset | dict | tuple | list | deque)


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**64), 10**9000, float("inf"), -0.0, "\ud800", range(3, 10**30, 2), int, ValueError, dict],
    ids=lambda value: type(value).__name__,
)
def test_edges(value: Any) -> None:
    got = sent(value)
    assert got == value
    assert type(got) is type(value)
    assert got is value or not isinstance(value, type)


def test_nan_stays_unequal_to_itself() -> None:
    [got] = sent([float("nan")])
    assert got != got


def test_counters_and_defaultdicts_keep_their_kind() -> None:
    assert sent(Counter("aab")) == Counter({"a": 2, "b": 1})
    got = sent(defaultdict(list, {1: [2]}))
    assert got == {1: [2]}
    assert got[5] == []


def test_an_ordered_dict_keeps_its_order() -> None:
    order = OrderedDict.fromkeys("abc")
    order.move_to_end("a")
    assert list(sent(order)) == ["b", "c", "a"]


def test_views_of_dicts() -> None:
    numbers = {1: "a", 2: "b"}
    assert sent(numbers.keys()) == {1, 2}
    assert list(sent(numbers.values())) == ["a", "b"]
    assert sent(numbers.items()) == {(1, "a"), (2, "b")}


class Liar(list):  # type: ignore[type-arg]
    """Claims to be everything, and to hold what it doesn't."""

    def __eq__(self, other: object) -> bool:
        return True

    def __iter__(self) -> Any:
        return iter([42])

    def __len__(self) -> int:
        return 99


class Text(str):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Number(float):
    def __sub__(self, other: object) -> float:
        return 0.0


class Level(IntEnum):
    LOW = 1


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (Liar([1, 2]), [1, 2]), (Text("a"), "a"), (Number(2.5), 2.5), (Level.LOW, 1), (Point(1, 2), (1, 2)),
        ({Text("k"): Liar([3])}, {"k": [3]}), (frozenset([Text("x")]), frozenset("x")),
    ],
)  # fmt: skip
def test_subclasses_come_down_to_the_plain_value_below(value: Any, base: Any) -> None:
    got = sent(value)
    assert type(got) is type(base)
    assert got == base
    assert got != "anything else"


@pytest.mark.parametrize("number", [np.int64(3), np.float32(0.5), np.bool_(True), np.complex64(1j)])
def test_numbers_of_numpy_become_python_numbers(number: Any) -> None:
    got = sent(number)
    assert got == number
    assert type(got) is type(number.item())


def test_other_objects_are_referred_to() -> None:
    assert (
        Writer(lambda value: ["held", 0, "Remote"]).node([np.longdouble(1), object()])[2] == [["held", 0, "Remote"]] * 2
    )


def test_a_container_twice_is_one_container() -> None:
    inner = [1]
    got = sent([inner, inner])
    assert got[0] is got[1]


def test_a_container_may_hold_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    got = sent(loop)
    assert got[0] == 1
    assert got[1] is got


def test_contents_that_come_back_change_the_originals() -> None:
    inner: list[int] = [3, 1]
    argument = {"numbers": inner}
    outward = Writer(no_refer)
    there = Reader(no_refer)
    theirs = there.value(outward.node(argument))
    theirs["numbers"].sort()
    theirs["new"] = {5}
    backward = Writer(no_refer, there.containers)
    node = backward.node(theirs)
    got = Reader(no_refer, outward.containers).value(node)
    assert got is argument
    assert argument["numbers"] is inner
    assert argument == {"numbers": [1, 3], "new": {5}}


def test_a_container_never_becomes_another_kind() -> None:
    with pytest.raises(Malformed, match="a list can't become a dict"):
        Reader(no_refer, [[1]]).value(["dict", 0, []])


@pytest.mark.parametrize(
    "node",
    [
        [], ["nothing", 1], ["same", 7], ["list"], ["list", [], []], ["set", 0, [["list", 1, []]]], ["int", "x"],
        ["bytes", "zz"], ["type", "eval"], ["made", "os.system", ["true"]], ["made", "builtins.eval", ["1"]],
        ["made", "decimal.Decimal", ["?"]], ["made", "fractions.Fraction", [1, 0]], ["made", "builtins.range", [1.5]],
        ["dict", 0, [[1]]], [["list"], 1],
    ],
)  # fmt: skip
def test_what_no_writer_makes_is_refused(node: Any) -> None:
    with pytest.raises(READ_ERRORS):
        Reader(no_refer).value(node)


@pytest.mark.parametrize("text", ["", "x", "[]", "1", '"a"', "[" * 100_000, json.dumps({"a": 1})[:-1], "9" * 5000])
def test_texts_that_are_no_message_are_refused(text: str) -> None:
    with pytest.raises(READ_ERRORS):
        read(text)


def test_dates_without_a_zone() -> None:
    assert sent(datetime(2024, 2, 29, 1, 2, 3, 4)) == datetime(2024, 2, 29, 1, 2, 3, 4)
    assert sent((date(2024, 1, 1), timedelta(days=1), Decimal("1.50"), Fraction(1, 3)))[2] == Decimal("1.5")
