"""``cordon``, ``uncordon`` and ``drain``."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Conflict, Invalid, NotFound, ResourceExhausted
from knarr_cli import completing, output
from knarr_cli.cells import at
from knarr_cli.gone import until_gone
from knarr_cli.options import DRY_RUN, selector_option
from knarr_cli.session import seconds, session, warn
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient

NODE, POD = kinds.by_kind("v1", "Node"), kinds.by_kind("v1", "Pod")
EVICT_AGAIN_S = 5.0
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


commands: tuple[click.Command, ...] = (
    _cordoning("cordon", True, "Let no new pods onto nodes."),
    _cordoning("uncordon", False, "Let new pods onto nodes again."),
    drain_command,
)
