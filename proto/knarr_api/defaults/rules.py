"""``apply``: the object with its defaults. Applying it again changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from knarr_api.defaults import autoscaling, batch, fill, quotas, stored, workloads
from knarr_api.defaults.fill import S
from knarr_api.types import (
    admissionregistration_v1,
    apps_v1,
    autoscaling_v2,
    batch_v1,
    core_v1,
    discovery_v1,
    networking_v1,
    rbac_v1,
    scheduling_v1,
    storage_v1,
)

RULES: dict[type[msgspec.Struct], Callable[[Any], msgspec.Struct]] = {
    core_v1.Pod: fill.pod,
    core_v1.Secret: fill.secret,
    core_v1.Namespace: fill.namespace,
    autoscaling_v2.HorizontalPodAutoscaler: autoscaling.autoscaler,
    core_v1.LimitRange: quotas.limit_range,
    apps_v1.Deployment: workloads.deployment,
    apps_v1.ReplicaSet: workloads.replica_set,
    apps_v1.DaemonSet: workloads.daemon_set,
    apps_v1.StatefulSet: workloads.stateful_set,
    core_v1.ReplicationController: workloads.replication_controller,
    core_v1.PersistentVolumeClaim: workloads.claim,
    batch_v1.Job: batch.job,
    batch_v1.CronJob: batch.cron_job,
    core_v1.Service: stored.service,
    core_v1.Endpoints: stored.endpoints,
    core_v1.PersistentVolume: stored.volume,
    core_v1.PodTemplate: stored.pod_template,
    discovery_v1.EndpointSlice: stored.endpoint_slice,
    networking_v1.IngressClass: stored.ingress_class,
    networking_v1.NetworkPolicy: stored.network_policy,
    storage_v1.StorageClass: stored.storage_class,
    scheduling_v1.PriorityClass: stored.priority_class,
    rbac_v1.RoleBinding: stored.role_binding,
    rbac_v1.ClusterRoleBinding: stored.cluster_role_binding,
    admissionregistration_v1.MutatingWebhookConfiguration: stored.mutating,
    admissionregistration_v1.ValidatingWebhookConfiguration: stored.validating,
}


def apply(obj: S) -> S:
    """Objects of kinds without rules are returned as they are."""
    rule = RULES.get(type(obj))
    return cast(S, rule(obj)) if rule is not None else obj
