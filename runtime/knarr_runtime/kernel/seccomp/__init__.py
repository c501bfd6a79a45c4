"""System call filters: rules to bytes (bpf), whose rules (profile), and loading them into the calling process."""

from __future__ import annotations

import ctypes

from knarr_runtime.kernel import syscalls

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def load(program: bytes) -> None:
    """Filters the calling process and its descendants from now on; needs CAP_SYS_ADMIN or no_new_privs."""
    code = ctypes.create_string_buffer(program, len(program))
    descriptor = _Program(len(program) // 8, ctypes.addressof(code))
    syscalls.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(descriptor))
