"""Defaults of the kinds of apps/v1."""

from __future__ import annotations

from knarr_api.defaults.fill import change, each, fill, template
from knarr_api.types import apps_v1, core_v1

REVISION_HISTORY_LIMIT = 10
PROGRESS_DEADLINE_S = 600


def deployment(given: apps_v1.Deployment) -> apps_v1.Deployment:
    spec = fill(
        given.spec,
        replicas=1,
        revision_history_limit=REVISION_HISTORY_LIMIT,
        progress_deadline_seconds=PROGRESS_DEADLINE_S,
        strategy=apps_v1.DeploymentStrategy(),
    )
    assert spec.strategy is not None
    strategy = fill(spec.strategy, type="RollingUpdate")
    if strategy.type == "RollingUpdate":
        strategy = fill(strategy, rolling_update=apps_v1.RollingUpdateDeployment())
        assert strategy.rolling_update is not None
        rolling = fill(strategy.rolling_update, max_surge="25%", max_unavailable="25%")
        strategy = change(strategy, rolling_update=rolling)
    return change(given, spec=change(spec, strategy=strategy, template=template(spec.template)))


def replica_set(given: apps_v1.ReplicaSet) -> apps_v1.ReplicaSet:
    spec = fill(given.spec, replicas=1)
    return change(given, spec=change(spec, template=template(spec.template)))


def replication_controller(given: core_v1.ReplicationController) -> core_v1.ReplicationController:
    """Labels and selector come from the template."""
    inner = given.spec.template.metadata.labels
    spec = fill(given.spec, replicas=1)
    if not spec.selector and inner:
        spec = change(spec, selector=inner)
    metadata = given.metadata
    if not metadata.labels and inner:
        metadata = change(metadata, labels=inner)
    return change(given, metadata=metadata, spec=change(spec, template=template(spec.template)))


def daemon_set(given: apps_v1.DaemonSet) -> apps_v1.DaemonSet:
    spec = fill(
        given.spec,
        revision_history_limit=REVISION_HISTORY_LIMIT,
        update_strategy=apps_v1.DaemonSetUpdateStrategy(),
    )
    assert spec.update_strategy is not None
    strategy = fill(spec.update_strategy, type="RollingUpdate")
    if strategy.type == "RollingUpdate":
        strategy = fill(strategy, rolling_update=apps_v1.RollingUpdateDaemonSet())
        assert strategy.rolling_update is not None
        rolling = fill(strategy.rolling_update, max_unavailable=1, max_surge=0)
        strategy = change(strategy, rolling_update=rolling)
    return change(given, spec=change(spec, update_strategy=strategy, template=template(spec.template)))


def stateful_set(given: apps_v1.StatefulSet) -> apps_v1.StatefulSet:
    spec = fill(
        given.spec,
        replicas=1,
        pod_management_policy="OrderedReady",
        revision_history_limit=REVISION_HISTORY_LIMIT,
        update_strategy=apps_v1.StatefulSetUpdateStrategy(),
        persistent_volume_claim_retention_policy=apps_v1.StatefulSetPersistentVolumeClaimRetentionPolicy(),
    )
    assert spec.update_strategy is not None
    assert spec.persistent_volume_claim_retention_policy is not None
    strategy = fill(spec.update_strategy, type="RollingUpdate")
    if strategy.type == "RollingUpdate":
        strategy = fill(strategy, rolling_update=apps_v1.RollingUpdateStatefulSetStrategy())
        assert strategy.rolling_update is not None
        rolling = fill(strategy.rolling_update, partition=0, max_unavailable=1)
        strategy = change(strategy, rolling_update=rolling)
    retention = fill(spec.persistent_volume_claim_retention_policy, when_deleted="Retain", when_scaled="Retain")
    return change(
        given,
        spec=change(
            spec,
            update_strategy=strategy,
            persistent_volume_claim_retention_policy=retention,
            template=template(spec.template),
            volume_claim_templates=each(spec.volume_claim_templates, claim),
        ),
    )


def claim(given: core_v1.PersistentVolumeClaim) -> core_v1.PersistentVolumeClaim:
    return change(given, spec=fill(given.spec, volume_mode="Filesystem"), status=fill(given.status, phase="Pending"))
