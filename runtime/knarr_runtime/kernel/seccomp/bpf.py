"""A small compiler from rules per system call to a classic BPF program for seccomp(2).

Numbers with the same treatment form ranges; a balanced tree of "is the number at least N" finds the range in about
log2 of their count, so a program has two instructions a range and runs about seven for any call. Every block ends in
a return, so blocks only ever jump forward within themselves and concatenation is all the linking there is.

Source: Linux Documentation/userspace-api/seccomp_filter.rst; struct seccomp_data.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOAD, JUMP, EQUAL, AT_LEAST, AND, RETURN = 0x20, 0x05, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
LOG = 0x7FFC0000
TRAP = 0x00030000
_ERRNO = 0x00050000

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, constant)"""


def errno(number: int) -> int:
    """The action "fail with this errno"."""
    return _ERRNO | number & 0xFFFF


@dataclass(frozen=True, slots=True)
class Compare:
    """Holds if ``argument[index] & mask == value``, or with ``negate`` if not. 64 bits, unsigned."""

    index: int
    value: int
    mask: int = 0xFFFFFFFFFFFFFFFF
    negate: bool = False


@dataclass(frozen=True, slots=True)
class When:
    """``action`` if all of ``conditions`` hold."""

    conditions: tuple[Compare, ...]
    action: int


@dataclass(frozen=True, slots=True)
class Rule:
    """The action of the first of ``cases`` that fits, else ``otherwise``."""

    otherwise: int
    cases: tuple[When, ...] = ()


def compile_filter(arch: int, rules: Mapping[int, Rule], default: Rule, beyond: Rule, foreign: int) -> bytes:
    """The program as bytes of ``struct sock_filter``.

    default: for numbers between those of ``rules``; beyond: above the highest; foreign: action for a call of another
    architecture (or of x32, whose numbers have bit 30 set).
    """
    body = [(LOAD, 0, 0, _NUMBER), *_tree(_ranges(rules, default, beyond))]
    program = [(LOAD, 0, 0, _ARCH), (EQUAL, 1, 0, arch), (RETURN, 0, 0, foreign), *body]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _ranges(rules: Mapping[int, Rule], default: Rule, beyond: Rule) -> list[tuple[int, Rule]]:
    """[(first number, rule)] in order, neighbours with equal rules merged."""
    result: list[tuple[int, Rule]] = []
    last = max(rules)
    for number in range(last + 1):
        rule = rules.get(number, default)
        if not result or result[-1][1] != rule:
            result.append((number, rule))
    if result[-1][1] != beyond:
        result.append((last + 1, beyond))
    return result


def _tree(ranges: Sequence[tuple[int, Rule]]) -> list[Instruction]:
    if len(ranges) == 1:
        return _decide(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _tree(ranges[:middle]), _tree(ranges[middle:])
    first = ranges[middle][0]
    if len(below) <= 255:
        return [(AT_LEAST, len(below), 0, first), *below, *above]
    return [(AT_LEAST, 0, 1, first), (JUMP, 0, 0, len(below)), *below, *above]


def _decide(rule: Rule) -> list[Instruction]:
    block: list[Instruction] = []
    for case in rule.cases:
        block += _case(case)
    return [*block, (RETURN, 0, 0, rule.otherwise)]


def _case(case: When) -> list[Instruction]:
    """Returns the action if all conditions hold, else falls through past its end."""
    tail: list[Instruction] = [(RETURN, 0, 0, case.action)]
    for condition in reversed(case.conditions):
        tail = [*_condition(condition, len(tail)), *tail]
    return tail


def _condition(condition: Compare, skip: int) -> list[Instruction]:
    """Falls through if it holds, else jumps ``skip`` instructions further. Little endian halves, low first."""
    offset = _ARGUMENTS + 8 * condition.index
    halves = []
    for shift, at in ((0, offset), (32, offset + 4)):
        mask, value = condition.mask >> shift & 0xFFFFFFFF, condition.value >> shift & 0xFFFFFFFF
        if mask == 0:
            continue  # says nothing about this half
        load: list[Instruction] = [(LOAD, 0, 0, at)]
        if mask != 0xFFFFFFFF:
            load.append((AND, 0, 0, mask))
        halves.append((load, value))
    if condition.negate:
        return _differs(halves, skip)
    block: list[Instruction] = []
    for load, value in reversed(halves):
        block = [*load, (EQUAL, 0, len(block) + skip, value), *block]
    return block


def _differs(halves: list[tuple[list[Instruction], int]], skip: int) -> list[Instruction]:
    block: list[Instruction] = []
    for position, (load, value) in enumerate(reversed(halves)):
        if position == 0:  # the last test made: equal means that the condition fails
            block = [*load, (EQUAL, skip, 0, value)]
        else:  # different here is enough: over the rest
            block = [*load, (EQUAL, 0, len(block), value), *block]
    return block
