"""One object in the cache: its bytes as clients get them, and an index record."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf import any_pb2
from msgspec import structs

from knarr_api import json, wire
from knarr_api.kinds import Kind
from knarr_api.types import core_v1
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.packing import Packed, Packing
from knarr_controlplane.cache.unknown_fields import Unknown

_replace = structs.replace

RECENT_MAX = 20_480
"""Values: those of a burst are looked at by several, one after the other. 5,000 pods are 15,000, beside 5,000 nodes."""


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """What field selectors may ask of a kind. read: all of it at once, in the order of ``places``."""

    places: Mapping[str, int]
    read: Callable[[Any], tuple[str, ...]]


class CacheEntry(msgspec.Struct, eq=False, gc=False):
    """revision: packed. values: what ``fields`` reads of the object."""

    kind: Kind
    key: str
    namespace: str
    name: str
    uid: str
    revision: int
    labels: Mapping[str, str]
    fields: Fields
    values: tuple[str, ...]
    _document: bytes | Packed
    """The JSON without a revision, as the store has it."""
    unknown: Unknown | None = None
    """What of the stored value a newer version has written and this one has no place for."""
    replaced: bool = False
    """The cache has a newer one."""
    reported: bool = False
    """See ``watch_cache.Expected``."""
    _any: any_pb2.Any | None = None
    _value: Any = None

    @property
    def document(self) -> bytes:
        """The JSON without metadata.resourceVersion."""
        document = self._document
        return document if isinstance(document, bytes) else document.unpacked()

    @property
    def json(self) -> bytes:
        """Exactly Kubernetes JSON with metadata.resourceVersion."""
        # Right after the uid, where ``json.encode`` puts it: no string has this text, its quotes would be escaped.
        uid = b'"uid":"%b"' % self.uid.encode()
        head, found, tail = self.document.partition(uid)
        if not self.uid or not found:
            return json.encode(self.value())
        return b'%b%b,"resourceVersion":"%d"%b' % (head, uid, self.revision, tail)

    @property
    def size_bytes(self) -> int:
        """Of the JSON."""
        document = self._document
        plain = len(document) if isinstance(document, bytes) else document.size_bytes
        return plain + len(',"resourceVersion":""') + len(str(self.revision))

    def value(self) -> Any:
        """The object, for everybody the same: not to be changed.

        It is kept for as long as it is among the last ones that were asked for: values are big, bytes are small, but
        most changes are looked at by several at once.
        """
        value = self._value
        if value is None:
            value = _at_revision(json.decode(self.document, self.kind.type), self.revision)
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
        place = self.fields.places.get(path)
        return self.values[place] if place is not None else ""


_RECENT: deque[CacheEntry] = deque()
"""Whose values are kept."""
_PACKING = Packing()


def make(
    kind: Kind, key: str, obj: Any, revision: int, *, remember: bool = False, document: bytes | None = None
) -> CacheEntry:
    """The entry of a decoded object at a packed revision. remember: somebody will ask for its value soon.

    document: its JSON without a revision, from who has it anyway.
    """
    metadata: ObjectMeta = obj.metadata
    fields = _FIELDS.get((kind.group, kind.kind), NO_FIELDS)
    entry = CacheEntry(
        kind=kind,
        key=key,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        revision=revision,
        labels=metadata.labels,
        fields=fields,
        values=fields.read(obj),
        _document=json.encode(_replace(obj, metadata=_replace(metadata, resource_version="")))
        if document is None
        else document,
    )
    if remember:
        entry.remember(_at_revision(obj, revision))
    return entry


def supported_fields(kind: Kind) -> frozenset[str]:
    """Fields that a selector may name: Kubernetes' for the kind."""
    fields = _FIELDS.get((kind.group, kind.kind), NO_FIELDS)
    return frozenset({"metadata.name", "metadata.namespace", *fields.places})


def _at_revision(obj: Any, revision: int) -> Any:
    return _replace(obj, metadata=_replace(obj.metadata, resource_version=str(revision)))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _paths(paths: Mapping[str, str], **absent: str) -> Fields:
    """Reads attributes of attributes: ``spec.node_name``. absent: what stands for those that are not set."""
    get = operator.attrgetter(*paths.values(), "metadata")  # one more, so that there is always a tuple
    missing = tuple(absent.get(path.rpartition(".")[2], "") for path in paths.values())

    def read(obj: Any) -> tuple[str, ...]:
        *found, _ = get(obj)
        return tuple(
            [
                value if value.__class__ is str else none if value is None else _text(value)
                for value, none in zip(found, missing, strict=True)
            ]
        )

    return Fields(_places(paths), read)


def _functions(functions: Mapping[str, Callable[[Any], str]]) -> Fields:
    return Fields(_places(functions), lambda obj: tuple(function(obj) for function in functions.values()))


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _at(path: str) -> Callable[[Any], str]:
    get = operator.attrgetter(path)
    return lambda obj: _text(get(obj))


def _involved(name: str, attribute: str) -> Callable[[Any], str]:
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
POD_FIELDS = (
    *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork"),
    *("status.phase", "status.podIP", "status.nominatedNodeName"),
)


def _of_pod(pod: core_v1.Pod) -> tuple[str, ...]:
    """In that order; pods are by far the most that is written."""
    spec, status = pod.spec, pod.status
    return (
        spec.node_name or "",
        spec.restart_policy or "",
        spec.scheduler_name or "",
        spec.service_account_name or "",
        "true" if spec.host_network else "false",
        status.phase or "",
        status.pod_ip or "",
        status.nominated_node_name or "",
    )


NO_FIELDS = Fields({}, lambda obj: ())
_FIELDS: dict[tuple[str, str], Fields] = {
    ("", "Pod"): Fields(_places(POD_FIELDS), _of_pod),
    ("", "Event"): _functions(
        {
            **{
                f"involvedObject.{name}": _involved("involved_object", attribute)
                for name, attribute in REFERENCE.items()
            },
            "reason": _at("reason"),
            "type": _at("type"),
            "source": _source,
            "reportingComponent": _source,
        }
    ),
    ("events.k8s.io", "Event"): _functions(
        {
            **{f"regarding.{name}": _involved("regarding", attribute) for name, attribute in REFERENCE.items()},
            "reason": _at("reason"),
            "type": _at("type"),
            "reportingController": _at("reporting_controller"),
        }
    ),
    ("", "Node"): _paths({"spec.unschedulable": "spec.unschedulable"}, unschedulable="false"),
    ("", "Secret"): _paths({"type": "type"}),
    ("", "Namespace"): _paths({"status.phase": "status.phase"}),
    ("", "Service"): _paths({"spec.clusterIP": "spec.cluster_ip", "spec.type": "spec.type"}),
    ("", "ReplicationController"): _paths({"status.replicas": "status.replicas"}, replicas="0"),
    ("apps", "ReplicaSet"): _paths({"status.replicas": "status.replicas"}, replicas="0"),
    ("batch", "Job"): _paths({"status.successful": "status.succeeded"}, succeeded="0"),
    ("certificates.k8s.io", "CertificateSigningRequest"): _paths({"spec.signerName": "spec.signer_name"}),
}
