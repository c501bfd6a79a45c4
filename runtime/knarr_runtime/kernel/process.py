"""Processes: who they are across restarts of ours, and what one must shed before it runs foreign code."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
from collections.abc import Mapping

from knarr_runtime.kernel import syscalls

_PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 4, 15, 36, 38


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of ``pid``; with the pid it names a process for ever. None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_same(pid: int, started: int) -> bool:
    """Whether ``pid`` still is the process that started at ``started`` (see :func:`start_time`), and no zombie."""
    return pid > 0 and start_time(pid) == started


def is_child(pid: int) -> bool:
    """Whether ``pid`` is a child of ours, ended or not, that nobody has waited for."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def adjust_oom_score(pid: int, adjustment: int) -> None:
    """Best effort: lowering it needs CAP_SYS_RESOURCE; a process that is gone is fine."""
    try:
        with open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(adjustment))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def has_time_namespaces() -> bool:
    """From Linux 5.6 on, where they are compiled in."""
    return os.path.exists("/proc/self/timens_offsets")


def enter_time_namespace(offsets_ns: Mapping[str, int]) -> None:
    """One of its own, whose clocks ``monotonic`` and ``boottime`` are ahead by that much. Source: time_namespaces(7).

    Made for children, and entered like another's: only newer kernels enter it by execve. /proc must be the kernel's.
    """
    syscalls.unshare(syscalls.CLONE_NEWTIME)
    lines = [f"{clock} {ns // 10**9} {ns % 10**9}\n" for clock, ns in offsets_ns.items()]
    with open("/proc/self/timens_offsets", "w", encoding="ascii") as file:
        file.write("".join(lines))
    made = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(made, syscalls.CLONE_NEWTIME)
    finally:
        os.close(made)


def become_subreaper() -> None:
    syscalls.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forbid_tracing() -> None:
    """Makes the process non-dumpable: /proc/<pid>/{exe,fd,mem} are closed to whoever lacks CAP_SYS_PTRACE."""
    syscalls.prctl(_PR_SET_DUMPABLE, 0)


def set_name(name: str) -> None:
    raw = ctypes.create_string_buffer(name.encode()[:15])
    syscalls.prctl(_PR_SET_NAME, ctypes.addressof(raw))


def set_title(title: str) -> None:
    """What everybody reads in /proc/<pid>/cmdline, instead of the arguments this process was begun with.

    Source: Linux, fs/proc/base.c: it ends at the first NUL when the last byte of the arguments is none.
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    first, end = int(fields[45]), int(fields[46])
    text = title.encode()[: end - first - 2] + b"\0"
    if end - first > len(text):
        ctypes.memmove(first, text, len(text))
        ctypes.memset(end - 1, 1, 1)


def close_all_but(keep: set[int]) -> None:
    """Closes every descriptor above 2 except ``keep``: a fork inherits what belongs to its parent alone."""
    first = 3
    for fd in sorted(keep):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = max(first, fd + 1)
    syscalls.close_range(first)


def no_new_privileges() -> None:
    syscalls.prctl(_PR_SET_NO_NEW_PRIVS, 1)


@functools.cache
def ignored_signals() -> tuple[int, ...]:
    """Asked once, before the forks that :func:`reset_signals`: nothing is ignored later."""
    return tuple(number for number in range(1, signal.NSIG) if signal.getsignal(number) is signal.SIG_IGN)


def reset_signals() -> None:
    """Default action for every signal and none blocked, as a fresh program expects (Python ignores SIGPIPE)."""
    for number in ignored_signals():
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def kill(pid: int, signum: int) -> bool:
    """Sends the signal; False if there is no such process."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def exit_code(status: int) -> tuple[int, int]:
    """(exit code as a shell gives it, signal or 0) of a wait status."""
    if os.WIFSIGNALED(status):
        signum = os.WTERMSIG(status)
        return 128 + signum, signum
    return os.WEXITSTATUS(status), 0
