"""Asking the kernel for more: identities, mounts, namespaces, and the interfaces that holes are found in.

Numbers are those of x86_64; elsewhere those attempts end at once.
"""

from attacks.attack import Attack

_CALL = """
import ctypes, os
1 / (os.uname().machine == "x86_64")
libc = ctypes.CDLL(None, use_errno=True)
page = ctypes.create_string_buffer(4096)
{setup}
done = libc.syscall({number}, {arguments})
if done >= 0:
    attempt("{name}", lambda: done)
    {cleanup}
"""

# Where it works, in mounts of its own, from which nothing spreads.
_OWN_MOUNTS = "own = libc.unshare(0x00020000) == 0 and libc.mount(None, b'/', None, 0x44000, None) == 0; 1 / own"


def _call(
    name: str,
    number: int,
    arguments: str,
    *,
    setup: str = "",
    cleanup: str = "",
    there: bool = True,
    root: bool = False,
) -> Attack:
    code = _CALL.format(name=name, number=number, arguments=arguments, setup=setup, cleanup=cleanup)
    return Attack(name, code, gets_through=there, needs_root=root)


ATTACKS = (
    Attack(
        "identity",
        """
        import os
        for one in (os.setuid, os.setgid, os.seteuid, os.setegid):
            attempt(one.__name__, lambda: one(0))
        attempt("setgroups", lambda: os.setgroups([0]))
        attempt("setresuid", lambda: os.setresuid(0, 0, 0))
        """,
        gets_through=True,
        needs_root=True,
    ),
    Attack(
        "capabilities",
        """
        text = open("/proc/self/status").read()
        names = dict(line.split(":") for line in text.splitlines())
        for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            attempt(name, lambda: 1 / int(names[name], 16))
        attempt("new privileges", lambda: 1 / (names["NoNewPrivs"].strip() == "0"))
        attempt("seccomp", lambda: 1 / (names["Seccomp"].strip() == "0"))
        """,
        gets_through=True,
    ),
    Attack(
        "chroot",
        """
        import os
        attempt("chroot", lambda: os.chroot("."))
        attempt("out", lambda: (os.chroot("."), os.chdir("../" * 40), os.chroot(".")))
        """,
        gets_through=True,
        needs_root=True,
    ),
    _call("unshare_user", 272, "0x10000000"),
    _call("unshare_mount", 272, "0x00020000", root=True),
    _call("unshare_network", 272, "0x40000000", root=True),
    _call("set_namespace", 308, "fd, 0", setup='fd = os.open("/proc/self/ns/net", 0)', root=True),
    _call("mount", 165, "b'none', b'.', b'tmpfs', 0, None", setup=_OWN_MOUNTS, root=True),
    _call("bind_mount", 165, "b'/', b'.', None, 4096, None", setup=_OWN_MOUNTS, root=True),
    _call("file_system_context", 430, "b'tmpfs', 0", root=True),
    _call("open_tree", 428, "-100, b'/', 1", root=True),
    _call("move_mount", 429, "-1, b'', -100, b'.', 4", there=False),
    _call("pivot_root", 155, "b'.', b'.'", there=False),
    _call("keyring", 248, "b'user', b'canary', b'x', 1, -2", setup="page[0:4] = b'user'"),
    _call("key_control", 250, "0, -3, 1"),
    _call("io_uring", 425, "4, page"),
    _call("bpf", 321, "5, page, 128", setup="page[0] = 1", there=False),
    _call(
        "bpf_map",
        321,
        "0, page, 72",
        setup="page[0:16] = bytes([2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0])",
        root=True,
    ),
    _call("user_fault", 323, "1"),
    _call("perf_events", 298, "page, 0, -1, -1, 0", setup="page[0:8] = bytes([1, 0, 0, 0, 112, 0, 0, 0])", there=False),
    _call("kernel_log", 103, "10, None, 0", root=True),
    _call("module", 175, "page, 0, b''", there=False),
    _call(
        "clock", 227, "0, now", setup="import struct, time; now = struct.pack('qq', int(time.time()), 0)", there=False
    ),
    _call("host_name", 170, "name, len(name)", setup="name = os.uname().nodename.encode()", root=True),
    _call("swap", 167, "b'./swap', 0", there=False),
    _call("quota", 179, "0x80000700, None, 0, page", there=False),
    _call("io_port", 173, "0x3f8, 1, 1", there=False),
    _call("personality", 135, "0x0040000"),
    _call("fanotify", 300, "0, 0", root=True),
    _call("address_lock", 149, "page, 4096", setup="resource = __import__('resource')", there=False),
    _call(
        "message_queue",
        240,
        "b'canary', 0o102, 0o600, None",
        cleanup="libc.syscall(241, b'canary')",
    ),
    _call("semaphores", 64, "0, 1, 0o1600", cleanup="libc.syscall(66, done, 0, 0)"),
    Attack(
        "seccomp_and_dump_of_itself",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        attempt("drop bounds", lambda: 1 / (libc.prctl(38, 0, 0, 0, 0) == 0))  # PR_SET_NO_NEW_PRIVS off
        attempt("allow all", lambda: 1 / (libc.prctl(22, 0, 0, 0, 0) == 0))  # PR_SET_SECCOMP off
        """,
    ),
)
