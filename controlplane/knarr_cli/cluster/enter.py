"""Enter a network namespace and a cgroup, then become another program.

``python -I -S enter.py NETNS CGROUP_RELATIVE CGROUP_PARENTS_JSON PROGRAM ARG…``; NETNS may be empty. The pid stays the
same. Run as a file, with the standard library only, so that it costs a few milliseconds.
"""

import ctypes
import errno
import json
import os
import sys

LEAF = "knarr-runtime"
CLONE_NEWNET = 0x40000000


def main(netns: str, relative: str, parents: str, *argv: str) -> None:
    """Does not return. Raises OSError when the namespace, a cgroup or the program can't be entered."""
    for parent in json.loads(parents).values():
        try:
            enter_cgroup(f"{parent}/{relative}")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # Its children have limits, so it can't hold processes: a runtime was here before and has made room.
            os.makedirs(f"{parent}/{relative}/{LEAF}", exist_ok=True)
            enter_cgroup(f"{parent}/{relative}/{LEAF}")
    if netns:
        descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), netns)
        os.close(descriptor)
    os.execv(argv[0], argv)


def enter_cgroup(directory: str) -> None:
    """Raises OSError."""
    descriptor = os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"0")
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
