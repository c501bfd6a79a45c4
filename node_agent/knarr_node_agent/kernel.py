"""The few system calls that the agent makes itself: mounts for volumes, and paths that cannot leave their root.

Source: Linux mount(2), umount2(2), openat2(2).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from pathlib import Path

from knarr_api.errors import Invalid

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 2, 4, 8, 4096, 16384
MNT_DETACH = 2
RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH = 0x02, 0x08
SYS_OPENAT2 = 437


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def mount_tmpfs(directory: Path, options: str, *, executable: bool = True) -> None:
    """Raises OSError; PermissionError without the privilege."""
    flags = MS_NOSUID | MS_NODEV | (0 if executable else MS_NOEXEC)
    _mount(b"tmpfs", os.fsencode(directory), b"tmpfs", flags, options.encode())


def bind(descriptor: int, target: Path) -> None:
    """Mount what ``descriptor`` (O_PATH will do) refers to on ``target``, with what is mounted below it."""
    _mount(f"/proc/thread-self/fd/{descriptor}".encode(), os.fsencode(target), b"", MS_BIND | MS_REC, b"")


def unmount(point: Path) -> None:
    """At once for lookups, in fact when nobody uses it any more. Nothing mounted there is fine."""
    if _libc().umount2(os.fsencode(point), MNT_DETACH):
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOENT):
            raise OSError(number, os.strerror(number), str(point))


def is_mount_point(path: Path) -> bool:
    return str(path.resolve()) in mount_points()


def mount_points() -> tuple[str, ...]:
    """Of this mount namespace, in the order of mounting."""
    lines = Path("/proc/thread-self/mountinfo").read_bytes().splitlines()
    return tuple(os.fsdecode(_unescaped(line.split(b" ")[4])) for line in lines)


def open_beneath(root: int, path: str, flags: int) -> int:
    """A descriptor of ``path`` below the directory ``root``, whatever links there are on the way.

    Raises Invalid when the path would leave the directory, else OSError.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    arguments = (ctypes.c_int(root), os.fsencode(path) + b"\0", ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    descriptor = int(_libc().syscall(ctypes.c_long(SYS_OPENAT2), *arguments))
    if descriptor < 0:
        number = ctypes.get_errno()
        if number in (errno.EXDEV, errno.ELOOP):
            raise Invalid(f'path "{path}" leaves its volume')
        raise OSError(number, os.strerror(number), path)
    return descriptor


def make_beneath(root: int, path: str) -> int:
    """As ``open_beneath`` for a directory or file; what is missing is made as directories, mode 0755."""
    current = os.dup(root)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    try:
        for index, part in enumerate(parts):
            try:
                following = open_beneath(root, "/".join(parts[: index + 1]), os.O_PATH)
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=current)
                following = open_beneath(root, "/".join(parts[: index + 1]), os.O_PATH)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def _mount(source: bytes, target: bytes, kind: bytes, flags: int, options: bytes) -> None:
    if _libc().mount(source, target, kind or None, ctypes.c_ulong(flags), options or None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", os.fsdecode(target))


def _unescaped(text: bytes) -> bytes:
    for code, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        text = text.replace(code, character)
    return text


@functools.cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library
