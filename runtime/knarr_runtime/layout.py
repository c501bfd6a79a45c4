"""What lies in the state directory, and how it is written. All of it is rebuilt from here and the kernel.

    zygote.sock  zygote.json          socket, identity (pid, start_time) and version of the zygote
    logs.sock    logs.json            the same of the log reader
    node.json                         boot_id, cgroup bases: where the runtime's cgroups lie; version to run
    sandboxes/<id>/sandbox.json       the SandboxSpec, written first
                   shim.json          pid, start_time, created_at_ns, version; written by the shim when it is ready;
                                      cgroup_parent, again, should sandbox.json be damaged
                   shim.sock          its control socket
                   stopped            exists once the sandbox has been stopped
                   shm/               where the shim mounts the pod's /dev/shm, in its own mount namespace
                   containers/<id>/   one directory per container:
        spec.json                     the ContainerSpec and created_at_ns, written first
        stdout stderr staged stdin    FIFOs; the shim holds them open, so what is in them outlives any reader
        process.json                  pid, start_time, started_at_ns; written by the shim when the program runs
        exit.json                     exit_code, signal, oom_killed, oom_kills, finished_at_ns, reason; at its end
        log.state                     the log reader's position, see knarr_runtime.logs
        log.done                      exists once the log is complete

A record is written to a temporary file and renamed: it is whole or missing, whoever is killed. It is not synced:
records matter as long as their processes could live, that is until the machine restarts, and ``node.json`` holds the
boot they belong to. An identity is a pid together with its start time; a pid alone names nobody.
"""

from __future__ import annotations

import os
from typing import Any

from knarr_runtime import compact_json

ZYGOTE_SOCKET = "zygote.sock"
ZYGOTE_RECORD = "zygote.json"
LOGS_SOCKET = "logs.sock"
LOGS_RECORD = "logs.json"
NODE_RECORD = "node.json"
SANDBOXES = "sandboxes"
CONTAINERS = "containers"
SANDBOX_SPEC = "sandbox.json"
SHIM_RECORD = "shim.json"
SHIM_SOCKET = "shim.sock"
STOPPED = "stopped"
SHARED_MEMORY = "shm"
CONTAINER_SPEC = "spec.json"
STDIN, STDOUT, STDERR, STAGED = "stdin", "stdout", "stderr", "staged"
PROCESS_RECORD = "process.json"
EXIT_RECORD = "exit.json"
LOG_STATE = "log.state"
LOG_DONE = "log.done"

Record = dict[str, Any]


def sandbox_directory(state_dir: str, sandbox_id: str) -> str:
    return f"{state_dir}/{SANDBOXES}/{sandbox_id}"


def container_directory(state_dir: str, sandbox_id: str, container_id: str) -> str:
    return f"{state_dir}/{SANDBOXES}/{sandbox_id}/{CONTAINERS}/{container_id}"


def write(directory: str, name: str, record: Record) -> None:
    """Replaces the record atomically."""
    write_text(directory, name, compact_json.encode(record))


def write_text(directory: str, name: str, text: str) -> None:
    """The same with a record that is JSON already."""
    temporary = f"{directory}/.{name}.new"
    data = text.encode()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while data:  # a disk that is getting full takes a part, and says so only at the next one
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
    os.rename(temporary, f"{directory}/{name}")


def read(directory: str, name: str) -> Record | None:
    """The record; None if it is missing. Raises ValueError if it is not what :func:`write` wrote."""
    try:
        with open(f"{directory}/{name}", "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    record = compact_json.decode(text)
    if not isinstance(record, dict):
        raise ValueError(f"{directory}/{name}: not a record")
    return record


def read_whole(directory: str, name: str) -> Record | None:
    """The record; None if it is missing or not what :func:`write` wrote: for who can go on without it."""
    try:
        return read(directory, name)
    except ValueError:
        return None


def identity(directory: str, name: str) -> tuple[int, int] | None:
    """(pid, start time) of the process that a record is about; None if it is missing or does not say."""
    record = read_whole(directory, name)
    try:
        return None if record is None else (int(record["pid"]), int(record["start_time"]))
    except (KeyError, TypeError, ValueError):
        return None


def touch(directory: str, name: str) -> None:
    os.close(os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def names(directory: str) -> list[str]:
    """Names of the subdirectories, in no order; none if it does not exist."""
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
