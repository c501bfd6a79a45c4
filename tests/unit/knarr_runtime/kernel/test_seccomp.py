"""The compiled filter, run by a tiny interpreter, says for every number what the profile says."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_runtime.defaults import DEFAULT_CAPABILITIES
from knarr_runtime.errors import Invalid
from knarr_runtime.kernel.seccomp import bpf, profile
from knarr_runtime.kernel.seccomp.bpf import Compare, Rule, When
from knarr_runtime.kernel.seccomp.numbers import AUDIT_ARCH, table

DEFAULT = frozenset(DEFAULT_CAPABILITIES)
EPERM, ENOSYS = bpf.errno(errno.EPERM), bpf.errno(errno.ENOSYS)
MACHINES = ("x86_64", "aarch64")


def run(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = ()) -> tuple[int, int]:
    """(action, instructions run): what the kernel would do, as its documentation says."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator, at, steps = 0, 0, 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at, steps = at + 1, steps + 1
        match operation:
            case bpf.LOAD:
                (accumulator,) = struct.unpack_from("=I", data, constant)
            case bpf.AND:
                accumulator &= constant
            case bpf.JUMP:
                at += constant
            case bpf.EQUAL:
                at += if_true if accumulator == constant else if_false
            case bpf.AT_LEAST:
                at += if_true if accumulator >= constant else if_false
            case bpf.RETURN:
                return constant, steps
            case _:
                raise AssertionError(f"instruction {operation:#x}")


def expected(rules: dict[int, Rule], number: int, arguments: tuple[int, ...]) -> int:
    """The slow obvious way."""
    rule = rules.get(number)
    if rule is None:
        return ENOSYS if number > max(rules) else EPERM
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    for case in rule.cases:
        if all((padded[one.index] & one.mask == one.value) != one.negate for one in case.conditions):
            return case.action
    return rule.otherwise


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("granted", [DEFAULT, frozenset(), DEFAULT | {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}])
def test_every_number_is_treated_as_the_profile_says(machine: str, granted: frozenset[str]) -> None:
    rules = profile.default_rules(granted, machine)
    program = profile.default_filter(granted, machine)
    interesting = [(), (0,), (40,), (1 << 32,), (0x10000000,), (0x7E020000 | 17,), (17,), (0xFFFFFFFF,), (8, 8)]
    for number in (*range(600), 0x40000000, 0x40000001, 0xFFFFFFFF):
        for arguments in interesting:
            action, _ = run(program, AUDIT_ARCH[machine], number, arguments)
            assert action == expected(rules, number, arguments), (number, arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_program_is_short(machine: str) -> None:
    program = profile.default_filter(DEFAULT, machine)
    assert len(program) // 8 < 250
    steps = [run(program, AUDIT_ARCH[machine], number)[1] for number in table(machine).values()]
    assert max(steps) < 25


def test_calls_of_another_architecture_do_not_exist() -> None:
    program = profile.default_filter(DEFAULT, "x86_64")
    assert run(program, 0x40000003, 1)[0] == ENOSYS
    assert run(program, AUDIT_ARCH["aarch64"], 1)[0] == ENOSYS


@pytest.mark.parametrize(
    "name",
    [
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "mount",
        "umount2",
        "unshare",
        "setns",
        "kexec_load",
        "open_by_handle_at",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "perf_event_open",
        "init_module",
        "finit_module",
        "delete_module",
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "settimeofday",
        "clock_settime",
        "pivot_root",
        "syslog",
        "fsopen",
        "move_mount",
        "open_tree",
        "quotactl",
        "iopl",
        "ioperm",
        "sethostname",
    ],
)
def test_dangerous_calls_are_refused(name: str) -> None:
    program = profile.default_filter(DEFAULT, "x86_64")
    assert run(program, AUDIT_ARCH["x86_64"], table("x86_64")[name])[0] == EPERM


def test_rules_that_look_at_arguments() -> None:
    numbers, arch = table("x86_64"), AUDIT_ARCH["x86_64"]
    program = profile.default_filter(DEFAULT, "x86_64")
    assert run(program, arch, numbers["clone"], (0x01200011,))[0] == bpf.ALLOW
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert run(program, arch, numbers["clone"], (flag | 17,))[0] == EPERM, hex(flag)
    assert run(program, arch, numbers["clone3"])[0] == ENOSYS
    assert run(program, arch, numbers["personality"], (0xFFFFFFFF,))[0] == bpf.ALLOW
    assert run(program, arch, numbers["personality"], (0x0040000,))[0] == EPERM
    assert run(program, arch, numbers["personality"], (1 << 32,))[0] == EPERM
    assert run(program, arch, numbers["socket"], (40, 1))[0] == EPERM
    assert run(program, arch, numbers["socket"], (2, 1))[0] == bpf.ALLOW
    assert run(program, arch, numbers["ptrace"])[0] == bpf.ALLOW


def test_capabilities_lift_refusals() -> None:
    numbers, arch = table("x86_64"), AUDIT_ARCH["x86_64"]
    program = profile.default_filter(DEFAULT | {"CAP_SYS_ADMIN"}, "x86_64")
    for name in ("mount", "unshare", "clone3", "bpf"):
        assert run(program, arch, numbers[name])[0] == bpf.ALLOW, name
    assert run(program, arch, numbers["clone"], (0x10000000,))[0] == bpf.ALLOW
    for name in ("keyctl", "kexec_load", "io_uring_setup", "init_module"):
        assert run(program, arch, numbers[name])[0] == EPERM, name


_compares = st.builds(
    Compare,
    index=st.integers(0, 5),
    value=st.sampled_from([0, 1, 0x100000000, 0x100000001, 0xFFFFFFFFFFFFFFFF]),
    mask=st.sampled_from([0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF00000000, 1, 0]),
    negate=st.booleans(),
).filter(lambda one: one.value & one.mask == one.value and one.mask != 0)
_rules = st.builds(
    Rule,
    otherwise=st.sampled_from([bpf.ALLOW, EPERM]),
    cases=st.lists(
        st.builds(When, conditions=st.lists(_compares, min_size=1, max_size=3).map(tuple), action=st.just(bpf.TRAP)),
        max_size=3,
    ).map(tuple),
)


@settings(deadline=None, max_examples=60)
@given(
    rules=st.dictionaries(st.integers(0, 700), _rules, min_size=1, max_size=300),
    arguments=st.tuples(*[st.sampled_from([0, 1, 0x100000000, 0x100000001, 0xFFFFFFFFFFFFFFFF])] * 6),
)
def test_compiler_agrees_with_the_oracle(rules: dict[int, Rule], arguments: tuple[int, ...]) -> None:
    program = bpf.compile_filter(7, rules, Rule(EPERM), Rule(ENOSYS), bpf.LOG)
    for number in (*rules, 0, 350, 701):
        assert run(program, 7, number, arguments)[0] == expected(rules, number, arguments)
    assert run(program, 8, 1, arguments)[0] == bpf.LOG


def test_json_profile() -> None:
    numbers, arch = table("x86_64"), AUDIT_ARCH["x86_64"]
    program = profile.json_filter(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 13,
            "syscalls": [
                {"names": ["read", "not_a_call"], "action": "SCMP_ACT_ALLOW"},
                {
                    "names": ["socket"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 15, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
                },
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["write"], "action": "SCMP_ACT_KILL_PROCESS", "excludes": {"arches": ["arm64"]}},
            ],
        },
        DEFAULT,
        "x86_64",
    )
    assert run(program, arch, numbers["read"])[0] == bpf.ALLOW
    assert run(program, arch, numbers["mount"])[0] == bpf.errno(13)
    assert run(program, arch, numbers["socket"], (18,))[0] == bpf.ALLOW
    assert run(program, arch, numbers["socket"], (3,))[0] == bpf.errno(13)
    assert run(program, arch, numbers["write"])[0] == bpf.KILL_PROCESS


@pytest.mark.parametrize(
    "text",
    [
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}
            ],
        },
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_LT"}]}
            ],
        },
    ],
)
def test_unsupported_profile_is_refused(text: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        profile.json_filter(text, DEFAULT, "x86_64")
