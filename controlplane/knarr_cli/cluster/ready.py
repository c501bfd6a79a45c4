"""Waiting until a starting cluster serves, its nodes have joined and are Ready."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import grpc

from knarr_api.types.core_v1 import Node
from knarr_cli.cluster import several
from knarr_cli.cluster import up as local
from knarr_cli.cluster.plan import UpError
from knarr_cli.cluster.state import LocalCluster, LocalNode, read_pid_file
from knarr_client.grpc import GrpcClient
from knarr_client.informer import Change, Informer
from knarr_client.kubeconfig import load as load_kubeconfig
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc

TOKEN_TTL_S = 600


def wait_for_control_plane(cluster: LocalCluster, deadline: float) -> None:
    """Until each has announced itself. Raises UpError with the end of its log when one doesn't, or dies on start."""
    for process, directory in several.control_planes(cluster).items():
        _wait_for(cluster, process, directory / "controlplane.ready", deadline)


def _wait_for(cluster: LocalCluster, process: str, ready: Path, deadline: float) -> None:
    began = len(_lines(cluster, process))
    alone = len(several.control_planes(cluster)) == 1

    def refusal() -> str:
        # Of several, one that comes before its etcd is started again.
        return _refusal(cluster, process, began) if alone else ""

    def decided() -> bool:
        return _announced(ready, cluster, process) or bool(refusal())

    local.wait_for(decided, timeout_s=deadline - time.monotonic())
    if not _announced(ready, cluster, process):
        if refusal():
            raise UpError(refusal())
        raise UpError(_failed(cluster, process, "the control plane does not come up"))


def _refusal(cluster: LocalCluster, process: str, after: int) -> str:
    """The one line with which a process says why it can't start."""
    for line in _lines(cluster, process)[after:]:
        for prefix in ("knarr-controlplane: ", "knarr-node-agent: "):
            if line.startswith(prefix):
                return line.removeprefix(prefix)
    return ""


def _lines(cluster: LocalCluster, process: str) -> list[str]:
    return local.last_log_lines(cluster, process, count=1000).splitlines()


def _announced(ready: Path, cluster: LocalCluster, process: str) -> bool:
    """The file must be of the process that runs now: one of an earlier run names another pid."""
    try:
        pid = read_pid_file(cluster.run_dir / f"{process}.pid")
        return pid is not None and json.loads(ready.read_text())["pid"] == pid
    except (FileNotFoundError, ValueError, KeyError):
        return False


def give_tokens(cluster: LocalCluster, deadline: float) -> None:
    """A join token for each node that has no certificate yet, bound to its name. Raises UpError when it gets none."""
    missing = [node for node in cluster.nodes if not (Path(node.data_dir) / "agent" / "node.crt").exists()]
    if not missing:
        return
    try:
        asyncio.run(_give_tokens(cluster, missing, deadline))
    except grpc.RpcError as error:
        what = f"the control plane gives no token to join with: {error.details()}"
        raise UpError(_failed(cluster, "controlplane", what)) from error


async def _give_tokens(cluster: LocalCluster, missing: list[LocalNode], deadline: float) -> None:
    async with GrpcClient.connect(load_kubeconfig(cluster.kubeconfig)) as client:
        stub = nodes_pb2_grpc.NodesStub(client.channel)
        for node in missing:
            request = nodes_pb2.CreateTokenRequest(
                ttl_seconds=TOKEN_TTL_S, node_name=node.name, description=f"knarr up, node {node.name}"
            )
            timeout_s = max(deadline - time.monotonic(), 0.0)
            made = await stub.CreateToken(request, timeout=timeout_s, wait_for_ready=True)
            local.write_token(node, made.token)


def wait_for_nodes(cluster: LocalCluster, deadline: float) -> None:
    """Until every local node is Ready. Raises UpError naming the nodes that are not, with the end of their logs."""
    waiting = {node.name for node in cluster.nodes}
    try:
        asyncio.run(_wait_for_nodes(cluster, waiting, deadline - time.monotonic()))
    except TimeoutError:
        name = sorted(waiting)[0]
        what = f"node {name} is not Ready" if len(waiting) == 1 else f"nodes {', '.join(sorted(waiting))} are not Ready"
        raise UpError(_failed(cluster, f"{name}-agent", what)) from None


async def _wait_for_nodes(cluster: LocalCluster, waiting: set[str], timeout_s: float) -> None:
    done = asyncio.Event()

    def see(change: Change[Node]) -> None:
        node = change.new
        if node is not None and any(c.type == "Ready" and c.status == "True" for c in node.status.conditions):
            waiting.discard(node.metadata.name)
        if not waiting:
            done.set()

    async with GrpcClient.connect(load_kubeconfig(cluster.kubeconfig)) as client:
        informer = Informer(client, Node)
        informer.add_handler(see)
        following = asyncio.create_task(informer.run())
        try:
            async with asyncio.timeout(timeout_s):
                await done.wait()
        finally:
            following.cancel()


def wait_for_join(cluster: LocalCluster, deadline: float) -> None:
    """Until the agent has its certificate. Raises UpError with the agent's last words."""
    certificate = Path(cluster.nodes[0].data_dir) / "agent" / "node.crt"
    agent = f"{cluster.nodes[0].name}-agent"

    def decided() -> bool:
        return certificate.exists() or bool(_refusal(cluster, agent, 0))

    local.wait_for(decided, timeout_s=deadline - time.monotonic(), interval_s=0.05)
    if not certificate.exists():
        refusal = _refusal(cluster, agent, 0)
        if refusal:
            raise UpError(f"the node can't join: {refusal}")
        raise UpError(_failed(cluster, f"{cluster.nodes[0].name}-agent", "the node does not join"))


def _failed(cluster: LocalCluster, process: str, what: str) -> str:
    log = local.last_log_lines(cluster, process)
    return f"{what}; the end of {cluster.log_dir}/{process}.log:\n{log or '(empty)'}"
