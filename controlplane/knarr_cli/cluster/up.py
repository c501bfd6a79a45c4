"""Starting and stopping a cluster on this machine: its plan, networks, processes and what is left of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from knarr_cli.cluster import cgroups, fabric, several
from knarr_cli.cluster.state import (
    ClusterStateError,
    LocalCluster,
    LocalNode,
    Process,
    read_pid_file,
)

DEFAULT_PORT = 6443
START_TIMEOUT_S = 60.0
CONTAINERD = "unix:///run/containerd/containerd.sock"
FOREIGN_CALL_S = 60.0


class UpError(Exception):
    """Starting failed; the message is for the user, with the remedy."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``knarr up`` was asked for.

    nodes: 0 takes what the data directory holds, or one.
    port: 0 takes DEFAULT_PORT or, where that is taken, a free one.
    control_planes: 0 takes what the data directory holds, or one; etcd_members: of a local etcd that several share.
    control_plane_flags: passed on as they are.
    log_format, tracing_endpoint: of control plane, agents and runtimes.
    runtime: CRI socket (``unix:///run/containerd/containerd.sock``) of another runtime, for the only node.
    """

    data_dir: Path
    nodes: int = 0
    store: str = "sqlite"
    port: int = 0
    control_planes: int = 0
    etcd_members: int = 0
    control_plane_flags: tuple[str, ...] = ()
    agent_flags: tuple[str, ...] = ()
    log_format: str = "console"
    tracing_endpoint: str = ""
    runtime: str = ""

    @property
    def watching(self) -> tuple[str, ...]:
        """Flags that all programs have."""
        flags = ("--log-format", self.log_format) if self.log_format != "console" else ()
        return (*flags, "--tracing-endpoint", self.tracing_endpoint) if self.tracing_endpoint else flags


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


def plan(options: Options) -> LocalCluster:
    """The cluster that the options describe. Pure but for a look at which port is free."""
    data_dir = options.data_dir.resolve()
    identifier = hashlib.sha256(str(data_dir).encode()).hexdigest()[:6]
    ports = free_ports(options.control_planes or 1, options.port or DEFAULT_PORT, exactly=bool(options.port))
    name = f"knarr-{identifier}"
    servers = tuple(f"127.0.0.1:{port}" for port in ports)
    if options.runtime:
        if len(ports) > 1:
            raise UpError("--runtime: with one control plane only; leave --control-planes out")
        return _with_other_runtime(options, data_dir, identifier, servers[0])
    nodes = tuple(
        LocalNode(
            name=f"n{ordinal + 1}",
            data_dir=str(data_dir / "nodes" / f"n{ordinal + 1}"),
            runtime_socket=str(data_dir / "nodes" / f"n{ordinal + 1}" / "runtime.sock"),
            netns=fabric.path(f"{name}-n{ordinal + 1}"),
            ip=fabric.node_address(ordinal),
        )
        for ordinal in range(options.nodes or 1)
    )
    inner = tuple(f"{fabric.FABRIC_ADDRESS}:{port}" for port in ports)
    processes = several.etcd(data_dir, options.etcd_members or 1) if several.needs_etcd(options) else []
    store = several.endpoints(processes) if processes else options.store
    advertised = tuple(word for address in inner for word in ("--advertise", address))
    for ordinal, (server, address) in enumerate(zip(servers, inner, strict=True)):
        listening = ("--listen", server, "--listen", f"netns:{fabric.path(name)},{address}", *advertised)
        peers = tuple(word for other in servers if other != server for word in ("--peer", other))
        first = _control_plane(replace(options, store=store), data_dir, (*listening, *peers))
        processes.append(several.control_plane(first, data_dir, ordinal))
    for node in nodes:
        processes += node_processes(
            node, server=",".join(inner), agent_flags=options.agent_flags, watching=options.watching
        )
    return _cluster(options, data_dir, identifier, servers[0], nodes, processes)


def _with_other_runtime(options: Options, data_dir: Path, identifier: str, server: str) -> LocalCluster:
    """One node, in the machine's own network namespace: there the other runtime's pods are."""
    socket_path = options.runtime.removeprefix("unix://")
    if not socket_path.startswith("/"):
        raise UpError(f'--runtime "{options.runtime}": expected unix:///PATH, as in {CONTAINERD}')
    if not Path(socket_path).is_socket():
        raise UpError(f"--runtime: {socket_path} is no socket: does the runtime run, with its CRI service?")
    if options.nodes > 1:
        raise UpError("--runtime: one runtime serves one node; leave --nodes out")
    place = data_dir / "nodes" / "n1"
    node = LocalNode(name="n1", data_dir=str(place), runtime_socket=socket_path)
    flags = ("--no-overlay", *options.agent_flags)
    _, agent = node_processes(node, server=server, agent_flags=flags, watching=options.watching)
    control_plane = _control_plane(options, data_dir, ("--listen", server, "--advertise", server))
    return _cluster(options, data_dir, identifier, server, (node,), [control_plane, agent])


def _control_plane(options: Options, data_dir: Path, listening: tuple[str, ...]) -> Process:
    return Process(
        name="controlplane",
        cgroup="controlplane",
        argv=(
            *(sys.executable, "-m", "knarr_controlplane", "--data-dir", str(data_dir), "--store", options.store),
            *(*listening, *options.control_plane_flags, *options.watching),
        ),
    )


def _cluster(
    options: Options,
    data_dir: Path,
    identifier: str,
    server: str,
    nodes: tuple[LocalNode, ...],
    processes: list[Process],
) -> LocalCluster:
    return LocalCluster(
        id=identifier,
        data_dir=str(data_dir),
        server=server,
        kubeconfig=str(data_dir / "admin.kubeconfig"),
        nodes=nodes,
        processes=tuple(processes),
        cgroup_parents=cgroups.parents(),
        made_data_dir=not data_dir.exists(),
    )


def node_processes(
    node: LocalNode, *, server: str, agent_flags: tuple[str, ...] = (), watching: tuple[str, ...] = ()
) -> tuple[Process, Process]:
    """The runtime and the agent of a node. watching: flags of both."""
    runtime = Process(
        name=f"{node.name}-runtime",
        node=node.name,
        netns=node.netns,
        cgroup=f"{node.name}/runtime",
        argv=(
            *(sys.executable, "-m", "knarr_runtime", "serve"),
            *("--root", f"{node.data_dir}/runtime", "--socket", node.runtime_socket),
            *watching,
        ),
    )
    agent = Process(
        name=f"{node.name}-agent",
        node=node.name,
        netns=node.netns,
        cgroup=f"{node.name}/agent",
        argv=(
            *(sys.executable, "-m", "knarr_node_agent", "--node-name", node.name),
            *("--data-dir", f"{node.data_dir}/agent", "--server", server),
            *("--runtime", f"unix://{node.runtime_socket}", "--token-file", f"{node.data_dir}/join-token"),
            *(("--node-ip", node.ip) if node.ip else ()),
            *agent_flags,
            *watching,
        ),
    )
    return runtime, agent


def plan_join(
    *,
    server: str,
    name: str,
    node_ip: str,
    labels: tuple[str, ...],
    data_dir: Path,
    agent_flags: tuple[str, ...] = (),
) -> LocalCluster:
    """A cluster's state with this machine as its only node, in the machine's own network namespace."""
    data_dir = data_dir.resolve()
    if (data_dir / "cluster.json").exists():
        raise UpError(f"{data_dir} is a cluster's already: remove it with 'knarr down --data-dir {data_dir}'")
    if data_dir.is_dir() and any(data_dir.iterdir()):
        raise UpError(f"{data_dir} is not empty and not a cluster's: name a new directory")
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal():
        raise UpError(f'--server "{server}": expected HOST:PORT, for example 192.0.2.10:{DEFAULT_PORT}')
    name = name or socket.gethostname().lower()
    node = LocalNode(
        name=name, data_dir=str(data_dir / "node"), runtime_socket=str(data_dir / "node" / "runtime.sock"), ip=node_ip
    )
    flags = (*agent_flags, *(word for label in labels for word in ("--label", label)))
    return LocalCluster(
        id=hashlib.sha256(str(data_dir).encode()).hexdigest()[:6],
        data_dir=str(data_dir),
        server=server,
        kubeconfig="",
        nodes=(node,),
        processes=node_processes(node, server=server, agent_flags=flags),
        cgroup_parents=cgroups.parents(),
        made_data_dir=not data_dir.exists(),
    )


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


def free_ports(count: int, preferred: int, *, exactly: bool) -> tuple[int, ...]:
    """As ``free_port``, several. exactly: the first must be the preferred one, whether it is free or not."""
    found: list[int] = [preferred] if exactly else []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            port = free_port(found[-1] + 2 if found else preferred)
            held.enter_context(bound(port))
            found.append(port)
    return tuple(found)


def free_port(preferred: int = DEFAULT_PORT) -> int:
    """A port of 127.0.0.1 that is free now together with the next one (the join port), preferably this one."""
    for candidate in (preferred, *(0 for _ in range(20))):
        with contextlib.suppress(OSError), bound(candidate) as port, bound(port + 1):
            return port
    raise UpError("no two neighbouring free ports on 127.0.0.1; name one with --port")


@contextlib.contextmanager
def bound(port: int) -> Iterator[int]:
    """A listening port for as long as the context lasts; 0 takes any."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        yield int(listener.getsockname()[1])


def last_log_lines(cluster: LocalCluster, process: str, count: int = 12) -> str:
    """The end of a process' log, for an error message."""
    try:
        return "\n".join((cluster.log_dir / f"{process}.log").read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""


def existing(options: Options) -> LocalCluster | None:
    """The cluster already kept in the data directory. Raises UpError when the options ask for another one."""
    try:
        cluster = LocalCluster.load(options.data_dir)
    except ClusterStateError:
        if (options.data_dir / "cluster.json").exists():
            raise
        if (options.data_dir / "restored.json").exists():
            return None
        if options.data_dir.is_dir() and any(options.data_dir.iterdir()):
            raise UpError(f"{options.data_dir} is not empty and not a cluster's: name a new directory") from None
        return None
    running = len([process for process in cluster.processes if process.name.startswith("controlplane")])
    if options.control_planes and running != options.control_planes:
        raise UpError(
            f"{options.data_dir} holds a cluster of {running} control planes, not {options.control_planes}: leave "
            f"--control-planes out, or remove it first with 'knarr down --data-dir {options.data_dir}'"
        )
    if options.runtime and cluster.nodes[0].runtime_socket != options.runtime.removeprefix("unix://"):
        raise UpError(
            f"{options.data_dir} holds a cluster with another runtime: leave --runtime out, or remove it first"
        )
    if options.nodes and len(cluster.nodes) != options.nodes:
        raise UpError(
            f"{options.data_dir} holds a cluster of {len(cluster.nodes)} nodes, not {options.nodes}: leave --nodes "
            f"out, or remove it first with 'knarr down --data-dir {options.data_dir}'"
        )
    return replace(cluster, cgroup_parents=cgroups.parents())


def wait_for(check: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.02) -> bool:
    """Poll a cheap local condition (a file, a process) until it holds or the time is over."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_s)
    return True
