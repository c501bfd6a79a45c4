"""``knarr logs``: of one container, of all of a pod's, of all pods that a selector picks."""

from __future__ import annotations

import asyncio
import datetime
import math
import sys
from collections.abc import AsyncIterator
from typing import Any

import click
import grpc.aio

from knarr_api import grpc_status, kinds
from knarr_api.errors import Invalid, NotFound
from knarr_cli import completing, following
from knarr_cli.cells import at
from knarr_cli.options import namespace_option, selector_option
from knarr_cli.session import seconds, session
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import pods_pb2, pods_pb2_grpc

POD = kinds.by_kind("v1", "Pod")
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@click.command(
    cls=Verb,
    name="logs",
    epilog="""\b
Examples:
  knarr logs web-1
  knarr logs -f deploy/web
  knarr logs web-1 -c sidecar --tail 20 --timestamps
  knarr logs web-1 --previous                      # of the run before
  knarr logs -f -l app=web --prefix""",
)
@click.argument("words", nargs=-1, metavar="POD [CONTAINER] | KIND/NAME", shell_complete=completing.pods)
@namespace_option
@selector_option
@click.option("-c", "--container", default="", help="[default: the first]")
@click.option("-f", "--follow", is_flag=True, help="Go on with every new line.")
@click.option("-p", "--previous", is_flag=True, help="Of the run before the present one.")
@click.option("--tail", type=int, default=-1, help="Only so many last lines.")
@click.option("--since", default="", metavar="DURATION", help="Nothing older: 10s, 5m, 1h.")
@click.option("--since-time", default="", metavar="TIME", help="Nothing older: 2030-01-31T12:00:00Z.")
@click.option("--timestamps", is_flag=True, help="When each line was written.")
@click.option("--all-containers", is_flag=True, help="Of each pod.")
@click.option("--prefix", is_flag=True, help="Say before each line whose it is.")
@click.option("--limit-bytes", type=click.IntRange(min=0), default=0, help="At most so much of each.")
@click.pass_context
def logs_command(
    ctx: click.Context,
    words: tuple[str, ...],
    namespace: str,
    selector: str,
    container: str,
    follow: bool,
    previous: bool,
    tail: int,
    since: str,
    since_time: str,
    timestamps: bool,
    all_containers: bool,
    prefix: bool,
    limit_bytes: int,
) -> None:
    """Print the logs of containers."""
    if bool(words) == bool(selector) or len(words) > 2 or (len(words) == 2 and container):
        raise click.UsageError("name one pod, one workload as KIND/NAME, or give --selector", ctx)
    container = container or (words[1] if len(words) == 2 else "")
    own = session(ctx)
    space = own.namespace(namespace)
    base = pods_pb2.LogsRequest(namespace=space, follow=follow, previous=previous, timestamps=timestamps)
    if tail >= 0:
        base.tail_lines = tail
    if since or since_time:
        base.since_seconds = since_seconds(since, since_time, datetime.datetime.now(datetime.UTC))
    if limit_bytes:
        base.limit_bytes = limit_bytes

    async def work(client: GrpcClient) -> None:
        if selector:
            page = await client.raw.list(POD, space, label_selector=selector)
            pods = [dict(item) for item in page.items]
            if not pods:
                sys.stderr.write(f"No resources found in {space} namespace.\n")
        else:
            pods = [await _pod_of(client, words[0], space)]
        sources = [(at(pod, "metadata.name"), each) for pod in pods for each in _containers(pod)]
        if not follow or len(sources) == 1:
            for pod, each in sources:
                await _print_log(client, base, pod, each, prefix)
            return
        async with asyncio.TaskGroup() as group:
            for pod, each in sources:
                group.create_task(_print_log(client, base, pod, each, prefix))

    def _containers(pod: dict[str, Any]) -> list[str]:
        names = [c["name"] for c in at(pod, "spec.containers", [])]
        inits = [c["name"] for c in at(pod, "spec.initContainers", [])]
        if all_containers:
            return [*inits, *names]
        if container:
            return [container]
        chosen = str(at(pod, "metadata.annotations", {}).get(DEFAULT_CONTAINER) or names[0])
        if len(names) > 1 and not selector:
            sys.stderr.write(f'Defaulted container "{chosen}" out of: {", ".join([*names, *inits])}\n')
        return [chosen]

    own.run(work)


def since_seconds(since: str, time: str, now: datetime.datetime) -> int:
    """How long ago, in whole seconds. Raises Invalid."""
    if since and time:
        raise Invalid("at most one of --since-time and --since may be specified")
    if since:
        return max(1, int(seconds(since)))
    try:
        given = datetime.datetime.fromisoformat(time)
    except ValueError:
        raise Invalid(f'--since-time "{time}": expected a time like 2030-01-31T12:00:00Z') from None
    given = given if given.tzinfo is not None else given.replace(tzinfo=now.tzinfo)
    return max(1, math.ceil((now - given).total_seconds()))


async def _print_log(client: GrpcClient, base: pods_pb2.LogsRequest, pod: str, container: str, prefix: bool) -> None:
    stub: Any = pods_pb2_grpc.PodsStub(client.channel)
    request = pods_pb2.LogsRequest()
    request.CopyFrom(base)
    request.pod, request.container = pod, container
    head = f"[pod/{pod}/{container}] ".encode() if prefix else b""
    async for data in _log(stub.Logs, request):
        if head:
            data = b"".join(head + line for line in data.splitlines(keepends=True))
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


async def _log(logs: Any, request: pods_pb2.LogsRequest) -> AsyncIterator[bytes]:
    if request.follow and not request.HasField("limit_bytes"):
        async for data in following.follow(logs, request):
            yield data
        return
    try:
        async for answer in logs(request):
            yield answer.data
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error


async def _pod_of(client: GrpcClient, target: str, space: str) -> dict[str, Any]:
    """A pod by name, or the first one of a workload."""
    kind_name, slash, name = target.partition("/")
    if not slash:
        return dict(await client.raw.get(POD, target, space))
    kind = kinds.lookup(kind_name)
    if kind is POD:
        return dict(await client.raw.get(POD, name, space))
    owner = await client.raw.get(kind, name, space)
    labels = at(owner, "spec.selector.matchLabels", {})
    if not labels:
        raise Invalid(f"{target} has no pods to read logs of")
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    page = await client.raw.list(POD, space, label_selector=selector)
    pods = sorted(page.items, key=lambda pod: (at(pod, "status.phase") != "Running", at(pod, "metadata.name")))
    if not pods:
        raise NotFound(f"{target} has no pods")
    if len(pods) > 1:
        sys.stderr.write(f"Found {len(pods)} pods, using pod/{at(pods[0], 'metadata.name')}\n")
    return dict(pods[0])


commands: tuple[click.Command, ...] = (logs_command,)
