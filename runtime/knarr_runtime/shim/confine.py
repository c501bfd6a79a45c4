"""The last steps before foreign code: user, capabilities, filter, and execve with errors people know."""

from __future__ import annotations

import base64
import errno
import json
import os
import resource
import stat
from collections.abc import Callable, Sequence

from knarr_runtime.defaults import DEFAULT_PATH
from knarr_runtime.errors import KernelRefused, StartFailed, Unavailable
from knarr_runtime.kernel import capabilities, lsm, paths, process, seccomp, syscalls
from knarr_runtime.spec import ContainerSpec, Rlimit, User

_PASSWD_LIMIT_BYTES = 4 << 20
_CWD_CODES = {errno.ENOENT: 127, errno.ENOTDIR: 127, errno.EACCES: 126}
"""Exit codes as Docker gives them when runc can't enter the working directory."""


def limit_resources(rlimits: Sequence[Rlimit]) -> None:
    """Best effort: a hard limit above one's own needs CAP_SYS_RESOURCE, without it the own one stays."""
    for rlimit in rlimits:
        kind = getattr(resource, rlimit.name, None)
        if kind is None:
            raise KernelRefused(f"rlimit {rlimit.name}: no such limit")
        soft, hard = rlimit.soft, rlimit.hard
        try:
            resource.setrlimit(kind, (soft, hard))
        except (ValueError, PermissionError):
            _, highest = resource.getrlimit(kind)
            if highest != resource.RLIM_INFINITY:
                soft = highest if soft < 0 or soft > highest else soft
            resource.setrlimit(kind, (soft, highest))


def adjust_oom_score(adjustment: int) -> None:
    """Best effort, before /proc is replaced: lowering it needs CAP_SYS_RESOURCE."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(adjustment).encode())
    except PermissionError:
        return
    finally:
        os.close(fd)


def open_labels(spec: ContainerSpec) -> list[tuple[int, str]]:
    """Where the labels of the program are to be written, opened while /proc is one that no container has touched."""
    labels = []
    if spec.apparmor:
        labels.append((lsm.open_exec_label(("apparmor/exec", "exec")), f"exec {spec.apparmor}"))
    if spec.selinux:
        labels.append((lsm.open_exec_label(("exec",)), spec.selinux))
    return labels


def label(labels: Sequence[tuple[int, str]]) -> None:
    """They hold from execve on. Before the filter, which might not let a process write them."""
    for fd, text in labels:
        try:
            os.write(fd, text.encode())
        except FileNotFoundError:
            profile = text.removeprefix("exec ")
            raise StartFailed(f"apparmor profile {profile} is not loaded: load it with apparmor_parser") from None
        except OSError as error:
            raise StartFailed(f"security label {text!r}: {error.strerror}") from error
        finally:
            os.close(fd)


def set_clocks(spec: ContainerSpec) -> None:
    """While /proc is one that no container has touched."""
    if spec.time_offsets_ns:
        try:
            process.enter_time_namespace(spec.time_offsets_ns)
        except OSError as error:
            raise KernelRefused(f"time namespace: {error.filename or 'offsets'}: {error.strerror}") from error


def enter_directory(path: str, *, make: bool = False) -> None:
    """chdir, and that inside of the root (CVE-2024-21626). make: one that is missing. Raises StartFailed."""
    try:
        try:
            os.chdir(path)
        except FileNotFoundError:
            if not make:
                raise
            os.makedirs(path, 0o755)
            os.chdir(path)
    except OSError as error:
        code = _CWD_CODES.get(error.errno or 0, 128)
        raise StartFailed(f"chdir to cwd ({json.dumps(path)}) failed: {str(error.strerror).lower()}", code) from error
    try:
        os.getcwd()
    except FileNotFoundError:
        raise StartFailed(f"chdir to cwd ({json.dumps(path)}) failed: outside of the container's root") from None


def confine(
    spec: ContainerSpec, user: User, seccomp_program: bytes, last_capability: int, bounded: int = capabilities.EVERY
) -> None:
    """Becomes ``user`` with the spec's capabilities and filter. Everything that needs privileges comes before.

    bounded: the bounding set as it is by now. What this process itself does not have can't be given to anybody.
    """
    syscalls.join_new_session_keyring()
    here = capabilities.effective_here()
    if spec.privileged:
        bounding = effective = permitted = here
        inheritable = ambient = 0
    else:
        sets = spec.capabilities
        bounding = capabilities.mask(sets.bounding) & here
        effective, permitted = capabilities.mask(sets.effective), capabilities.mask(sets.permitted)
        inheritable, ambient = capabilities.mask(sets.inheritable), capabilities.mask(sets.ambient)
    if not spec.no_new_privs and seccomp_program:
        seccomp.load(seccomp_program)  # allowed now because of CAP_SYS_ADMIN, later only with no_new_privs
    if user.uid:
        capabilities.keep_over_setuid()
    capabilities.bound(bounding, last_capability, bounded)
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    capabilities.set_sets(effective & bounding, permitted & bounding, inheritable & bounding, ambient & bounding)
    if spec.no_new_privs:
        process.no_new_privileges()
        if seccomp_program:
            seccomp.load(seccomp_program)


def decode_filter(text: str) -> bytes:
    return base64.b64decode(text)


def environment(pairs: Sequence[str], uid: int) -> dict[str, str]:
    """The program's environment; PATH and HOME are there even if nobody set them."""
    env: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if equals and name:
            env[name] = value
    env.setdefault("PATH", DEFAULT_PATH)
    if "HOME" not in env:
        env["HOME"] = _home(uid)
    return env


def _home(uid: int) -> str:
    """Home directory by the container's /etc/passwd, as far as that is, or leads to, a plain file in it."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = paths.open_inside(root, "etc/passwd", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return "/"
    finally:
        os.close(root)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return "/"
        try:
            lines = file.read(_PASSWD_LIMIT_BYTES).splitlines()
        except OSError:
            return "/"
    wanted = str(uid).encode()
    for line in lines:
        fields = line.split(b":")
        if len(fields) >= 6 and fields[2] == wanted:
            return os.fsdecode(fields[5]) or "/"
    return "/"


def execute(args: tuple[str, ...], env: dict[str, str]) -> None:
    """execve, searching PATH. Returns never; raises StartFailed with 127 or 126 and the message users know."""
    _run(args, env, os.execve)


def spawn(args: tuple[str, ...], env: dict[str, str]) -> int:
    """The same in a new process and session; its pid. Raises Unavailable if there is no room for a process."""
    return _run(args, env, _spawn)


def _spawn(path: str, args: tuple[str, ...], env: dict[str, str]) -> int:
    try:
        return os.posix_spawn(path, args, env, setsid=True)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOMEM):
            raise Unavailable(f"exec: {error.strerror}") from error
        raise


def _run(args: tuple[str, ...], env: dict[str, str], run: Callable[..., int]) -> int:
    os.umask(0o022)
    syscalls.close_range(3, on_exec=True)
    process.reset_signals()
    name = args[0]
    if "/" in name:
        try:
            return run(name, args, env)
        except OSError as error:
            raise _failure(name, name, error) from error
    denied: tuple[str, OSError] | None = None
    for directory in env["PATH"].split(":"):
        candidate = f"{directory or '.'}/{name}"
        try:
            os.lstat(candidate)
        except (FileNotFoundError, NotADirectoryError):
            continue  # cheaper than to try
        except OSError:
            pass
        try:
            return run(candidate, args, env)
        except OSError as error:
            denied = denied or (candidate, error)
    if denied is not None:
        raise _failure(name, denied[0], denied[1]) from denied[1]
    raise StartFailed(f'exec: "{name}": executable file not found in $PATH', 127)


def _failure(name: str, path: str, error: OSError) -> StartFailed:
    match error.errno:
        case errno.ENOENT:
            interpreter = _interpreter(path)
            if interpreter:
                return StartFailed(f'exec: "{name}": bad interpreter {interpreter!r}: no such file or directory', 126)
            if os.path.exists(path):
                return StartFailed(f'exec: "{name}": its program loader is missing: no such file or directory', 127)
            return StartFailed(f'exec: "{name}": stat {path}: no such file or directory', 127)
        case errno.EACCES:
            what = "is a directory" if os.path.isdir(path) else "permission denied"
            return StartFailed(f'exec: "{name}": {what}', 126)
        case errno.ENOEXEC:
            return StartFailed(f'exec: "{name}": exec format error', 126)
        case errno.ENOTDIR:
            return StartFailed(f'exec: "{name}": not a directory', 127)
        case _:
            return StartFailed(f'exec: "{name}": {(error.strerror or "").lower()}', 126)


def _interpreter(path: str) -> str:
    """The program a script's first line names, "" if there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        head = os.read(fd, 256)
    except OSError:
        return ""
    finally:
        os.close(fd)
    if not head.startswith(b"#!"):
        return ""
    words = head[2:].split(b"\n")[0].split()
    return os.fsdecode(words[0]) if words else ""
