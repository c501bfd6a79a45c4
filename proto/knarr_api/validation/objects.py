"""Whole objects, by kind: ``validate``, ``validate_create``, ``validate_update``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from knarr_api import json, kinds
from knarr_api.errors import FieldError, Invalid
from knarr_api.kinds import Kind
from knarr_api.types import (
    admissionregistration_v1,
    apiextensions_v1,
    apps_v1,
    autoscaling_v2,
    batch_v1,
    certificates_v1,
    coordination_v1,
    core_v1,
    discovery_v1,
    networking_v1,
    node_v1,
    policy_v1,
    rbac_v1,
    scheduling_v1,
    storage_v1,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.validation import (
    access,
    autoscaling,
    batch,
    extensions,
    names,
    network,
    placement,
    pods,
    policy,
    quotas,
    storage,
    workloads,
)
from knarr_api.validation.names import forbidden, invalid, not_negative, one_of, positive, required

MAX_DATA_BYTES = 1024 * 1024
MAX_REASON, MAX_NOTE = 128, 1024
DNS_NAMED = frozenset(
    {
        "Pod",
        "ReplicaSet",
        "Deployment",
        "ConfigMap",
        "Secret",
        "Node",
        "Lease",
        "Event",
        "StatefulSet",
        "DaemonSet",
        "ReplicationController",
        "ControllerRevision",
        "Job",
        "PodDisruptionBudget",
        "LimitRange",
        "HorizontalPodAutoscaler",
        "ResourceQuota",
        *("PersistentVolume", "PersistentVolumeClaim", "PodTemplate", "ServiceAccount", "Endpoints", "Ingress"),
        *("IngressClass", "NetworkPolicy", "EndpointSlice", "ServiceCIDR", "StorageClass", "CSINode", "PriorityClass"),
        *("CSIStorageCapacity", "VolumeAttachment", "VolumeAttributesClass", "RuntimeClass", "CronJob"),
        *("CertificateSigningRequest", "CustomResourceDefinition"),
        *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
        *("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    }
)
DNS_LABELED = frozenset({"Namespace", "Service"})


def validate(obj: msgspec.Struct) -> tuple[FieldError, ...]:
    """All that is wrong with an object that has its defaults and its name."""
    kind = kinds.of(obj)
    problems = list(_metadata(kind, obj.metadata))  # type: ignore[attr-defined]
    rule = _RULES.get(type(obj))
    if rule is not None:
        problems += rule(obj)
    return tuple(problems)


def validate_update(old: msgspec.Struct, new: msgspec.Struct) -> tuple[FieldError, ...]:
    """What of the change is not allowed, beside what ``validate`` says of the new object."""
    rule = _UPDATE_RULES.get(type(new))
    return tuple(rule(old, new)) if rule is not None else ()


def _metadata(kind: Kind, metadata: ObjectMeta) -> Iterator[FieldError]:
    name = metadata.name
    if not name and not metadata.generate_name:
        yield required("metadata.name", "name or generateName is required")
    elif not name:
        yield from names.name_prefix("metadata.generateName", metadata.generate_name)
    elif name and kind.kind in DNS_NAMED:
        yield from names.dns_subdomain("metadata.name", name)
    elif name and kind.kind in DNS_LABELED:
        yield from names.dns_label("metadata.name", name)
    elif name:
        yield from names.path_segment("metadata.name", name)
    if kind.namespaced and not metadata.namespace:
        yield required("metadata.namespace")
    elif kind.namespaced:
        yield from names.dns_label("metadata.namespace", metadata.namespace)
    elif metadata.namespace:
        yield forbidden("metadata.namespace", "not allowed on this type")
    yield from names.label_map("metadata.labels", metadata.labels)
    yield from names.annotation_map("metadata.annotations", metadata.annotations)
    for index, owner in enumerate(metadata.owner_references):
        at = f"metadata.ownerReferences[{index}]"
        if not owner.api_version:
            yield invalid(f"{at}.apiVersion", "", "version must not be empty")
        for field, value in (("kind", owner.kind), ("name", owner.name), ("uid", owner.uid)):
            if not value:
                yield invalid(f"{at}.{field}", "", f"{field} must not be empty")
        if (owner.api_version, owner.kind) == ("v1", "Event"):
            yield invalid(at, "v1, Kind=Event", "is disallowed from being an owner")
    if sum(bool(owner.controller) for owner in metadata.owner_references) > 1:
        yield invalid("metadata.ownerReferences", "", "Only one reference can have Controller set to true")
    for finalizer in metadata.finalizers:
        yield from names.qualified_name("metadata.finalizers", finalizer)


def validate_create(obj: msgspec.Struct) -> tuple[FieldError, ...]:
    """What a new object may not have, beside what ``validate`` says."""
    if isinstance(obj, core_v1.Pod) and obj.spec.ephemeral_containers:
        return (forbidden("spec.ephemeralContainers", "cannot be set on create"),)
    return ()


def _pod(pod: core_v1.Pod) -> Iterator[FieldError]:
    yield from pods.pod_spec(pod.spec, "spec")


def _config_map(obj: core_v1.ConfigMap) -> Iterator[FieldError]:
    size_bytes = 0
    for field, data in (("data", obj.data), ("binaryData", obj.binary_data)):
        for key, value in data.items():
            yield from names.data_key(f"{field}[{key}]", key)
            size_bytes += len(value.encode() if isinstance(value, str) else value)
    for key in sorted(obj.data.keys() & obj.binary_data.keys()):
        yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    if size_bytes > MAX_DATA_BYTES:
        yield FieldError("data", f"may not be more than {MAX_DATA_BYTES} bytes", "Too long")


SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _secret(obj: core_v1.Secret) -> Iterator[FieldError]:
    for key in obj.data:
        yield from names.data_key(f"data[{key}]", key)
    for key in SECRET_KEYS.get(obj.type, ()):
        if key not in obj.data:
            yield required(f"data[{key}]")
    if obj.type == "kubernetes.io/basic-auth" and not obj.data.keys() & {"username", "password"}:
        yield required("data[username]")
        yield required("data[password]")
    for key in (".dockerconfigjson", ".dockercfg"):
        if key in SECRET_KEYS.get(obj.type, ()) and key in obj.data and not _is_json(obj.data[key]):
            yield invalid(f"data[{key}]", "<secret contents redacted>", "not a JSON object")
    if sum(len(value) for value in obj.data.values()) > MAX_DATA_BYTES:
        yield FieldError("data", f"may not be more than {MAX_DATA_BYTES} bytes", "Too long")


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.load(data), dict)
    except Invalid:
        return False


def _node(obj: core_v1.Node) -> Iterator[FieldError]:
    for index, cidr in enumerate(obj.spec.pod_cidrs):
        yield from names.cidr(f"spec.podCIDRs[{index}]", cidr)
    if obj.spec.pod_cidr:
        yield from names.cidr("spec.podCIDR", obj.spec.pod_cidr)
        if obj.spec.pod_cidrs and obj.spec.pod_cidrs[0] != obj.spec.pod_cidr:
            yield invalid("spec.podCIDR", obj.spec.pod_cidr, "must be the first of `podCIDRs`")
    for field, amounts in (("capacity", obj.status.capacity), ("allocatable", obj.status.allocatable)):
        for resource, quantity in amounts.items():
            if quantity.nanos() < 0:
                at = f"status.{field}[{resource}]"
                yield invalid(at, str(quantity), "must be greater than or equal to 0")
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(obj.spec.taints):
        at = f"spec.taints[{index}]"
        if not taint.key:
            yield required(f"{at}.key")
        else:
            yield from names.qualified_name(f"{at}.key", taint.key)
        yield from names.label_value(f"{at}.value", taint.value)
        yield from one_of(f"{at}.effect", taint.effect, placement.TAINT_EFFECTS)
        if (taint.key, taint.effect) in seen:
            yield names.duplicate(at, f"{taint.key}:{taint.effect}")
        seen.add((taint.key, taint.effect))


def _event(obj: core_v1.Event) -> Iterator[FieldError]:
    involved = obj.involved_object
    if involved is None:
        yield required("involvedObject")
    elif involved.namespace and involved.namespace != obj.metadata.namespace:
        yield invalid("involvedObject.namespace", involved.namespace, "does not match event.namespace")
    elif not involved.namespace and obj.metadata.namespace not in ("", "default"):
        yield invalid("involvedObject.namespace", "", "does not match event.namespace")
    if obj.type:
        yield from one_of("type", obj.type, ("Normal", "Warning"))
    for field, text, limit in (
        ("reason", obj.reason, MAX_REASON),
        ("message", obj.message, MAX_NOTE),
        ("action", obj.action, MAX_REASON),
    ):
        if len(text) > limit:
            yield FieldError(field, f"may not be more than {limit} bytes", "Too long")


def _lease(obj: coordination_v1.Lease) -> Iterator[FieldError]:
    spec = obj.spec
    yield from positive("spec.leaseDurationSeconds", spec.lease_duration_seconds)
    yield from not_negative("spec.leaseTransitions", spec.lease_transitions)


def _namespace(obj: core_v1.Namespace) -> Iterator[FieldError]:
    for index, finalizer in enumerate(obj.spec.finalizers):
        yield from names.qualified_name(f"spec.finalizers[{index}]", finalizer)


def _update_node(old: core_v1.Node, new: core_v1.Node) -> Iterator[FieldError]:
    if old.spec.pod_cidr and new.spec.pod_cidr != old.spec.pod_cidr:
        yield forbidden("spec.podCIDR", 'node updates may not change podCIDR except from "" to valid')
    if old.spec.provider_id and new.spec.provider_id != old.spec.provider_id:
        yield forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')


def _update_config(old: Any, new: Any) -> Iterator[FieldError]:
    if old.immutable:
        if not new.immutable:
            yield forbidden("immutable", "field is immutable when `immutable` is set")
        if old.data != new.data or getattr(old, "binary_data", None) != getattr(new, "binary_data", None):
            yield forbidden("data", "field is immutable when `immutable` is set")


def _update_secret(old: core_v1.Secret, new: core_v1.Secret) -> Iterator[FieldError]:
    yield from names.immutable("type", old.type, new.type)
    yield from _update_config(old, new)


POD_MESSAGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _update_pod(old: core_v1.Pod, new: core_v1.Pod) -> Iterator[FieldError]:
    if not set_of(old.spec.tolerations) <= set_of(new.spec.tolerations):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    if len(old.spec.containers) != len(new.spec.containers):
        yield forbidden("spec.containers", "pod updates may not add or remove containers")
        return
    admitted = msgspec.structs.replace(
        new.spec,
        containers=_with_images(new.spec.containers, old.spec.containers),
        init_containers=_with_images(new.spec.init_containers, old.spec.init_containers),
        active_deadline_seconds=old.spec.active_deadline_seconds,
        tolerations=old.spec.tolerations,
        scheduling_gates=old.spec.scheduling_gates,
    )
    if admitted != old.spec:
        yield forbidden("spec", POD_MESSAGE)


def set_of(tolerations: tuple[core_v1.Toleration, ...]) -> set[tuple[str, str, str, str]]:
    return {(t.key, t.operator, t.value, t.effect) for t in tolerations}


def _with_images(
    containers: tuple[core_v1.Container, ...], old: tuple[core_v1.Container, ...]
) -> tuple[core_v1.Container, ...]:
    if len(containers) != len(old):
        return containers
    return tuple(
        msgspec.structs.replace(container, image=before.image)
        for container, before in zip(containers, old, strict=True)
    )


_RULES: dict[type[msgspec.Struct], Callable[[Any], Iterator[FieldError]]] = {
    core_v1.Pod: _pod,
    apps_v1.ReplicaSet: workloads.replica_set,
    core_v1.ReplicationController: workloads.replication_controller,
    apps_v1.Deployment: workloads.deployment,
    apps_v1.DaemonSet: workloads.daemon_set,
    apps_v1.StatefulSet: workloads.stateful_set,
    apps_v1.ControllerRevision: workloads.controller_revision,
    batch_v1.Job: batch.job,
    batch_v1.CronJob: batch.cron_job,
    core_v1.ConfigMap: _config_map,
    autoscaling_v2.HorizontalPodAutoscaler: autoscaling.autoscaler,
    core_v1.LimitRange: quotas.limit_range,
    core_v1.ResourceQuota: quotas.resource_quota,
    core_v1.Secret: _secret,
    core_v1.Node: _node,
    core_v1.Event: _event,
    core_v1.Namespace: _namespace,
    coordination_v1.Lease: _lease,
    policy_v1.PodDisruptionBudget: policy.budget,
    core_v1.Service: network.service,
    core_v1.Endpoints: network.endpoints,
    discovery_v1.EndpointSlice: network.endpoint_slice,
    networking_v1.Ingress: network.ingress,
    networking_v1.IngressClass: network.ingress_class,
    networking_v1.NetworkPolicy: network.network_policy,
    networking_v1.IPAddress: network.ip_address,
    networking_v1.ServiceCIDR: network.service_cidr,
    core_v1.PersistentVolume: storage.volume,
    core_v1.PersistentVolumeClaim: storage.claim,
    storage_v1.StorageClass: storage.storage_class,
    storage_v1.VolumeAttributesClass: storage.attributes_class,
    storage_v1.VolumeAttachment: storage.attachment,
    storage_v1.CSIDriver: storage.driver,
    storage_v1.CSINode: storage.csi_node,
    storage_v1.CSIStorageCapacity: storage.capacity,
    rbac_v1.Role: access.role,
    rbac_v1.ClusterRole: access.cluster_role,
    rbac_v1.RoleBinding: access.role_binding,
    rbac_v1.ClusterRoleBinding: access.cluster_role_binding,
    core_v1.ServiceAccount: access.account,
    certificates_v1.CertificateSigningRequest: access.signing_request,
    core_v1.PodTemplate: extensions.pod_template,
    scheduling_v1.PriorityClass: extensions.priority_class,
    node_v1.RuntimeClass: extensions.runtime_class,
    apiextensions_v1.CustomResourceDefinition: extensions.custom_resource,
    admissionregistration_v1.MutatingWebhookConfiguration: extensions.mutating,
    admissionregistration_v1.ValidatingWebhookConfiguration: extensions.validating,
    admissionregistration_v1.ValidatingAdmissionPolicy: extensions.validating_policy,
    admissionregistration_v1.ValidatingAdmissionPolicyBinding: extensions.validating_binding,
    admissionregistration_v1.MutatingAdmissionPolicy: extensions.mutating_policy,
    admissionregistration_v1.MutatingAdmissionPolicyBinding: extensions.mutating_binding,
}
_UPDATE_RULES: dict[type[msgspec.Struct], Callable[[Any, Any], Iterator[FieldError]]] = {
    core_v1.Pod: _update_pod,
    core_v1.Node: _update_node,
    apps_v1.ReplicaSet: workloads.update_selected,
    apps_v1.Deployment: workloads.update_selected,
    apps_v1.DaemonSet: workloads.update_selected,
    apps_v1.StatefulSet: workloads.update_stateful,
    apps_v1.ControllerRevision: workloads.update_revision,
    batch_v1.Job: batch.update_job,
    core_v1.ConfigMap: _update_config,
    core_v1.ResourceQuota: quotas.update_resource_quota,
    core_v1.Secret: _update_secret,
    core_v1.PersistentVolumeClaim: storage.update_claim,
    storage_v1.StorageClass: storage.storage_class_update,
    rbac_v1.RoleBinding: access.update_binding,
    rbac_v1.ClusterRoleBinding: access.update_binding,
    certificates_v1.CertificateSigningRequest: access.update_signing_request,
    scheduling_v1.PriorityClass: extensions.update_priority_class,
    node_v1.RuntimeClass: extensions.update_runtime_class,
}
