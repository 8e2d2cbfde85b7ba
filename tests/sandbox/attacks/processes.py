"""Other processes: signals, tracing, starting some, outliving the run, and strange ways to end."""

from attacks.attack import Attack

_TRACE = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
for pid in {WORLD["victim"], WORLD["pid"], os.getppid()}:
    if libc.ptrace(0x4206, pid, None, None) == 0:  # PTRACE_SEIZE stops nobody
        attempt("ptrace", lambda: pid)
"""
_READ_MEMORY = """
import ctypes, os
libc = ctypes.CDLL(None)
class Piece(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t)]
page = ctypes.create_string_buffer(64)
try:
    start = int(open("/proc/%d/maps" % WORLD["victim"]).read().split("-")[0], 16)
except OSError:
    start = WORLD["address"]
here = Piece(ctypes.addressof(page), 64)
for pid in {WORLD["victim"], WORLD["pid"], os.getppid()}:
    for there in (Piece(start, 64), Piece(WORLD["address"], 64), Piece(id(None), 16)):
        for name in ("process_vm_readv", "process_vm_writev"):
            if getattr(libc, name)(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
                attempt(name, lambda: pid)
"""

ATTACKS = (
    Attack(
        "signals_to_the_host",
        """
        import os, signal
        for one in (signal.SIGUSR1, signal.SIGCONT):
            for pid in (WORLD["pid"], WORLD["victim"]):
                attempt("kill", lambda: os.kill(pid, one))
                attempt("sigqueue", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), one))
        attempt("group", lambda: os.killpg(os.getpgid(WORLD["pid"]), 0))
        """,
        gets_through=True,
    ),
    Attack(
        "killing_the_parent",
        """
        import os, signal
        for one in (signal.SIGUSR1, signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
            if os.getppid() not in (0, 1, WORLD["pid"]) and not WORLD["plain"]:
                os.kill(os.getppid(), one)
        attempt("parent", lambda: os.kill(WORLD["pid"], signal.SIGUSR1))
        """,
        gets_through=True,
    ),
    Attack(
        "killing_everyone_beside",
        """
        import os, signal, time
        time.sleep(0.1)
        pids = set(range(2, 40)) if os.getpid() < 40 < WORLD["pid"] else set()  # a namespace of its own
        if os.getsid(0) != WORLD["session"]:
            pids |= {-os.getsid(0), -os.getpgid(0)}
        for pid in pids - {os.getpid(), -1, 0}:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        """,
        beside="import time\ntime.sleep(0.5)\n6 * 7",
    ),
    Attack("tracing", _TRACE, gets_through=True),
    Attack("memory_of_others_by_call", _READ_MEMORY, gets_through=True),
    Attack(
        "descriptors_by_pidfd",
        """
        import ctypes, os
        libc = ctypes.CDLL(None)
        for pid in (WORLD["pid"], WORLD["victim"], os.getppid()):
            handle = attempt("pidfd_open", lambda: os.pidfd_open(pid)) or -1
            for fd in range(16):
                if libc.syscall(438, handle, fd, 0) >= 0:
                    attempt("pidfd_getfd", lambda: fd)
        """,
        gets_through=True,
    ),
    Attack(
        "limits_of_others",
        """
        import os, resource
        for pid in (WORLD["pid"], WORLD["victim"]):
            attempt("prlimit", lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE))
            attempt("affinity", lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid)))
            same = lambda: os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
            attempt("priority", same)
        """,
        gets_through=True,
    ),
    Attack(
        "starting_a_program",
        """
        import os, subprocess, sys
        echo = ["/bin/sh", "-c", "echo ESC''APED"]
        attempt("run", lambda: subprocess.run(echo, capture_output=True).stdout)
        attempt("python", lambda: subprocess.run([sys.executable, "-c", "1"]).returncode)
        attempt("system", lambda: 1 / (os.system("exit 3") == 3 << 8))
        attempt("spawn", lambda: os.posix_spawn(echo[0], echo, {}))
        """,
        gets_through=True,
    ),
    Attack(
        "becoming_a_program",
        """
        import os
        attempt("never returns", lambda: os.execv("/bin/sh", ["sh", "-c", "exit 3"]))
        """,
        survives=True,
        gets_through=True,
    ),
    Attack(
        "program_in_memory",
        """
        import os
        memory = attempt("memfd", lambda: os.memfd_create("program", 0))
        with open("/bin/false", "rb") as program:
            os.write(memory, program.read())
        os.execve(memory, ["false"], {})
        """,
        survives=True,
        gets_through=True,
    ),
    Attack(
        "own_program_file",
        """
        import os
        with open("program", "w") as file:
            file.write("#!/bin/sh\\nexit 3\\n")
        attempt("chmod", lambda: os.chmod("program", 0o755))
        os.execv("./program", ["program"])
        """,
        survives=True,
        gets_through=True,
    ),
    Attack(
        "fork_bomb",
        """
        import os, time
        children = 0
        for _ in range(100):
            try:
                if os.fork() == 0:
                    os.closerange(0, 256)
                    time.sleep(5)
                    os._exit(0)
                children += 1
            except OSError:
                break
        if children >= 50:
            attempt("fork", lambda: children)
        """,
        seconds=3.0,
        gets_through=True,
    ),
    Attack(
        "fork_by_system_call",
        """
        import ctypes, os, time
        libc = ctypes.CDLL(None)
        for number in (57, 58, 56, 435):  # fork, vfork, clone, clone3
            if number == 58:
                continue
            child = libc.syscall(number, 17 if number == 56 else 0, 0, 0, 0, 0)
            if child == 0:
                time.sleep(2)
                os._exit(0)
        """,
    ),
    Attack(
        "thread_bomb",
        """
        import threading, time
        def wait():
            time.sleep(30)
        started = []
        try:
            for _ in range(1000):
                one = threading.Thread(target=wait, daemon=True)
                one.start()
                started.append(one)
        except BaseException:
            pass
        if len(started) == 1000:
            attempt("threads", lambda: 1000)
        """,
        gets_through=True,
        seconds=2.0,
    ),
    Attack(
        "process_pool",
        """
        import multiprocessing
        attempt("pool", lambda: multiprocessing.get_context("fork").Pool(2).map(abs, [1, -2]))
        """,
        gets_through=True,
    ),
    Attack(
        "daemon",
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for fd in range(1024):
                    try:
                        os.close(fd)
                    except OSError:
                        pass
                time.sleep(20)
            os._exit(0)
        """,
        gets_through=True,
    ),
    Attack(
        "daemon_that_ignores_signals",
        """
        import os, signal, time
        for one in range(1, 65):
            try:
                signal.signal(one, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 1024)  # who waits for its output would wait for its end
            time.sleep(20)
        os._exit(0)
        """,
        gets_through=True,
        must_fail=True,
    ),
    Attack(
        "priority",
        """
        import os
        attempt("nice", lambda: os.nice(-5))
        attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
        """,
        gets_through=True,
        needs_root=True,
    ),
    Attack("exit_zero", "import os\nos._exit(0)", must_fail=True),
    Attack("exit_seven", "import os\nos._exit(7)", must_fail=True),
    Attack("exit_by_system_call", "import ctypes\nctypes.CDLL(None).syscall(231, 0)", must_fail=True),
    Attack("system_exit", "raise SystemExit(0)", must_fail=True),
    Attack("system_exit_of_an_object", "raise SystemExit({'value': 42})", must_fail=True),
    Attack("sys_exit", "import sys\nsys.exit()", must_fail=True),
    Attack("keyboard_interrupt", "raise KeyboardInterrupt", must_fail=True),
    Attack("generator_exit", "raise GeneratorExit", must_fail=True),
    Attack("base_exception", "class Odd(BaseException): pass\nraise Odd", must_fail=True),
    Attack(
        "exit_in_a_thread",
        """
        import os, sys, threading
        one = threading.Thread(target=sys.exit)
        one.start()
        one.join()
        threading.Thread(target=os._exit, args=(0,)).start()
        while True:
            pass
        """,
        must_fail=True,
    ),
    Attack("abort", "import os\nos.abort()", must_fail=True),
    Attack("segmentation_fault", "import ctypes\nctypes.string_at(0)", must_fail=True),
    Attack("killing_itself", "import os\nos.kill(os.getpid(), 9)\nwhile True: pass", must_fail=True, seconds=0.5),
    Attack("stopping_itself", "import os\nos.kill(os.getpid(), 19)\nwhile True: pass", must_fail=True, seconds=0.5),
    Attack(
        "stopping_its_group",
        """
        import os
        if os.getsid(0) == WORLD["session"]:
            attempt("same session", lambda: os.getsid(0))
        else:
            os.killpg(0, 20)
            while True:
                pass
        """,
        must_fail=True,
        seconds=0.5,
    ),
)
