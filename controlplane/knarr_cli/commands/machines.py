"""``cordon``, ``uncordon``, ``drain``, ``token`` and ``image``."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
import grpc
import grpc.aio

from knarr_api import grpc_status, kinds
from knarr_api.errors import Conflict, Invalid, NotFound, ResourceExhausted, Unavailable
from knarr_cli import completing, output
from knarr_cli.cells import at
from knarr_cli.cluster.state import ClusterStateError, LocalCluster, LocalNode
from knarr_cli.commands.writing import until_gone
from knarr_cli.options import DRY_RUN, selector_option
from knarr_cli.session import seconds, session, warn
from knarr_cli.verb import Verb, VerbGroup
from knarr_client.grpc import GrpcClient
from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc

NODE, POD = kinds.by_kind("v1", "Node"), kinds.by_kind("v1", "Pod")
CHUNK_BYTES = 1024 * 1024
EVICT_AGAIN_S = 5.0
IMPORT_TIMEOUT_S = 600.0
node_dry_run_option = click.option(
    "--dry-run",
    type=click.Choice(list(DRY_RUN)),
    is_flag=False,
    flag_value="client",
    default="none",
    help="Only say what would be done.",
)
"""Without a value it is ``client``."""


def _cordoning(name: str, unschedulable: bool, help_text: str) -> click.Command:
    @click.command(cls=Verb, name=name, help=help_text, epilog=f"\b\nExamples:\n  knarr {name} n2")
    @click.argument("nodes", nargs=-1, shell_complete=completing.nodes)
    @selector_option
    @node_dry_run_option
    @click.pass_context
    def command(ctx: click.Context, nodes: tuple[str, ...], selector: str, dry_run: str) -> None:
        async def work(client: GrpcClient) -> None:
            for node in await _chosen(client, nodes, selector):
                await _cordon(client, node, unschedulable, dry_run=dry_run)

        session(ctx).run(work)

    return command


async def _chosen(client: GrpcClient, names: tuple[str, ...], selector: str) -> list[str]:
    """Nodes by name or by label. Raises Invalid."""
    if bool(names) == bool(selector):
        raise Invalid("name nodes, or choose them with --selector" if not names else "cannot specify both NODE and -l")
    if names:
        return [name.partition("/")[2] or name for name in names]
    found = [at(item, "metadata.name") for item in (await client.raw.list(NODE, label_selector=selector)).items]
    if not found:
        sys.stderr.write("No resources found\n")
    return found


async def _cordon(
    client: GrpcClient, node: str, unschedulable: bool, *, manager: str = "knarr-cordon", dry_run: str = "none"
) -> None:
    present = await client.raw.get(NODE, node)
    word = "cordoned" if unschedulable else "uncordoned"
    if bool(at(present, "spec.unschedulable", False)) == unschedulable:
        output.write(f"node/{node} already {word}{DRY_RUN[dry_run]}")
        return
    patch = {"spec": {"unschedulable": True if unschedulable else None}}
    if dry_run != "client":
        await client.raw.patch(NODE, node, patch=patch, field_manager=manager, dry_run=dry_run == "server")
    output.write(f"node/{node} {word}{DRY_RUN[dry_run]}")


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """names: (namespace, name, uid) of pods to delete; reasons: why it can't be done."""

    names: tuple[tuple[str, str, str], ...]
    reasons: tuple[str, ...]
    ignored: tuple[str, ...]


def plan_drain(
    pods: list[dict[str, Any]], *, force: bool, ignore_daemonsets: bool, delete_emptydir_data: bool
) -> DrainPlan:
    """Which pods go, and what stands against it. Pure."""
    names: list[tuple[str, str, str]] = []
    reasons: list[str] = []
    ignored: list[str] = []
    for pod in pods:
        name = f"{at(pod, 'metadata.namespace')}/{at(pod, 'metadata.name')}"
        owner = next((o for o in at(pod, "metadata.ownerReferences", []) if o.get("controller")), None)
        if at(pod, "status.phase") in ("Succeeded", "Failed"):
            pass
        elif owner is not None and owner["kind"] == "DaemonSet":
            if ignore_daemonsets:
                ignored.append(f"ignoring DaemonSet-managed Pods: {name}")
            else:
                reasons.append(f"cannot delete DaemonSet-managed Pods: {name} (use --ignore-daemonsets to ignore)")
            continue
        elif owner is None and not force:
            reasons.append(f"cannot delete Pods that declare no controller: {name} (use --force to override)")
            continue
        elif any("emptyDir" in volume for volume in at(pod, "spec.volumes", [])) and not delete_emptydir_data:
            reasons.append(f"cannot delete Pods with local storage: {name} (use --delete-emptydir-data to override)")
            continue
        names.append((at(pod, "metadata.namespace"), at(pod, "metadata.name"), at(pod, "metadata.uid")))
    return DrainPlan(tuple(names), tuple(reasons), tuple(ignored))


@click.command(
    cls=Verb,
    name="drain",
    epilog="""\b
Examples:
  knarr drain n2
  knarr drain n2 --ignore-daemonsets --delete-emptydir-data --timeout 60s
  knarr drain n2 --force --disable-eviction     # whatever disruption budgets say""",
)
@click.argument("nodes", nargs=-1, metavar="NODE…", shell_complete=completing.nodes)
@selector_option
@click.option("--ignore-daemonsets", is_flag=True, help="Leave pods of DaemonSets where they are.")
@click.option("--delete-emptydir-data", is_flag=True, help="Also pods whose emptyDir data will be lost.")
@click.option("--force", is_flag=True, help="Also pods that nothing will replace.")
@click.option("--disable-eviction", is_flag=True, help="Delete pods, without asking disruption budgets.")
@click.option("--pod-selector", default="", metavar="SELECTOR", help="Only pods with these labels.")
@click.option("--grace-period", type=int, default=-1, help="Seconds; -1 is the pod's own.")
@click.option("--timeout", default="", metavar="DURATION", help="[default: none]")
@node_dry_run_option
@click.pass_context
def drain_command(
    ctx: click.Context,
    nodes: tuple[str, ...],
    selector: str,
    ignore_daemonsets: bool,
    delete_emptydir_data: bool,
    force: bool,
    disable_eviction: bool,
    pod_selector: str,
    grace_period: int,
    timeout: str,
    dry_run: str,
) -> None:
    """Let no new pods onto nodes and move their pods away, as their disruption budgets allow."""
    now_draining = ""

    async def one(client: GrpcClient, node: str) -> None:
        async def look() -> DrainPlan:
            page = await client.raw.list(POD, field_selector=f"spec.nodeName={node}", label_selector=pod_selector)
            plan = plan_drain(
                [dict(item) for item in page.items],
                force=force,
                ignore_daemonsets=ignore_daemonsets,
                delete_emptydir_data=delete_emptydir_data,
            )
            if plan.reasons:
                raise Invalid("\n  ".join([f"unable to drain node {node}:", *plan.reasons]))
            return plan

        await client.raw.get(NODE, node)
        plan = await look()
        await _cordon(client, node, True, manager="knarr-drain", dry_run=dry_run)
        if dry_run == "none":
            plan = await look()  # pods may have come before the node was cordoned
        warn(plan.ignored)
        grace = grace_period if grace_period >= 0 else None
        async with asyncio.TaskGroup() as group:
            for namespace, name, uid in plan.names:
                word = "deleting" if disable_eviction else "evicting"
                output.write(f"{word} pod {namespace}/{name}{DRY_RUN[dry_run]}")
                if dry_run == "none":
                    group.create_task(_move(client, namespace, name, uid, grace, evict=not disable_eviction))
                elif dry_run == "server" and not disable_eviction:
                    await client.raw.evict(name, namespace, grace_period_s=grace, uid=uid, dry_run=True)
        output.write(f"node/{node} drained{DRY_RUN[dry_run]}")

    async def work(client: GrpcClient) -> None:
        nonlocal now_draining
        async with asyncio.timeout(seconds(timeout) if timeout else None):
            for now_draining in await _chosen(client, nodes, selector):
                await one(client, now_draining)

    try:
        session(ctx).run(work)
    except TimeoutError:
        sys.stderr.write(f"error: timed out draining node {now_draining}\n")
        raise SystemExit(1) from None


async def _move(client: GrpcClient, namespace: str, name: str, uid: str, grace_s: int | None, *, evict: bool) -> None:
    """Returns when the pod is gone. Asks again while its budget forbids the eviction."""
    while True:
        try:
            if evict:
                await client.raw.evict(name, namespace, grace_period_s=grace_s, uid=uid)
            else:
                await client.raw.delete(POD, name, namespace, grace_period_s=grace_s, uid=uid)
            break
        except (NotFound, Conflict):
            return  # it went, and perhaps another one of the name came
        except ResourceExhausted as error:
            text = (
                f'error when evicting pods/"{name}" -n "{namespace}" (will retry after {EVICT_AGAIN_S:.0f}s): {error}'
            )
            sys.stderr.write(text + "\n")
            await asyncio.sleep(EVICT_AGAIN_S)
    await until_gone(client, POD, name, namespace, uid)
    output.write(f"pod/{name} {'evicted' if evict else 'deleted'}")


@click.group("token", cls=VerbGroup)
def token_group() -> None:
    """Tokens with which machines join the cluster."""


@token_group.command("create", epilog="\b\nExamples:\n  knarr token create --ttl 2h --description rack-3")
@click.option("--ttl", default="24h", show_default=True, metavar="DURATION", help="How long it is good.")
@click.option("--description", default="", help="For people, shown by 'token list'.")
@click.option("--node-name", default="", help="The only node name it is good for.")
@click.option("--print-join-command", is_flag=True, help="The whole command for the new machine.")
@click.pass_context
def token_create(ctx: click.Context, ttl: str, description: str, node_name: str, print_join_command: bool) -> None:
    """Make a token and print it; it can't be shown again."""
    own = session(ctx)

    async def work(client: GrpcClient) -> None:
        stub: Any = nodes_pb2_grpc.NodesStub(client.channel)
        request = nodes_pb2.CreateTokenRequest(
            ttl_seconds=int(seconds(ttl)), description=description, node_name=node_name
        )
        answer = await _call(stub.CreateToken, request)
        if print_join_command:
            output.write(f"knarr node join --server {own.access.endpoints[0]} --token {answer.token}")
        else:
            output.write(answer.token)

    own.run(work)


@token_group.command("list", epilog="\b\nExamples:\n  knarr token list")
@click.pass_context
def token_list(ctx: click.Context) -> None:
    """Show which tokens there are, without their secrets."""

    async def work(client: GrpcClient) -> None:
        stub: Any = nodes_pb2_grpc.NodesStub(client.channel)
        answer = await _call(stub.ListTokens, nodes_pb2.ListTokensRequest())
        rows = [
            [token.id, token.expires_at.ToJsonString(), token.node_name or "<any>", token.description]
            for token in answer.tokens
        ]
        output.table(["ID", "EXPIRES", "NODE", "DESCRIPTION"], rows)

    session(ctx).run(work)


@token_group.command(
    "revoke", epilog="\b\nExamples:\n  knarr token revoke 8k2m4x   # the ID that 'knarr token list' shows"
)
@click.argument("identifier", metavar="ID")
@click.pass_context
def token_revoke(ctx: click.Context, identifier: str) -> None:
    """Make a token useless."""

    async def work(client: GrpcClient) -> None:
        stub: Any = nodes_pb2_grpc.NodesStub(client.channel)
        await _call(stub.RevokeToken, nodes_pb2.RevokeTokenRequest(id=identifier))
        output.write(f"token {identifier} revoked")

    session(ctx).run(work)


async def _call(method: Any, request: Any) -> Any:
    try:
        return await method(request, timeout=30.0)
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error


@click.group("image", cls=VerbGroup)
def image_group() -> None:
    """Images of the nodes of this machine's cluster."""


data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="The cluster's.  [default: beside the kubeconfig]"
)
nodes_option = click.option("--node", "nodes", multiple=True, help="Only these nodes; may be given several times.")


@image_group.command(
    "import",
    epilog="\b\nExamples:\n  knarr image import busybox.tar\n  podman save app | knarr image import - --node n1",
)
@click.argument("archive", metavar="FILE|DIR|-")
@nodes_option
@data_dir_option
@click.pass_context
def image_import(ctx: click.Context, archive: str, nodes: tuple[str, ...], data_dir: Path | None) -> None:
    """Import a docker-archive or an OCI layout, as a tar file or a directory, on every node."""
    chosen = local_nodes(ctx, data_dir, nodes)
    names: list[str] = []
    with _opened(archive) as file:
        for node in chosen:
            file.seek(0)
            with runtime_channel(node) as channel:
                stub: Any = images_pb2_grpc.ImagesStub(channel)
                answer = stub.Import(_chunks(file), timeout=IMPORT_TIMEOUT_S)
            names = list(answer.names) or list(answer.ids)
            sys.stderr.write(f"imported on node {node.name}\n")
    for name in names:
        output.write(name)


@image_group.command("ls", epilog="\b\nExamples:\n  knarr image ls --node n1")
@nodes_option
@data_dir_option
@click.pass_context
def image_ls(ctx: click.Context, nodes: tuple[str, ...], data_dir: Path | None) -> None:
    """Show the images on every node."""
    rows: list[list[str]] = []
    for node in local_nodes(ctx, data_dir, nodes):
        with runtime_channel(node) as channel:
            stub: Any = api_pb2_grpc.ImageServiceStub(channel)
            answer = stub.ListImages(cri.ListImagesRequest(), timeout=30.0)
        for image in answer.images:
            for tag in image.repo_tags or ["<none>"]:
                rows.append([node.name, tag, image.id.removeprefix("sha256:")[:12], f"{image.size / 1e6:.1f}MB"])
    output.table(["NODE", "IMAGE", "IMAGE ID", "SIZE"], rows)


@contextmanager
def _opened(archive: str) -> Iterator[IO[bytes]]:
    """The archive, to be read several times; a directory is packed. Raises ClickException."""
    try:
        if archive != "-" and not Path(archive).is_dir():
            with open(archive, "rb") as file:
                yield file
            return
        with tempfile.TemporaryFile(prefix="knarr-image-") as file:
            if archive == "-":
                shutil.copyfileobj(sys.stdin.buffer, file, CHUNK_BYTES)
            else:
                with tarfile.open(fileobj=file, mode="w") as packed:
                    packed.add(archive, arcname=".")
            yield file
    except OSError as error:
        raise click.ClickException(f"{error.filename or archive}: cannot be read: {error.strerror}") from error


@contextmanager
def runtime_channel(node: LocalNode) -> Iterator[grpc.Channel]:
    """A channel to the runtime of a local node. Raises ClickException with the remedy."""
    socket = Path(node.runtime_socket)
    not_running = (
        f"the runtime of node {node.name} does not run; 'knarr node start {node.name}' or 'knarr up' starts it"
    )
    try:
        socket.stat()
    except PermissionError as error:
        raise click.ClickException(f"{socket}: {error.strerror}: run it as root") from error
    except OSError as error:
        raise click.ClickException(f"{not_running} ({socket}: {error.strerror})") from error
    if not os.access(socket, os.W_OK):
        raise click.ClickException(f"{socket}: permission denied: run it as root")
    try:
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            yield channel
    except grpc.RpcError as error:
        refused = grpc_status.from_rpc(error)
        if isinstance(refused, Unavailable):
            raise click.ClickException(not_running) from error
        raise click.ClickException(f"node {node.name}: {refused}") from error


def _chunks(file: IO[bytes]) -> Iterator[Any]:
    while chunk := file.read(CHUNK_BYTES):
        yield images_pb2.ImportRequest(data=chunk)


def local_nodes(ctx: click.Context, data_dir: Path | None, names: tuple[str, ...]) -> list[LocalNode]:
    """The local cluster's nodes. Raises ClickException with the remedy."""
    directory = data_dir
    if directory is None:
        directory = session(ctx).kubeconfig.resolve().parent
    try:
        cluster = LocalCluster.load(directory)
        return [cluster.node(name) for name in names] if names else list(cluster.nodes)
    except ClusterStateError as error:
        raise click.ClickException(f"{error}; images are imported on the machine that runs the nodes") from error


commands: tuple[click.Command, ...] = (
    _cordoning("cordon", True, "Let no new pods onto nodes."),
    _cordoning("uncordon", False, "Let new pods onto nodes again."),
    drain_command,
    token_group,
    image_group,
)
