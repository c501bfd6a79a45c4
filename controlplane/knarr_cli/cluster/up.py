"""Starting and stopping a cluster on this machine: its networks, processes and what is left of it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from knarr_cli.cluster import cgroups, fabric
from knarr_cli.cluster.plan import UpError
from knarr_cli.cluster.state import LocalCluster, LocalNode, read_pid_file

START_TIMEOUT_S = 60.0
FOREIGN_CALL_S = 60.0


def preflight() -> None:
    """Refuse early what can't work. Raises UpError."""
    if os.geteuid() != 0:
        raise UpError("not root: nodes need namespaces, cgroups and mounts; run it with sudo")
    parents = cgroups.parents()
    if not parents:
        raise UpError("no cgroup file system is mounted; mount one on /sys/fs/cgroup (systemd does it at boot)")
    for name, directory in parents.items():
        if not os.access(directory, os.W_OK):
            raise UpError(f"the cgroup {name or 'v2'} directory {directory} is not writable here; run on the host")
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        raise UpError("the kernel has no overlayfs: load it with 'modprobe overlay'")
    for kind in ("net", "mnt", "pid", "uts", "ipc"):
        if not Path(f"/proc/self/ns/{kind}").exists():
            raise UpError(f"the kernel has no {kind} namespaces (CONFIG_NAMESPACES)")


def write_token(node: LocalNode, token: str) -> None:
    """Leave a join token where the node's agent waits for it, readable by root only."""
    path = Path(node.data_dir) / "join-token"
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    temporary.replace(path)


def prepare(cluster: LocalCluster) -> None:
    """Directories, networks and the state file. Safe to repeat."""
    data_dir = Path(cluster.data_dir)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for node in cluster.nodes:
        Path(node.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster.save()
    if any(node.netns for node in cluster.nodes):
        fabric.make_fabric(cluster.name)
        for node in cluster.nodes:
            fabric.attach_node(cluster.name, f"{cluster.name}-{node.name}", node.ip)


def check_not_running(cluster: LocalCluster) -> None:
    """Raises UpError when the cluster runs: nothing of it is touched."""
    running = supervisor_pid(cluster)
    if running is not None:
        raise UpError(
            f"data directory {cluster.data_dir} is in use by process {running}: this cluster is running; "
            f"use it with 'export KUBECONFIG={cluster.kubeconfig}' or stop it with "
            f"'knarr down --data-dir {cluster.data_dir}'"
        )


def start_supervisor(cluster: LocalCluster) -> int:
    """Start the supervisor in a session of its own and return its pid. Raises UpError when one runs already."""
    check_not_running(cluster)
    cluster.run_dir.mkdir(mode=0o700, exist_ok=True)
    cluster.log_dir.mkdir(mode=0o700, exist_ok=True)
    with open(cluster.log_dir / "supervisor.log", "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "knarr_cli.cluster.supervisor", cluster.data_dir],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return child.pid


def supervisor_pid(cluster: LocalCluster) -> int | None:
    """The running supervisor, if any."""
    return read_pid_file(cluster.run_dir / "supervisor.pid")


def stop(cluster: LocalCluster, *, progress: Callable[[str], None] = lambda _: None) -> None:
    """Stop everything of the cluster and remove what it made outside the data directory. Safe to repeat."""
    pid = supervisor_pid(cluster)
    if pid is not None:
        progress("stopping the cluster's processes")
        descriptor = os.pidfd_open(pid)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if not select.select([descriptor], [], [], 30.0)[0]:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                select.select([descriptor], [], [], 5.0)
        os.close(descriptor)
    progress("stopping its pods")
    for node in cluster.nodes:
        if not Path(node.runtime_socket).is_relative_to(node.data_dir):
            remove_foreign_pods(node)
    cgroups.kill(cluster.cgroup_parents, cluster.name)
    cgroups.remove(cluster.cgroup_parents, cluster.name)
    progress("removing its networks and mounts")
    unmount_below(Path(cluster.data_dir))
    fabric.remove(cluster.name)
    shutil.rmtree(cluster.run_dir, ignore_errors=True)


def remove_foreign_pods(node: LocalNode) -> None:
    """Those this node's agent has started in a runtime that is not the cluster's own. Raises UpError."""
    import grpc

    from knarr_proto.cri import api_pb2 as cri
    from knarr_proto.cri import api_pb2_grpc

    logs = Path(node.data_dir) / "agent/logs"
    uids = {path.name.rpartition("_")[2] for path in logs.iterdir()} if logs.is_dir() else set()
    with grpc.insecure_channel(f"unix:{node.runtime_socket}") as channel:
        stub = api_pb2_grpc.RuntimeServiceStub(channel)
        try:
            for sandbox in stub.ListPodSandbox(cri.ListPodSandboxRequest(), timeout=FOREIGN_CALL_S).items:
                if sandbox.labels.get("io.kubernetes.pod.uid") in uids:
                    named = {"pod_sandbox_id": sandbox.id}
                    stub.StopPodSandbox(cri.StopPodSandboxRequest(**named), timeout=FOREIGN_CALL_S)
                    stub.RemovePodSandbox(cri.RemovePodSandboxRequest(**named), timeout=FOREIGN_CALL_S)
        except grpc.RpcError as error:
            raise UpError(f"pods in {node.runtime_socket} can't be removed: {error.details()}") from error


def remove_data(cluster: LocalCluster) -> None:
    """Remove the data directory, or only what the cluster put there when the directory was there before."""
    data_dir = Path(cluster.data_dir)
    if cluster.made_data_dir:
        shutil.rmtree(data_dir)
        return
    for entry in data_dir.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def unmount_below(directory: Path) -> None:
    """Detach every mount below a directory, innermost first."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    points = [
        line.split()[4].encode().decode("unicode_escape")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    for point in sorted((point for point in points if point.startswith(f"{directory}/")), key=len, reverse=True):
        libc.umount2(point.encode(), 2)  # MNT_DETACH


def kill_node(cluster: LocalCluster, name: str) -> None:
    """Take a node down as a power cut would: every process of it gets SIGKILL, and none is started again."""
    node = cluster.node(name)
    (cluster.run_dir / f"{node.name}.off").touch(mode=0o600)
    cgroups.kill(cluster.cgroup_parents, f"{cluster.name}/{node.name}")


def start_node(cluster: LocalCluster, name: str) -> None:
    """Start a node that kill_node took down. Raises UpError when no supervisor runs to do it."""
    node = cluster.node(name)
    pid = supervisor_pid(cluster)
    if pid is None:
        raise UpError(f"the cluster is not running: start it with 'knarr up --data-dir {cluster.data_dir}'")
    (cluster.run_dir / f"{node.name}.off").unlink(missing_ok=True)
    os.kill(pid, signal.SIGHUP)


def last_log_lines(cluster: LocalCluster, process: str, count: int = 12) -> str:
    """The end of a process' log, for an error message."""
    try:
        return "\n".join((cluster.log_dir / f"{process}.log").read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""


def wait_for(check: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.02) -> bool:
    """Poll a cheap local condition (a file, a process) until it holds or the time is over."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_s)
    return True
