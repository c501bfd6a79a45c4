"""Access to devices on cgroup v2: a small BPF program, assembled here, attached to the container's cgroup.

The kernel asks it at every open and mknod of a device; it answers yes for what a rule allows. The program has no loop
and reads nothing but its context::

    access_type (access << 16 | type), major, minor

Source: Linux Documentation/admin-guide/cgroup-v2.rst "Device controller"; include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from knarr_runtime.kernel.cgroup.values import DeviceRule

_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, -1)
_LOAD, _ATTACH = 5, 8
_CGROUP_DEVICE_PROGRAM, _CGROUP_DEVICE, _ALLOW_MULTI = 15, 6, 2
TYPES = {"b": 1, "c": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}
ALL_ACCESS = 7
INSTRUCTION_BYTES = 8

LOAD_WORD, MOVE, MOVE_REGISTER, AND, SHIFT_RIGHT, JUMP_UNEQUAL, JUMP_UNEQUAL_REGISTER, EXIT = (
    0x61,
    0xB7,
    0xBF,
    0x57,
    0x77,
    0x55,
    0x5D,
    0x95,
)
ANSWER, CONTEXT, TYPE, WANTED, MAJOR, MINOR, ASKED = 0, 1, 2, 3, 4, 5, 6

_libc = ctypes.CDLL(None, use_errno=True)


def instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """One struct bpf_insn."""
    return struct.pack("=BBhi", code, source << 4 | target, offset, value)


def assemble(rules: Sequence[DeviceRule]) -> bytes:
    """The program for a list of what is allowed; everything else is refused. Pure."""
    program = [
        instruction(LOAD_WORD, TYPE, CONTEXT, 0),
        instruction(MOVE_REGISTER, WANTED, TYPE),
        instruction(AND, TYPE, value=0xFFFF),
        instruction(SHIFT_RIGHT, WANTED, value=16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8),
    ]
    for rule in rules:
        program += _rule(rule)
    program += [instruction(MOVE, ANSWER, value=0), instruction(EXIT)]
    return b"".join(program)


def _rule(rule: DeviceRule) -> list[bytes]:
    """Jumps behind its end where it does not fit, else answers yes."""
    tests: list[tuple[int, int, int, int]] = []  # code, register, other register, value
    before: list[bytes] = []
    allowed = sum(ACCESS[letter] for letter in set(rule.access))
    if allowed != ALL_ACCESS:
        before = [instruction(MOVE_REGISTER, ASKED, WANTED), instruction(AND, ASKED, value=allowed)]
        tests.append((JUMP_UNEQUAL_REGISTER, ASKED, WANTED, 0))
    if rule.kind != "a":
        tests.append((JUMP_UNEQUAL, TYPE, 0, TYPES[rule.kind]))
    if rule.major >= 0:
        tests.append((JUMP_UNEQUAL, MAJOR, 0, rule.major))
    if rule.minor >= 0:
        tests.append((JUMP_UNEQUAL, MINOR, 0, rule.minor))
    left = len(tests) + 1  # instructions behind the first jump, with the two that answer
    jumps = [
        instruction(code, register, other, left - position, value)
        for position, (code, register, other, value) in enumerate(tests)
    ]
    return [*before, *jumps, instruction(MOVE, ANSWER, value=1), instruction(EXIT)]


def attach(cgroup: int, rules: Sequence[DeviceRule]) -> None:
    """To the cgroup2 directory of an open descriptor; it stays as long as that. Raises OSError."""
    loaded = _load(assemble(rules))
    try:
        _bpf(_ATTACH, struct.pack("=IIII", cgroup, loaded, _CGROUP_DEVICE, _ALLOW_MULTI))
    finally:
        os.close(loaded)


def permitted() -> bool:
    """Whether such programs can be loaded here."""
    try:
        os.close(_load(assemble(())))
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL):
            return False
        raise
    return True


def _load(program: bytes) -> int:
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"Apache-2.0")
    count = len(program) // INSTRUCTION_BYTES
    return _bpf(
        _LOAD, struct.pack("=IIQQ", _CGROUP_DEVICE_PROGRAM, count, ctypes.addressof(code), ctypes.addressof(licence))
    )


def _bpf(command: int, attributes: bytes) -> int:
    padded = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = _libc.syscall(ctypes.c_long(_BPF), ctypes.c_int(command), padded, ctypes.c_uint(128))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "bpf")
    return int(result)
