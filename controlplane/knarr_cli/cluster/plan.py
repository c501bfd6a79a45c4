"""The plan of a cluster on this machine, or of one node that joins another: which processes, where, with which flags.

Nothing is started here; the plan is what ``cluster.json`` keeps, and a cluster goes on by it.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from knarr_cli.cluster import cgroups, fabric, ports, several
from knarr_cli.cluster.state import ClusterStateError, LocalCluster, LocalNode, Process

DEFAULT_PORT, DEFAULT_STORE = 6443, "sqlite"
RESTORED_FILE = "restored.json"
CONTAINERD = "unix:///run/containerd/containerd.sock"
KEEP_IMAGES = ("--image-gc-high", "100")
"""What was imported into a local cluster can't be pulled again, however full the disk is."""


class UpError(Exception):
    """Starting failed; the message is for the user, with the remedy."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``knarr up`` was asked for.

    nodes: 0 takes what the data directory holds, or one.
    store: empty takes what the data directory holds, or SQLite.
    port: 0 takes what the data directory holds, DEFAULT_PORT or, where that is taken, a free one.
    control_planes: 0 takes what the data directory holds, or one; etcd_members: of a local etcd that several share.
    control_plane_flags, agent_flags: passed on as they are, each with its value.
    log_format, tracing_endpoint: of control plane, agents and runtimes.
    runtime: CRI socket (``unix:///run/containerd/containerd.sock``) of another runtime, for the only node.
    """

    data_dir: Path
    nodes: int = 0
    store: str = ""
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


def plan(options: Options) -> LocalCluster:
    """The cluster that the options describe. Pure but for a look at which port is free."""
    data_dir = options.data_dir.resolve()
    identifier = hashlib.sha256(str(data_dir).encode()).hexdigest()[:6]
    listening_ports = ports.free(options.control_planes or 1, options.port or DEFAULT_PORT, exactly=bool(options.port))
    name = f"knarr-{identifier}"
    servers = tuple(f"127.0.0.1:{port}" for port in listening_ports)
    if options.runtime:
        if len(listening_ports) > 1:
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
    inner = tuple(f"{fabric.FABRIC_ADDRESS}:{port}" for port in listening_ports)
    processes = several.etcd(data_dir, options.etcd_members or 1) if several.needs_etcd(options) else []
    store = several.endpoints(processes) if processes else options.store or DEFAULT_STORE
    advertised = tuple(word for address in inner for word in ("--advertise", address))
    for ordinal, (server, address) in enumerate(zip(servers, inner, strict=True)):
        listening = ("--listen", server, "--listen", f"netns:{fabric.path(name)},{address}", *advertised)
        peers = tuple(word for other in servers if other != server for word in ("--peer", other))
        first = _control_plane(replace(options, store=store), data_dir, (*listening, *peers))
        processes.append(several.control_plane(first, data_dir, ordinal))
    for node in nodes:
        processes += node_processes(
            node,
            server=",".join(inner),
            agent_flags=options.agent_flags,
            runtime_flags=KEEP_IMAGES,
            watching=options.watching,
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
    options = replace(options, store=options.store or DEFAULT_STORE)
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
    node: LocalNode,
    *,
    server: str,
    agent_flags: tuple[str, ...] = (),
    runtime_flags: tuple[str, ...] = (),
    watching: tuple[str, ...] = (),
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
            *runtime_flags,
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
    from knarr_client.channel import is_address

    data_dir = data_dir.resolve()
    if (data_dir / "cluster.json").exists():
        raise UpError(f"{data_dir} is a cluster's already: remove it with 'knarr down --data-dir {data_dir}'")
    if data_dir.is_dir() and any(data_dir.iterdir()):
        raise UpError(f"{data_dir} is not empty and not a cluster's: name a new directory")
    if not is_address(server):
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


def existing(options: Options) -> LocalCluster | None:
    """The cluster already kept in the data directory. Raises UpError when the options ask for another one."""
    try:
        cluster = LocalCluster.load(options.data_dir)
    except ClusterStateError:
        if (options.data_dir / "cluster.json").exists():
            raise
        if (options.data_dir / RESTORED_FILE).exists():
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
    store = several.store(cluster)
    if options.store not in ("", store, _restored_into(options.data_dir)):
        raise UpError(
            f"{options.data_dir} holds a cluster with --store {store}, not {options.store}: leave --store out, or take "
            "what it holds there with 'knarr backup' and 'knarr restore'"
        )
    if options.port and not cluster.server.endswith(f":{options.port}"):
        raise UpError(
            f"{options.data_dir} holds a cluster whose API is at {cluster.server}: leave --port out, or remove it "
            f"first with 'knarr down --data-dir {options.data_dir}'"
        )
    return replace(cluster, cgroup_parents=cgroups.parents())


def _restored_into(data_dir: Path) -> str:
    """``--store`` of the last 'knarr restore' into this directory, or empty."""
    try:
        return str(json.loads((data_dir / RESTORED_FILE).read_text())["store"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ""


def with_settings(cluster: LocalCluster, options: Options) -> LocalCluster:
    """An existing one with the flags that are given now; those that are not among them stay as they were."""
    processes, ordinal = [], 0
    of_all = options.watching
    store = ("--store", options.store) if options.store not in ("", several.store(cluster)) else ()
    for process in cluster.processes:
        if process.name.startswith(several.CONTROL_PLANE):
            flags = (*several.of_ordinal(options.control_plane_flags, ordinal), *store, *of_all)
            ordinal += 1
        elif process.node:
            flags = (*options.agent_flags, *of_all) if process.name.endswith("-agent") else of_all
        else:
            flags = ()
        processes.append(replace(process, argv=_with_flags(process.argv, flags)))
    return replace(cluster, processes=tuple(processes))


def _with_flags(argv: tuple[str, ...], flags: tuple[str, ...]) -> tuple[str, ...]:
    changed = list(argv)
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        if flag in changed:
            changed[changed.index(flag) + 1] = value
        else:
            changed += [flag, value]
    return tuple(changed)
