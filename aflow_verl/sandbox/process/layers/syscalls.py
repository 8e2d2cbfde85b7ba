"""Which system calls a program in the jail may make, for x86-64 and 64-bit ARM.

An allowlist: what a call does to the process's own memory, descriptors, threads, timers and private directory. So there
is no socket but a connected pair, no new process or program, no tracing, no signal to others, no mount, namespace, key,
BPF, io_uring, memfd, System V IPC, module, clock, owner, mode or extended attribute, and nothing newer than this list.
Numbers: the kernel's ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h``.
"""

from __future__ import annotations

from aflow_verl.sandbox.process.layers.bpf import Check

MACHINES = ("x86_64", "aarch64")
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000
"""Numbers from here on are calls of x86's third ABI: the same calls under other numbers."""
FIRST_UNKNOWN = 440
"""Calls from this number on, and those named ABSENT, "don't exist" unless allowed: the C library then does without,
where it would give up on a call that is forbidden."""

ABSENT = {"clone3": (435, 435), "openat2": (437, 437)}

ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # descriptors and files
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286),
    "pwritev2": (328, 287), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "close_range": (436, 436),
    "pipe": (22, None), "pipe2": (293, 59), "eventfd2": (290, 19), "sendfile": (40, 71), "copy_file_range": (326, 285),
    "ftruncate": (77, 46), "fsync": (74, 82), "fdatasync": (75, 83),
    # paths
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getdents": (78, None), "getdents64": (217, 61),
    "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "mkdir": (83, None), "mkdirat": (258, 34),
    "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "umask": (95, 166),
    # waiting
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "recvfrom": (45, 207), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "pause": (34, None), "wait4": (61, 260), "waitid": (247, 95),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "msync": (26, 227), "madvise": (28, 233),
    # threads
    "futex": (202, 98), "sched_yield": (24, 124), "set_robust_list": (273, 99), "get_robust_list": (274, 100),
    "rseq": (334, 293), "membarrier": (324, 283), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128),
    # own signals and timers
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "getitimer": (36, 102),
    "setitimer": (38, 103), "alarm": (37, None),
    # what the process may know
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getpgrp": (111, None), "getpgid": (121, 155),
    "getsid": (124, 156), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "getresuid": (118, 148), "getresgid": (120, 150), "getgroups": (115, 158), "getrlimit": (97, 163),
    "getrusage": (98, 165), "times": (100, 153), "time": (201, None), "gettimeofday": (96, 169),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "getrandom": (318, 278), "uname": (63, 160),
    "sysinfo": (99, 179),
}  # fmt: skip

_NULL = (0,)
_THREAD, _NAMESPACES = 0x10000, 0x7E020080
_READ_WRITE_TRUNCATE = 0o1003
_MAY_OPEN = Check(2, (0o0, 0o1, 0o2, 0o1001, 0o1002), mask=_READ_WRITE_TRUNCATE)
"""Not "read only, and truncate": it changes a file that was opened for reading, and old Landlocks let it pass."""
_UNIX, _STREAM, _KIND = 1, 1, 0xF


def checked(pid: int) -> dict[str, tuple[tuple[int | None, int | None], tuple[Check, ...]]]:
    """Calls that are allowed with certain arguments only: numbers and checks. ``pid``: the process's own."""
    return {
        "open": ((2, None), (Check(1, _MAY_OPEN.values, _MAY_OPEN.mask),)),
        "openat": ((257, 56), (_MAY_OPEN,)),
        "clone": ((56, 220), (Check(0, (_THREAD,), mask=_THREAD | _NAMESPACES),)),
        "kill": ((62, 129), (Check(0, (pid,)),)),
        "tgkill": ((234, 131), (Check(0, (pid,)),)),
        # asyncio wakes itself through such a pair; datagram sockets could be pointed elsewhere
        "socketpair": ((53, 199), (Check(0, (_UNIX,)), Check(1, (_STREAM,), mask=_KIND))),
        "sendto": ((44, 206), (Check(4, _NULL), Check(4, _NULL, high=True))),
        # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: none that sends signals or takes leases
        "fcntl": ((72, 25), (Check(1, (0, 1, 2, 3, 4, 1030)),)),
        # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
        "ioctl": ((16, 29), (Check(1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),)),
        # names of threads and of memory areas
        "prctl": ((157, 167), (Check(0, (15, 16, 0x53564D41)),)),
        # reading limits, of the process itself
        "prlimit64": ((302, 261), (Check(0, (0, pid)), Check(2, _NULL), Check(2, _NULL, high=True))),
    }
