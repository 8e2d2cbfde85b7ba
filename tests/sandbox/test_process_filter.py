"""The system call filter, run here by a small interpreter of BPF, for both machines that it is written for."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.sandbox.process.layers import bpf, seccomp, syscalls

PID = 1
DENIED, ABSENT = bpf.refuse(errno.EPERM), bpf.refuse(errno.ENOSYS)
machines = pytest.mark.parametrize("machine", syscalls.MACHINES)


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the kernel would answer: ``struct seccomp_data`` through the filter."""
    padded = [argument & (1 << 64) - 1 for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, audit or syscalls.AUDIT_ARCH[machine], 0, *padded)
    program = seccomp.filter_program(machine, PID)
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, constant)[0]
            case 0x54:
                accumulator &= constant
            case 0x15:
                at += if_true if accumulator == constant else if_false
            case 0x35:
                at += if_true if accumulator >= constant else if_false
            case 0x06:
                return constant
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


def number_of(machine: str, name: str) -> int:
    numbers = syscalls.ALLOWED.get(name) or syscalls.checked(PID)[name][0]
    number = numbers[syscalls.MACHINES.index(machine)]
    assert number is not None
    return number


@machines
def test_what_a_program_needs_is_allowed(machine: str) -> None:
    for name in ("read", "write", "mmap", "futex", "getdents64", "exit_group", "epoll_ctl"):
        assert verdict(machine, number_of(machine, name)) == bpf.ALLOW, name


# Numbers from the kernel's tables, not from ours: x86-64, 64-bit ARM.
FORBIDDEN = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "accept": (43, 202), "sendmsg": (46, 211),
    "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "keyctl": (250, 219), "add_key": (248, 217), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "memfd_create": (319, 279), "userfaultfd": (323, 282), "open_by_handle_at": (304, 265), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "reboot": (169, 142), "sethostname": (170, 161),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "shmget": (29, 194), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180), "setuid": (105, 146), "setresuid": (117, 147), "capset": (126, 91),
    "fchmod": (91, 52), "fchmodat": (268, 53), "fchown": (93, 55), "utimensat": (280, 88), "fsetxattr": (190, 7),
    "truncate": (76, 45), "mknodat": (259, 33), "symlinkat": (266, 36), "linkat": (265, 37), "seccomp": (317, 277),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "setpriority": (141, 140), "setrlimit": (160, 164), "personality": (135, 92),
    "inotify_init1": (294, 26), "fanotify_init": (300, 262), "splice": (275, 76), "setpgid": (109, 154),
    "setsid": (112, 157), "sched_setaffinity": (203, 122), "shmat": (30, 196),
}  # fmt: skip


@machines
@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_reaches_others_is_denied(machine: str, name: str) -> None:
    number = FORBIDDEN[name][syscalls.MACHINES.index(machine)]
    assert verdict(machine, number) == DENIED
    assert verdict(machine, number, *[(1 << 64) - 1] * 6) == DENIED


def test_the_old_ways_of_x86_to_make_processes_are_denied() -> None:
    assert [verdict("x86_64", number) for number in (57, 58)] == [DENIED] * 2  # fork, vfork


@machines
@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("clone", (0x3D0F00,), True),  # what pthread_create asks for
        ("clone", (17,), False),  # fork: SIGCHLD
        ("clone", (0x10000 | 0x10000000,), False),  # a thread in a user namespace
        ("kill", (PID, 9), True),
        ("kill", (PID + 1, 9), False),
        ("kill", (0, 9), False),
        ("kill", (-1, 9), False),
        ("tgkill", (PID, 5, 9), True),
        ("tgkill", (2, 5, 9), False),
        ("socketpair", (1, 1 | 0o4000), True),
        ("socketpair", (1, 2), False),  # datagrams, which can be pointed elsewhere
        ("socketpair", (16, 1), False),
        ("sendto", (4, 1, 1, 0, 0, 0), True),
        ("sendto", (4, 1, 1, 0, 0x7F0000001000, 16), False),
        ("sendto", (4, 1, 1, 0, 1 << 40, 16), False),
        ("openat", (-100, 1, 0o2000000), True),
        ("openat", (-100, 1, 0o1 | 0o100 | 0o1000), True),
        ("openat", (-100, 1, 0o1000), False),  # read only, and truncate
        ("fcntl", (4, 2, 1), True),
        ("fcntl", (4, 8, 1), False),  # F_SETOWN
        ("fcntl", (4, 10, 9), False),  # F_SETSIG
        ("fcntl", (4, 1024, 1), False),  # F_SETLEASE
        ("ioctl", (1, 0x5401), True),
        ("ioctl", (0, 0x5412), False),  # TIOCSTI: types into the terminal
        ("prctl", (15,), True),
        ("prctl", (1, 0), False),  # PR_SET_PDEATHSIG
        ("prctl", (4, 1), False),  # PR_SET_DUMPABLE
        ("prlimit64", (0, 7, 0, 0x7F00), True),
        ("prlimit64", (0, 7, 0x7F00, 0), False),  # sets
        ("prlimit64", (0, 7, 1 << 33, 0), False),
        ("prlimit64", (2, 7, 0, 0x7F00), False),
    ],
)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], allowed: bool) -> None:
    assert verdict(machine, number_of(machine, name), *arguments) == (bpf.ALLOW if allowed else DENIED)


@machines
def test_the_c_library_is_told_that_newer_calls_do_not_exist(machine: str) -> None:
    for number in (435, 437, 440, 442, 454, 10_000):  # clone3, openat2, process_madvise, and what will come
        assert verdict(machine, number) == ABSENT


def test_other_architectures_and_the_third_abi_of_x86_are_killed() -> None:
    assert verdict("x86_64", 0, audit=0x40000003) == bpf.KILL  # int 0x80
    assert verdict("x86_64", 0x40000000) == bpf.KILL
    assert verdict("x86_64", 0xFFFFFFFF) == bpf.KILL
    assert verdict("aarch64", 63, audit=syscalls.AUDIT_ARCH["x86_64"]) == bpf.KILL


@machines
@given(number=st.integers(0, (1 << 32) - 1), argument=st.integers(0, (1 << 64) - 1))
def test_nothing_unlisted_is_allowed(machine: str, number: int, argument: int) -> None:
    column = syscalls.MACHINES.index(machine)
    listed = [numbers[column] for numbers in syscalls.ALLOWED.values()]
    listed += [numbers[column] for numbers, _ in syscalls.checked(PID).values()]
    assert number in listed or verdict(machine, number, *[argument] * 6) in (DENIED, ABSENT, bpf.KILL)


@machines
def test_no_number_is_listed_twice(machine: str) -> None:
    column = syscalls.MACHINES.index(machine)
    tables = (syscalls.ALLOWED.values(), (numbers for numbers, _ in syscalls.checked(PID).values()))
    numbers = [row[column] for table in tables for row in table if row[column] is not None]
    assert len(numbers) == len(set(numbers))


@machines
def test_it_fits_into_the_kernel(machine: str) -> None:
    assert len(seccomp.assembled(machine, PID)) <= 8 * 4096
    assert all(max(step[1], step[2]) < 256 for step in seccomp.filter_program(machine, PID))
