"""Several control planes on this machine: their directories, the etcd that they share and its keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Protocol

from knarr_cli.cluster import ports
from knarr_cli.cluster.state import ClusterStateError, LocalCluster, Process

CONTROL_PLANE, ETCD = "controlplane", "etcd"
KEYS_TIMEOUT_S = 60.0
ETCD_PORT = 2379


class Wanted(Protocol):
    """What ``knarr up`` was asked for."""

    @property
    def store(self) -> str: ...
    @property
    def control_planes(self) -> int: ...
    @property
    def etcd_members(self) -> int: ...


def needs_etcd(options: Wanted) -> bool:
    """Whether an etcd is to be started beside the control planes. Raises ClusterStateError for a store of one."""
    if max(options.control_planes, options.etcd_members) <= 1 or options.store.startswith("etcd://"):
        return False
    if options.store != "etcd":
        raise ClusterStateError(f"--store {options.store or 'sqlite'} serves one control plane: use --store etcd")
    return True


def etcd(data_dir: Path, members: int) -> list[Process]:
    """The members of a local etcd."""
    found = ports.free(members, ETCD_PORT)
    names = [f"{ETCD}-{ordinal + 1}" for ordinal in range(members)]
    cluster = ",".join(f"{name}={port + 1}" for name, port in zip(names, found, strict=True))
    return [
        Process(
            name=name,
            cgroup=name,
            argv=(
                *(sys.executable, "-m", "knarr_controlplane.store.etcd_member", "--pki", str(data_dir / "pki")),
                *("--data-dir", str(data_dir / "etcd" / name), "--name", name, "--cluster", cluster),
                *("--client-port", str(port), "--peer-port", str(port + 1)),
            ),
        )
        for name, port in zip(names, found, strict=True)
    ]


def endpoints(members: list[Process]) -> str:
    """``--store`` of who connects to them."""
    clients = [process.argv[process.argv.index("--client-port") + 1] for process in members]
    return "etcd://" + ",".join(f"127.0.0.1:{port}" for port in clients)


def control_plane(first: Process, data_dir: Path, ordinal: int) -> Process:
    """The first one, or one like it with a directory of its own and the first one's keys."""
    if ordinal == 0:
        return first
    name = f"{CONTROL_PLANE}-{ordinal + 1}"
    argv = list(of_ordinal(first.argv, ordinal))
    argv[argv.index("--data-dir") + 1] = str(data_dir / "controlplanes" / str(ordinal + 1))
    return Process(name=name, cgroup=name, argv=(*argv, "--pki", str(data_dir / "pki")))


def of_ordinal(flags: tuple[str, ...], ordinal: int) -> tuple[str, ...]:
    """What the first control plane is told, for another: each has a port of its own for metrics."""
    if "--metrics-address" not in flags:
        return flags
    at = flags.index("--metrics-address") + 1
    host, _, port = flags[at].rpartition(":")
    return (*flags[:at], f"{host}:{int(port) + ordinal if int(port) else 0}", *flags[at + 1 :])


def store(cluster: LocalCluster) -> str:
    """What ``--store`` of 'knarr up' was; empty for a node that joined another cluster."""
    if any(process.name.startswith(ETCD) for process in cluster.processes):
        return ETCD
    argv = next((process.argv for process in cluster.processes if process.name == CONTROL_PLANE), ())
    return argv[argv.index("--store") + 1] if argv else ""


def control_planes(cluster: LocalCluster) -> dict[str, Path]:
    """Their names and directories."""
    return {
        process.name: Path(process.argv[process.argv.index("--data-dir") + 1])
        for process in cluster.processes
        if process.name.startswith(CONTROL_PLANE)
    }


def make_keys(cluster: LocalCluster) -> None:
    """Before processes start that share them. Raises ClusterStateError."""
    if not any(process.name.startswith(ETCD) for process in cluster.processes):
        return
    pki = Path(cluster.data_dir) / "pki"
    words = [sys.executable, "-m", "knarr_controlplane.store.etcd_member", "--prepare", "--pki", str(pki)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=KEYS_TIMEOUT_S)
    if done.returncode:
        raise ClusterStateError(f"the cluster's keys can't be made: {done.stderr.strip()}")
