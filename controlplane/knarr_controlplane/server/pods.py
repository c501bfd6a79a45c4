"""``knarr.v1.Pods``: logs, fetched through the agent of the pod's node, or the control plane that has its stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from knarr_api import kinds
from knarr_api.errors import Invalid, NotFound
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.pki import identity
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.server.calls import streaming
from knarr_controlplane.server.hub import AgentHub
from knarr_controlplane.server.peers import Peers, is_forwarded
from knarr_proto.v1 import agent_pb2, pods_pb2, pods_pb2_grpc


class Pods(pods_pb2_grpc.PodsServicer):
    def __init__(self, registry: Registry, authorizer: Authorizer, hub: AgentHub, peers: Peers) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._hub = hub
        self._peers = peers

    @streaming
    async def Logs(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._authorizer.check_admin(identity.of_call(context), f'get logs of pods in "{request.namespace}"')
        pod: Pod = self._registry.get(kinds.of(Pod), request.namespace, request.pod).value()
        asked = pods_pb2.LogsRequest()
        asked.CopyFrom(request)
        asked.container = _container(pod, request.container)
        if not pod.spec.node_name:
            raise Invalid(f"pod \"{request.pod}\" has no node yet: see why with 'knarr why {request.pod}'")
        if pod.spec.node_name not in self._hub.connections and not is_forwarded(context):
            other = await self._peers.with_agent(pod.spec.node_name)
            if other is not None:
                async for answer in self._peers.logs(other, asked):
                    yield answer
                return
        logs = agent_pb2.PodLogs(uid=pod.metadata.uid, request=asked)
        async for data in self._hub.stream(pod.spec.node_name, logs):
            yield pods_pb2.LogsResponse(data=data)


def _container(pod: Pod, name: str) -> str:
    containers = [container.name for container in (*pod.spec.containers, *pod.spec.init_containers)]
    if name in containers:
        return name
    if name:
        raise NotFound(f"container {name} is not valid for pod {pod.metadata.name}: it has {', '.join(containers)}")
    if len(pod.spec.containers) > 1:
        listed = " ".join(container.name for container in pod.spec.containers)
        raise Invalid(f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{listed}]")
    return containers[0]
