"""The raw calls that Python's ``os`` lacks, each a thin typed function; nothing here decides anything.

Calls go through libc's ``syscall``. They keep the GIL (``PyDLL``) where the caller forks or is single-threaded
anyway, and release it (``CDLL``) where a call can sleep in the kernel while the daemon's other threads have work:
every mount call. Numbers above 423 are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_ulong
from typing import Any

_MACHINE = os.uname().machine
_KEYCTL = {"x86_64": 250, "aarch64": 219}.get(_MACHINE, -1)
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(_MACHINE, -1)
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_CLONE3, _CLOSE_RANGE, _OPENAT2, _MOUNT_SETATTR = 435, 436, 437, 442

_HOLDING = ctypes.PyDLL(None, use_errno=True)
_RELEASING = ctypes.CDLL(None, use_errno=True)

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

CLONE_NEWTIME = 0x00000080
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 4096, 16384, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x00100000

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 0x01, 0x02, 0x04
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x08, 0x10


def _bind(library: Any, name: str, *argtypes: Any) -> Callable[..., int]:
    function = library[name]
    function.argtypes = argtypes
    function.restype = c_long if name == "syscall" else c_int
    return function  # type: ignore[no-any-return]


_clone3 = _bind(_HOLDING, "syscall", c_long, c_char_p, c_size_t)
_close_range = _bind(_HOLDING, "syscall", c_long, c_uint, c_uint, c_uint)
_openat2 = _bind(_HOLDING, "syscall", c_long, c_int, c_char_p, c_char_p, c_size_t)
_open_tree = _bind(_RELEASING, "syscall", c_long, c_int, c_char_p, c_uint)
_keyctl = _bind(_HOLDING, "syscall", c_long, c_int, c_char_p)
_move_mount = _bind(_RELEASING, "syscall", c_long, c_int, c_char_p, c_int, c_char_p, c_uint)
_fsopen = _bind(_RELEASING, "syscall", c_long, c_char_p, c_uint)
_fsconfig = _bind(_RELEASING, "syscall", c_long, c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = _bind(_RELEASING, "syscall", c_long, c_int, c_uint, c_uint)
_mount_setattr = _bind(_RELEASING, "syscall", c_long, c_int, c_char_p, c_uint, c_char_p, c_size_t)
_pivot_root = _bind(_HOLDING, "syscall", c_long, c_char_p, c_char_p)
_mount = _bind(_RELEASING, "mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = _bind(_RELEASING, "umount2", c_char_p, c_int)
_setns = _bind(_HOLDING, "setns", c_int, c_int)
_unshare = _bind(_HOLDING, "unshare", c_int)
_prctl = _bind(_HOLDING, "prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_capset = _bind(_HOLDING, "capset", c_char_p, c_char_p)
_capget = _bind(_HOLDING, "capget", c_char_p, ctypes.c_void_p)
_sethostname = _bind(_HOLDING, "sethostname", c_char_p, c_size_t)
_tee = _bind(_HOLDING, "tee", c_int, c_int, c_size_t, c_uint)
_signalfd = _bind(_HOLDING, "signalfd", c_int, c_char_p, c_int)
_fstatfs = _bind(_HOLDING, "fstatfs", c_int, c_char_p)

_CLONE_ARGS = struct.Struct("=11Q")
_MOUNT_ATTR = struct.Struct("=4Q")
_OPEN_HOW = struct.Struct("=3Q")


def _fail(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


def clone3(flags: int, cgroup_fd: int = -1) -> int:
    """Forks with ``flags``; 0 in the child, the pid in the parent. The caller must have one thread only."""
    exit_signal = 0 if flags & CLONE_PARENT else 17  # SIGCHLD; a sibling's is its parent's
    into = 0
    if cgroup_fd >= 0:
        flags |= CLONE_INTO_CGROUP
        into = cgroup_fd
    args = _CLONE_ARGS.pack(flags, 0, 0, 0, exit_signal, 0, 0, 0, 0, 0, into)
    pid = _clone3(_CLONE3, args, len(args))
    if pid < 0:
        raise _fail(f"clone3 flags {flags:#x}")
    return pid


def close_range(first: int, last: int = 0xFFFFFFFF, *, on_exec: bool = False) -> None:
    """Closes descriptors ``first`` to ``last``, or with ``on_exec`` marks them to be closed by execve."""
    if _close_range(_CLOSE_RANGE, first, last, 4 if on_exec else 0) < 0:
        raise _fail("close_range")


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    fd = _openat2(_OPENAT2, directory, os.fsencode(path), how, len(how))
    if fd < 0:
        raise _fail(f"openat2 {path}")
    return fd


def open_tree(path: str, *, directory: int = AT_FDCWD, recursive: bool = True) -> int:
    """A detached copy of the mount at ``path`` ("" for ``directory`` itself), gone when its descriptor is closed."""
    flags = 1 | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (AT_EMPTY_PATH if not path else 0)
    fd = _open_tree(_OPEN_TREE, directory, os.fsencode(path), flags)
    if fd < 0:
        raise _fail(f"open_tree {path}")
    return fd


def move_mount(tree: int, target: int) -> None:
    """Attaches the detached mount ``tree`` on what the O_PATH descriptor ``target`` refers to."""
    if _move_mount(_MOVE_MOUNT, tree, b"", target, b"", 0x04 | 0x40) < 0:
        raise _fail("move_mount")


def fsopen(kind: str) -> int:
    fd = _fsopen(_FSOPEN, kind.encode(), 1)
    if fd < 0:
        raise _fail(f"fsopen {kind}")
    return fd


def fsconfig_string(fs: int, key: str, value: str) -> None:
    if _fsconfig(_FSCONFIG, fs, 1, key.encode(), os.fsencode(value), 0) < 0:
        raise _fail(f"fsconfig {key}={value}")


def fsconfig_flag(fs: int, key: str) -> None:
    if _fsconfig(_FSCONFIG, fs, 0, key.encode(), None, 0) < 0:
        raise _fail(f"fsconfig {key}")


def fsconfig_create(fs: int) -> None:
    if _fsconfig(_FSCONFIG, fs, 6, None, None, 0) < 0:
        raise _fail("fsconfig create")


def fsmount(fs: int, attributes: int = 0) -> int:
    fd = _fsmount(_FSMOUNT, fs, 1, attributes)
    if fd < 0:
        raise _fail("fsmount")
    return fd


def mount_setattr(
    mount: int,
    *,
    set_: int = 0,
    clear: int = 0,
    propagation: int = 0,
    users: int = 0,
    recursive: bool = False,
    path: str = "",
) -> None:
    """users: with MOUNT_ATTR_IDMAP in ``set_``, a descriptor of the user namespace whose mapping it takes."""
    attributes = _MOUNT_ATTR.pack(set_, clear, propagation, users)
    flags = (AT_EMPTY_PATH if not path else 0) | (AT_RECURSIVE if recursive else 0)
    if _mount_setattr(_MOUNT_SETATTR, mount, os.fsencode(path), flags, attributes, len(attributes)) < 0:
        raise _fail("mount_setattr")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    if _mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, os.fsencode(data)) < 0:
        raise _fail(f"mount {kind} on {target}")


def join_new_session_keyring() -> None:
    """An empty one of one's own, so that the one that came from the parent can't be searched. Source: keyctl(2)."""
    if _keyctl(_KEYCTL, 1, None) < 0 and ctypes.get_errno() != errno.ENOSYS:
        raise _fail("keyctl")


def umount(target: str, flags: int = MNT_DETACH) -> None:
    if _umount2(os.fsencode(target), flags) < 0:
        raise _fail(f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    if _pivot_root(_PIVOT_ROOT, os.fsencode(new), os.fsencode(old)) < 0:
        raise _fail("pivot_root")


def setns(fd: int, kinds: int) -> None:
    """Enters the namespaces ``kinds`` of ``fd``: one namespace, or a pidfd for several at once."""
    if _setns(fd, kinds) < 0:
        raise _fail(f"setns {kinds:#x}")


def unshare(kinds: int) -> None:
    if _unshare(kinds) < 0:
        raise _fail(f"unshare {kinds:#x}")


def prctl(option: int, argument2: int = 0, argument3: int = 0, argument4: int = 0, argument5: int = 0) -> int:
    result = _prctl(option, argument2, argument3, argument4, argument5)
    if result < 0:
        raise _fail(f"prctl {option}")
    return result


def capget(header: bytes) -> bytes:
    """Effective, permitted and inheritable set: their lower halves, then their upper ones, 4 bytes each."""
    data = ctypes.create_string_buffer(24)
    if _capget(header, data) < 0:
        raise _fail("capget")
    return data.raw


def capset(header: bytes, data: bytes) -> None:
    if _capset(header, data) < 0:
        raise _fail("capset")


def sethostname(name: str) -> None:
    raw = name.encode()
    if _sethostname(raw, len(raw)) < 0:
        raise _fail(f"sethostname {name}")


def tee(source: int, target: int, size: int) -> int:
    """Copies up to ``size`` bytes between pipes and leaves them in ``source``. BlockingIOError if it is empty."""
    count = _tee(source, target, size, 2)
    if count < 0:
        raise _fail("tee")
    return count


def filesystem_type(fd: int) -> int:
    """The magic number of the file system ``fd`` is on. Source: statfs(2)."""
    data = ctypes.create_string_buffer(256)
    if _fstatfs(fd, data) < 0:
        raise _fail("fstatfs")
    return int.from_bytes(data.raw[: ctypes.sizeof(c_long)], sys.byteorder)


def signalfd(signals: set[int]) -> int:
    mask = sum(1 << (signum - 1) for signum in signals)
    fd = _signalfd(-1, struct.pack("=Q", mask) + bytes(120), os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise _fail("signalfd")
    return fd
