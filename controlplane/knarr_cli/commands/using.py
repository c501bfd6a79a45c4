"""``top``: what nodes and pods use, as their agents said last."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid, NotFound
from knarr_api.quantity import Quantity
from knarr_cli import completing, output
from knarr_cli.cells import at
from knarr_cli.options import all_namespaces_option, namespace_option, selector_option
from knarr_cli.session import session
from knarr_cli.verb import Verb, VerbGroup
from knarr_client.grpc import GrpcClient

NODE, POD = kinds.by_kind("v1", "Node"), kinds.by_kind("v1", "Pod")
NODE_METRICS = kinds.by_kind("metrics.k8s.io/v1beta1", "NodeMetrics")
POD_METRICS = kinds.by_kind("metrics.k8s.io/v1beta1", "PodMetrics")
UNKNOWN = "<unknown>"
MEBIBYTE = 1024 * 1024

Document = Mapping[str, Any]
sort_option = click.option("--sort-by", default="", type=click.Choice(("", "cpu", "memory")), help="cpu or memory.")
headers_option = click.option("--no-headers", is_flag=True, help="Rows only.")


def node_rows(nodes: Sequence[Document], metrics: Sequence[Document], sort_by: str) -> list[list[str]]:
    """One row per node, those without figures last. Pure."""
    used = {at(each, "metadata.name"): each for each in metrics}
    known = [node for node in nodes if at(node, "metadata.name") in used]
    known.sort(key=lambda node: _order(used[at(node, "metadata.name")]["usage"], at(node, "metadata.name"), sort_by))
    rows = []
    for node in known:
        name = at(node, "metadata.name")
        usage, allocatable = used[name]["usage"], at(node, "status.allocatable", {})
        cells = [_share(usage.get(resource), allocatable.get(resource)) for resource in ("cpu", "memory")]
        rows.append([name, _cpu(usage), cells[0], _memory(usage), cells[1]])
    missing = sorted(at(node, "metadata.name") for node in nodes if at(node, "metadata.name") not in used)
    return rows + [[name, *[UNKNOWN] * 4] for name in missing]


def pod_rows(metrics: Sequence[Document], sort_by: str, *, containers: bool, namespaces: bool) -> list[list[str]]:
    """One row per pod, or per container. Pure."""
    rows = []
    found = [(pod, _total(each["usage"] for each in pod.get("containers", []))) for pod in metrics]
    found.sort(key=lambda each: _order(each[1], _key(each[0]), sort_by))
    for pod, total in found:
        start = [at(pod, "metadata.namespace")] if namespaces else []
        name = at(pod, "metadata.name")
        if containers:
            inner = sorted(pod.get("containers", []), key=lambda each: _order(each["usage"], each["name"], sort_by))
            rows += [[*start, name, each["name"], _cpu(each["usage"]), _memory(each["usage"])] for each in inner]
        else:
            rows.append([*start, name, _cpu(total), _memory(total)])
    return rows


def _key(pod: Document) -> str:
    return f"{at(pod, 'metadata.namespace')}/{at(pod, 'metadata.name')}"


def _order(usage: Mapping[str, str], name: str, sort_by: str) -> tuple[int, str]:
    return (-Quantity(usage.get(sort_by, "0")).nanos() if sort_by else 0, name)


def _total(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    total: dict[str, Quantity] = {}
    for part in parts:
        for resource, text in part.items():
            total[resource] = total.get(resource, Quantity(0)) + Quantity(text)
    return {resource: str(quantity) for resource, quantity in total.items()}


def _cpu(usage: Mapping[str, str]) -> str:
    return f"{Quantity(usage.get('cpu', '0')).milli()}m"


def _memory(usage: Mapping[str, str]) -> str:
    return f"{Quantity(usage.get('memory', '0')).value() // MEBIBYTE}Mi"


def _share(used: str | None, of: str | None) -> str:
    whole = Quantity(of or "0").nanos()
    return f"{Quantity(used or '0').nanos() * 100 // whole}%" if whole else UNKNOWN


@click.group(cls=VerbGroup, name="top", epilog="\b\nExamples:\n  knarr top nodes\n  knarr top pods -A --sort-by memory")
def top_command() -> None:
    """Show what nodes and pods use."""


@top_command.command(cls=Verb, name="nodes", epilog="\b\nExamples:\n  knarr top nodes\n  knarr top nodes n1")
@click.argument("name", default="", shell_complete=completing.nodes)
@selector_option
@sort_option
@headers_option
@click.pass_context
def nodes_command(ctx: click.Context, name: str, selector: str, sort_by: str, no_headers: bool) -> None:
    """Show what nodes use, and how much of what they have."""

    async def work(client: GrpcClient) -> None:
        fields = f"metadata.name={name}" if name else ""
        nodes = (await client.raw.list(NODE, label_selector=selector, field_selector=fields)).items
        metrics = (await client.raw.list(NODE_METRICS, label_selector=selector, field_selector=fields)).items
        if name and not nodes:
            raise NotFound(f'nodes "{name}" not found')
        if not metrics:
            raise NotFound("metrics not available yet")
        titles = ("NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)")
        output.table(titles, node_rows(nodes, metrics, sort_by), headers=not no_headers)

    session(ctx).run(work)


@top_command.command(
    cls=Verb, name="pods", epilog="\b\nExamples:\n  knarr top pods\n  knarr top pods web-1 --containers"
)
@click.argument("name", default="")
@namespace_option
@all_namespaces_option
@selector_option
@click.option("--containers", is_flag=True, help="Each container of each pod.")
@sort_option
@headers_option
@click.pass_context
def pods_command(
    ctx: click.Context,
    name: str,
    namespace: str,
    all_namespaces: bool,
    selector: str,
    containers: bool,
    sort_by: str,
    no_headers: bool,
) -> None:
    """Show what pods use."""
    own = session(ctx)
    if name and (selector or all_namespaces):
        raise Invalid("a resource cannot be retrieved by name across all namespaces or with a selector")
    space = "" if all_namespaces else own.namespace(namespace)

    async def work(client: GrpcClient) -> None:
        if name:
            metrics = [await client.raw.get(POD_METRICS, name, space)]
        else:
            metrics = list((await client.raw.list(POD_METRICS, space, label_selector=selector)).items)
        if not metrics:
            if (await client.raw.list(POD, space, label_selector=selector, limit=1)).items:
                raise NotFound("metrics not available yet")
            where = f" in {space} namespace." if space else ""
            sys.stderr.write(f"No resources found{where}\n")
            return
        titles = ["POD", "NAME"] if containers else ["NAME"]
        titles = [*(["NAMESPACE"] if all_namespaces else []), *titles, "CPU(cores)", "MEMORY(bytes)"]
        rows = pod_rows(metrics, sort_by, containers=containers, namespaces=all_namespaces)
        output.table(titles, rows, headers=not no_headers)

    own.run(work)


for short, command in (("node", nodes_command), ("pod", pods_command)):
    top_command.add_command(command, short)


commands: tuple[click.Command, ...] = (top_command,)
