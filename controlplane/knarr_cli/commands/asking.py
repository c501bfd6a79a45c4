"""``why``: why a pod, or what makes pods, is as it is."""

from __future__ import annotations

from typing import Any

import click
import grpc.aio

from knarr_api import grpc_status, kinds
from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_cli import completing, output, tables
from knarr_cli.options import namespace_option
from knarr_cli.session import session, targets
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_client.messages import resource_type
from knarr_proto.v1 import cluster_pb2, cluster_pb2_grpc

MARKS = {1: ("✓", 32), 2: ("·", 2), 3: ("!", 33), 4: ("✗", 31)}
POD = kinds.by_kind("v1", "Pod")
TIMEOUT_S = 30.0


@click.command(
    cls=Verb,
    name="why",
    epilog="""\b
Examples:
  knarr why web-1
  knarr why pod/web-1 -n shop
  knarr why deployment/web                         # also where its pods could not even be made""",
)
@click.argument(
    "resource", nargs=-1, required=True, metavar="POD | KIND NAME | KIND/NAME", shell_complete=completing.pods
)
@namespace_option
@click.pass_context
def why_command(ctx: click.Context, resource: tuple[str, ...], namespace: str) -> None:
    """Say why a pod is as it is: scheduling, node, containers, probes and events on one screen.

    For what makes pods: its numbers and conditions, what keeps it from making pods, and what is wrong with each.
    """
    own = session(ctx)
    kind, name = _asked(resource)

    async def work(client: GrpcClient) -> None:
        stub: Any = cluster_pb2_grpc.ClusterStub(client.channel)
        request = cluster_pb2.WhyRequest(namespace=own.namespace(namespace), pod=name, type=resource_type(kind))
        try:
            answer = await stub.Why(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
        output.write(tables.printable(answer.summary))
        width = max((len(finding.subject) for finding in answer.findings), default=0)
        for finding in answer.findings:
            mark, colour = MARKS.get(finding.severity, ("·", 0))
            shown_mark = f"\033[{colour}m{mark}\033[0m" if output.colourful() else mark
            said = f"{finding.subject.ljust(width)}  {finding.reason}: {finding.message}"
            output.write(f" {shown_mark} {tables.printable(said)}")
            if finding.remedy:
                output.write(f"   {' ' * width}  → {tables.printable(finding.remedy)}")

    own.run(work)


commands = (why_command,)


def _asked(resource: tuple[str, ...]) -> tuple[Kind, str]:
    """A name alone is a pod's."""
    if len(resource) == 1 and "/" not in resource[0]:
        return POD, resource[0]
    found = targets(resource)
    if len(found) != 1 or not found[0][1]:
        raise Invalid("name one object: POD, KIND NAME or KIND/NAME")
    return found[0]
