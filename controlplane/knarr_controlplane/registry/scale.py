"""The scale subresource: how many replicas, in one form for every kind that has them. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from knarr_api import errors, kinds
from knarr_api.labels import Requirement, Selector
from knarr_api.types.apps_v1 import Deployment, ReplicaSet, StatefulSet
from knarr_api.types.autoscaling_v1 import Scale, ScaleSpec, ScaleStatus
from knarr_api.types.core_v1 import ReplicationController
from knarr_api.types.meta_v1 import ObjectMeta

replace = msgspec.structs.replace
SCALABLE = (Deployment, ReplicaSet, StatefulSet, ReplicationController)


def of(obj: Any) -> Scale:
    """Raises NotFound for a kind without the subresource."""
    check(type(obj))
    metadata = obj.metadata
    given = obj.spec.selector
    if isinstance(given, dict):
        selector = Selector(tuple(Requirement(key, "In", (value,)) for key, value in sorted(given.items())))
    else:
        selector = Selector.from_label_selector(given)
    return Scale(
        metadata=ObjectMeta(
            name=metadata.name,
            namespace=metadata.namespace,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
            creation_timestamp=metadata.creation_timestamp,
        ),
        spec=ScaleSpec(replicas=obj.spec.replicas),
        status=ScaleStatus(replicas=obj.status.replicas, selector=str(selector)),
    )


def scaled(obj: Any, scale: Scale) -> Any:
    """The object with as many replicas. Raises Invalid for a negative number."""
    replicas = scale.spec.replicas or 0
    if replicas < 0:
        detail = errors.FieldError("spec.replicas", "must be greater than or equal to 0", "Invalid value", replicas)
        raise errors.invalid("Scale", obj.metadata.name, (detail,), "autoscaling")
    return replace(obj, spec=replace(obj.spec, replicas=replicas))


def check(type_: type[Any]) -> None:
    if type_ not in SCALABLE:
        raise errors.NotFound(f"{kinds.of(type_).qualified} have no scale")
