"""What a local cluster consists of, as kept in ``D/cluster.json``.

The file is written once by ``knarr up`` (and again when nodes are added) and says which processes should run, where.
What does run is recorded per process in ``D/run/<process>.pid`` as ``<pid> <start time in clock ticks>``.
Standard library only: the supervisor imports this and should stay small.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "cluster.json"


class ClusterStateError(Exception):
    """The data directory is not, or not in this version, a cluster's; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One program the supervisor keeps running.

    netns: path of a network namespace to enter, or "" for the supervisor's own.
    cgroup: path below the cluster's cgroup, for example ``n1/agent``.
    """

    name: str
    argv: tuple[str, ...]
    netns: str = ""
    cgroup: str = ""
    node: str = ""


@dataclass(frozen=True, kw_only=True)
class LocalNode:
    """A node of this machine. ip is its address on the fabric; empty for a node that joined another cluster."""

    name: str
    data_dir: str
    runtime_socket: str
    netns: str = ""
    ip: str = ""


@dataclass(frozen=True, kw_only=True)
class LocalCluster:
    """The whole cluster. ``id`` is short and names namespaces and cgroups (``knarr-<id>``)."""

    id: str
    data_dir: str
    server: str
    kubeconfig: str
    nodes: tuple[LocalNode, ...] = ()
    processes: tuple[Process, ...] = ()
    cgroup_parents: dict[str, str] = dataclasses.field(default_factory=dict)
    made_data_dir: bool = True

    @property
    def name(self) -> str:
        """Name of the cluster's cgroup and of its fabric's network namespace."""
        return f"knarr-{self.id}"

    @property
    def run_dir(self) -> Path:
        """Where pid files and off-marks are."""
        return Path(self.data_dir) / "run"

    @property
    def log_dir(self) -> Path:
        """Where each process' output goes."""
        return Path(self.data_dir) / "logs"

    def node(self, name: str) -> LocalNode:
        """The node of that name; raises ClusterStateError naming the nodes there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise ClusterStateError(f'no local node "{name}": this cluster has {names}')

    def save(self) -> None:
        """Write atomically, readable by root only."""
        path = Path(self.data_dir) / FILE_NAME
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(dataclasses.asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @classmethod
    def load(cls, data_dir: str | Path) -> LocalCluster:
        """Read ``data_dir/cluster.json``. Raises ClusterStateError when there is none or it can't be read."""
        path = Path(data_dir) / FILE_NAME
        try:
            document = json.loads(path.read_text())
            nodes = tuple(LocalNode(**node) for node in document.pop("nodes"))
            processes = tuple(Process(**{**p, "argv": tuple(p["argv"])}) for p in document.pop("processes"))
            return cls(**document, nodes=nodes, processes=processes)
        except FileNotFoundError:
            raise ClusterStateError(
                f"no cluster in {data_dir}: {FILE_NAME} not found; start one with "
                f"'knarr up --data-dir {data_dir}' or name the right directory"
            ) from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ClusterStateError(f"cannot read {path}: {error}") from error


def start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot, or None when there is no such process.

    Source: proc_pid_stat(5), field 22.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def write_pid_file(path: Path, pid: int) -> None:
    """Record a process so that it can be told from a later one with the same number."""
    started = start_time(pid)
    if started is None:
        return
    temporary = path.with_suffix(".tmp")
    temporary.write_text(f"{pid} {started}\n")
    temporary.replace(path)


def read_pid_file(path: Path) -> int | None:
    """The recorded process' pid when that very process still lives, else None."""
    try:
        pid, started = (int(word) for word in path.read_text().split())
    except (FileNotFoundError, ValueError):
        return None
    return pid if start_time(pid) == started else None
