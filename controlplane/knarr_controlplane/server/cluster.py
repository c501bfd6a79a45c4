"""``knarr.v1.Cluster``: version, health, why a pod is as it is, and backups."""

from __future__ import annotations

import datetime
import platform
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from knarr_api import kinds
from knarr_api.errors import KnarrError
from knarr_api.types.core_v1 import Pod
from knarr_client.observing import Check
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.backup.snapshot import Piece
from knarr_controlplane.pki import identity
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.scheduler.profile import Profiles
from knarr_controlplane.server import documents
from knarr_controlplane.server.calls import streaming, unary
from knarr_controlplane.version import KUBERNETES_VERSION, VERSION
from knarr_controlplane.why.asking import Why
from knarr_controlplane.why.findings import Finding
from knarr_proto.v1 import cluster_pb2, cluster_pb2_grpc

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
        profiles: Profiles,
    ) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._cluster_id = cluster_id
        self._checks = dict(checks)
        self._backup = backup
        self._has_agent = has_agent
        self._why = Why(registry, profiles)

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
        kind = documents.kind_of(request.type) if request.HasField("type") else kinds.of(Pod)
        namespace = (request.namespace or "default") if kind.namespaced else ""
        summary, found = self._why.of(kind, namespace, request.pod, datetime.datetime.now(datetime.UTC))
        return cluster_pb2.WhyResponse(summary=summary, findings=[_message(finding) for finding in found])

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


def _message(finding: Finding) -> Any:
    return cluster_pb2.Finding(
        severity=SEVERITIES[finding.severity],
        subject=finding.subject,
        reason=finding.reason,
        message=finding.message,
        remedy=finding.remedy,
    )
