"""The first process of a pid namespace that a pod's containers share: it reaps orphans and holds nothing.

It lives on an empty read-only root, without descriptors, capabilities or a way to be traced, because every container
of the pod sees it as pid 1.
"""

from __future__ import annotations

import os
import signal

from knarr_runtime.kernel import capabilities, mounts, process, syscalls


def run(last_capability: int) -> None:
    """Never returns; ends by SIGKILL or SIGTERM from outside."""
    os.setsid()
    process.set_title("pause")
    root = mounts.tmpfs("mode=555,size=4k", mounts.NO_PRIVILEGE | mounts.READ_ONLY)
    mounts.cover_root(root)
    mounts.change_root(root)
    syscalls.close_range(0)
    process.set_name("pause")
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    capabilities.bound(0, last_capability)
    capabilities.set_sets(0, 0, 0, 0)
    while True:
        signal.sigwait((signal.SIGCHLD,))
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue
