"""ReplicationController: what ReplicaSets were before selectors had operators. Its controller is theirs."""

from __future__ import annotations

import msgspec

from knarr_api.types.apps_v1 import ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus
from knarr_api.types.core_v1 import (
    ReplicationController,
    ReplicationControllerCondition,
    ReplicationControllerStatus,
)
from knarr_api.types.meta_v1 import LabelSelector
from knarr_controlplane.controllers.replicaset.controller import Face


def _view(obj: ReplicationController) -> ReplicaSet:
    spec, status = obj.spec, obj.status
    return ReplicaSet(
        metadata=obj.metadata,
        spec=ReplicaSetSpec(
            replicas=spec.replicas,
            selector=LabelSelector(match_labels=spec.selector),
            template=spec.template,
            min_ready_seconds=spec.min_ready_seconds,
        ),
        status=ReplicaSetStatus(
            conditions=tuple(ReplicaSetCondition(**msgspec.structs.asdict(each)) for each in status.conditions)
        ),
    )


def _with_status(obj: ReplicationController, wanted: ReplicaSetStatus) -> ReplicationController:
    status = ReplicationControllerStatus(
        replicas=wanted.replicas,
        fully_labeled_replicas=wanted.fully_labeled_replicas,
        observed_generation=wanted.observed_generation,
        ready_replicas=wanted.ready_replicas,
        available_replicas=wanted.available_replicas,
        conditions=tuple(ReplicationControllerCondition(**msgspec.structs.asdict(each)) for each in wanted.conditions),
    )
    return msgspec.structs.replace(obj, status=status)


REPLICATION_CONTROLLER = Face(ReplicationController, _view, _with_status)
