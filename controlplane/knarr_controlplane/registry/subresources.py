"""The verbs of subresources, and of whole collections: scale, eviction, deletecollection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from knarr_api import errors, kinds
from knarr_api.kinds import Kind
from knarr_api.types.autoscaling_v1 import Scale
from knarr_api.types.core_v1 import Pod
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.registry import eviction, pages, rules, scale
from knarr_controlplane.registry.addressing import check_uid, names_write
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.pages import Page
from knarr_controlplane.registry.registry import ATTEMPTS, QUIET, Registry

POD, BUDGET = kinds.of(Pod), kinds.of(PodDisruptionBudget)
DELETED_AT_A_TIME = 64


def check(kind: Kind, subresource: str) -> None:
    """Raises NotFound for what the kind does not have."""
    if subresource == "scale":
        scale.check(kind.type)
    elif subresource and (subresource != "status" or "status" not in kind.type.__struct_fields__):
        raise errors.NotFound(f"the server could not find the requested resource: {kind.qualified}/{subresource}")


def get_scale(registry: Registry, kind: Kind, namespace: str, name: str) -> Scale:
    """Raises NotFound, also for a kind that has none."""
    scale.check(kind.type)
    return scale.of(registry.get(kind, namespace, name).value())


async def update_scale(
    registry: Registry,
    kind: Kind,
    namespace: str,
    name: str,
    change: Callable[[Scale], Scale],
    *,
    given_revision: str = "",
    writer: Writer = QUIET,
    dry_run: bool = False,
) -> Scale:
    """Set the replicas. change: from the present scale to the wanted one. Raises Conflict, Invalid, NotFound."""
    scale.check(kind.type)

    def decide(old: Any) -> Any:
        return rules.updated(old, scale.scaled(old, change(scale.of(old))), registry.admission)

    changed = registry.change(
        kind, namespace, name, decide, given_revision=given_revision, writer=writer, dry_run=dry_run
    )
    return scale.of((await changed).value())


async def delete_collection(
    registry: Registry,
    kind: Kind,
    filter_: Filter,
    *,
    grace_s: int | None = None,
    propagation: str = "Background",
    dry_run: bool = False,
) -> Page:
    """Delete all that match now, many at a time; answers with them, as far as they fit into one page."""

    async def delete(entry: CacheEntry) -> CacheEntry | None:
        try:
            return await registry.delete(
                kind,
                entry.namespace,
                entry.name,
                grace_s=grace_s,
                propagation=propagation,
                uid=entry.uid,
                dry_run=dry_run,
            )
        except (errors.NotFound, errors.Conflict):
            return None  # somebody else was faster

    found = registry.list(kind, filter_).entries
    gone: list[CacheEntry] = []
    for start in range(0, len(found), DELETED_AT_A_TIME):
        some = found[start : start + DELETED_AT_A_TIME]
        for outcome in await asyncio.gather(*map(delete, some), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is not None:
                gone.append(outcome)
    return Page(tuple(gone[: pages.fitting(gone, len(gone))]), registry.cache.revision)


async def evict(
    registry: Registry,
    namespace: str,
    name: str,
    *,
    grace_s: int | None = None,
    uid: str = "",
    resource_version: str = "",
    dry_run: bool = False,
) -> None:
    """Delete a pod if its disruption budget allows it. Raises ResourceExhausted, with the cause, where not."""
    for _ in range(ATTEMPTS):
        await registry.catch_up()  # for the budgets, of which no revision is compared where they are not concerned
        entry = registry.get(POD, namespace, name)
        pod = entry.value()
        check_uid(POD, pod, uid)
        uid = pod.metadata.uid
        if resource_version and not names_write(resource_version, entry.revision):
            raise errors.conflict(POD.resource, name)
        chosen = registry.cache.select(BUDGET, Filter(namespace=namespace))
        permit = eviction.permit(pod, [budget.value() for budget in chosen], registry.now())
        seen = str(entry.revision) if permit.as_seen else ""
        try:
            if permit.budget is not None:
                await registry.update(permit.budget, subresource="status", dry_run=dry_run)
            if not dry_run and pod.metadata.deletion_timestamp is None:
                marked = await registry.change(
                    POD, namespace, name, lambda old: eviction.marked(old, registry.now()), given_revision=seen
                )
                seen = str(marked.revision) if seen else ""
            await registry.delete(
                POD, namespace, name, grace_s=grace_s, uid=uid, resource_version=seen, dry_run=dry_run
            )
        except errors.Conflict:
            continue
        return
    raise errors.conflict(BUDGET.resource, name, BUDGET.group)
