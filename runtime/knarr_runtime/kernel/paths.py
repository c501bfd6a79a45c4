"""Paths inside a directory that somebody hostile filled: resolved by the kernel, never outside (openat2).

Source: Linux openat2(2), RESOLVE_IN_ROOT: symbolic links, absolute ones too, and ``..`` stay below the root.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr_runtime.kernel import syscalls

_INSIDE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_RETRIES = 32
_LINKS = 32


def open_inside(root: int, path: str, flags: int = os.O_PATH, resolve: int = _INSIDE) -> int:
    """Opens ``path`` as if ``root`` were ``/``. Raises OSError; FileNotFoundError if there is no such thing."""
    for _ in range(_RETRIES):
        try:
            return syscalls.openat2(root, path, flags, resolve)
        except OSError as error:
            if error.errno != errno.EAGAIN:  # a rename or mount raced with '..'
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def make_target(root: int, path: str, *, directory: bool, links: int = _LINKS) -> int:
    """O_PATH descriptor of ``path`` inside ``root``, made (mode 0755 directories, an empty file) if it is missing.

    A symbolic link that leads nowhere (``/var/run -> /run`` without /run) is followed inside the root, and what it
    names is made; ``links`` is how many of them may come.
    Raises NotADirectoryError or IsADirectoryError when what is there cannot carry the mount.
    """
    path = os.path.normpath(f"/{path.lstrip('/')}")
    try:
        fd = open_inside(root, path)
    except FileNotFoundError:
        parent_path, name = os.path.split(path)
        parent = make_target(root, parent_path, directory=True, links=links)
        try:
            link = _link(parent, name)
            if link:
                if links == 0:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
                return make_target(root, os.path.join(parent_path, link), directory=directory, links=links - 1)
            if directory:
                os.mkdir(name, 0o755, dir_fd=parent)
            else:
                flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o644, dir_fd=parent))
            fd = syscalls.openat2(parent, name, os.O_PATH, syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS)
        finally:
            os.close(parent)
    is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    if is_directory != directory:
        os.close(fd)
        if directory:
            raise NotADirectoryError(errno.ENOTDIR, "a directory cannot be mounted on a file", path)
        raise IsADirectoryError(errno.EISDIR, "a file cannot be mounted on a directory", path)
    return fd


def _link(directory: int, name: str) -> str:
    """Where the symbolic link ``name`` points, "" if it is none."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return ""
