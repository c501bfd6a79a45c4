"""The device program says what the rules say: run by a small interpreter, beside a plain reading of the rules."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.kernel import bpf_devices as bpf
from knarr_runtime.kernel.cgroup.values import DEFAULT_DEVICES, DeviceRule


def run(program: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """What the kernel would answer."""
    context = struct.pack("=III", access << 16 | kind, major, minor)
    registers = [0] * 11
    position = steps = 0
    while True:
        steps += 1
        assert steps < 10_000
        code, pair, offset, value = struct.unpack_from("=BBhi", program, position * 8)
        target, source = pair & 15, pair >> 4
        position += 1
        if code == bpf.LOAD_WORD:
            (registers[target],) = struct.unpack_from("=I", context, offset)
        elif code == bpf.MOVE:
            registers[target] = value
        elif code == bpf.MOVE_REGISTER:
            registers[target] = registers[source]
        elif code == bpf.AND:
            registers[target] &= value
        elif code == bpf.SHIFT_RIGHT:
            registers[target] >>= value
        elif code == bpf.JUMP_UNEQUAL:
            position += offset if registers[target] != value else 0
        elif code == bpf.JUMP_UNEQUAL_REGISTER:
            position += offset if registers[target] != registers[source] else 0
        else:
            assert code == bpf.EXIT
            return registers[bpf.ANSWER]


def allowed(rules: list[DeviceRule], kind: str, access: str, major: int, minor: int) -> bool:
    return any(
        rule.kind in ("a", kind)
        and rule.major in (-1, major)
        and rule.minor in (-1, minor)
        and set(access) <= set(rule.access)
        for rule in rules
    )


accesses = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters)))
numbers = st.integers(0, 4)
rules = st.builds(
    DeviceRule,
    kind=st.sampled_from("abc"),
    major=st.integers(-1, 4),
    minor=st.integers(-1, 4),
    access=accesses,
)


@given(st.lists(rules, max_size=12), st.sampled_from("bc"), accesses, numbers, numbers)
def test_the_program_answers_as_the_rules_read(
    given_rules: list[DeviceRule], kind: str, access: str, major: int, minor: int
) -> None:
    asked = sum(bpf.ACCESS[letter] for letter in access)
    answer = run(bpf.assemble(given_rules), bpf.TYPES[kind], asked, major, minor)
    assert bool(answer) == allowed(given_rules, kind, access, major, minor)


def test_by_default_null_is_allowed_and_disks_are_not() -> None:
    program = bpf.assemble(DEFAULT_DEVICES)
    assert run(program, bpf.TYPES["c"], bpf.ACCESS["r"], 1, 3) == 1
    assert run(program, bpf.TYPES["b"], bpf.ACCESS["r"], 254, 0) == 0
    assert run(program, bpf.TYPES["b"], bpf.ACCESS["m"], 254, 0) == 1
