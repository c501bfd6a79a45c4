"""The informers that all controllers share: one list and one watch per kind, however many look at it.

Those of a control plane stand: they follow everything also while it does not lead, and a term looks at them through
branches (see ``knarr_client.branch``). To read everything when a term begins would take the longer, the more there is,
and while the leader's time goes there its Lease is easily lost again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Protocol, cast

import msgspec

from knarr_api import errors
from knarr_api.kinds import Kind
from knarr_api.types.apps_v1 import ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet
from knarr_api.types.autoscaling_v2 import HorizontalPodAutoscaler
from knarr_api.types.batch_v1 import CronJob, Job
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import (
    Namespace,
    Node,
    PersistentVolumeClaim,
    Pod,
    PodCondition,
    ReplicationController,
    ResourceQuota,
    ServiceAccount,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_client.branch import Branch
from knarr_client.client import Client, T, meta_of
from knarr_client.clock import Clock
from knarr_client.informer import Informer, wait_synced
from knarr_controlplane.controllers.pods.controlled import ControlledPods

ASK_AGAIN_S = 0.02
_replace = msgspec.structs.replace


class SharedInformers:
    """Ask for all that is needed with ``of`` before ``run``."""

    def __init__(self, client: Client, clock: Clock, *, uniform: Callable[[], float] | None = None) -> None:
        self._client = client
        self._clock = clock
        self._uniform = uniform
        self._informers: dict[type[msgspec.Struct], Informer[Any]] = {}

    @cached_property
    def controlled(self) -> ControlledPods:
        """Changes of pods, for those who control them."""
        found = ControlledPods()
        self.of(Pod).add_handler(found.changed)
        return found

    def of(self, type_: type[T]) -> Informer[T]:
        return self._get(type_, whole=True)

    def metadata_of(self, type_: type[T]) -> Informer[T]:
        """As ``of``, but where nobody else asks for this kind its objects are kept without their content. Call it
        after all calls of ``of``."""
        return self._get(type_, whole=False)

    async def run(self) -> None:
        """Whoever asked for an informer must have done so by now."""
        async with asyncio.TaskGroup() as group:
            for type_, informer in self._informers.items():
                group.create_task(informer.run(), name=f"informer/{type_.__name__}")

    async def synced(self) -> None:
        """Until every one has listed once."""
        await wait_synced(*self._informers.values())

    def _get(self, type_: type[T], *, whole: bool) -> Informer[T]:
        informer = self._informers.get(type_)
        if informer is None:
            informer = self._informers[type_] = self._made(type_, whole=whole)
        return cast("Informer[T]", informer)

    def _made(self, type_: type[T], *, whole: bool) -> Informer[T]:
        keep = slim if not whole else Siblings().keep if issubclass(type_, Pod) else None
        return Informer(
            self._client,
            type_,
            clock=self._clock,
            uniform=self._uniform,
            keep=cast("Callable[[T], T] | None", keep),
        )


WHOLE = (
    *(ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet),
    *(CronJob, Job, HorizontalPodAutoscaler, PodDisruptionBudget, Lease),
    *(Namespace, Node, PersistentVolumeClaim, Pod, ReplicationController, ResourceQuota, ServiceAccount),
)
"""The kinds whose content scheduler and controllers look at."""


class LocalSource(Client, Protocol):
    """The process's own client."""

    def request_bookmarks(self) -> str:
        """Watches say at once how far they are; returns how far that is at least."""


class StandingInformers(SharedInformers):
    """Those of the process: they follow everything from its start, so that it has read it when it comes to lead.

    No handler is added to them: each term has a ``TermInformers``.
    """

    def __init__(self, client: LocalSource, clock: Clock, followed: Iterable[Kind]) -> None:
        super().__init__(client, clock)
        self._source = client
        for kind in followed:
            self._get(kind.type, whole=kind.type in WHOLE)

    def branch(self, type_: type[T], *, whole: bool) -> Branch[T]:
        if whole and type_ not in WHOLE:
            raise errors.Internal(f"{type_.__name__} is followed without its content: add it to WHOLE")
        return Branch(self._get(type_, whole=whole))

    async def caught_up(self) -> None:
        """Until all of them have everything that was written before the call."""
        await self.synced()
        wanted = self._source.request_bookmarks()
        while any(informer.is_older(wanted) for informer in self._informers.values()):
            await self._clock.sleep(ASK_AGAIN_S)
            self._source.request_bookmarks()  # a watch that had broken off was not asked before


class TermInformers(SharedInformers):
    """What somebody sees of the standing informers for as long as a term lasts."""

    def __init__(self, standing: StandingInformers, clock: Clock) -> None:
        super().__init__(standing._client, clock)
        self._standing = standing

    def _made(self, type_: type[T], *, whole: bool) -> Informer[T]:
        return self._standing.branch(type_, whole=whole)


SIBLINGS_MAX = 10_000
SHARED = ("containers", "init_containers", "volumes", "tolerations")
"""Of a pod's spec: what its template determines, most of it."""


class Siblings:
    """Makes pods of one owner share what is equal in them: most of a decoded pod is what its template says, and those
    that became ready in the same second say so in the same words."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, Pod] = OrderedDict()
        """By the first owner's uid."""
        self._conditions: dict[str, tuple[PodCondition, ...]] = {}
        """Those that were seen last, by the same."""

    def keep(self, pod: Pod) -> Pod:
        """An equal pod that holds the parts of an earlier sibling wherever they are equal."""
        owners = pod.metadata.owner_references
        if not owners:
            return pod
        owner = owners[0].uid
        conditions = self._conditions.get(owner, ())
        if pod.status.conditions is not conditions:
            if pod.status.conditions == conditions:
                pod = _replace(pod, status=_replace(pod.status, conditions=conditions))
            else:
                self._conditions[owner] = pod.status.conditions
        sibling = self._latest.get(owner)
        if sibling is None:
            self._latest[owner] = pod
            if len(self._latest) > SIBLINGS_MAX:
                self._conditions.pop(self._latest.popitem(last=False)[0], None)
            return pod
        metadata, shared = pod.metadata, sibling.metadata
        spec, template = pod.spec, sibling.spec
        if (
            spec.containers is template.containers
            and spec.init_containers is template.init_containers
            and spec.volumes is template.volumes
            and spec.tolerations is template.tolerations
            and metadata.owner_references is shared.owner_references
            and metadata.labels is shared.labels
        ):
            return pod  # written by this process, from one template
        same = _replace(template, node_name=spec.node_name)
        if same != spec:
            parts = {name: getattr(template, name) for name in SHARED}
            if any(getattr(spec, name) != part for name, part in parts.items()):
                self._latest[owner] = pod
                return pod
            same = _replace(spec, **parts)
        if shared.owner_references == owners and shared.namespace == metadata.namespace:
            metadata = _replace(metadata, owner_references=shared.owner_references, namespace=shared.namespace)
        if shared.labels == metadata.labels:
            metadata = _replace(metadata, labels=shared.labels)
        return _replace(pod, metadata=metadata, spec=same)


def slim(obj: msgspec.Struct) -> msgspec.Struct:
    """An object of which nothing but name, ownership and deletion is left."""
    metadata = meta_of(obj)
    kept = ObjectMeta(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        owner_references=metadata.owner_references,
        finalizers=metadata.finalizers,
        deletion_timestamp=metadata.deletion_timestamp,
    )
    return type(obj)(metadata=kept)
