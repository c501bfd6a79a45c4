"""Who may do what. Admins everything; a node only what its own pods need. Pure but for the cache it reads.

A node (``system:node:<name>`` in ``system:nodes``) may: read Nodes, Namespaces and Services; write its own Node's
status; read and report on the pods bound to it and remove them; read the ConfigMaps and Secrets that these pods name;
write Events about itself and them; keep its Lease. Everything else is Forbidden, in Kubernetes' sentence.
Source: Kubernetes "Using Node Authorization".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knarr_api import kinds
from knarr_api.errors import Forbidden
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Event, Pod, PodSpec
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.pki.identity import Identity

READS = frozenset({"get", "list", "watch"})
READABLE = frozenset(
    {
        *(("", "Node"), ("", "Service"), ("", "Namespace")),
        *(("discovery.k8s.io", "EndpointSlice"), ("node.k8s.io", "RuntimeClass")),
    }
)
"""(group, kind) that every node may read: nothing secret is in them."""
LEASE_NAMESPACE = "kube-node-lease"


class Authorizer:
    """cache: where a node's pods are looked up."""

    def __init__(self, cache: WatchCache) -> None:
        self._cache = cache

    def check_admin(self, identity: Identity, what: str) -> None:
        """Raises Forbidden."""
        if not identity.is_admin:
            raise Forbidden(f'User "{identity.name}" cannot {what}')

    def check(
        self,
        identity: Identity,
        verb: str,
        kind: Kind,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        filter_: Filter | None = None,
        obj: Any = None,
    ) -> None:
        """Raises Forbidden. verb: get, list, watch, create, update, patch, delete. obj: what is to be written."""
        if identity.is_admin:
            return
        node = identity.node_name
        if node and self._node_may(node, verb, kind, namespace, name, subresource, filter_, obj):
            return
        resource = f"{kind.resource}/{subresource}" if subresource else kind.resource
        place = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
        target = f'{kind.qualified} "{name}" is forbidden: ' if name else f"{kind.qualified} is forbidden: "
        whose = " (a node may do so for its own objects only)" if node else ""
        what = f'cannot {verb} resource "{resource}" in API group "{kind.group}"{place}{whose}'
        raise Forbidden(f'{target}User "{identity.name}" {what}')

    def _node_may(
        self,
        node: str,
        verb: str,
        kind: Kind,
        namespace: str,
        name: str,
        subresource: str,
        filter_: Filter | None,
        obj: Any,
    ) -> bool:
        if verb in READS and (kind.group, kind.kind) in READABLE:
            return True
        match kind.kind:
            case "Node":
                return verb in ("update", "patch") and name == node and subresource == "status"
            case "Pod":
                if verb in ("list", "watch"):
                    fields = filter_.fields if filter_ is not None else None
                    return fields is not None and fields.exact("spec.nodeName") == node
                may = verb in ("get", "delete") or (verb in ("update", "patch") and subresource == "status")
                return may and self._is_on(node, kind, namespace, name)
            case "ConfigMap" | "Secret":
                if verb in ("list", "watch"):
                    fields = filter_.fields if filter_ is not None else None
                    name = (fields.exact("metadata.name") if fields is not None else None) or ""
                return verb in READS and bool(name) and self._is_needed(node, kind, namespace, name)
            case "Event":
                if verb == "patch" and kind.group == "":
                    entry = self._cache.get(kind, kind.key(namespace, name))
                    obj = entry.value() if entry is not None else None
                may = verb in ("create", "update", "patch")
                return may and isinstance(obj, Event) and self._concerns(node, obj)
            case "Lease":
                return namespace == LEASE_NAMESPACE and name == node and verb in ("get", "create", "update", "patch")
        return False

    def _concerns(self, node: str, event: Event) -> bool:
        """Whether an event is about the node or a pod on it (that may be gone already)."""
        involved = event.involved_object
        if involved is None:
            return False
        if involved.kind == "Node":
            return involved.name == node
        pod = kinds.of(Pod)
        entry = self._cache.get(pod, pod.key(involved.namespace, involved.name))
        return involved.kind == "Pod" and (entry is None or entry.read("spec.nodeName") == node)

    def _is_on(self, node: str, kind: Kind, namespace: str, name: str) -> bool:
        entry = self._cache.get(kind, kind.key(namespace, name))
        return entry is not None and entry.read("spec.nodeName") == node

    def _is_needed(self, node: str, kind: Kind, namespace: str, name: str) -> bool:
        pods = self._cache.of(kinds.of(Pod)).by_node.get(node, {})
        for entry in pods.values():
            if entry.namespace == namespace and (kind.kind, name) in set(references(entry.value().spec)):
                return True
        return False


def references(spec: PodSpec) -> Iterator[tuple[str, str]]:
    """(kind, name) of each ConfigMap and Secret that a pod names."""
    for secret in spec.image_pull_secrets:
        yield "Secret", secret.name
    for volume in spec.volumes:
        if volume.config_map is not None:
            yield "ConfigMap", volume.config_map.name
        if volume.secret is not None:
            yield "Secret", volume.secret.secret_name
        for source in volume.projected.sources if volume.projected is not None else ():
            if source.config_map is not None:
                yield "ConfigMap", source.config_map.name
            if source.secret is not None:
                yield "Secret", source.secret.name
    for container in (*spec.init_containers, *spec.containers):
        for source_ in container.env_from:
            if source_.config_map_ref is not None:
                yield "ConfigMap", source_.config_map_ref.name
            if source_.secret_ref is not None:
                yield "Secret", source_.secret_ref.name
        for variable in container.env:
            value = variable.value_from
            if value is not None and value.config_map_key_ref is not None:
                yield "ConfigMap", value.config_map_key_ref.name
            if value is not None and value.secret_key_ref is not None:
                yield "Secret", value.secret_key_ref.name
