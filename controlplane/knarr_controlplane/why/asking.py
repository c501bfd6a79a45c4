"""Gathers what the findings are made of, from the cache."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from knarr_api import kinds
from knarr_api.fields import FieldSelector
from knarr_api.kinds import Kind
from knarr_api.types.apps_v1 import ReplicaSet
from knarr_api.types.batch_v1 import Job
from knarr_api.types.core_v1 import Event, Namespace, Node, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import PodToPlace, verdicts
from knarr_controlplane.scheduler.profile import Profiles
from knarr_controlplane.scheduler.scheduler import FINISHED, SCHEDULER_NAME
from knarr_controlplane.why import pods, workloads
from knarr_controlplane.why.findings import Finding, worst

BETWEEN = (kinds.of(ReplicaSet), kinds.of(Job))
"""What others make that makes pods itself."""


class Why:
    """profiles: of the scheduler, for what it holds against nodes."""

    def __init__(self, registry: Registry, profiles: Profiles) -> None:
        self._registry = registry
        self._profiles = profiles

    def of(self, kind: Kind, namespace: str, name: str, now: datetime.datetime) -> tuple[str, tuple[Finding, ...]]:
        """One sentence and all findings. Raises NotFound."""
        obj = self._registry.get(kind, namespace, name).value()
        if isinstance(obj, Pod):
            found = self._of_pod(obj, now)
            return pods.summary(obj, found), found
        events = self._events(kind, obj)
        made: list[Pod] = self._owned(kinds.of(Pod), namespace, obj.metadata.uid)
        for between in BETWEEN:
            for one in self._owned(between, namespace, obj.metadata.uid):
                events += self._events(between, one)
                made += self._owned(kinds.of(Pod), namespace, one.metadata.uid)
        about = [(pod.metadata.name, self._worst(pod, now)) for pod in made]
        found = workloads.findings(obj, events, about, now=now)
        return workloads.summary(obj, found), found

    def _worst(self, pod: Pod, now: datetime.datetime) -> Finding:
        found = worst(one for one in self._of_pod(pod, now, briefly=True) if one.subject != "event")
        return found or Finding("ok", "", pod.status.phase or "Pending", "nothing is wrong with it")

    def _of_pod(self, pod: Pod, now: datetime.datetime, *, briefly: bool = False) -> tuple[Finding, ...]:
        node: Node | None = None
        if pod.spec.node_name:
            entry = self._registry.cache.get(kinds.of(Node), kinds.of(Node).key("", pod.spec.node_name))
            node = entry.value() if entry is not None else None
        waits = not pod.spec.node_name and not pod.spec.scheduling_gates and not briefly
        events = () if briefly else tuple(self._events(kinds.of(Pod), pod))
        against = self._verdicts(pod) if waits else {}
        return pods.findings(pod, node, events, against, now=now, schedulers=self._profiles)

    def _events(self, kind: Kind, obj: Any) -> list[Event]:
        """About this object, and not about one of the same name that was there before."""
        metadata: ObjectMeta = obj.metadata
        fields = FieldSelector.parse(f"involvedObject.kind={kind.kind},involvedObject.name={metadata.name}")
        page = self._registry.list(kinds.of(Event), Filter(namespace=metadata.namespace, fields=fields))
        events: list[Event] = [entry.value() for entry in page.entries]
        return [each for each in events if each.involved_object and each.involved_object.uid in ("", metadata.uid)]

    def _owned(self, kind: Kind, namespace: str, uid: str) -> list[Any]:
        entries = self._registry.cache.of(kind).entries.values()
        values = (entry.value() for entry in entries if entry.namespace == namespace)
        return [one for one in values if any(owner.uid == uid for owner in one.metadata.owner_references)]

    def _verdicts(self, pod: Pod) -> Mapping[str, tuple[str, ...]]:
        """What the scheduler holds against each node, as the cluster is now; nothing for another scheduler's pods."""
        plugins = self._profiles.get(pod.spec.scheduler_name or SCHEDULER_NAME)
        if plugins is None:
            return {}
        columns = Columns()
        for entry in self._registry.cache.of(kinds.of(Namespace)).entries.values():
            columns.set_namespace(entry.name, entry.labels)
        for entry in self._registry.cache.of(kinds.of(Node)).entries.values():
            columns.set_node(entry.value())
        for entry in self._registry.cache.of(kinds.of(Pod)).entries.values():
            if entry.read("spec.nodeName") and entry.read("status.phase") not in FINISHED:
                columns.add_pod(entry.value(), entry.read("spec.nodeName"))
        asked = PodToPlace.of(pod)
        found = verdicts(asked, columns, plugins)
        return {name: tuple(_told(text, asked, columns, name) for text in texts) for name, texts in found.items()}


def _told(reason: str, pod: PodToPlace, columns: Columns, node: str) -> str:
    """With amounts, where something is short: ``Insufficient cpu (asks for 2, 500m of 4 free)``."""
    short, _, resource = reason.partition(" ")
    if short != "Insufficient" or resource not in pod.requests:
        return reason.removeprefix("node(s) ")
    row, column = columns.rows[node], columns.resource(resource)
    have = int(columns.allocatable[row, column])
    left = max(have - int(columns.requested[row, column]), 0)
    asked, free, total = (amount(resource, number) for number in (pod.requests[resource], left, have))
    return f"{reason} (asks for {asked}, {free} of {total} free)"


def amount(resource: str, number: int) -> str:
    """In the scheduler's unit, for people: ``1500m``, ``2``, ``3.5Gi``."""
    if resource == "cpu":
        return f"{number}m" if number % 1000 else str(number // 1000)
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
            if number >= size:
                return f"{number / size:.3g}{unit}"
    return str(number)
