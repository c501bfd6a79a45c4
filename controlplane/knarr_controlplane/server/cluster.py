"""``knarr.v1.Cluster``: version, health, why a pod is as it is, and backups."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from knarr_api import kinds
from knarr_api.errors import KnarrError
from knarr_api.fields import FieldSelector
from knarr_api.types.core_v1 import Event, Namespace, Node, Pod
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.backup.snapshot import Piece
from knarr_controlplane.cache.watch_cache import Filter
from knarr_controlplane.pki import identity
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import PodToPlace, verdicts
from knarr_controlplane.scheduler.profile import load_plugins
from knarr_controlplane.scheduler.scheduler import FINISHED
from knarr_controlplane.server.calls import streaming, unary
from knarr_controlplane.version import KUBERNETES_VERSION, VERSION
from knarr_controlplane.why import Finding, findings, summary
from knarr_proto.v1 import cluster_pb2, cluster_pb2_grpc

Check = Callable[[], Awaitable[str]]
"""Answers with a message when all is well; raises a KnarrError else."""
CHUNK_BYTES = 1024 * 1024
SEVERITIES = {
    "ok": cluster_pb2.Finding.OK,
    "info": cluster_pb2.Finding.INFO,
    "warning": cluster_pb2.Finding.WARNING,
    "error": cluster_pb2.Finding.ERROR,
}


class Cluster(cluster_pb2_grpc.ClusterServicer):
    def __init__(
        self,
        registry: Registry,
        authorizer: Authorizer,
        *,
        cluster_id: str,
        checks: Mapping[str, Check],
        backup: Callable[[], AsyncIterator[Piece]],
        has_agent: Callable[[str], bool],
    ) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._cluster_id = cluster_id
        self._checks = dict(checks)
        self._backup = backup
        self._has_agent = has_agent

    @unary
    async def Version(self, request: Any, context: Any) -> Any:
        identity.of_call(context)
        return cluster_pb2.VersionResponse(
            version=VERSION,
            kubernetes_version=KUBERNETES_VERSION,
            python_version=platform.python_version(),
            cluster_id=self._cluster_id,
        )

    @unary
    async def Health(self, request: Any, context: Any) -> Any:
        identity.of_call(context)
        results = []
        for name, check in self._checks.items():
            try:
                results.append(cluster_pb2.HealthCheck(name=name, healthy=True, message=await check()))
            except KnarrError as error:
                results.append(cluster_pb2.HealthCheck(name=name, healthy=False, message=error.message))
        return cluster_pb2.HealthResponse(healthy=all(result.healthy for result in results), checks=results)

    @unary
    async def Why(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "ask why")
        namespace = request.namespace or "default"
        pod: Pod = self._registry.get(kinds.of(Pod), namespace, request.pod).value()
        fields = FieldSelector.parse(f"involvedObject.kind=Pod,involvedObject.name={request.pod}")
        page = self._registry.list(kinds.of(Event), Filter(namespace=namespace, fields=fields))
        events: list[Event] = [entry.value() for entry in page.entries]
        node: Node | None = None
        if pod.spec.node_name:
            entry = self._registry.cache.get(kinds.of(Node), kinds.of(Node).key("", pod.spec.node_name))
            node = entry.value() if entry is not None else None
        waits = not pod.spec.node_name and not pod.spec.scheduling_gates
        found = findings(pod, node, tuple(events), self._verdicts(pod) if waits else {})
        return cluster_pb2.WhyResponse(summary=summary(pod, found), findings=[_message(finding) for finding in found])

    @unary
    async def FindAgent(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "look for agents")
        return cluster_pb2.FindAgentResponse(connected=self._has_agent(request.node))

    @streaming
    async def Usages(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._authorizer.check_admin(identity.of_call(context), "ask what all nodes use")
        for node, age_s, usage in self._registry.usages.reported():
            if self._has_agent(node):
                yield cluster_pb2.NodeUsage(node=node, age_ms=int(age_s * 1000), usage=usage)

    @streaming
    async def Backup(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._authorizer.check_admin(identity.of_call(context), "make a backup")
        async for piece in self._backup():
            for start in range(0, len(piece.data), CHUNK_BYTES):
                yield cluster_pb2.BackupChunk(data=piece.data[start : start + CHUNK_BYTES], objects=piece.objects)

    def _verdicts(self, pod: Pod) -> dict[str, tuple[str, ...]]:
        """What the scheduler holds against each node, as the cluster is now."""
        columns = Columns()
        for entry in self._registry.cache.of(kinds.of(Namespace)).entries.values():
            columns.set_namespace(entry.name, entry.labels)
        for entry in self._registry.cache.of(kinds.of(Node)).entries.values():
            columns.set_node(entry.value())
        for entry in self._registry.cache.of(kinds.of(Pod)).entries.values():
            if entry.fields["spec.nodeName"] and entry.fields["status.phase"] not in FINISHED:
                columns.add_pod(entry.value(), entry.fields["spec.nodeName"])
        return verdicts(PodToPlace.of(pod), columns, load_plugins())


def _message(finding: Finding) -> Any:
    return cluster_pb2.Finding(
        severity=SEVERITIES[finding.severity],
        subject=finding.subject,
        reason=finding.reason,
        message=finding.message,
        remedy=finding.remedy,
    )
