"""``run`` and ``expose``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_api.merge_patch import merge_patch
from knarr_cli import generators, manifests
from knarr_cli.commands.creating.making import RESTARTS, create_all
from knarr_cli.manifests import Manifest, Refused
from knarr_cli.options import Manner, manner_options, namespace_option
from knarr_cli.selecting import resources_argument
from knarr_cli.session import one_target, session
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient


@click.command(
    cls=Verb,
    name="run",
    epilog="""\b
Examples:
  knarr run web --image shop:1 --port 80
  knarr run web --image shop:1 --env COLOUR=blue --labels app=web,tier=front
  knarr run once --image shop:1 --restart=Never -- report --all
  knarr run once --image shop:1 --command -- /bin/report
  knarr run web --image shop:1 --dry-run=client -o yaml""",
)
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[-- ARGUMENTS…]")
@click.option("--image", required=True, help="Which image the container runs.")
@click.option("--command", "as_command", is_flag=True, help="What follows -- is the command, not its arguments.")
@click.option("--env", "environment", multiple=True, metavar="KEY=VALUE", help="A variable.")
@click.option("-l", "--labels", default="", metavar="KEY=VALUE,…", help="[default: run=NAME]")
@click.option("--annotations", multiple=True, metavar="KEY=VALUE", help="Of the pod.")
@click.option("--port", type=click.IntRange(1, 65535), help="That the container listens on.")
@click.option("--restart", type=RESTARTS, default="Always", show_default=True, help="When it starts again.")
@click.option("--image-pull-policy", "pull_policy", default="", help="Always, IfNotPresent or Never.")
@click.option("--privileged", is_flag=True, help="With all the rights of the node.")
@click.option("--expose", is_flag=True, help="Make a service for it too; needs --port.")
@click.option("--overrides", default="", metavar="JSON", help="Changes of the pod, as a merge patch.")
@namespace_option
@manner_options("knarr-run")
@click.pass_context
def run_command(
    ctx: click.Context,
    name: str,
    words: tuple[str, ...],
    image: str,
    as_command: bool,
    environment: tuple[str, ...],
    labels: str,
    annotations: tuple[str, ...],
    port: int | None,
    restart: str,
    pull_policy: str,
    privileged: bool,
    expose: bool,
    overrides: str,
    namespace: str,
    manner: Manner,
) -> None:
    """Run one pod of an image."""
    if expose and port is None:
        raise Invalid("--port must be set when exposing a service")
    made = generators.pod(
        name,
        image,
        list(words),
        as_command=as_command,
        environment=environment,
        labels=generators.pairs((labels,), "--labels"),
        annotations=dict(word.split("=", 1) for word in annotations if "=" in word),
        port=port,
        restart=restart,
        pull_policy=pull_policy,
        privileged=privileged,
    )
    if overrides:
        try:
            made = merge_patch(made, manifests.read_value(overrides, "--overrides"))
        except Refused as error:
            raise Invalid(f"invalid JSON: {error}") from error
    found = [Manifest(kinds.by_kind("v1", "Pod"), made, "")]
    if expose:
        service = generators.exposing(
            made, name=name, port=port, target_port="", protocol="", type_="", selector="", cluster_ip=""
        )
        found.insert(0, Manifest(kinds.by_kind("v1", "Service"), service, ""))
    create_all(ctx, found, namespace, manner)


@click.command(
    cls=Verb,
    name="expose",
    epilog="""\b
Examples:
  knarr expose deployment web --port 80 --target-port 8080
  knarr expose pod web-1 --name first --type NodePort""",
)
@resources_argument(required=True)
@click.option("--port", type=click.IntRange(1, 65535), help="Of the service.  [default: the containers']")
@click.option("--target-port", default="", help="Of the pods: a number or a name.  [default: --port]")
@click.option("--protocol", type=click.Choice(["", "TCP", "UDP", "SCTP"]), default="", help="[default: TCP]")
@click.option("--name", default="", help="Of the service.  [default: that of what it exposes]")
@click.option("--type", "type_", default="", help="ClusterIP, NodePort, LoadBalancer.")
@click.option("--selector", default="", metavar="KEY=VALUE,…", help="Which pods.  [default: those of the object]")
@click.option("--cluster-ip", default="", help="An address, or None.")
@namespace_option
@manner_options("knarr-expose")
@click.pass_context
def expose_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    port: int | None,
    target_port: str,
    protocol: str,
    name: str,
    type_: str,
    selector: str,
    cluster_ip: str,
    namespace: str,
    manner: Manner,
) -> None:
    """Make a service for the pods of an object."""
    own = session(ctx)
    space = own.namespace(namespace)
    kind, target = one_target(resources)

    async def read(client: GrpcClient) -> Mapping[str, Any]:
        return await client.raw.get(kind, target, space)

    made = generators.exposing(
        own.run(read),
        name=name,
        port=port,
        target_port=target_port,
        protocol=protocol,
        type_=type_,
        selector=selector,
        cluster_ip=cluster_ip,
    )
    found = [Manifest(kinds.by_kind("v1", "Service"), made, "")]
    create_all(ctx, found, namespace, manner, word="exposed")


commands: tuple[click.Command, ...] = (run_command, expose_command)
