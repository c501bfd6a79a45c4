"""One object in the cache: its bytes as clients get them, and an index record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from google.protobuf import any_pb2

from knarr_api import json, wire
from knarr_api.kinds import Kind
from knarr_api.types import core_v1
from knarr_api.types.meta_v1 import ObjectMeta

FieldsOf = Callable[[Any], dict[str, str]]


@dataclass(slots=True, eq=False)
class CacheEntry:
    """revision: packed. json: exactly Kubernetes JSON with metadata.resourceVersion."""

    kind: Kind
    key: str
    namespace: str
    name: str
    uid: str
    revision: int
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    json: bytes
    _any: any_pb2.Any | None = field(default=None, repr=False)

    def value(self) -> Any:
        """The object, decoded anew each time: values are big, bytes are small."""
        return json.decode(self.json, self.kind.type)

    def any(self) -> any_pb2.Any:
        """The typed message, packed once per revision however many watchers ask."""
        if self._any is None:
            self._any = wire.to_any(self.value())
        return self._any

    def read(self, path: str) -> str:
        """What a field selector asks for."""
        if path == "metadata.name":
            return self.name
        if path == "metadata.namespace":
            return self.namespace
        return self.fields.get(path, "")


def make(kind: Kind, key: str, obj: Any, revision: int) -> CacheEntry:
    """The entry of a decoded object at a packed revision."""
    metadata: ObjectMeta = obj.metadata
    metadata = msgspec.structs.replace(metadata, resource_version=str(revision))
    obj = msgspec.structs.replace(obj, metadata=metadata)
    return CacheEntry(
        kind=kind,
        key=key,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        revision=revision,
        labels=metadata.labels,
        fields=_fields(obj),
        json=json.encode(obj),
    )


def supported_fields(kind: Kind) -> frozenset[str]:
    """Fields that a selector may name."""
    return frozenset({"metadata.name", "metadata.namespace", *_SUPPORTED.get(kind.kind, ())})


def _fields(obj: Any) -> dict[str, str]:
    if isinstance(obj, core_v1.Pod):
        return {
            "spec.nodeName": obj.spec.node_name,
            "status.phase": obj.status.phase,
            "spec.restartPolicy": obj.spec.restart_policy,
            "spec.schedulerName": obj.spec.scheduler_name,
            "status.podIP": obj.status.pod_ip,
        }
    if isinstance(obj, core_v1.Event):
        involved = obj.involved_object or core_v1.ObjectReference()
        return {
            "involvedObject.kind": involved.kind,
            "involvedObject.namespace": involved.namespace,
            "involvedObject.name": involved.name,
            "involvedObject.uid": involved.uid,
            "reason": obj.reason,
            "type": obj.type,
        }
    if isinstance(obj, core_v1.Node):
        return {"spec.unschedulable": "true" if obj.spec.unschedulable else "false"}
    if isinstance(obj, core_v1.Secret):
        return {"type": obj.type}
    if isinstance(obj, core_v1.Namespace):
        return {"status.phase": obj.status.phase}
    return {}


_SUPPORTED: dict[str, tuple[str, ...]] = {
    "Pod": ("spec.nodeName", "status.phase", "spec.restartPolicy", "spec.schedulerName", "status.podIP"),
    "Event": (
        *("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid"),
        *("reason", "type"),
    ),
    "Node": ("spec.unschedulable",),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
}
