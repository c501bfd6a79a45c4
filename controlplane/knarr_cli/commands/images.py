"""``image``: images of the nodes of this machine's cluster."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
import grpc

from knarr_api import grpc_status
from knarr_api.errors import Unavailable
from knarr_cli import output
from knarr_cli.cluster.state import ClusterStateError, LocalCluster, LocalNode
from knarr_cli.session import session
from knarr_cli.verb import VerbGroup
from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc

CHUNK_BYTES = 1024 * 1024
IMPORT_TIMEOUT_S = 600.0


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


commands: tuple[click.Command, ...] = (image_group,)
