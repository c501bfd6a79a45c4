"""One object in the cache: its bytes as clients get them, and an index record."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from google.protobuf import any_pb2

from knarr_api import json, wire
from knarr_api.kinds import Kind
from knarr_api.types import core_v1
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.packing import Packed, Packing
from knarr_controlplane.registry.unknown_fields import Unknown

FieldOf = Callable[[Any], str]
RECENT_MAX = 2048


@dataclass(slots=True, eq=False)
class CacheEntry:
    """revision: packed."""

    kind: Kind
    key: str
    namespace: str
    name: str
    uid: str
    revision: int
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    _document: bytes | Packed = field(repr=False)
    unknown: Unknown | None = None
    """What of the stored value a newer version has written and this one has no place for."""
    replaced: bool = False
    """The cache has a newer one."""
    _any: any_pb2.Any | None = field(default=None, repr=False)
    _value: Any = field(default=None, repr=False)

    @property
    def json(self) -> bytes:
        """Exactly Kubernetes JSON with metadata.resourceVersion."""
        document = self._document
        return document if isinstance(document, bytes) else document.unpacked()

    @property
    def size_bytes(self) -> int:
        """Of the JSON."""
        document = self._document
        return len(document) if isinstance(document, bytes) else document.size_bytes

    def value(self) -> Any:
        """The object, for everybody the same: not to be changed.

        It is kept for as long as it is among the last ones that were asked for: values are big, bytes are small, but
        most changes are looked at by several at once.
        """
        value = self._value
        if value is None:
            value = json.decode(self.json, self.kind.type)
            self.remember(value)
        return value

    def remember(self, value: Any) -> None:
        """The object behind the bytes, from who has it anyway."""
        self._value = value
        _RECENT.append(self)
        if len(_RECENT) > RECENT_MAX:
            _RECENT.popleft()._rest()

    def _rest(self) -> None:
        """Nobody has asked for it for a while: it gets small. What was replaced soon goes anyway."""
        value, self._value = self._value, None
        if value is None or self.replaced or not isinstance(self._document, bytes):
            return
        owners = value.metadata.owner_references
        group = owners[0].uid if owners else f"{self.kind.qualified} {self.namespace}"
        self._document = _PACKING.pack(self._document, group)

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


_RECENT: deque[CacheEntry] = deque()
"""Whose values are kept."""
_PACKING = Packing()


def make(kind: Kind, key: str, obj: Any, revision: int, *, remember: bool = False) -> CacheEntry:
    """The entry of a decoded object at a packed revision. remember: somebody will ask for its value soon."""
    metadata: ObjectMeta = obj.metadata
    metadata = msgspec.structs.replace(metadata, resource_version=str(revision))
    obj = msgspec.structs.replace(obj, metadata=metadata)
    entry = CacheEntry(
        kind=kind,
        key=key,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        revision=revision,
        labels=metadata.labels,
        fields=_fields(kind, obj),
        _document=json.encode(obj),
    )
    if remember:
        entry.remember(obj)
    return entry


def supported_fields(kind: Kind) -> frozenset[str]:
    """Fields that a selector may name: Kubernetes' for the kind."""
    return frozenset({"metadata.name", "metadata.namespace", *(_FIELDS.get((kind.group, kind.kind)) or {})})


def _fields(kind: Kind, obj: Any) -> dict[str, str]:
    read = _FIELDS.get((kind.group, kind.kind))
    return {name: one(obj) for name, one in read.items()} if read is not None else {}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _at(path: str, *, absent: Any = None) -> FieldOf:
    """Reads an attribute of an attribute: ``spec.node_name``."""
    get = operator.attrgetter(path)

    def read(obj: Any) -> str:
        value = get(obj)
        return _text(absent if value is None else value)

    return read


def _involved(name: str, attribute: str) -> FieldOf:
    """Of the object that an event is about, if it says."""

    def read(event: Any) -> str:
        about = getattr(event, name)
        return _text(getattr(about, attribute)) if about is not None else ""

    return read


def _source(event: core_v1.Event) -> str:
    """Who reported it, in the older field or the newer."""
    return (event.source.component if event.source is not None else "") or event.reporting_component


REFERENCE = {
    "kind": "kind",
    "namespace": "namespace",
    "name": "name",
    "uid": "uid",
    "apiVersion": "api_version",
    "resourceVersion": "resource_version",
    "fieldPath": "field_path",
}
_FIELDS: dict[tuple[str, str], dict[str, FieldOf]] = {
    ("", "Pod"): {
        "spec.nodeName": _at("spec.node_name"),
        "spec.restartPolicy": _at("spec.restart_policy"),
        "spec.schedulerName": _at("spec.scheduler_name"),
        "spec.serviceAccountName": _at("spec.service_account_name"),
        "spec.hostNetwork": _at("spec.host_network", absent=False),
        "status.phase": _at("status.phase"),
        "status.podIP": _at("status.pod_ip"),
        "status.nominatedNodeName": _at("status.nominated_node_name"),
    },
    ("", "Event"): {
        **{f"involvedObject.{name}": _involved("involved_object", attribute) for name, attribute in REFERENCE.items()},
        "reason": _at("reason"),
        "type": _at("type"),
        "source": _source,
        "reportingComponent": _source,
    },
    ("events.k8s.io", "Event"): {
        **{f"regarding.{name}": _involved("regarding", attribute) for name, attribute in REFERENCE.items()},
        "reason": _at("reason"),
        "type": _at("type"),
        "reportingController": _at("reporting_controller"),
    },
    ("", "Node"): {"spec.unschedulable": _at("spec.unschedulable", absent=False)},
    ("", "Secret"): {"type": _at("type")},
    ("", "Namespace"): {"status.phase": _at("status.phase")},
    ("", "Service"): {"spec.clusterIP": _at("spec.cluster_ip"), "spec.type": _at("spec.type")},
    ("", "ReplicationController"): {"status.replicas": _at("status.replicas", absent=0)},
    ("apps", "ReplicaSet"): {"status.replicas": _at("status.replicas", absent=0)},
    ("batch", "Job"): {"status.successful": _at("status.succeeded", absent=0)},
    ("certificates.k8s.io", "CertificateSigningRequest"): {"spec.signerName": _at("spec.signer_name")},
}
