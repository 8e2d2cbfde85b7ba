"""Answers that want the point without solving the problem.

Those that beat AFlow's way of judging, one process for answer and tests, are shown to do so first: an attack that
couldn't win anywhere would prove nothing.
"""

import textwrap
from dataclasses import dataclass, replace

import pytest

from aflow_verl.benchmarks.humaneval import HumanEval
from aflow_verl.benchmarks.judge.judge import LIMITS, Verdict, judge
from aflow_verl.benchmarks.mbpp import Mbpp
from aflow_verl.sandbox.process.sandbox import ProcessSandbox
from aflow_verl.types import Problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUICK = replace(LIMITS, seconds=1.5, memory_mb=128)
"""An endless attack costs this long."""

NUMBER = {
    "prompt": 'def f(x: int) -> int:\n    """The number that belongs to x.\n    >>> f(1)\n    17\n    """\n',
    "entry_point": "f",
    "canonical_solution": "    return {1: 17, 5: 4242, 9: 31337}[x]\n",
    "test": (
        "def check(candidate):\n    assert candidate(1) == 17\n    assert abs(candidate(5) - 4242) < 1e-6\n"
        "    assert abs(candidate(9) - 31337) < 1e-6\n"
    ),
}
CODED = {
    "prompt": "def encode(s):\n    return s[::-1]\n\ndef f(s):\n    '''Undoes encode.'''\n",
    "entry_point": "f",
    "canonical_solution": "    return s[::-1]\n",
    "test": "def check(candidate):\n    for s in ['ab', 'xyz']:\n        assert candidate(encode(s)) == s\n",
}
LOOPED = {
    "prompt": "Write a function to square a number.\n\ndef f(x):",
    "entry_point": "f",
    "code": "def f(x):\n    return x * x",
    "test": "def check():\n    for i, y in enumerate(map(f, range(3))):\n        assert y == i * i\n",
}
SIZED = {
    "prompt": "Write a function to find the size of a tuple in bytes.\n\ndef f(x):",
    "entry_point": "f",
    "code": "import sys\ndef f(x):\n    return sys.getsizeof(x)",
    "test": "def check():\n    assert f((1, 2)) == sys.getsizeof((1, 2))\n",
}
RAISED = {
    "prompt": "Write a function that refuses negative numbers with a ValueError.\n\ndef f(x):",
    "entry_point": "f",
    "code": "def f(x):\n    if x < 0:\n        raise ValueError(x)\n    return x",
    "test": (
        "def check():\n    try:\n        f(-1)\n    except ValueError:\n        pass\n    else:\n        assert False\n"
        "    try:\n        assert f(2) == 2\n    except KeyError:\n        pass\n"
    ),
}

EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __sub__(self, other): return 0
    __hash__ = None
"""
CONSTANTS = """
def from_constants(code, x):
    constants = [c for c in code.co_consts if isinstance(c, int)]
    return constants[constants.index(x) + 1]
"""
PEER = """
import sys
def peer():
    frame = sys._getframe()
    while 'self' not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals['self']
"""


@dataclass(frozen=True)
class Attack:
    answer: str
    row: dict[str, str]
    wins: bool = False
    """Whether it beats a judge that shares its process."""


def attack(answer: str, *, row: dict[str, str] = NUMBER, wins: bool = False, tools: str = "") -> Attack:
    return Attack(tools + textwrap.dedent(answer), row, wins)


ATTACKS = {
    # Ending the examination early.
    "SystemExit": attack("def f(x): raise SystemExit", wins=True),
    "sys.exit": attack("import sys\ndef f(x): sys.exit(0)", wins=True),
    "exit": attack("def f(x): exit()"),
    "KeyboardInterrupt": attack("def f(x): raise KeyboardInterrupt", wins=True),
    "own BaseException": attack("class Done(BaseException): pass\ndef f(x): raise Done", wins=True),
    "os._exit": attack("import os\ndef f(x): os._exit(0)"),
    "ending while loading": attack("import os\nDONE = os._exit(0)\ndef f(x): return DONE"),
    "SystemExit while loading": attack("DONE = exit(0)\ndef f(x): return DONE"),
    "ending after the first call": attack(
        """
        import os
        CALLS = []
        def f(x):
            CALLS.append(x)
            return 17 if len(CALLS) == 1 else os._exit(0)
        """
    ),
    "StopIteration ends the loop of a test": attack("def f(x): raise StopIteration", row=LOOPED, wins=True),
    "an exception that a test expects, ever": attack("def f(x): raise ValueError", row=RAISED),
    "dying where a test expects an exception": attack("import os\ndef f(x): os.abort()", row=RAISED),
    # Values that lie.
    "equal to everything": attack("def f(x): return Equal()", tools=EQUAL, wins=True),
    "an int that is equal to everything": attack(
        """
        class Int(int):
            def __eq__(self, other): return True
            def __sub__(self, other): return 0
        def f(x): return Int(17)
        """,
        wins=True,
    ),
    "an object with the class of an int": attack(
        """
        class Int:
            __class__ = property(lambda self: int)
            def __eq__(self, other): return True
            def __sub__(self, other): return 0
        def f(x): return Int()
        """,
        wins=True,
    ),
    "equal objects inside plain ones": attack("def f(x): return [Equal()]", tools=EQUAL),
    "a string that is equal to everything": attack(
        """
        class Text(str):
            def __eq__(self, other): return True
        def f(s): return Text()
        """,
        row=CODED,
        wins=True,
    ),
    "nan": attack("def f(x): return float('nan')"),
    "a generator without end": attack("def f(x):\n    while True:\n        yield x"),
    "the function itself": attack("def f(x): return f"),
    "a type": attack("def f(x): return int"),
    # Patching what the tests use.
    "patched abs": attack(
        """
        import builtins
        def f(x):
            builtins.abs = lambda value: 0
            return 17
        """,
        wins=True,
    ),
    "patched AssertionError": attack(
        """
        import builtins
        class Quiet(Exception): pass
        def f(x):
            builtins.AssertionError = Quiet
            return 0
        """
    ),
    "its own helper": attack("def encode(s): return s\ndef f(s): return encode(s)", row=CODED, wins=True),
    "its own helper, by the tests' globals": attack(
        """
        import sys
        def f(s):
            sys._getframe(1).f_globals['encode'] = lambda s: s
            return s[::-1]  if len(s) == 2 else s
        """,
        row=CODED,
        wins=True,
    ),
    "its own module": attack(
        """
        class sys:
            getsizeof = staticmethod(lambda value: 0)
        def f(x): return sys.getsizeof(x)
        """,
        row=SIZED,
        wins=True,
    ),
    "patched codec": attack(
        """
        import sys
        def f(x):
            for name, module in list(sys.modules.items()):
                if name.endswith('.codec'):
                    module.Writer.node = lambda self, value: ['made', 'builtins.eval', ['4242']]
            return 17
        """
    ),
    "patched json": attack("import json\ndef f(x):\n    json.dumps = lambda *a, **k: '{\"value\": 17}'\n    return x"),
    "a constant made equal in memory": attack(
        """
        import ctypes
        def f(x):
            ctypes.memmove(id(4242), id(17), 28)
            return 17
        """
    ),
    # Reading the tests.
    "reading the caller's constants": attack(
        "import sys\ndef f(x): return from_constants(sys._getframe(1).f_code, x)", tools=CONSTANTS, wins=True
    ),
    "reading constants by a traceback": attack(
        """
        def f(x):
            try:
                raise KeyError
            except KeyError as error:
                return from_constants(error.__traceback__.tb_frame.f_back.f_code, x)
        """,
        tools=CONSTANTS,
        wins=True,
    ),
    "reading constants by the collector": attack(
        """
        import gc, types
        def f(x):
            found = [o for o in gc.get_objects() if isinstance(o, types.FunctionType) and o.__name__ == 'check']
            return from_constants(found[0].__code__, x)
        """,
        tools=CONSTANTS,
        wins=True,
    ),
    "reading all frames": attack(
        """
        import sys
        def f(x):
            for frame in sys._current_frames().values():
                while frame:
                    if frame.f_code.co_name == 'check':
                        return from_constants(frame.f_code, x)
                    frame = frame.f_back
        """,
        tools=CONSTANTS,
        wins=True,
    ),
    "reading the tests by their globals": attack(
        "def f(x): return from_constants(globals()['check'].__code__, x)", tools=CONSTANTS, wins=True
    ),
    "searching all memory for the tests": attack(
        """
        import gc
        def f(x):
            texts = [o for o in gc.get_objects() if isinstance(o, (dict, list))]
            found = [v for o in texts for v in (o.values() if isinstance(o, dict) else o) if type(v) is str]
            return max([4242 if '4242' in text and 'check(' in text else 0 for text in found])
        """
    ),
    "searching files for the tests": attack(
        """
        import os
        def f(x):
            for folder, _, files in [w for top in ('/tmp', '/proc', os.getcwd()) for w in os.walk(top)]:
                for name in files:
                    try:
                        if '31337' in open(os.path.join(folder, name), errors='ignore').read(10_000):
                            return {1: 17, 5: 4242, 9: 31337}[x]
                    except OSError:
                        pass
            return 17
        """
    ),
    # Forging messages.
    "asking the examiner for its tests": attack("def f(x): return peer().ask('name', 'check')", tools=PEER),
    "looking into a function of the examiner": attack("def f(x): return peer().ask('get', f, 'x')", tools=PEER),
    "speaking out of turn": attack(
        "def f(x):\n    peer()._send('{\"value\":17,\"changed\":[]}')\n    return 17", tools=PEER
    ),
    "sending nothing": attack("def f(x):\n    while True: peer()._send('')", tools=PEER),
    "sending a verdict": attack("def f(x): return peer()._send('{\"passed\": true}')", tools=PEER),
    "questions without end": attack(
        "def f(x):\n    while True: peer()._send('{\"ask\":\"name\",\"operands\":[\"check\"]}')", tools=PEER
    ),
    "writing to every descriptor": attack(
        """
        import os
        def f(x):
            for descriptor in range(64):
                try:
                    os.write(descriptor, b'{"passed": true, "value": "", "error": null}' * 10)
                except OSError:
                    pass
            return 17
        """
    ),
    "printing a verdict": attack("import sys\ndef f(x):\n    print('', file=sys.__stdout__)\n    return 17"),
    # Taking too much.
    "an endless loop": attack("def f(x):\n    while True: pass"),
    "endless output": attack("import sys\ndef f(x):\n    while True: sys.__stdout__.write('x' * 100_000)"),
    "a memory bomb": attack("def f(x): return 'x' * 10 ** 10"),
    "a huge reply": attack("def f(x): return 'x' * 40_000_000"),
    "a deep reply": attack(
        """
        def f(x):
            deep = []
            for _ in range(100_000):
                deep = [deep]
            return deep
        """
    ),
    "a number that takes for ever": attack("def f(x): return 9 ** 9 ** 9"),
    "a sleeping thread in its place": attack(
        """
        import threading, time
        def f(x):
            threading.Thread(target=peer()._send, args=('{"ask":"name","operands":["x"]}',)).start()
            time.sleep(1000)
        """,
        tools=PEER,
    ),
    "killing its parent": attack("import os\ndef f(x):\n    os.kill(os.getppid(), 9)\n    return 17"),
    "a prompt repeated": attack(NUMBER["prompt"]),
    "a completion of nothing": attack("    pass"),
}  # fmt: skip


def problem(row: dict[str, str]) -> Problem:
    return (HumanEval() if "canonical_solution" in row else Mbpp()).parse_row(1, row)


ONE_PROCESS = """
import re, sys, math, hashlib, threading
space = dict(re=re, math=math, hashlib=hashlib, sys=sys)
exec({answer!r}, space)
exec({test!r}, space)
outcome = []
def run():
    try:
        outcome.append(space['check'](*{arguments}))
    except Exception as error:
        outcome.append(error)
thread = threading.Thread(target=run)
thread.start()
thread.join()
not outcome or outcome == [None]
"""
"""AFlow's judge in short: tests in a thread beside the answer, and whatever isn't an ``Exception`` is a pass."""


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.wins])
async def test_the_attack_wins_where_answer_and_tests_share_a_process(
    process_programs: ProcessSandbox, name: str
) -> None:
    row = ATTACKS[name].row
    helpers = row["prompt"].partition("def f")[0] if "canonical_solution" in row else ""
    arguments = "[space['f']]" if "canonical_solution" in row else "[]"
    program = ONE_PROCESS.format(answer=helpers + ATTACKS[name].answer, test=row["test"], arguments=arguments)
    result = await process_programs.run_program(program, QUICK)
    assert (result.value, result.error) == (True, None)


@pytest.mark.parametrize("name", ATTACKS)
async def test_the_attack_fails(process_programs: ProcessSandbox, name: str) -> None:
    attacked = problem(ATTACKS[name].row)
    verdict = await judge(ATTACKS[name].answer, attacked.data["exam"], process_programs, QUICK)
    assert not verdict.passed
    assert "doesn't define" not in verdict.reason


@pytest.mark.parametrize("row", [NUMBER, CODED, LOOPED, SIZED, RAISED], ids=lambda row: row["prompt"][:20])
async def test_an_honest_answer_passes(process_programs: ProcessSandbox, row: dict[str, str]) -> None:
    honest = problem(row)
    assert await judge(honest.reference, honest.data["exam"], process_programs) == Verdict(True, "")


async def test_there_are_many_attacks() -> None:
    assert len(ATTACKS) >= 40
