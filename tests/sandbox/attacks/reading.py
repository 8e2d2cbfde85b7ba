"""Reading what is outside: keys, files, other processes."""

from attacks.attack import Attack

SCAN = """
import os
for pid in os.listdir("/proc") if os.path.isdir("/proc") else []:
    if pid.isdigit():
        for name in ("environ", "cmdline"):
            try:
                print(open("/proc/" + pid + "/" + name, "rb").read())
            except OSError:
                pass
for pid in (WORLD["pid"], WORLD["victim"], os.getppid(), 1):
    attempt("environ", lambda: open("/proc/%d/environ" % pid, "rb").read() or 1 / 0)
"""

_DIARY = """
import time
try:
    with open("diary", "w") as file:
        file.write("today")
except OSError:
    pass  # no place for files: nothing to read either
time.sleep(0.6)
6 * 7
"""

ATTACKS = (
    Attack(
        "environment",
        """
        import os
        print(os.getenv("ANTHROPIC_API_KEY"), dict(os.environ))
        """,
        gets_through=True,
    ),
    Attack("environment_of_others", SCAN, gets_through=True),
    Attack("readable_file", 'attempt("open", lambda: open(WORLD["readable"]).read())', gets_through=True),
    Attack("private_file", 'attempt("open", lambda: open(WORLD["private"]).read())', gets_through=True),
    Attack(
        "listing",
        """
        import os
        for folder in (WORLD["folder"], WORLD["repository"], "/home", "/var", "/var/log", "/boot"):
            attempt("listdir", lambda: os.listdir(folder) or 1 / 0)
            attempt("scandir", lambda: [entry.name for entry in os.scandir(folder)] or 1 / 0)
        """,
        gets_through=True,
    ),
    Attack(
        "accounts",
        """
        for path in ("/etc/shadow", "/etc/passwd", "/etc/ssh/sshd_config", "/proc/kcore", "/proc/kallsyms"):
            attempt(path, lambda: open(path, "rb").read(200))
        """,
        gets_through=True,
    ),
    Attack(
        "keys_at_home",
        """
        import os
        for home in {os.path.expanduser("~"), "/root", WORLD["home"]}:
            for name in (".ssh", ".aws", ".config", ".netrc", ".bashrc", ".profile", ".cache", ".bash_history"):
                path = os.path.join(home, name)
                attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path).read(99))
        """,
    ),
    Attack("source_of_the_host", 'attempt("open", lambda: open(WORLD["repository"] + "/pyproject.toml").read())'),
    Attack(
        "symbolic_link",
        """
        import os
        os.symlink(WORLD["private"], "link")
        attempt("through a link", lambda: open("link").read())
        os.symlink("/", "root")
        attempt("through a folder", lambda: open("root" + WORLD["readable"]).read())
        """,
        gets_through=True,
    ),
    Attack(
        "hard_link",
        """
        import os
        attempt("link", lambda: os.link(WORLD["private"], "hard"))
        attempt("open", lambda: open("hard").read())
        """,
        gets_through=True,
    ),
    Attack(
        "path_climbing",
        """
        import os
        attempt("..", lambda: open("../" * 40 + WORLD["readable"]).read())
        attempt("//", lambda: open("//" + WORLD["readable"]).read())
        attempt("chdir", lambda: (os.chdir("/"), open(WORLD["readable"][1:]).read()))
        """,
        gets_through=True,
    ),
    Attack(
        "proc_links",
        """
        import os
        for pid in ("self", "1", str(os.getppid()), str(WORLD["pid"]), str(WORLD["victim"])):
            for name in ("root", "cwd" + "/.." * 30):
                attempt(pid, lambda: open("/proc/" + pid + "/" + name + WORLD["readable"]).read())
        """,
        gets_through=True,
    ),
    Attack(
        "relative_to_a_descriptor",
        """
        import os
        for folder in ("/", "..", "/proc/self/fd", os.path.dirname(WORLD["readable"])):
            try:
                at = os.open(folder, os.O_PATH | os.O_DIRECTORY)
            except OSError:
                continue
            names = WORLD["readable"][1:], "../" * 40 + WORLD["readable"][1:], os.path.basename(WORLD["readable"])
            for name in names:
                attempt(name, lambda: os.read(os.open(name, os.O_RDONLY, dir_fd=at), 200))
            attempt("via fd", lambda: open("/proc/self/fd/%d%s" % (at, WORLD["readable"])).read())
        """,
        gets_through=True,
    ),
    Attack(
        "descriptors_of_others",
        """
        import os
        for pid in {WORLD["pid"], WORLD["victim"], os.getppid(), 1} - {os.getpid()}:
            folder = "/proc/%d/fd" % pid
            for fd in attempt("fds", lambda: os.listdir(folder) or 1 / 0) or []:
                attempt("open", lambda: os.read(os.open(folder + "/" + fd, os.O_RDONLY | os.O_NONBLOCK), 200))
        """,
        gets_through=True,
    ),
    Attack(
        "memory_of_others",
        """
        import os
        for pid in {WORLD["pid"], WORLD["victim"], os.getppid(), 1} - {os.getpid()}:
            maps = attempt("maps", lambda: open("/proc/%d/maps" % pid).read() or 1 / 0)
            start = int(maps.split("-")[0], 16) if maps else 4096
            memory = attempt("mem", lambda: open("/proc/%d/mem" % pid, "rb", 0))
            attempt("read", lambda: (memory.seek(start), memory.read(64)))
        """,
        gets_through=True,
    ),
    Attack(
        "own_memory",
        """
        import re
        mark = re.compile(bytes(reversed(b"yranac-ks")) + rb"-\\w+")
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for line in maps:
                start, end = (int(number, 16) for number in line.split()[0].split("-"))
                if " rw-p " in line and end - start < 1 << 26:
                    try:
                        memory.seek(start)
                        print(mark.findall(memory.read(end - start)))
                    except OSError:
                        pass
        """,
        gets_through=True,
    ),
    Attack(
        "objects_of_the_interpreter",
        """
        import gc, sys
        mark = "".join(reversed("yranac-ks"))
        for thing in gc.get_objects():
            if isinstance(thing, dict):
                print(*[item for item in list(thing.values()) if type(item) in (str, bytes) and mark in repr(item)])
        frame = sys._getframe()
        while frame:
            print(*[item for item in frame.f_locals.values() if type(item) is str and item.startswith(mark)])
            frame = frame.f_back
        """,
    ),
    Attack(
        "importing_a_file",
        """
        import sys
        sys.path.insert(0, WORLD["folder"])
        import canary_module
        print(canary_module.SECRET)
        """,
        gets_through=True,
    ),
    Attack(
        "file_handle",
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        class Handle(ctypes.Structure):
            _fields_ = [("size", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
        handle, mount = Handle(128), ctypes.c_int()
        libc.name_to_handle_at(-100, WORLD["readable"].encode(), ctypes.byref(handle), ctypes.byref(mount), 0)
        at = os.open(".", os.O_RDONLY)
        for inode in range(2, 4):  # the root of most file systems
            handle.size, handle.kind = 8, 1
            ctypes.memmove(handle.data, inode.to_bytes(8, "little"), 8)
            if libc.open_by_handle_at(at, ctypes.byref(handle), os.O_PATH) >= 0:
                attempt("open_by_handle_at", lambda: inode)
        """,
    ),
    Attack(
        "shared_memory",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        attempt("posix", lambda: open("/dev/shm/" + WORLD["shared_memory"]).read())
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(WORLD["segment"], 0, 0)
        if segment >= 0:
            attempt("system v", lambda: ctypes.string_at(libc.shmat(segment, None, 0o10000)))
        """,
        gets_through=True,
    ),
    Attack(
        "temporary_folder_of_another_run",
        """
        import glob, time
        until = time.monotonic() + 0.7
        while not hits and time.monotonic() < until:
            found = glob.glob("../*/diary") + glob.glob("/tmp/*/diary") + glob.glob("/tmp/*/*/diary")
            for path in found + glob.glob("/proc/[0-9]*/cwd/diary"):
                attempt(path, lambda: open(path).read())
            time.sleep(0.05)
        """,
        beside=_DIARY,
        gets_through=True,
    ),
)
