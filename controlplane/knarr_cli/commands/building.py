"""``build``: an image from a Dockerfile, made by the runtime of a local node and given to the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import grpc

from knarr_build import client
from knarr_build.context import ContextError
from knarr_cli import output
from knarr_cli.cluster.state import LocalNode
from knarr_cli.commands.images import data_dir_option, local_nodes, nodes_option, runtime_channel
from knarr_cli.verb import Verb
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc


@click.command(
    cls=Verb,
    name="build",
    epilog="""\b
Examples:
  knarr build -t web:1 .
  knarr build -t web:1 -f deploy/Dockerfile --build-arg VERSION=1.2 --target release .
  echo 'FROM busybox' | knarr build -t mine -""",
)
@click.argument("directory", metavar="DIR|-")
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME", help="Name of the image; may be given several times."
)
@click.option("-f", "--file", "dockerfile", default="", metavar="FILE|-", help="[default: DIR/Dockerfile]")
@click.option("--target", default="", metavar="STAGE", help="Stop at this stage.")
@click.option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME[=VALUE]", help="A value for ARG.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label for the image.")
@click.option("--secret", "secrets", multiple=True, metavar="id=NAME,src=FILE", help="For RUN --mount=type=secret.")
@click.option("--no-cache", is_flag=True, help="Carry out every step.")
@click.option("--pull", is_flag=True, help="Ask registries for newer base images.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the image's ID.")
@click.option(
    "--progress",
    type=click.Choice(client.PROGRESS),
    default="auto",
    show_default=True,
    help="plain: never one line anew.",
)
@click.option("--iidfile", type=click.Path(path_type=Path), default=None, help="Write the image's ID to this file.")
@nodes_option
@data_dir_option
@click.pass_context
def build_command(
    ctx: click.Context,
    directory: str,
    tags: tuple[str, ...],
    dockerfile: str,
    target: str,
    platform: str,
    arguments: tuple[str, ...],
    labels: tuple[str, ...],
    secrets: tuple[str, ...],
    no_cache: bool,
    pull: bool,
    quiet: bool,
    progress: str,
    iidfile: Path | None,
    nodes: tuple[str, ...],
    data_dir: Path | None,
) -> None:
    """Build an image from a Dockerfile, and give it to every node of this machine's cluster."""
    try:
        request = client.opened(
            directory,
            dockerfile,
            sys.stdin.buffer,
            tags=tags,
            target=target,
            platform=platform,
            args=client.build_args(arguments, os.environ),
            labels=client.pairs(labels, "--label"),
            secrets=client.secrets(secrets, os.environ),
            no_cache=no_cache,
            pull=pull,
        )
        builder, *others = local_nodes(ctx, data_dir, nodes)
        with runtime_channel(builder) as channel:
            identifier = client.build(channel, request, client.Display.to_stderr(progress, quiet))
            for node in others:
                _hand_on(channel, identifier, tags, node)
    except ContextError as error:
        raise click.ClickException(str(error)) from error
    if iidfile is not None:
        iidfile.write_text(identifier)
    output.write(identifier)


def _hand_on(channel: grpc.Channel, identifier: str, tags: tuple[str, ...], node: LocalNode) -> None:
    """The image, from the node that built it to another one."""
    stub: Any = images_pb2_grpc.ImagesStub(channel)
    parts = stub.Export(images_pb2.ExportRequest(images=tags or (identifier,)))

    def requests() -> Iterator[Any]:
        for part in parts:
            yield images_pb2.ImportRequest(data=part.data)

    with runtime_channel(node) as other:
        importing: Any = images_pb2_grpc.ImagesStub(other)
        importing.Import(requests())


commands: tuple[click.Command, ...] = (build_command,)
