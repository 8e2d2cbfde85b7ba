"""The last layer: from here on the process makes no system call but the listed ones (seccomp(2), ``syscalls``)."""

from __future__ import annotations

import ctypes
import errno
import functools
import os

from aflow_verl.sandbox.process.layers import bpf, linux, syscalls

_MODE_FILTER = 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filter_program(machine: str, pid: int) -> list[bpf.Instruction]:
    """The filter for a process that calls itself ``pid``. A call of another architecture's ABI kills it."""
    column = syscalls.MACHINES.index(machine)
    denied, absent = bpf.refuse(errno.EPERM), bpf.refuse(errno.ENOSYS)
    program = bpf.unless_architecture(syscalls.AUDIT_ARCH[machine], bpf.KILL) + bpf.load_number()
    if machine == "x86_64":
        program += bpf.when_at_least(syscalls.X32, bpf.KILL)
    for numbers in syscalls.ALLOWED.values():
        if (number := numbers[column]) is not None:
            program += bpf.when(number, bpf.ALLOW)
    for numbers, checks in syscalls.checked(pid).values():
        if (number := numbers[column]) is not None:
            program += bpf.when_checked(number, checks, bpf.ALLOW, denied)
    for numbers in syscalls.ABSENT.values():
        program += bpf.when(numbers[column], absent)
    return program + bpf.when_at_least(syscalls.FIRST_UNKNOWN, absent) + bpf.always(denied)


@functools.cache
def assembled(machine: str, pid: int) -> bytes:
    """Takes a millisecond; a process that forks many of the same number has it ready for them."""
    return bpf.assemble(filter_program(machine, pid))


def apply() -> None:
    """Needs ``no_new_privs``. Raises OSError."""
    instructions = assembled(linux.machine(), os.getpid())
    program = _Program(len(instructions) // bpf.INSTRUCTION_BYTES, instructions)
    linux.prctl(linux.PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))
