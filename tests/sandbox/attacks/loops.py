"""Never ending, in every way that a signal handler or a lock of the interpreter might not reach."""

from attacks.attack import Attack

_STUBBORN = """
import signal
for one in range(1, 65):
    try:
        signal.signal(one, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 65)) - {32, 33})
while True:
    pass
"""
_AT_THE_END = """
import atexit, sys, threading
def forever(*args):
    while True:
        pass
atexit.register(forever)
threading._register_atexit(forever)
sys.excepthook = sys.unraisablehook = sys.displayhook = forever
class Last:
    def __del__(self):
        forever()
sys.last = Last()
1 / 0
"""


def _loop(name: str, code: str) -> Attack:
    return Attack(name, code, must_fail=True, seconds=0.4)


ATTACKS = (
    _loop("loop", "while True:\n    pass"),
    _loop("sleep", "import time\nwhile True:\n    time.sleep(1000)"),
    Attack("loop_in_re", "import re\nre.match('(a*)*b', 'a' * 60)", seconds=0.4),
    _loop("loop_in_integers", "str(10 ** 10 ** 8)"),
    _loop("loop_in_a_sum", "sum(range(10 ** 13))"),
    _loop(
        "loop_in_a_sort", "class A:\n    def __lt__(self, o):\n        return [A(), A()].sort()\nsorted([A(), A()] * 9)"
    ),
    _loop(
        "loop_that_catches_all",
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
    ),
    _loop("loop_that_ignores_signals", _STUBBORN),
    _loop(
        "loop_with_an_alarm",
        "import signal\nsignal.alarm(0)\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
    ),
    _loop(
        "loop_in_threads", "import threading\ndef f():\n    while True: pass\nthreading.Thread(target=f).start()\nf()"
    ),
    _loop("deadlock", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()"),
    _loop("waiting_for_nothing", "import select\nselect.select([], [], [])"),
    _loop("reading_what_never_comes", "import os\nr, w = os.pipe()\nos.read(r, 1)"),
    _loop("recursion", "def f(n):\n    return f(n + 1) + 1\nf(0)"),
    _loop(
        "recursion_without_limit", "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n):\n    return f([n]) + 1\nf(0)"
    ),
    _loop("recursion_in_c", "x = []\nfor _ in range(10 ** 6):\n    x = [x]\nrepr(x) == repr(x)\nrepr"[:-5] + "\n1 / 0"),
    _loop("parser_bomb", "eval('(' * 5000 + ')' * 5000)\n1 / 0"),
    _loop("compiler_bomb", "eval('-' * 200000 + '1')\n1 / 0"),
    _loop("loop_at_the_end", _AT_THE_END),
    Attack("loop_in_del", "class A:\n    def __del__(self):\n        while True: pass\na = A()\n", seconds=0.4),
    Attack(
        "thread_left_running",
        "import threading\ndef f():\n    while True: pass\nthreading.Thread(target=f).start()",
        seconds=0.4,
    ),
    Attack("reading_the_input", "try:\n    print(input())\nexcept EOFError:\n    pass", seconds=0.4),
    Attack(
        "loop_in_a_trace",
        "import sys\ndef t(*a):\n    while True: pass\nsys.setprofile(t)\nsys.settrace(t)\nlen('')",
        seconds=0.4,
    ),
)
