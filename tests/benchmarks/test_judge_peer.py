"""Two sides that call each other. Here they are two threads, so that what runs in the sandbox can be seen at work."""

import threading
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest

from aflow_verl.benchmarks.judge.candidate import serve
from aflow_verl.benchmarks.judge.codec import read
from aflow_verl.benchmarks.judge.examiner import examine
from aflow_verl.benchmarks.judge.peer import Broken, Peer, Remote


class _HungUp(BaseException):
    """Ends the serving thread."""


class Line:
    """``start`` runs the side that holds the answer; ``send`` is the examiner's."""

    def __init__(self) -> None:
        self._there: Queue[str | None] = Queue()
        self._back: Queue[str] = Queue()
        self._threads: list[threading.Thread] = []
        self._ready = False

    def start(self, side: Callable[[Callable[[str], str]], None]) -> None:
        def run() -> None:
            try:
                side(self._answer)
            except _HungUp:
                pass
            except Exception as error:
                self._back.put(f"ended: {error}")

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def send(self, text: str) -> str:
        self._there.put(text)
        return self._back.get(timeout=60)

    def _answer(self, text: str) -> str:
        if self._ready:
            self._back.put(text)
        self._ready = True
        request = self._there.get(timeout=60)
        if request is None:
            raise _HungUp
        return request

    def close(self) -> None:
        self._there.put(None)
        for thread in self._threads:
            thread.join(timeout=60)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


Connect = Callable[..., Peer]


@pytest.fixture
def connect(line: Line) -> Connect:
    """The examiner's side, opposite one that offers ``names``."""

    def connect(**names: Any) -> Peer:
        line.start(lambda send: Peer(send, names).serve())
        return Peer(line.send)

    return connect


def remote(peer: Peer, name: str) -> Any:
    return peer.ask("name", name)


def test_a_call_takes_and_gives_plain_values(connect: Connect) -> None:
    f = remote(connect(f=lambda a, b=2: {"sum": [a + b]}), "f")
    assert f(1) == {"sum": [3]}
    assert f(1, b=5) == {"sum": [6]}


def test_exceptions_are_raised_again(connect: Connect) -> None:
    class Own(KeyError):
        pass

    def fail(kind: str) -> None:
        raise {"own": Own("k"), "value": ValueError("bad", 3), "stop": StopIteration()}[kind]

    f = remote(connect(f=fail), "f")
    with pytest.raises(ValueError, match="bad") as caught:
        f("value")
    assert caught.value.args == ("bad", 3)
    with pytest.raises(KeyError):
        f("own")
    with pytest.raises(KeyError):
        f("no such kind")


def test_a_stray_stop_iteration_ends_no_loop_of_the_test(connect: Connect) -> None:
    def stop(_: int) -> None:
        raise StopIteration

    f = remote(connect(f=stop), "f")
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(map(f, [1, 2]))


def test_arguments_are_changed_in_place(connect: Connect) -> None:
    f = remote(connect(f=lambda numbers: numbers.sort()), "f")
    numbers = [3, 1, 2]
    assert f(numbers) is None
    assert numbers == [1, 2, 3]


def test_an_argument_that_is_returned_is_the_same_object(connect: Connect) -> None:
    f = remote(connect(f=lambda numbers: numbers), "f")
    numbers = [1]
    assert f(numbers) is numbers


def test_functions_of_the_test_are_called_back(connect: Connect) -> None:
    def apply(function: Callable[[int], int], times: int) -> list[int]:
        return [function(i) for i in range(times)]

    f = remote(connect(f=apply), "f")
    assert f(lambda i: i * i, 3) == [0, 1, 4]


def test_an_exception_of_a_callback_goes_through_both_sides(connect: Connect) -> None:
    f = remote(connect(f=lambda function: function()), "f")
    with pytest.raises(ZeroDivisionError):
        f(lambda: 1 // 0)


def test_functions_that_are_returned_can_be_called(connect: Connect) -> None:
    f = remote(connect(f=lambda n: lambda x: x + n), "f")
    assert f(2)(3) == 5


def test_generators_are_iterated_step_by_step(connect: Connect) -> None:
    def count() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    numbers = remote(connect(f=count), "f")()
    assert next(numbers) == 1
    assert next(numbers) == 2
    with pytest.raises(ValueError, match="third"):
        next(numbers)
    assert list(numbers) == []


def test_an_iterator_of_the_test_is_an_argument(connect: Connect) -> None:
    f = remote(connect(f=sum), "f")
    assert f(i for i in [1, 2, 3]) == 6


class Pair:
    def __init__(self, a: int, b: int) -> None:
        self.a = a
        self.b = b


class Bag:
    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])


def test_objects_stay_where_they_are(connect: Connect) -> None:
    peer = connect(Pair=Pair, total=lambda pairs: sum(p.a + p.b for p in pairs))
    pair = remote(peer, "Pair")(1, 2)
    assert isinstance(pair, Remote)
    assert remote(peer, "total")([pair, pair]) == 6
    pair.b = 10
    assert (pair.a, pair.b) == (1, 10)
    with pytest.raises(AttributeError):
        _ = pair.missing
    with pytest.raises(AttributeError):
        _ = pair.__wrapped__
    assert remote(peer, "Pair") is remote(peer, "Pair")
    assert pair != remote(peer, "Pair")(1, 10)


def test_an_iterable_object_can_be_read(connect: Connect) -> None:
    assert list(remote(connect(f=Bag), "f")()) == [1, 2]


def test_an_answer_looks_into_nothing_that_the_test_holds(connect: Connect) -> None:
    seen: list[str] = []

    def spy(function: Any) -> None:
        attempts = (
            lambda: function.secret,
            lambda: setattr(function, "secret", 1),
            lambda: function._peer.ask("name", "x"),
        )
        for attempt in attempts:
            try:
                attempt()
                seen.append("open")
            except KeyError as refused:
                seen.append(f"refused {refused}")

    def lookup() -> None: ...

    lookup.secret = 42  # type: ignore[attr-defined]
    remote(connect(f=spy), "f")(lookup)
    assert seen == ["refused 'get'", "refused 'set'", "refused 'name'"]


@pytest.mark.parametrize(
    "reply",
    [
        "", "nonsense", "[]", "{}", '{"value":["made","os.system",["true"]],"changed":[]}',
        '{"raised":["SystemExit",["tuple",[]]],"changed":[]}', '{"value":["given",3],"changed":[]}',
    ],
)  # fmt: skip
def test_an_unreadable_reply_breaks_the_examination_for_good(reply: str) -> None:
    peer = Peer(lambda _: reply)
    with pytest.raises(Broken):
        peer.ask("name", "f")
    assert peer.broken is not None
    with pytest.raises(Broken):
        peer.ask("name", "f")


def examined(line: Line, reply: str, tests: str, *names: str, prelude: str = "", opening: str = "") -> str:
    line.start(lambda send: serve(send, reply, list(names), prelude, opening))
    return examine(line.send, tests, list(names), prelude)


@pytest.fixture
def stdout() -> Iterator[None]:
    """``serve`` takes the process's output away, as it should in a process of its own."""
    import sys

    kept = sys.stdout
    yield
    sys.stdout = kept


@pytest.mark.usefixtures("stdout")
class TestBothPrograms:
    def test_a_right_answer_passes(self, line: Line) -> None:
        reply = "import math\ndef f(x):\n    print('noise')\n    return math.floor(x)"
        assert examined(line, reply, "assert f(2.5) == 2", "f") == ""

    def test_a_wrong_answer_fails_with_the_reason(self, line: Line) -> None:
        assert examined(line, "def f(x): return 0", "assert f(1) == 1, 'one'", "f") == "AssertionError: one"

    def test_helpers_of_the_prelude_are_the_tests_own(self, line: Line) -> None:
        prelude = "def encode(x): return x + 1"
        reply = "def encode(x): return x\ndef decode(x): return encode(x)"
        assert examined(line, reply, "assert decode(encode(3)) == 3", "decode", prelude=prelude).startswith("Assertion")

    def test_a_value_is_no_function(self, line: Line) -> None:
        assert examined(line, "f = 3", "assert f == 3", "f").startswith("NameError")

    def test_a_broken_line_can_not_be_caught_by_the_tests(self, line: Line) -> None:
        line.start(lambda send: _talks_nonsense(send))
        tests = "try:\n    f(1)\nexcept:\n    pass"
        assert examine(line.send, tests, ["f"], "") == "unreadable reply: JSONDecodeError"

    def test_an_answer_without_the_function(self) -> None:
        with pytest.raises(NameError, match="doesn't define f"):
            serve(lambda _: "", "def g(): pass", ["f"], "", "")


def _talks_nonsense(send: Callable[[str], str]) -> None:
    text = send("")
    assert read(text)["ask"] == "name"
    send('{"value":["held",0,"Remote"],"changed":[]}')
    while True:
        send("nonsense")
