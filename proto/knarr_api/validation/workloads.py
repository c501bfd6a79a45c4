"""Deployments, ReplicaSets and their like: kinds that keep pods of one template running. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from knarr_api.errors import FieldError
from knarr_api.types import apps_v1, core_v1
from knarr_api.types.core_v1 import EmptyDirVolumeSource, PodTemplateSpec, Volume
from knarr_api.types.meta_v1 import LabelSelector
from knarr_api.validation import names, placement, pods
from knarr_api.validation.names import forbidden, invalid, not_negative, one_of, required

RETENTION = ("Retain", "Delete")
STATEFUL_MESSAGE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def template(given: PodTemplateSpec, path: str) -> Iterator[FieldError]:
    """What is asked of every given."""
    yield from names.label_map(f"{path}.metadata.labels", given.metadata.labels)
    yield from names.annotation_map(f"{path}.metadata.annotations", given.metadata.annotations)
    yield from pods.pod_spec(given.spec, f"{path}.spec")
    if given.spec.ephemeral_containers:
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def _lasting(given: PodTemplateSpec, selector: LabelSelector | None) -> Iterator[FieldError]:
    """A template whose pods run until they are deleted, and the selector that must match it."""
    yield from template(given, "spec.template")
    if given.spec.restart_policy != "Always":
        yield names.unsupported("spec.template.spec.restartPolicy", given.spec.restart_policy, ("Always",))
    if given.spec.active_deadline_seconds is not None:
        yield forbidden(
            "spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in template is not Supported"
        )
    yield from selecting(selector, given)


def selecting(selector: LabelSelector | None, given: PodTemplateSpec) -> Iterator[FieldError]:
    """The selector must match what the template makes."""
    if selector is None:
        yield required("spec.selector")
        return
    yield from placement.label_selector(selector, "spec.selector")
    parsed = placement.parsed(selector)
    if parsed is None:
        return
    if parsed.everything:
        yield invalid("spec.selector", "{}", "empty selector is invalid for this kind")
    elif not parsed.matches(given.metadata.labels):
        shown = ",".join(f"{key}={value}" for key, value in given.metadata.labels.items())
        yield invalid("spec.template.metadata.labels", shown, "`selector` does not match template `labels`")


def replica_set(obj: apps_v1.ReplicaSet) -> Iterator[FieldError]:
    yield from not_negative("spec.replicas", obj.spec.replicas)
    yield from not_negative("spec.minReadySeconds", obj.spec.min_ready_seconds)
    yield from _lasting(obj.spec.template, obj.spec.selector)


def replication_controller(obj: core_v1.ReplicationController) -> Iterator[FieldError]:
    spec = obj.spec
    yield from not_negative("spec.replicas", spec.replicas)
    yield from not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    yield from _lasting(spec.template, LabelSelector(match_labels=spec.selector) if spec.selector else None)


def deployment(obj: apps_v1.Deployment) -> Iterator[FieldError]:
    spec = obj.spec
    yield from not_negative("spec.replicas", spec.replicas)
    yield from not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    yield from not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    yield from not_negative("spec.progressDeadlineSeconds", spec.progress_deadline_seconds)
    if spec.progress_deadline_seconds is not None and spec.progress_deadline_seconds <= (spec.min_ready_seconds or 0):
        yield invalid(
            "spec.progressDeadlineSeconds", spec.progress_deadline_seconds, "must be greater than minReadySeconds"
        )
    yield from _lasting(spec.template, spec.selector)
    strategy = spec.strategy
    if strategy is None:
        return
    yield from one_of("spec.strategy.type", strategy.type, ("Recreate", "RollingUpdate"))
    rolling = strategy.rolling_update
    if strategy.type == "Recreate" and rolling is not None:
        yield forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif rolling is not None:
        yield from share("spec.strategy.rollingUpdate.maxUnavailable", rolling.max_unavailable, limit_percent=True)
        yield from share("spec.strategy.rollingUpdate.maxSurge", rolling.max_surge, limit_percent=False)
        if _is_zero(rolling.max_unavailable) and _is_zero(rolling.max_surge):
            yield invalid("spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0")


def daemon_set(obj: apps_v1.DaemonSet) -> Iterator[FieldError]:
    spec = obj.spec
    yield from not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    yield from not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    yield from _lasting(spec.template, spec.selector)
    strategy = spec.update_strategy
    if strategy is None:
        return
    yield from one_of("spec.updateStrategy.type", strategy.type, ("RollingUpdate", "OnDelete"))
    rolling, path = strategy.rolling_update, "spec.updateStrategy.rollingUpdate"
    if strategy.type != "RollingUpdate":
        return
    if rolling is None:
        yield required(path)
        return
    yield from share(f"{path}.maxUnavailable", rolling.max_unavailable, limit_percent=True)
    yield from share(f"{path}.maxSurge", rolling.max_surge, limit_percent=True)
    if _is_zero(rolling.max_unavailable) and _is_zero(rolling.max_surge):
        yield invalid(f"{path}.maxUnavailable", rolling.max_unavailable, "cannot be 0 when maxSurge is 0")
    elif not _is_zero(rolling.max_unavailable) and not _is_zero(rolling.max_surge):
        yield invalid(f"{path}.maxSurge", rolling.max_surge, "may not be set when maxUnavailable is non-zero")


def stateful_set(obj: apps_v1.StatefulSet) -> Iterator[FieldError]:
    spec = obj.spec
    yield from not_negative("spec.replicas", spec.replicas)
    yield from not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    yield from not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    if spec.ordinals is not None:
        yield from not_negative("spec.ordinals.start", spec.ordinals.start)
    policy = spec.pod_management_policy
    if not policy:
        yield required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _stateful_strategy(spec.update_strategy)
    retention, path = spec.persistent_volume_claim_retention_policy, "spec.persistentVolumeClaimRetentionPolicy"
    if retention is not None:
        yield from one_of(f"{path}.whenDeleted", retention.when_deleted, RETENTION)
        yield from one_of(f"{path}.whenScaled", retention.when_scaled, RETENTION)
    for index, claim in enumerate(spec.volume_claim_templates):
        at = f"spec.volumeClaimTemplates[{index}]"
        if not claim.metadata.name:
            yield required(f"{at}.metadata.name")
        else:
            yield from names.dns_label(f"{at}.metadata.name", claim.metadata.name)
        if not claim.spec.access_modes:
            yield required(f"{at}.spec.accessModes", "at least 1 access mode is required")
    yield from _lasting(_with_claims(spec), spec.selector)


def _with_claims(spec: apps_v1.StatefulSetSpec) -> PodTemplateSpec:
    """The template as its pods are: what containers mount may come from claims."""
    claimed = {claim.metadata.name for claim in spec.volume_claim_templates if claim.metadata.name}
    volumes = (
        *(each for each in spec.template.spec.volumes if each.name not in claimed),
        *(Volume(name=name, empty_dir=EmptyDirVolumeSource()) for name in sorted(claimed)),
    )
    inner = msgspec.structs.replace(spec.template.spec, volumes=volumes)
    return msgspec.structs.replace(spec.template, spec=inner)


def _stateful_strategy(strategy: apps_v1.StatefulSetUpdateStrategy | None) -> Iterator[FieldError]:
    path = "spec.updateStrategy"
    if strategy is None or not strategy.type:
        yield required(f"{path}.type")
        return
    rolling = strategy.rolling_update
    if strategy.type == "OnDelete":
        if rolling is not None:
            yield invalid(f"{path}.rollingUpdate", None, "only allowed for updateStrategy 'RollingUpdate'")
    elif strategy.type != "RollingUpdate":
        yield invalid(f"{path}.type", strategy.type, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        yield from not_negative(f"{path}.rollingUpdate.partition", rolling.partition)
        yield from share(f"{path}.rollingUpdate.maxUnavailable", rolling.max_unavailable, limit_percent=True)
        if _is_zero(rolling.max_unavailable):
            yield invalid(f"{path}.rollingUpdate.maxUnavailable", rolling.max_unavailable, "cannot be 0")


def update_stateful(old: apps_v1.StatefulSet, new: apps_v1.StatefulSet) -> Iterator[FieldError]:
    """Most of it stays as it was made."""
    spec = new.spec
    admitted = msgspec.structs.replace(
        old.spec,
        replicas=spec.replicas,
        ordinals=spec.ordinals,
        template=spec.template,
        update_strategy=spec.update_strategy,
        revision_history_limit=spec.revision_history_limit,
        persistent_volume_claim_retention_policy=spec.persistent_volume_claim_retention_policy,
        min_ready_seconds=spec.min_ready_seconds,
    )
    if admitted != spec:
        yield forbidden("spec", STATEFUL_MESSAGE)


def controller_revision(obj: apps_v1.ControllerRevision) -> Iterator[FieldError]:
    yield from not_negative("revision", obj.revision)
    if obj.data is None:
        yield required("data", "data is mandatory")


def update_revision(old: apps_v1.ControllerRevision, new: apps_v1.ControllerRevision) -> Iterator[FieldError]:
    yield from names.immutable("data", old.data, new.data)


def share(path: str, value: int | str | None, *, limit_percent: bool) -> Iterator[FieldError]:
    if isinstance(value, int):
        yield from not_negative(path, value)
    elif isinstance(value, str):
        digits = value.removesuffix("%")
        if not value.endswith("%") or not digits.isdecimal():
            yield invalid(path, value, "a valid percent string must be a numeric string followed by an ending '%'")
        elif limit_percent and int(digits) > 100:
            yield invalid(path, value, "must not be greater than 100%")


def _is_zero(value: int | str | None) -> bool:
    return value in (0, "0%")


def update_selected(old: Any, new: Any) -> Iterator[FieldError]:
    yield from names.immutable("spec.selector", old.spec.selector, new.spec.selector)
