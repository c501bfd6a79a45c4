"""A placed pod as the scheduler remembers it, and the names of counts of such pods. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from knarr_api.types.core_v1 import Pod, PodSpec
from knarr_controlplane.scheduler import affinity, requests
from knarr_controlplane.scheduler.affinity import Wishes
from knarr_controlplane.scheduler.requests import HostPort


class PodRecord(msgspec.Struct, frozen=True, gc=False):
    """What must be known of a placed pod. ``row`` is its node's, -1 while that node is not known.

    started_s: when it was started, or else made, as a time stamp.
    """

    namespace: str
    name: str
    uid: str
    node: str
    row: int
    labels: Mapping[str, str]
    owner_uid: str
    terminating: bool
    requests: Mapping[str, int]
    nonzero: tuple[int, int]
    priority: int = 0
    started_s: float = 0.0
    host_ports: tuple[HostPort, ...] = ()
    wishes: Wishes = affinity.NO_WISHES

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class CountKey:
    """Names a column of counts: pods that a predicate, identified by its text, holds for.

    scope: the pods that are asked at all: of a namespace, of a controlling owner (by uid), or with ports of their node.
    terminating: those that are ending count, too.
    """

    scope: tuple[str, str]
    text: str
    terminating: bool = False


EVERYWHERE = ("everywhere", "")
WITH_PORTS = ("ports", "")


def of_namespace(namespace: str) -> tuple[str, str]:
    return ("namespace", namespace)


def of_owner(uid: str) -> tuple[str, str]:
    return ("owner", uid)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a pod asks of its node."""

    spec: PodSpec
    requests: Mapping[str, int]
    nonzero: tuple[int, int]
    host_ports: tuple[HostPort, ...]

    def are_of(self, spec: PodSpec) -> bool:
        """Whether a pod asks for the same, as far as that is seen without looking into its containers."""
        own = self.spec
        return (
            spec.containers is own.containers
            and spec.init_containers is own.init_containers
            and spec.resources == own.resources
            and spec.overhead == own.overhead
        )


class Records:
    """Makes them, knowing what the pod asked for that came last: pods of one owner come one after the other."""

    def __init__(self) -> None:
        self._latest: Needs | None = None

    def of(self, pod: Pod, node: str) -> PodRecord:
        """What is remembered of a pod on a node."""
        metadata, needs = pod.metadata, self._needs(pod)
        started = pod.status.start_time or metadata.creation_timestamp
        return PodRecord(
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            node=node,
            row=-1,
            labels=metadata.labels,
            owner_uid=next((owner.uid for owner in metadata.owner_references if owner.controller), ""),
            terminating=metadata.deletion_timestamp is not None,
            requests=needs.requests,
            nonzero=needs.nonzero,
            priority=pod.spec.priority or 0,
            started_s=started.timestamp() if started is not None else 0.0,
            host_ports=needs.host_ports,
            wishes=affinity.wishes(pod),
        )

    def _needs(self, pod: Pod) -> Needs:
        if self._latest is None or not self._latest.are_of(pod.spec):
            self._latest = Needs(pod.spec, requests.of_pod(pod), requests.nonzero_of_pod(pod), requests.host_ports(pod))
        return self._latest


def scopes(record: PodRecord) -> tuple[tuple[str, str], ...]:
    scopes = [EVERYWHERE, of_namespace(record.namespace)]
    if record.owner_uid:
        scopes.append(of_owner(record.owner_uid))
    if record.host_ports:
        scopes.append(WITH_PORTS)
    return tuple(scopes)


def counted(key: CountKey, matches: Callable[[PodRecord], bool], record: PodRecord) -> bool:
    return (key.terminating or not record.terminating) and matches(record)
