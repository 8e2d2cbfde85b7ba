"""Classic BPF as seccomp takes it (seccomp(2)): a list of instructions over the number and arguments of a call.

Each instruction is (code, jump if true, jump if false, constant). Jumps count the instructions that are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

Instruction = tuple[int, int, int, int]

_LOAD_WORD, _AND, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in ``struct seccomp_data``; arguments are 64 bit wide, both machines store the low half first."""

INSTRUCTION_BYTES = 8
KILL, ALLOW = 0x80000000, 0x7FFF0000


def refuse(number: int) -> int:
    """The verdict "the call fails with this errno"."""
    return 0x00050000 | number


@dataclass(frozen=True, slots=True)
class Check:
    """Argument ``index``, masked, is one of ``values``. Looks at the low 32 bits, or at the ``high`` ones."""

    index: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    high: bool = False


def load_number() -> list[Instruction]:
    return [(_LOAD_WORD, 0, 0, _NUMBER)]


def unless_architecture(audit: int, verdict: int) -> list[Instruction]:
    return [(_LOAD_WORD, 0, 0, _ARCHITECTURE), (_JUMP_EQUAL, 1, 0, audit), (_RETURN, 0, 0, verdict)]


def when_at_least(number: int, verdict: int) -> list[Instruction]:
    return [(_JUMP_GREATER_EQUAL, 0, 1, number), (_RETURN, 0, 0, verdict)]


def when(number: int, verdict: int) -> list[Instruction]:
    return [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, verdict)]


def when_checked(number: int, checks: Sequence[Check], verdict: int, otherwise: int) -> list[Instruction]:
    """The call ``number`` gets ``verdict`` if all ``checks`` hold, else ``otherwise``; other calls go on behind it."""
    body = [step for check in checks for step in _check(check, otherwise)]
    return [(_JUMP_EQUAL, 0, len(body) + 1, number), *body, (_RETURN, 0, 0, verdict)]


def always(verdict: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, verdict)]


def assemble(instructions: Sequence[Instruction]) -> bytes:
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _check(check: Check, otherwise: int) -> list[Instruction]:
    offset = _ARGUMENTS + 8 * check.index + 4 * check.high
    last = len(check.values)
    compare = [(_JUMP_EQUAL, last - i, 0, value) for i, value in enumerate(check.values)]
    return [(_LOAD_WORD, 0, 0, offset), (_AND, 0, 0, check.mask), *compare, (_RETURN, 0, 0, otherwise)]
